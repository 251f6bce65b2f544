"""Products of several tensors: tensor trains and bilinear layers.

Each is there in one line, whose order of summing is the compiler's to find, and in the
steps that one finds by hand. `torch.einsum` finds an order with opt_einsum, which comes
with JAX, and goes from left to right without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

import polydsl
from tests.benchmarks.fusion.case import (
    Case,
    Draw,
    Run,
    compiled_run,
    draws,
    jax_run,
    torch_run,
)

KERNELS = polydsl.loads(
    """
kernel tensor_train(x: f32[N, I, J, K], a: f32[O, I, R], b: f32[R, P, J, S],
                    c: f32[S, Q, K]) -> f32[N, O, P, Q]:
    y[n, o, p, q] += x[n, i, j, k] * a[o, i, r] * b[r, p, j, s] * c[s, q, k]
    return y

kernel bilinear(x: f32[N, I], z: f32[N, J], weight: f32[O, I, J],
                bias: f32[O]) -> f32[N, O]:
    h[n, o] += x[n, i] * weight[o, i, j] * z[n, j]
    y[n, o] = h[n, o] + bias[o]
    return y
"""
)

TRAIN = "nijk,oir,rpjs,sqk->nopq"


def cases() -> Iterator[Case]:
    """Yield the layers."""
    draw = draws()
    for sides in ((8, 8, 8), (16, 8, 16)):
        yield from _trains(draw, 64, sides, 16)
    yield from _bilinears(draw, 128, 128)


def _trains(
    draw: Draw, n: int, sides: tuple[int, int, int], rank: int
) -> Iterator[Case]:
    first, second, third = sides
    arguments = {
        "x": draw(n, *sides),
        "a": draw(first, first, rank),
        "b": draw(rank, second, second, rank),
        "c": draw(rank, third, third),
    }
    arrays = tuple(arguments.values())
    theirs = {
        "PyTorch": torch_run(_train, *arrays),
        "compiled": compiled_run(_train, *arrays),
        "JAX": jax_run(_train_jax, *arrays),
    }
    shape = f"{n} of {first}x{second}x{third}, rank {rank}"
    for name, kernel in (
        ("one line", KERNELS.tensor_train),
        ("in steps", polydsl.stdlib.factored.tensor_train_linear),
    ):
        yield Case(
            f"tensor train, {name}: {shape}",
            kernel,
            arguments,
            bound=("a", "b", "c"),
            theirs=theirs,
            asked="4 times PyTorch",
        )


def _train(x: Any, a: Any, b: Any, c: Any) -> Any:
    return torch.einsum(TRAIN, x, a, b, c)


def _train_jax(jax: Any, x: Any, a: Any, b: Any, c: Any) -> Any:
    return jax.numpy.einsum(TRAIN, x, a, b, c)


def _bilinears(draw: Draw, n: int, size: int) -> Iterator[Case]:
    arguments = {
        "x": draw(n, size),
        "z": draw(n, size),
        "weight": draw(size, size, size),
        "bias": draw(size),
    }
    arrays = tuple(arguments.values())
    theirs: dict[str, Run | None] = {
        "PyTorch": torch_run(functional.bilinear, *arrays),
        "einsum": torch_run(_bilinear, *arrays),
        "compiled": compiled_run(_bilinear, *arrays),
        "JAX": jax_run(_bilinear_jax, *arrays),
    }
    for name, kernel in (
        ("one line", KERNELS.bilinear),
        ("in steps", polydsl.stdlib.linalg.bilinear),
    ):
        yield Case(
            f"bilinear, {name}: {n} x ({size}, {size}) to {size}",
            kernel,
            arguments,
            bound=("weight", "bias"),
            theirs=theirs,
            asked="2.5 times PyTorch",
        )


def _bilinear(x: Any, z: Any, weight: Any, bias: Any) -> Any:
    return torch.einsum("ni,oij,nj->no", x, weight, z) + bias


def _bilinear_jax(jax: Any, x: Any, z: Any, weight: Any, bias: Any) -> Any:
    return jax.numpy.einsum("ni,oij,nj->no", x, weight, z) + bias
