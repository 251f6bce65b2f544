"""Texts of the kernels that the proofs are tested on, with small arguments."""

from __future__ import annotations

from typing import Any

NHWC = """
kernel conv(x: f32[N, H, W, C], w: f32[R, S, C, K], *, stride: int = 1,
            padding: int = 0, dilation: int = 1) -> f32[N, P, Q, K]:
    P = (H + 2*padding - dilation*(R - 1) - 1) // stride + 1
    Q = (W + 2*padding - dilation*(S - 1) - 1) // stride + 1
    y[n, p, q, k] += pad(x[n, p*stride + r*dilation - padding,
                           q*stride + s*dilation - padding, c]) * w[r, s, c, k]
    return y
"""
NCHW = """
kernel conv(x: f32[N, C, H, W], w: f32[K, C, R, S], b: f32[K], *, stride: int = 1,
            padding: int = 0, dilation: int = 1) -> f32[N, K, P, Q]:
    P = (H + 2*padding - dilation*(R - 1) - 1) // stride + 1
    Q = (W + 2*padding - dilation*(S - 1) - 1) // stride + 1
    y[n, k, p, q] += pad(x[n, c, p*stride + r*dilation - padding,
                           q*stride + s*dilation - padding], 1.5) * w[k, c, r, s]
    z[n, k, p, q] = relu(y[n, k, p, q] + b[k])
    return z
"""
GROUPED = """
kernel grouped(x: f32[N, H, W, C], w: f32[R, S, D, K], *,
               groups: int = 1) -> f32[N, P, Q, K]:
    P = H - R + 1
    Q = W - S + 1
    y[n, p, q, k] += x[n, p + r, q + s, k // (K//groups) * D + d] * w[r, s, d, k]
    return y
"""
MATMUL = """
kernel matmul(a: f32[{a}], b: f32[{b}]) -> f32[M, N]:
    c[i, j] += a[{ai}] * b[{bj}]
    d[i, j] = relu(c[i, j])
    return d
"""
SOFTMAX = """
kernel softmax(x: f32[M, N]) -> f32[M, N]:
    e[i, j] = exp(x[i, j] - max[k](x[i, k]))
    y[i, j] = e[i, j] / sum[k](e[i, k])
    return y
"""
DEPTHWISE = """
kernel depthwise(x: f32[H, W, C], w: f32[R, S, C]) -> f32[H, W, C]:
    y[h, v, c] += pad(x[h + r - 1, v + s - 1, c]) * w[r, s, c]
    return y
"""
POOL = """
kernel pool(x: f32[C, H, W]) -> (f32[C, H//2, W//2], i64[C]):
    y[c, p, q] = max[r, s](x[c, 2*p + r, 2*q + s])
    r in range(2)
    s in range(2)
    m[c] = argmax[h, v](x[c, h, v])
    return y, m
"""
SEVERAL = """
kernel several(a: f32[M, K], b: f32[K, N], c: f32[M, L], d: f32[L, N],
               e: f32[N]) -> f32[M, N]:
    y[i, j] += a[i, k] * b[k, j]
    y[i, j] += c[i, l] * d[l, j]
    y[i, j] += e[j]
    return y
"""
INTEGERS = """
kernel integers(a: i32[M, K], b: i32[K, N]) -> (i32[M, N], f32[M]):
    c[i, j] += a[i, k] * b[k, j]
    t[i] = mean[j](c[i, j]) + (1 if i > 2 else 0.5)
    return c, t
"""
TRIANGLE = """
kernel triangle(x: f32[N, N], z: f32[N, K]) -> (f32[N, K], f32[N, N]):
    y: f32[N, N]
    j in range(0, i + 1)
    i in range(N)
    t[i, j] = x[i, j] * 2
    u[i, k] += x[i, j] * z[j, k]
    a in range(N)
    b in range(N)
    y[a, b] = pad(t[a, b], 5)
    return u, y
"""
REFLECT = """
kernel reflect(x: f32[N], m: bool[N]) -> f32[N]:
    y[i] = x[abs(i - 2)] + x[min(i + 3, N - 1)] + x[i * 7 % N]
    z[i] = y[i - 1] if i > 0 and m[i] else (y[i] if i < 5 else 0)
    return z
"""
SCATTER = """
kernel scatter(g: f32[P, R]) -> f32[H]:
    H = 2*(P - 1) + R
    y[2*p + r] += g[p, r]
    return y
"""
BATCHED = """
kernel batched(a: f32[B, M, K], b: f32[B, K, N]) -> f32[B, M, N]:
    y[t, m, n] += a[t, m, k] * b[t, k, n]
    return y
"""
GATHER = """
kernel gather(t: f32[V, D], ids: i32[N, K], g: f32[D]) -> (f32[N, D], f32[N]):
    y[n, d] += t[ids[n, k], d] * g[d]
    z[n] = pad(t[ids[n, 0], ids[n, 1] - 2], 3)
    return y, z
"""
NESTED = """
kernel nested(t: f32[V], i: i64[N], j: u8[M], x: f32[M, V]) -> f32[M]:
    a[m] = argmax[v](x[m, v])
    y[m] = t[i[j[m]]] + (t[i[j[m]] + 1] if m > 2 else t[a[m]])
    return y
"""
PARTLY = """
kernel partly(x: f32[N, C], w: f32[R, C, K]) -> f32[N, K]:
    i in range(2, N - 2)
    h[i, c] = relu(x[i, c])
    n in range(N)
    y[n, k] += pad(h[n + r - 1, c]) * w[r, c, k]
    return y
"""


def matmul(transpose_a: bool, transpose_b: bool) -> str:
    """Return the text of a product with or without transposed factors."""
    return MATMUL.format(
        a="K, M" if transpose_a else "M, K",
        b="N, K" if transpose_b else "K, N",
        ai="k, i" if transpose_a else "i, k",
        bj="j, k" if transpose_b else "k, j",
    )


def convolution(text: str, n: int, c: int, h: int, k: int, r: int, **more: int) -> Any:
    """Return text, shapes and constants of a square convolution."""
    image = (n, h, h, c) if text is NHWC else (n, c, h, h)
    weights = (r, r, c, k) if text is NHWC else (k, c, r, r)
    shapes = {"x": image, "w": weights} | ({} if text is NHWC else {"b": (k,)})
    return text, shapes, more


KERNELS: dict[str, Any] = {
    "matmul": (matmul(False, False), {"a": (13, 7), "b": (7, 35)}, {}),
    "matmul_ta": (matmul(True, False), {"a": (7, 13), "b": (7, 35)}, {}),
    "matmul_tb": (matmul(False, True), {"a": (13, 7), "b": (35, 7)}, {}),
    "matmul_tab": (matmul(True, True), {"a": (7, 13), "b": (35, 7)}, {}),
    "matmul_one": (matmul(False, False), {"a": (1, 1), "b": (1, 1)}, {}),
    "matmul_row": (matmul(False, True), {"a": (1, 9), "b": (20, 9)}, {}),
    "matmul_no_rows": (matmul(False, False), {"a": (0, 3), "b": (3, 5)}, {}),
    "matmul_no_depth": (matmul(False, False), {"a": (4, 0), "b": (0, 5)}, {}),
    "nhwc": convolution(NHWC, 2, 3, 5, 20, 3, padding=1),
    "nhwc_strided": convolution(NHWC, 2, 8, 9, 16, 3, padding=1, stride=2),
    "nhwc_dilated": convolution(NHWC, 1, 5, 9, 6, 3, padding=2, dilation=2),
    "nhwc_plain": convolution(NHWC, 1, 4, 6, 33, 1),
    "nchw": convolution(NCHW, 2, 3, 5, 9, 3, padding=1),
    "nchw_strided": convolution(NCHW, 2, 4, 9, 8, 3, padding=1, stride=2),
    "nchw_dilated": convolution(NCHW, 1, 3, 9, 6, 3, padding=2, dilation=2),
    "grouped": (GROUPED, {"x": (1, 5, 5, 8), "w": (3, 3, 4, 12)}, {"groups": 2}),
    "softmax": (SOFTMAX, {"x": (5, 19)}, {}),
    "softmax_wide": (SOFTMAX, {"x": (70, 600)}, {}),
    "depthwise": (DEPTHWISE, {"x": (5, 4, 37), "w": (3, 3, 37)}, {}),
    "depthwise_long": (DEPTHWISE, {"x": (2, 3, 101), "w": (3, 3, 101)}, {}),
    "pool": (POOL, {"x": (3, 6, 8)}, {}),
    "several": (
        SEVERAL,
        {"a": (5, 7), "b": (7, 40), "c": (5, 3), "d": (3, 40), "e": (40,)},
        {},
    ),
    "integers": (INTEGERS, {"a": ("i32", (5, 6)), "b": ("i32", (6, 21))}, {}),
    "triangle": (TRIANGLE, {"x": (6, 6), "z": (6, 40)}, {}),
    "reflect": (REFLECT, {"x": (40,), "m": ("bool", (40,))}, {}),
    "scatter": (SCATTER, {"g": (6, 5)}, {}),
    "batched": (BATCHED, {"a": (3, 6, 7), "b": (3, 7, 40)}, {}),
    "gather": (GATHER, {"t": (8, 19), "ids": ("i32", (9, 4)), "g": (19,)}, {}),
    "nested": (
        NESTED,
        {"t": (8,), "i": ("i64", (7,)), "j": ("u8", (11,)), "x": (11, 8)},
        {},
    ),
    "partly": (PARTLY, {"x": (20, 6), "w": (3, 6, 9)}, {}),
}
"""Text, shapes and constants by name."""
