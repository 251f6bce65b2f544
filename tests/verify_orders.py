"""Kernels with dependent ranges, recurrences and scatters, to prove nests of."""

from __future__ import annotations

from typing import Any

BAND = """
kernel band(x: f32[N, N]) -> (f32[N, N], f32[N]):
    y: f32[N, N]
    i in range(N)
    j in range(max(0, i - 2), min(N, i + 2))
    t[i, j] = x[i, j] * 2
    s[i] += x[i, j]
    a in range(N)
    b in range(N)
    y[a, b] = pad(t[a, b], 5)
    return y, s
"""
SCAN = """
kernel scan(x: f32[T, D]) -> f32[T, D]:
    h[t, d] = x[t, d] + 0.5 * pad(h[t - 1, d], 2)
    return h
"""
BACKWARD = """
kernel backward(x: f32[T, D]) -> f32[T, D]:
    h[t, d] = x[t, d] + 0.5 * pad(h[t + 2, d], 2)
    return h
"""
MUTUAL = """
kernel mutual(x: f32[T, D], w: f32[D, D]) -> f32[T, D]:
    s: f32[T, D]
    s[t, d] += pad(h[t - 1, e], 0.5) * w[d, e]
    h[t, d] = tanh(x[t, d] + s[t, d])
    return h
"""
RENAMED = """
kernel renamed(x: f32[T, D]) -> (f32[T, D], f32[T, D]):
    h[t, d] = 0.5 * pad(g[t - 1, d], 1) + x[t, d]
    g[u, e] = tanh(h[u, e])
    return h, g
"""
WAVEFRONT = """
kernel wavefront(x: f32[M, N]) -> f32[M, N]:
    y[i, j] = x[i, j] + 0.5 * pad(y[i - 1, j + 1]) + 0.25 * pad(y[i, j - 1])
    return y
"""
SKEWED = """
kernel skewed(x: f32[M, N]) -> f32[M, N]:
    y[i, j] = x[i, j] + 0.5 * pad(y[i - 2, j + 1]) + 0.25 * pad(y[i + 1, j - 2])
    return y
"""
SUBSTITUTION = """
kernel substitution(l: f32[N, N], b: f32[N, M]) -> f32[N, M]:
    i in range(N)
    j in range(i)
    y[i, m] = b[i, m] - sum[j](l[i, j] * y[j, m])
    return y
"""
TURNED = """
kernel turned(g: f32[P, K], w: f32[K, R]) -> f32[H]:
    H = 2*(P - 1) + R
    y[2*p + r] += g[p, k] * w[k, r]
    return y
"""
IN_PLACE = """
kernel in_place(x: f32[P, Q]) -> f32[H]:
    H = 2*P + 3*Q
    y[2*p + 3*q] += x[p, q]
    return y
"""
STRIDED = """
kernel strided(x: f32[P, Q]) -> f32[H, Q]:
    H = 3*P
    y[3*p + 1, q] += x[p, q]
    return y
"""
STENCIL = """
kernel stencil(x: f32[T, N]) -> f32[T, N]:
    u[t, n] = x[t, n] + 0.5 * pad(u[t - 1, n - 1]) + 0.25 * pad(u[t - 1, n + 1])
    return u
"""

ORDERS: dict[str, Any] = {
    "band": (BAND, {"x": (11, 11)}, {}),
    "scan": (SCAN, {"x": (6, 19)}, {}),
    "backward": (BACKWARD, {"x": (6, 19)}, {}),
    "mutual": (MUTUAL, {"x": (5, 9), "w": (9, 9)}, {}),
    "renamed": (RENAMED, {"x": (5, 9)}, {}),
    "wavefront": (WAVEFRONT, {"x": (5, 7)}, {}),
    "skewed": (SKEWED, {"x": (5, 7)}, {}),
    "substitution": (SUBSTITUTION, {"l": (5, 5), "b": (5, 9)}, {}),
    "turned": (TURNED, {"g": (6, 3), "w": (3, 5)}, {}),
    "in_place": (IN_PLACE, {"x": (5, 4)}, {}),
    "strided": (STRIDED, {"x": (5, 19)}, {}),
    "stencil": (STENCIL, {"x": (4, 21)}, {}),
}
"""Text, shapes and constants by name."""
