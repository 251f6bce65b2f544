"""States along a sequence: selective scan and gated linear attention.

PyTorch runs a loop over time, as one writes it; JAX a `lax.scan`, jitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import polydsl
from tests.benchmarks.fusion.case import Array, Case, Draw, draws, jax_run, torch_run

state_space = polydsl.stdlib.state_space

ASKED = "20 times PyTorch, 3 times JAX"


def cases() -> Iterator[Case]:
    """Yield the layers."""
    draw = draws()
    yield _selective(draw, 2, 512, 256, 16)
    yield _gated(draw, 4, 512, 64)


def _selective(draw: Draw, n: int, t: int, d: int, s: int) -> Case:
    arguments = {
        "x": draw(n, t, d),
        "delta": np.abs(draw(n, t, d)),
        "a": -np.abs(draw(d, s)),
        "b": draw(n, t, s),
        "c": draw(n, t, s),
        "skip": draw(d),
    }
    arrays = tuple(arguments.values())
    return Case(
        f"selective scan: {n} x {t} steps, {d} x {s}",
        state_space.selective_scan,
        arguments,
        theirs={
            "PyTorch": torch_run(_selective_torch, *arrays),
            "JAX": jax_run(_selective_jax, *arrays),
        },
        asked=ASKED,
    )


def _selective_torch(x: Any, delta: Any, a: Any, b: Any, c: Any, skip: Any) -> Any:
    h = torch.zeros(x.shape[0], *a.shape)
    rows = []
    for t in range(x.shape[1]):
        step = delta[:, t, :, None]
        h = torch.exp(step * a) * h + step * b[:, t, None] * x[:, t, :, None]
        rows.append((h * c[:, t, None]).sum(2))
    return torch.stack(rows, 1) + skip * x


def _selective_jax(
    jax: Any, x: Any, delta: Any, a: Any, b: Any, c: Any, skip: Any
) -> Any:
    jnp = jax.numpy

    def step(h: Any, row: Any) -> tuple[Any, Any]:
        x, delta, b, c = row
        delta = delta[:, :, None]
        h = jnp.exp(delta * a) * h + delta * b[:, None] * x[:, :, None]
        return h, (h * c[:, None]).sum(2)

    start = jnp.zeros((x.shape[0], *a.shape), x.dtype)
    rows = tuple(array.swapaxes(0, 1) for array in (x, delta, b, c))
    return jax.lax.scan(step, start, rows)[1].swapaxes(0, 1) + skip * x


def _gated(draw: Draw, heads: int, t: int, d: int) -> Case:
    def gates(*shape: int) -> Array:
        return 1 / (1 + np.exp(-4 - 4 * draw(*shape)))

    arguments = {
        "q": draw(1, heads, t, d),
        "k": draw(1, heads, t, d),
        "v": draw(1, heads, t, d),
        "alpha": gates(1, heads, t, d),
    }
    arrays = tuple(arguments.values())
    return Case(
        f"gated linear attention: {heads} heads, {t} steps, {d} x {d}",
        state_space.gated_linear_attention,
        arguments,
        theirs={
            "PyTorch": torch_run(_gated_torch, *arrays),
            "JAX": jax_run(_gated_jax, *arrays),
        },
        asked=ASKED,
    )


def _gated_torch(q: Any, k: Any, v: Any, alpha: Any) -> Any:
    s = torch.zeros(*q.shape[:2], q.shape[3], v.shape[3])
    rows = []
    for t in range(q.shape[2]):
        s = alpha[:, :, t, :, None] * s + k[:, :, t, :, None] * v[:, :, t, None]
        rows.append((q[:, :, t, None] @ s)[:, :, 0])
    return torch.stack(rows, 2)


def _gated_jax(jax: Any, q: Any, k: Any, v: Any, alpha: Any) -> Any:
    jnp = jax.numpy

    def step(s: Any, row: Any) -> tuple[Any, Any]:
        q, k, v, alpha = row
        s = alpha[..., None] * s + k[..., None] * v[..., None, :]
        return s, jnp.einsum("nad,nade->nae", q, s)

    start = jnp.zeros((*q.shape[:2], q.shape[3], v.shape[3]), q.dtype)
    rows = tuple(jnp.moveaxis(array, 2, 0) for array in (q, k, v, alpha))
    return jnp.moveaxis(jax.lax.scan(step, start, rows)[1], 0, 2)
