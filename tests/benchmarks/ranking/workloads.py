"""What the ranking benchmark runs: convolutions, products, and what is neither."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import polydsl
from polydsl.backend.arrays import unaligned_bytes
from polydsl.driver.kernel import Kernel
from tests.benchmarks.layers import TEXT, convolution_rows

MOST_BYTES = 6 << 30
"""Products of more memory are left out."""

OTHERS = """
kernel depthwise(x: f32[H, W, C], w: f32[R, S, C]) -> f32[P, Q, C]:
    P = H - R + 1
    Q = W - S + 1
    y[p, q, c] += x[p + r, q + s, c] * w[r, s, c]
    return y

kernel correlation(a: f32[H, W, C], b: f32[U, V, C]) -> f32[H, W, I, J]:
    I = U - H + 1
    J = V - W + 1
    y[h, w, i, j] += a[h, w, c] * b[h + i, w + j, c]
    return y

kernel involution(x: f32[G, D, H, W], k: f32[G, R, S, P, Q]) -> f32[G, D, P, Q]:
    P = H - R + 1
    Q = W - S + 1
    y[g, d, p, q] += k[g, r, s, p, q] * x[g, d, p + r, q + s]
    return y

kernel max_plus(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] = max[k](a[i, k] + b[k, j])
    return c

kernel average_pool(x: f32[H, W, C]) -> f32[P, Q, C]:
    P = (H - 3) // 2 + 1
    Q = (W - 3) // 2 + 1
    r in range(3)
    s in range(3)
    y[p, q, c] = sum[r, s](x[2*p + r, 2*q + s, c]) / 9
    return y

kernel layer_norm(x: f32[N, D], gamma: f32[D], beta: f32[D],
                  *, eps: float = 1e-5) -> f32[N, D]:
    m[n] = mean[d](x[n, d])
    v[n] = mean[d]((x[n, d] - m[n])**2)
    y[n, d] = (x[n, d] - m[n]) * rsqrt(v[n] + eps) * gamma[d] + beta[d]
    return y
"""


@dataclass(frozen=True, slots=True)
class Workload:
    """A layer with its arguments.

    `bound` names the arguments that are known before the first call. `instructions` are
    the vector operations of one element of the innermost loop, times the points: what
    the arithmetic units must execute at least, in multiply-adds. `bytes` is the memory
    that must be read and written once.
    """

    name: str
    kernel: Kernel
    arrays: dict[str, np.ndarray[Any, Any]]
    constants: dict[str, int]
    bound: tuple[str, ...]
    multiply_adds: float
    is_product: bool

    @property
    def bytes(self) -> int:
        """The size of the arguments."""
        return sum(a.nbytes for a in self.arrays.values())


def _random(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    """Return random numbers in memory as NumPy's large arrays have it."""
    values = rng.standard_normal(shape, dtype=np.float32)
    array = unaligned_bytes(values.nbytes).view(np.float32).reshape(shape)
    array[:] = values
    return array


def convolutions() -> Iterator[Workload]:
    """Yield the layers of ResNet-50, NHWC with bound weights."""
    rng = np.random.default_rng(0)
    kernel = polydsl.loads(TEXT).nhwc
    for row in convolution_rows():
        n = {k: int(row[k]) for k in ("C", "K", "H", "W", "R", "S", "P", "Q")}
        work = float(n["K"] * n["C"] * n["P"] * n["Q"] * n["R"] * n["S"])
        yield Workload(
            row["layer"],
            kernel,
            {
                "x": _random(rng, 1, n["H"], n["W"], n["C"]),
                "w": _random(rng, n["R"], n["S"], n["C"], n["K"]),
            },
            {"stride": int(row["stride"]), "padding": int(row["pad"])},
            ("w",),
            work,
            is_product=True,
        )


def products() -> Iterator[Workload]:
    """Yield the model products of the table that fit in memory."""
    rng = np.random.default_rng(0)
    kernel = polydsl.loads(TEXT).matmul
    path = Path(__file__).parents[1] / "gemm_sizes.csv"
    with path.open() as file:
        rows = [r for r in csv.DictReader(file) if "workload=" in r["source"]]
    for row in rows:
        m, n, k = (int(row[d]) for d in "MNK")
        if 4 * (m * k + k * n + m * n) > MOST_BYTES:
            continue
        yield Workload(
            f"gemm {m}x{n}x{k}",
            kernel,
            {"a": _random(rng, m, k), "b": _random(rng, k, n)},
            {},
            (),
            float(m) * n * k,
            is_product=True,
        )


def others() -> Iterator[Workload]:
    """Yield the layers that are no products."""
    rng = np.random.default_rng(0)
    kernels = polydsl.loads(OTHERS)

    def case(name: str, work: float, **arrays: np.ndarray[Any, Any]) -> Workload:
        kernel = getattr(kernels, name)
        return Workload(name, kernel, arrays, {}, (), work, is_product=False)

    yield case(
        "depthwise",
        56 * 56 * 128 * 49.0,
        x=_random(rng, 62, 62, 128),
        w=_random(rng, 7, 7, 128),
    )
    yield case(
        "correlation",
        32 * 32 * 81 * 128.0,
        a=_random(rng, 32, 32, 128),
        b=_random(rng, 40, 40, 128),
    )
    yield case(
        "involution",
        16 * 16 * 56 * 56 * 49.0,
        x=_random(rng, 16, 16, 62, 62),
        k=_random(rng, 16, 7, 7, 56, 56),
    )
    # An addition and a maximum: two instructions where a product has one.
    yield case(
        "max_plus",
        2 * 512.0**3,
        a=_random(rng, 512, 512),
        b=_random(rng, 512, 512),
    )
    yield case("average_pool", 56 * 56 * 64 * 9.0, x=_random(rng, 113, 113, 64))
    # Two additions and a product, then a subtraction and two multiply-adds.
    yield case(
        "layer_norm",
        512 * 768 * 6.0,
        x=_random(rng, 512, 768),
        gamma=_random(rng, 768),
        beta=_random(rng, 768),
    )


def workloads() -> Iterator[Workload]:
    """Yield everything that is ranked."""
    yield from convolutions()
    yield from products()
    yield from others()
