"""Speed must not depend on how a layer is written: the rows that prove it.

One product, a 3x3 convolution of 128 to 128 channels over 28x28 pixels (and the same
work with one or three spatial dimensions), written in many ways. Each row is measured
interleaved with the plain 2-D form, on one thread, weights bound; a ratio below 0.9
breaks the promise.

    python -m tests.benchmarks.invariance
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

import polydsl

PLAIN = """
kernel layer(x: f32[N, H, W, C], w: f32[R, S, C, K]) -> f32[N, H, W, K]:
    y[n, h, v, k] += pad(x[n, h + r - 1, v + s - 1, c]) * w[r, s, c, k]
    return y
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to write the layer, with the shapes of its two arguments."""

    name: str
    text: str
    x: tuple[int, ...]
    w: tuple[int, ...]


X, W = (1, 28, 28, 128), (3, 3, 128, 128)

ROWS = (
    Row("plain 2-D NHWC", PLAIN, X, W),
    Row(
        "indices renamed",
        """
kernel layer(x: f32[M, U, V, E], w: f32[A, B, E, F]) -> f32[M, U, V, F]:
    z[j, g, t, a] += pad(x[j, g + k - 1, t + n - 1, y]) * w[k, n, y, a]
    return z
""",
        X,
        W,
    ),
    Row(
        "operands swapped",
        """
kernel layer(x: f32[N, H, W, C], w: f32[R, S, C, K]) -> f32[N, H, W, K]:
    y[n, h, v, k] += w[r, s, c, k] * pad(x[n, h + r - 1, v + s - 1, c])
    return y
""",
        X,
        W,
    ),
    Row(
        "image dimensions permuted (W N H C)",
        """
kernel layer(x: f32[W, N, H, C], w: f32[R, S, C, K]) -> f32[W, N, H, K]:
    y[v, n, h, k] += pad(x[v + s - 1, n, h + r - 1, c]) * w[r, s, c, k]
    return y
""",
        (28, 1, 28, 128),
        W,
    ),
    Row(
        "weight dimensions permuted (K C S R)",
        """
kernel layer(x: f32[N, H, W, C], w: f32[K, C, S, R]) -> f32[N, H, W, K]:
    y[n, h, v, k] += pad(x[n, h + r - 1, v + s - 1, c]) * w[k, c, s, r]
    return y
""",
        X,
        (128, 128, 3, 3),
    ),
    Row(
        "one spatial dimension",
        """
kernel layer(x: f32[N, L, C], w: f32[S, C, K]) -> f32[N, L, K]:
    y[n, l, k] += pad(x[n, l + s - 4, c]) * w[s, c, k]
    return y
""",
        (1, 784, 128),
        (9, 128, 128),
    ),
    Row(
        "three spatial dimensions",
        """
kernel layer(x: f32[N, D, H, W, C], w: f32[T, R, S, C, K]) -> f32[N, D, H, W, K]:
    y[n, d, h, v, k] += pad(x[n, d + t - 1, h + r - 1, v + s - 1, c]) * w[t, r, s, c, k]
    return y
""",
        (1, 7, 8, 14, 128),
        (3, 3, 3, 128, 128),
    ),
    Row(
        "an extra batch index",
        """
kernel layer(x: f32[B, N, H, W, C], w: f32[R, S, C, K]) -> f32[B, N, H, W, K]:
    y[b, n, h, v, k] += pad(x[b, n, h + r - 1, v + s - 1, c]) * w[r, s, c, k]
    return y
""",
        (2, 1, 28, 28, 128),
        W,
    ),
)


def operations(row: Row, result: np.ndarray) -> float:
    """Return the operations of a row: two for each multiply-add, padding included."""
    reduced = np.prod(row.w) / result.shape[-1]
    return 2.0 * float(result.size) * float(reduced)


def main() -> None:
    """Measure every row against the plain one and print the ratios."""
    rng = np.random.default_rng(0)
    prepared = []
    for row in ROWS:
        x = rng.standard_normal(row.x, dtype=np.float32)
        w = rng.standard_normal(row.w, dtype=np.float32)
        module = polydsl.loads(row.text)
        kernel = next(iter(module)).bind(w=w)
        prepared.append((row, kernel, x, operations(row, kernel(x, threads=1))))
    best = [float("inf")] * len(prepared)
    for _ in range(60):
        for number, (_, kernel, x, _) in enumerate(prepared):
            start = time.perf_counter()
            kernel(x, threads=1)
            best[number] = min(best[number], time.perf_counter() - start)
    speeds = [work / seconds / 1e9 for (*_, work), seconds in zip(prepared, best)]
    for (row, *_), speed in zip(prepared, speeds):
        print(f"{row.name:40} {speed:7.1f} GFLOP/s  ratio {speed / speeds[0]:.2f}")


if __name__ == "__main__":
    main()
