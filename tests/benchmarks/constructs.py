"""Every construct of the language beside NumPy doing the same with whole-array calls.

    OPENBLAS_NUM_THREADS=1 python -m tests.benchmarks.constructs

One thread on both sides, interleaved in one process, best of many rounds: the shorter
a call, the more of them are timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import polydsl

Array = np.ndarray[Any, Any]
ROUNDS = 15
SECONDS = 0.5
"""A trial ends after so many rounds that take so long."""

KERNELS = polydsl.loads("""
kernel band(x: f32[N, N], y: f32[N]) -> f32[N]:
    j in range(max(0, i - 32), min(N, i + 33))
    z[i] += x[i, j] * y[j]
    return z

kernel triangle(p: f32[N, N], v: f32[N, D]) -> f32[N, D]:
    j in range(0, i + 1)
    o[i, e] += p[i, j] * v[j, e]
    return o

kernel row_sums(x: f32[N, N]) -> f32[N]:
    j in range(0, i + 1)
    y[i] += x[i, j]
    return y

kernel cumsum(x: f32[N]) -> f32[N]:
    y[i] = pad(y[i - 1]) + x[i]
    return y

kernel scan(a: f32[T, D], u: f32[T, D]) -> f32[T, D]:
    h[t, d] = a[t, d] * pad(h[t - 1, d]) + u[t, d]
    return h

kernel chebyshev(x: f32[N], c: f32[K]) -> f32[N]:
    t[k, i] = 1 if k == 0 else x[i] if k == 1 else 2*x[i]*t[k - 1, i] - t[k - 2, i]
    y[i] += c[k] * t[k, i]
    return y

kernel solve(l: f32[N, N], b: f32[N, M]) -> f32[N, M]:
    j in range(0, i)
    y[i, m] = (b[i, m] - sum[j](l[i, j] * y[j, m])) / l[i, i]
    return y

kernel wavefront(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[i, j] + max(pad(y[i - 1, j]), pad(y[i, j - 1]))
    return y

kernel rnn(x: f32[T, B, U], r: f32[U, U]) -> f32[T, B, U]:
    s[t, b, u] += pad(h[t - 1, b, v]) * r[v, u]
    h[t, b, u] = tanh(s[t, b, u] + x[t, b, u])
    return h

kernel rows(table: f32[V, D], ids: i64[N]) -> f32[N, D]:
    y[n, d] = table[ids[n], d]
    return y

kernel lanes(table: f32[V], ids: i64[N]) -> f32[N]:
    y[n] = table[ids[n]]
    return y

kernel histogram(ids: i64[N], *, V: int = 256) -> i64[V]:
    y[ids[n]] += 1
    return y

kernel rows_gradient(g: f32[N, D], ids: i64[N], *, V: int = 1000) -> f32[V, D]:
    y[ids[n], d] += g[n, d]
    return y

kernel overlap_add(x: f32[P, R], *, hop: int = 128) -> f32[M]:
    M = (P - 1)*hop + R
    y[p*hop + r] += x[p, r]
    return y

kernel conv_transpose(x: f32[P, Q, K], w: f32[R, S, K, C]) -> f32[H, W, C]:
    H = 2*(P - 1) + R
    W = 2*(Q - 1) + S
    y[2*p + r, 2*q + s, c] += x[p, q, k] * w[r, s, k, c]
    return y

kernel add_half(x: T[N], y: T[N]) -> T[N]:
    z[i] = relu(x[i] + y[i])
    return z
""")


@dataclass(frozen=True, slots=True)
class Trial:
    """A kernel with its arguments, and the same in NumPy."""

    kernel: str
    arguments: tuple[Array, ...]
    peer: Callable[..., Any]


def _chebyshev(x: Array, c: Array) -> Array:
    before, last = np.ones_like(x), x
    total = c[0] * before + c[1] * last
    for k in range(2, len(c)):
        before, last = last, 2 * x * last - before
        total += c[k] * last
    return total


def _scan(a: Array, u: Array) -> Array:
    h = np.empty_like(u)
    h[0] = u[0]
    for t in range(1, len(u)):
        h[t] = a[t] * h[t - 1] + u[t]
    return h


def _solve(lower: Array, b: Array) -> Array:
    y = np.empty_like(b)
    for i in range(len(b)):
        y[i] = (b[i] - lower[i, :i] @ y[:i]) / lower[i, i]
    return y


def _wavefront(x: Array) -> Array:
    n, m = x.shape
    y = np.zeros((n + 1, m + 1), x.dtype)
    flat, step = y.reshape(-1), m
    for wave in range(n + m - 1):
        i = np.arange(max(0, wave - m + 1), min(n, wave + 1))
        at = (i + 1) * (m + 1) + wave - i + 1
        flat[at] = x[i, wave - i] + np.maximum(flat[at - step - 1], flat[at - 1])
    return y[1:, 1:]


def _rnn(x: Array, r: Array) -> Array:
    h = np.empty_like(x)
    before = np.zeros_like(x[0])
    for t in range(len(x)):
        before = h[t] = np.tanh(before @ r + x[t])
    return h


def _rows_gradient(g: Array, ids: Array) -> Array:
    y = np.zeros((1000, g.shape[1]), g.dtype)
    np.add.at(y, ids, g)
    return y


def _overlap_add(x: Array) -> Array:
    y = np.zeros((len(x) - 1) * 128 + x.shape[1], x.dtype)
    for p, frame in enumerate(x):
        y[p * 128 : p * 128 + len(frame)] += frame
    return y


def _conv_transpose(x: Array, w: Array) -> Array:
    p, q, _ = x.shape
    r, s, _, c = w.shape
    y = np.zeros((2 * (p - 1) + r, 2 * (q - 1) + s, c), x.dtype)
    for a in range(r):
        for b in range(s):
            y[a : a + 2 * p : 2, b : b + 2 * q : 2] += x @ w[a, b]
    return y


def trials() -> list[Trial]:
    """Return every trial."""
    rng = np.random.default_rng(0)

    def f(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(np.float32)

    n = 1024
    mask = np.tri(n, dtype=np.float32)
    near = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 32
    triangular = np.tril(f(512, 512)) + 512 * np.eye(512, dtype=np.float32)
    ids = rng.integers(0, 1000, 20_000)
    half = [f(1 << 20).astype(np.float16) for _ in range(2)]
    brain = [f(1 << 20).astype(ml_dtypes.bfloat16) for _ in range(2)]
    return [
        Trial("band", (f(n, n), f(n)), lambda x, y: np.where(near, x, 0) @ y),
        Trial("triangle", (f(n, n), f(n, 64)), lambda p, v: (p * mask) @ v),
        Trial("row_sums", (f(n, n),), lambda x: (x * mask).sum(1)),
        Trial("cumsum", (f(1 << 20),), np.cumsum),
        Trial("scan", (f(512, 2048) * 0.1, f(512, 2048)), _scan),
        Trial("chebyshev", (f(1 << 16) * 0.2, f(16)), _chebyshev),
        Trial("solve", (triangular, f(512, 256)), _solve),
        Trial("wavefront", (f(512, 512),), _wavefront),
        Trial("rnn", (f(128, 8, 256), f(256, 256) * 0.05), _rnn),
        Trial("rows", (f(1000, 256), ids), lambda table, i: table[i]),
        Trial("lanes", (f(1000), ids), lambda table, i: table[i]),
        Trial("histogram", (ids % 256,), lambda i: np.bincount(i, minlength=256)),
        Trial("rows_gradient", (f(20_000, 64), ids), _rows_gradient),
        Trial("overlap_add", (f(2000, 512),), _overlap_add),
        Trial("conv_transpose", (f(28, 28, 64), f(4, 4, 64, 64)), _conv_transpose),
        Trial("add_half", tuple(half), lambda x, y: np.maximum(x + y, 0)),
        Trial("add_half", tuple(brain), lambda x, y: np.maximum(x + y, 0)),
    ]


def best_of_both(trial: Trial) -> tuple[float, float]:
    """Return the best times of a kernel and of its peer, in turn."""
    kernel = getattr(KERNELS, trial.kernel)
    kernel(*trial.arguments, threads=1)
    ours = theirs = float("inf")
    begin, rounds = time.perf_counter(), 0
    while rounds < ROUNDS or time.perf_counter() < begin + SECONDS:
        rounds += 1
        start = time.perf_counter()
        kernel(*trial.arguments, threads=1)
        middle = time.perf_counter()
        trial.peer(*trial.arguments)
        end = time.perf_counter()
        ours, theirs = min(ours, middle - start), min(theirs, end - middle)
    return ours, theirs


def main() -> None:
    """Print a line for every construct."""
    for trial in trials():
        ours, theirs = best_of_both(trial)
        dtype = trial.arguments[0].dtype
        print(
            f"{trial.kernel:15} {dtype!s:9} polydsl {ours * 1e6:9.1f} us   "
            f"numpy {theirs * 1e6:9.1f} us   {theirs / ours:7.2f} times as fast",
            flush=True,
        )


if __name__ == "__main__":
    main()
