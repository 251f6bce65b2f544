"""Layers that read each other's images through windows: a convolution and a pooling,
two convolutions, a bottleneck with a depthwise convolution in it, a chain of stencils.

PyTorch has its images with channels last, as the kernels do, and prepacks weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import polydsl
from tests.benchmarks.fusion.case import (
    Array,
    Case,
    Draw,
    Run,
    compiled_run,
    draws,
    torch_run,
)

KERNELS = polydsl.loads(
    """
kernel pooled(x: f32[N, H, W, C], w: f32[R, R, C, K], b: f32[K],
              *, step: int, window: int, padding: int) -> f32[N, I, J, K]:
    P = (H + 2*(R//2) - R) // step + 1
    Q = (W + 2*(R//2) - R) // step + 1
    I = (P + 2*padding - window) // 2 + 1
    J = (Q + 2*padding - window) // 2 + 1
    p in range(P)
    q in range(Q)
    c[n, p, q, k] += (pad(x[n, step*p + r - R//2, step*q + s - R//2, d])
                      * w[r, s, d, k])
    h[n, p, q, k] = max(c[n, p, q, k] + b[k], 0)
    u in range(window)
    v in range(window)
    y[n, i, j, k] = max[u, v](pad(h[n, 2*i + u - padding, 2*j + v - padding, k], -inf))
    return y

kernel two(x: f32[N, H, W, C], w: f32[3, 3, C, K], t: f32[3, 3, K, M]
           ) -> f32[N, H, W, M]:
    h[n, p, q, k] += pad(x[n, p + r - 1, q + s - 1, c]) * w[r, s, c, k]
    a[n, p, q, k] = max(h[n, p, q, k], 0)
    y[n, p, q, m] += pad(a[n, p + r - 1, q + s - 1, k]) * t[r, s, k, m]
    p in range(H)
    q in range(W)
    return y

kernel inverted(x: f32[N, H, W, C], a: f32[C, K], b: f32[3, 3, K], d: f32[K, C]
                ) -> f32[N, H, W, C]:
    e[n, p, q, k] += x[n, p, q, c] * a[c, k]
    f[n, p, q, k] = clamp(e[n, p, q, k], 0, 6)
    g[n, p, q, k] += pad(f[n, p + r - 1, q + s - 1, k]) * b[r, s, k]
    h[n, p, q, k] = clamp(g[n, p, q, k], 0, 6)
    o[n, p, q, c] += h[n, p, q, k] * d[k, c]
    y[n, p, q, c] = o[n, p, q, c] + x[n, p, q, c]
    return y

kernel edges(x: f32[H, W]) -> f32[H, W]:
    r in range(5)
    s in range(5)
    a[p, q] += pad(x[p + r - 2, q + s - 2]) / 25
    g[p, q] = sqrt((pad(a[p + 1, q]) - pad(a[p - 1, q]))**2
                   + (pad(a[p, q + 1]) - pad(a[p, q - 1]))**2)
    m[p, q] = max[r, s](pad(g[p + r - 2, q + s - 2], -inf))
    y[p, q] = g[p, q] / (m[p, q] + 1)
    return y
"""
)


def cases() -> Iterator[Case]:
    """Yield the layers."""
    draw = draws()
    yield _pooled("7x7, 3 to 64 at 224x224, and pooling", draw, (1, 224, 3, 64, 7), 2)
    yield _pooled("3x3, 64 to 64 at 224x224, and pooling", draw, (1, 224, 64, 64, 3), 1)
    yield _two(draw, 224, 16)
    yield _two(draw, 112, 64)
    for n, size, c in ((1, 112, 16), (1, 56, 24), (8, 28, 32)):
        yield _inverted(draw, n, size, c)
    x = draw(2048, 2048)
    theirs = {"PyTorch": torch_run(_edges, x), "compiled": compiled_run(_edges, x)}
    yield Case("stencils: 2048 x 2048", KERNELS.edges, {"x": x}, theirs=theirs)


def _last(run: Any, x: Array, *weights: Array) -> dict[str, Run]:
    """Return runs of a function of images with channels in front, on such with channels
    last."""

    def whole(x: Any, *weights: Any) -> Any:
        return run(x.permute(0, 3, 1, 2), *weights).permute(0, 2, 3, 1)

    return {
        "PyTorch": torch_run(whole, x, *weights),
        "compiled": compiled_run(whole, x, *weights),
    }


def _front(weight: Array) -> Array:
    return np.ascontiguousarray(weight.transpose(3, 2, 0, 1))


def _pooled(
    name: str, draw: Draw, shape: tuple[int, int, int, int, int], step: int
) -> Case:
    n, size, c, k, r = shape
    x, w, b = draw(n, size, size, c), draw(r, r, c, k), draw(k)
    window, padding = (3, 1) if step == 2 else (2, 0)

    def theirs(x: Any, w: Any, b: Any) -> Any:
        h = functional.relu(functional.conv2d(x, w, b, step, r // 2))
        return functional.max_pool2d(h, window, 2, padding)

    return Case(
        f"convolution {name}",
        KERNELS.pooled,
        {"x": x, "w": w, "b": b},
        ("w", "b"),
        {"step": step, "window": window, "padding": padding},
        theirs=_last(theirs, x, _front(w), b),
    )


def _two(draw: Draw, size: int, k: int) -> Case:
    x, w, t = draw(1, size, size, k), draw(3, 3, k, k), draw(3, 3, k, k)

    def theirs(x: Any, w: Any, t: Any) -> Any:
        h = functional.relu(functional.conv2d(x, w, padding=1))
        return functional.conv2d(h, t, padding=1)

    return Case(
        f"two convolutions 3x3, {k} channels at {size}x{size}",
        KERNELS.two,
        {"x": x, "w": w, "t": t},
        ("w", "t"),
        theirs=_last(theirs, x, _front(w), _front(t)),
    )


def _inverted(draw: Draw, n: int, size: int, c: int) -> Case:
    k = 6 * c
    x = draw(n, size, size, c)
    a, b, d = draw(c, k), draw(3, 3, k), draw(k, c)
    weights = (
        a.T[..., None, None],
        b.transpose(2, 0, 1)[:, None],
        d.T[..., None, None],
    )

    def theirs(x: Any, a: Any, b: Any, d: Any) -> Any:
        f = functional.relu6(functional.conv2d(x, a))
        h = functional.relu6(functional.conv2d(f, b, padding=1, groups=k))
        return functional.conv2d(h, d) + x

    return Case(
        f"inverted bottleneck, {n} x {size}x{size}, {c} to {k} channels",
        KERNELS.inverted,
        {"x": x, "a": a, "b": b, "d": d},
        ("a", "b", "d"),
        theirs=_last(theirs, x, *map(np.ascontiguousarray, weights)),
    )


def _edges(x: Any) -> Any:
    image = x[None, None]
    kernel = torch.full((1, 1, 5, 5), 1 / 25)
    a = functional.conv2d(image, kernel, padding=2)[0, 0]
    wide = functional.pad(a, (1, 1, 1, 1))
    rows = wide[2:, 1:-1] - wide[:-2, 1:-1]
    columns = wide[1:-1, 2:] - wide[1:-1, :-2]
    g = torch.sqrt(rows**2 + columns**2)
    m = functional.max_pool2d(g[None, None], 5, 1, 2)[0, 0]
    return g / (m + 1)
