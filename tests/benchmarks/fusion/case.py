"""A layer beside others' ways to compute it: `Case`, and what makes runs of functions.

Threads are limited in three ways: those of polydsl by its keyword at each call, those
of PyTorch by `torch.set_num_threads`, and those of JAX, which looks when it is
imported, by `XLA_FLAGS` and `NPROC` (`limit_threads`, before any run is made).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, Any]
Draw = Callable[..., Array]
Run = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Case:
    """A layer: its arguments, those that are bound, its constants, what it cannot be
    faster than, if that is anything short, and others' ways of computing it by name.
    `asked` says how many times as fast as which of them it ought to be."""

    name: str
    kernel: Any
    arguments: dict[str, Array]
    bound: tuple[str, ...] = ()
    constants: dict[str, int] = field(default_factory=dict)
    least: Callable[[int], object] | None = None
    theirs: Mapping[str, Run | None] = field(default_factory=dict)
    asked: str = ""


def draws(seed: int = 0) -> Draw:
    """Return a function from extents to small random numbers."""
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.standard_normal(shape, np.float32) / 4


def torch_run(run: Callable[..., Any], *arrays: Array) -> Run:
    """Return a run of PyTorch code on arrays."""
    tensors = [torch.from_numpy(array) for array in arrays]

    def timed() -> object:
        with torch.inference_mode():
            return run(*tensors)

    return timed


def compiled_run(run: Callable[..., Any], *arrays: Array) -> Run:
    """Return a run of PyTorch code that `torch.compile` has compiled."""
    return torch_run(torch.compile(run, dynamic=False), *arrays)


def jax_run(run: Callable[..., Any], *arrays: Array) -> Run | None:
    """Return a run of jitted JAX code, whose first parameter is the module, or nothing
    where JAX is not installed."""
    if find_spec("jax") is None:
        return None
    jax = importlib.import_module("jax")
    held = [jax.numpy.asarray(array) for array in arrays]
    jitted = jax.jit(partial(run, jax))
    return lambda: jitted(*held).block_until_ready()


def limit_threads(threads: int) -> None:
    """Have PyTorch, and JAX when it is imported, use so many threads."""
    torch.set_num_threads(threads)
    os.environ["NPROC"] = str(threads)
    if threads == 1:
        eigen = "--xla_cpu_multi_thread_eigen=false"
        os.environ["XLA_FLAGS"] = f"{eigen} intra_op_parallelism_threads=1"
