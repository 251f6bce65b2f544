"""Products with a factor that is computed while it is copied: rows of a table,
quantised weights, a mask.

What they cannot be faster than is the product of what is there already.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.nn import functional

import polydsl
from tests.benchmarks.fusion.case import Array, Case, Draw, draws, torch_run

KERNELS = polydsl.loads(
    """
kernel product(x: f32[N, C], w: f32[C, K]) -> f32[N, K]:
    y[n, k] += x[n, c] * w[c, k]
    return y

kernel embedding(ids: i64[N], table: f32[V, C], w: f32[C, K]) -> f32[N, K]:
    h[n, c] = table[ids[n], c]
    y[n, k] += h[n, c] * w[c, k]
    return y

kernel quantised(x: f32[N, C], q: i8[C, K], zero: f32[K],
                 scale: f32[C // 64, K]) -> f32[N, K]:
    w[c, k] = (q[c, k] - zero[k]) * scale[c // 64, k]
    y[n, k] += x[n, c] * w[c, k]
    return y

kernel masked(x: f32[N, C], m: bool[N, C], w: f32[C, K]) -> f32[N, K]:
    h[n, c] = x[n, c] if m[n, c] else 0
    y[n, k] += h[n, c] * w[c, k]
    return y
"""
)


def cases() -> Iterator[Case]:
    """Yield the layers."""
    draw = draws()
    yield _embedding(draw, 512, 32_000, 512, 256)
    for n in (16, 256):
        yield from _quantised(draw, n, 1024, 1024)
    yield _masked(draw, 512, 512, 64)


def _embedding(draw: Draw, n: int, v: int, c: int, k: int) -> Case:
    rng = np.random.default_rng(1)
    ids = rng.integers(0, v, n)
    arguments = {"ids": ids, "table": draw(v, c), "w": draw(c, k)}
    theirs = torch_run(_embedded, *arguments.values())
    return Case(
        f"embedding, projected: {n} of {v} x {c} to {k}",
        KERNELS.embedding,
        arguments,
        least=_product(arguments["table"][ids], arguments["w"]),
        theirs={"PyTorch": theirs},
    )


def _embedded(ids: Any, table: Any, w: Any) -> Any:
    return functional.embedding(ids, table) @ w


def _quantised(draw: Draw, n: int, c: int, k: int) -> Iterator[Case]:
    rng = np.random.default_rng(2)
    arguments = {
        "x": draw(n, c),
        "q": rng.integers(-128, 128, (c, k)).astype(np.int8),
        "zero": draw(k),
        "scale": draw(c // 64, k),
    }
    whole = np.repeat(arguments["scale"], 64, axis=0)
    w = (arguments["q"] - arguments["zero"]) * whole
    for name, bound in (("", ()), (", bound", ("q", "zero", "scale"))):
        yield Case(
            f"quantised weights{name}: {n} x {c} to {k}",
            KERNELS.quantised,
            arguments,
            bound=bound,
            least=_product(arguments["x"], w.astype(np.float32), bound=bool(bound)),
            theirs={"PyTorch": torch_run(_dequantised, *arguments.values())},
        )


def _dequantised(x: Any, q: Any, zero: Any, scale: Any) -> Any:
    return x @ ((q - zero) * scale.repeat_interleave(64, dim=0))


def _masked(draw: Draw, n: int, c: int, k: int) -> Case:
    m = np.random.default_rng(3).random((n, c)) < 0.5
    arguments = {"x": draw(n, c), "m": m, "w": draw(c, k)}
    return Case(
        f"masked product: {n} x {c} to {k}",
        KERNELS.masked,
        arguments,
        least=_product(arguments["x"], arguments["w"]),
        theirs={"PyTorch": torch_run(_where, *arguments.values())},
    )


def _where(x: Any, m: Any, w: Any) -> Any:
    return x.masked_fill(~m, 0.0) @ w


def _product(x: Array, w: Array, *, bound: bool = False) -> Any:
    kernel = KERNELS.product.bind(w=w) if bound else KERNELS.product
    given = {"x": x} if bound else {"x": x, "w": w}
    return lambda threads: kernel(**given, threads=threads)
