"""Programs with affine scatters: turned round, in place, with elements left alone."""

from __future__ import annotations

from program_builder import Program


def _f32(text: str, **shapes: tuple[int, ...]) -> Program:
    """Return a program whose arguments all are f32."""
    return Program(text, tuple((n, "f32", s) for n, s in shapes.items()))


SCATTER_READ_BY_RECURRENCE = """\
kernel f(x: f32[T, R]) -> f32[T]:
    t in range(T)
    s: f32[2*T + R]
    s[2*t + r] += x[t, r]
    h[t] = 0.5 * pad(h[t - 1]) + s[t]
    return h
"""
RECURRENCE_SCATTERED = """\
kernel f(x: f32[T, R]) -> f32[2*T + R]:
    h[t] = 0.5 * pad(h[t - 1]) + x[t, 0]
    s: f32[2*T + R]
    s[2*t + r] += h[t] * x[t, r]
    return s
"""
FEW_CHANNELS = """\
kernel f(x: f32[P, C], w: f32[C, R, K]) -> f32[P + R - 1, K]:
    y[p + r, k] += x[p, c] * w[c, r, k]
    return y
"""
TWO_STRIDES = """\
kernel f(x: f32[P], w: f32[Q]) -> f32[P*3 + Q*2 + 2]:
    y[3*p + 1] += x[p]
    y[2*q] += w[q]
    y[p + q] += x[p] * w[q]
    return y
"""
NEGATIVE_STRIDE = """\
kernel f(x: f32[P, R]) -> f32[2*P + R]:
    y[2*P - 1 - 2*p + r] += x[p, r]
    return y
"""
NEGATIVE_PLAIN = """\
kernel f(x: f32[P, R]) -> f32[P, R]:
    y[P - 1 - p, R - 1 - r] += x[p, r]
    return y
"""
UNTOUCHED = """\
kernel f(x: f32[P]) -> f32[5*P + 3]:
    y[5*p + 2] += x[p]
    return y
"""
SATURATE = """\
kernel f(x: i8[P, R]) -> i8[P + R]:
    y[p + r] += x[p, r]
    return y
"""
SATURATE_UNTOUCHED = """\
kernel f(x: i8[P]) -> (u8[3*P], i8[P, P]):
    y[3*p] += x[p]
    z[p, p] += 100 * x[p]
    return y, z
"""
LARGE_STRIDES = """\
kernel f(x: f32[P, Q]) -> f32[1000*P + 37*Q]:
    y[1000*p + 37*q] += x[p, q]
    return y
"""
LARGE_STRIDE_COLLISIONS = """\
kernel f(x: f32[P, Q]) -> f32[100*P + 50*Q]:
    y[100*p + 50*q] += x[p, q]
    return y
"""
TRANSPOSED_CONV = """\
kernel f(g: f32[N, K, P, Q], w: f32[K, C, R, S], *,
         stride: int = 2) -> f32[N, C, (P - 1)*stride + R, (Q - 1)*stride + S]:
    dx[n, c, p*stride + r, q*stride + s] += g[n, k, p, q] * w[k, c, r, s]
    return dx
"""
SCATTER_EXTENTS = """\
kernel f(x: f32[T, D]) -> (f32[2*T + D], f32[T, T, D]):
    h[2*t + d] += x[t, d]
    z[t, t, d] += x[t, d]
    return h, z
"""
SCATTER_DIAGONAL_BAND = """\
kernel f(x: f32[N, N]) -> f32[2*N]:
    i in range(N)
    j in range(i + 1)
    y[i + j] += x[i, j]
    y[i - j] += 2 * x[i, j]
    return y
"""
SCATTER_FLOOR = """\
kernel f(x: f32[N, M]) -> (f32[N // 3 + 1, M], f32[4]):
    y[n // 3, m] += x[n, m]
    z[(n + m) % 4] += x[n, m]
    return y, z
"""
SCATTER_MIN = """\
kernel f(x: f32[N]) -> f32[5]:
    y[min(n, 4)] += x[n]
    y[abs(n - 2) // 4] += x[n]
    return y
"""
SCATTER_PLAIN = """\
kernel f(x: f32[N], z: f32[N]) -> f32[N]:
    y[N - 1 - n] += x[n]
    y[n] += z[n]
    return y
"""
SCATTER_IN_RECURRENCE = """\
kernel f(x: f32[T]) -> f32[T]:
    s: f32[T]
    t in range(T)
    s[t] += pad(h[t - 1])
    h[t] = x[t] + 0.5 * s[t]
    return h
"""
SCATTER_OF_A_RECURRENCE_ITSELF = """\
kernel f(x: f32[T]) -> f32[T]:
    s: f32[T + 1]
    t in range(T)
    s[t + 1] += 0.5 * h[t]
    h[t] = x[t] + s[t]
    return h
"""
SCATTERED_PRODUCT = """\
kernel f(x: f32[P, K], w: f32[R, K, C]) -> f32[2*P + R, C]:
    y[2*p + r, c] += x[p, k] * w[r, k, c]
    return y
"""
SCATTERED_IMAGES = """\
kernel f(x: f32[N, P, Q, K], w: f32[R, S, K, C]) -> f32[N, 2*P + R, 2*Q + S, C]:
    p in range(P)
    y[n, 2*p + r, 2*q + s, c] += pad(x[n, p - 1, q, k]) * w[r, s, k, c]
    return y
"""
SCATTERED_BACK = """\
kernel f(x: f64[P, K], w: f64[R, K, C]) -> f64[P + R, C]:
    y[P - 1 - p + r, c] += x[p, k] * w[r, k, c]
    return y
"""
SCATTERED_APART = """\
kernel f(x: f32[P, K], w: f32[K, C]) -> (f32[3*P, C], f32[P, P, C]):
    y[3*p + 1, c] += x[p, k] * w[k, c]
    z[p, p, c] += x[p, k] * w[k, c]
    return y, z
"""
THREE_MEET = """\
kernel f(x: f32[P, K], w: f32[R, T, K, C], *, b: float = 0.5) -> f32[P + R + T + C, C]:
    y[m, c] += b
    y[p + r + t + c, c] += x[p, k] * w[r, t, k, c]
    return y
"""

PROGRAMS: dict[str, Program] = {
    "scatter read by recurrence": _f32(SCATTER_READ_BY_RECURRENCE, x=(8, 3)),
    "recurrence scattered": _f32(RECURRENCE_SCATTERED, x=(8, 3)),
    "two strides": _f32(TWO_STRIDES, x=(7,), w=(9,)),
    "negative stride": _f32(NEGATIVE_STRIDE, x=(7, 3)),
    "negative plain": _f32(NEGATIVE_PLAIN, x=(7, 19)),
    "untouched": _f32(UNTOUCHED, x=(7,)),
    "saturate": Program(SATURATE, (("x", "i8", (17, 9)),), large=True),
    "saturate untouched": Program(
        SATURATE_UNTOUCHED, (("x", "i8", (17,)),), large=True
    ),
    "large strides": _f32(LARGE_STRIDES, x=(5, 33)),
    "large stride collisions": _f32(LARGE_STRIDE_COLLISIONS, x=(5, 33)),
    "transposed conv": _f32(TRANSPOSED_CONV, g=(2, 3, 4, 5), w=(3, 4, 3, 3)),
    "scatter extents 0 0": _f32(SCATTER_EXTENTS, x=(0, 0)),
    "scatter extents 0 1": _f32(SCATTER_EXTENTS, x=(0, 1)),
    "scatter extents 0 3": _f32(SCATTER_EXTENTS, x=(0, 3)),
    "scatter extents 1 0": _f32(SCATTER_EXTENTS, x=(1, 0)),
    "scatter extents 1 1": _f32(SCATTER_EXTENTS, x=(1, 1)),
    "scatter extents 1 3": _f32(SCATTER_EXTENTS, x=(1, 3)),
    "scatter extents 2 0": _f32(SCATTER_EXTENTS, x=(2, 0)),
    "scatter extents 2 1": _f32(SCATTER_EXTENTS, x=(2, 1)),
    "scatter extents 2 3": _f32(SCATTER_EXTENTS, x=(2, 3)),
    "scatter diagonal band": _f32(SCATTER_DIAGONAL_BAND, x=(9, 9)),
    "scatter floor": _f32(SCATTER_FLOOR, x=(10, 20)),
    "scatter min": _f32(SCATTER_MIN, x=(10,)),
    "scatter plain": _f32(SCATTER_PLAIN, x=(20,), z=(20,)),
    "scattered product": _f32(SCATTERED_PRODUCT, x=(7, 20), w=(3, 20, 9)),
    "scattered images": _f32(SCATTERED_IMAGES, x=(2, 4, 5, 17), w=(3, 2, 17, 10)),
    "scattered back": Program(
        SCATTERED_BACK, (("x", "f64", (6, 19)), ("w", "f64", (4, 19, 11)))
    ),
    "few channels scattered": _f32(FEW_CHANNELS, x=(20, 16), w=(16, 8, 2)),
    "scattered apart": _f32(SCATTERED_APART, x=(5, 16), w=(16, 9)),
    "three meet": _f32(THREE_MEET, x=(5, 18), w=(2, 3, 18, 8)),
    "scatter in recurrence": _f32(SCATTER_IN_RECURRENCE, x=(9,)),
    "scatter of a recurrence itself": _f32(SCATTER_OF_A_RECURRENCE_ITSELF, x=(9,)),
}
