"""Programs whose ranges depend on other indices: triangles, bands, empty ones."""

from __future__ import annotations

from program_builder import Program


def _f32(text: str, **shapes: tuple[int, ...]) -> Program:
    """Return a program whose arguments all are f32."""
    return Program(text, tuple((n, "f32", s) for n, s in shapes.items()))


TRIANGLE = """\
kernel f(x: f32[M, N]):
    i in range(M)
    j in range(min(i, N), N)
    y[i] += x[i, j]
    z[i] = max[j](x[i, j])
    return y, z
"""
EMPTY_TRIANGLE = """\
kernel f(x: f32[M, N]):
    i in range(M)
    j in range(N + i, N)
    y[i] += x[i, j]
    t[i] = sum[j](x[i, j]) + prod[j](x[i, j]) + max[j](x[i, j])
    return y, t
"""
BAND_WIDER = """\
kernel f(x: f32[N, N]):
    i in range(N)
    j in range(max(0, i - 100), min(N, i + 100))
    y[i] += x[i, j]
    t: f32[N, N]
    t[i, j] = x[i, j] * 2
    a in range(N)
    b in range(N)
    w[a, b] = pad(t[a, b], 3)
    return y, w
"""
TWO_OUTER = """\
kernel f(x: f32[M, N, K]):
    i in range(M)
    j in range(N)
    k in range(min(K, max(0, (i + 2*j) // 3 - 1)), min(K, max(i, j) + (i * 3 + j) % 4))
    y[i, j] += x[i, j, k]
    z[i, j] = max[k](x[i, j, k])
    return y, z
"""
TWO_OUTER_VECTOR = """\
kernel f(x: f32[M, N, K]):
    i in range(M)
    j in range(N)
    k in range(min(K, (i + j) // 2), min(K, i + j + 1))
    t: f32[M, N, K]
    t[i, j, k] = x[i, j, k] + 1
    a in range(M)
    b in range(N)
    c in range(K)
    y[a, b, c] = pad(t[a, b, c], -1)
    return y
"""
THREE_NESTED = """\
kernel f(x: f32[N, N, N]):
    i in range(N)
    j in range(i + 1)
    k in range(j, i + 1)
    y[i] += x[i, j, k]
    t: f32[N, N, N]
    t[k, j, i] = x[i, j, k] * 2
    a in range(N)
    b in range(N)
    c in range(N)
    w[a, b, c] = pad(t[a, b, c], 5)
    return y, w
"""
FOUR_NESTED = """\
kernel f(x: f32[N, N]):
    i in range(N)
    j in range(i)
    k in range(j)
    l in range(k, i)
    y[i] += x[j, k] * x[k, l]
    return y
"""
NARROW_TRIANGLE_SUM = """\
kernel f(x: i8[N, N]) -> i8[N, N]:
    i in range(N)
    j in range(i + 1)
    t: i8[N, N]
    t[i, j] += x[i, j] + x[j, i]
    a in range(N)
    b in range(N)
    y: i8[N, N]
    y[a, b] = pad(t[a, b], 5)
    return y
"""
NARROW_PARTIAL_SUM = """\
kernel f(x: i8[N, M]) -> i8[N]:
    i in range(2, N)
    t: i8[N]
    t[i] += x[i, j]
    a in range(N)
    y: i8[N]
    y[a] = pad(t[a], 5)
    return y
"""
TRIANGLE_SUM_COLUMNS = """\
kernel f(x: f32[N, N]) -> f32[N]:
    i in range(N)
    j in range(i + 3, N)
    t: f32[N]
    t[j] += x[i, j]
    a in range(N)
    y[a] = pad(t[a], 5)
    return y
"""
SUM_OVER_BOTH_DIRECTIONS = """\
kernel f(x: f32[N, N]) -> (f32[N], f32[N]):
    i in range(N)
    j in range(i, N)
    t[j] += x[i, j]
    u[i] += x[i, j]
    return t, u
"""
TWO_UPDATES_DIFFERENT_RANGES = """\
kernel f(x: f32[N, N]) -> f32[N]:
    i in range(N)
    j in range(i, N)
    k in range(i)
    t[i] += x[i, j]
    t[i] += x[i, k] * 2
    t[i] += 1
    return t
"""
CAUSAL_ATTENTION = """\
kernel f(q: f32[T, D], k: f32[T, D], v: f32[T, D]) -> f32[T, D]:
    i in range(T)
    j in range(i + 1)
    s[i, j] = sum[d](q[i, d] * k[j, d])
    m[i] = max[j](s[i, j])
    e[i, j] = exp(s[i, j] - m[i])
    z[i] = sum[j](e[i, j])
    o[i, d] = sum[j](e[i, j] * v[j, d]) / z[i]
    return o
"""
BOOL_TRIANGLE = """\
kernel f(x: bool[N, N]) -> (bool[N], bool[N]):
    i in range(N)
    j in range(i)
    a[i] = any[j](x[i, j])
    b[i] = all[j](x[i, j])
    return a, b
"""
MEAN_TRIANGLE = """\
kernel f(x: f32[N, N]) -> f32[N]:
    i in range(N)
    j in range(i)
    a[i] = mean[j](x[i, j])
    return a
"""
ARGMAX_TRIANGLE = """\
kernel f(x: f32[N, N]) -> i64[N]:
    i in range(N)
    j in range(i, N)
    a[i] = argmax[j](x[i, j])
    return a
"""
SCALARS = """\
kernel f(x: f32[N]) -> f32:
    i in range(N)
    j in range(i)
    s = 0.5
    y: f32
    y += x[i] * x[j] * s
    return y
"""

PROGRAMS: dict[str, Program] = {
    "triangle 0 0": _f32(TRIANGLE, x=(0, 0)),
    "triangle 0 1": _f32(TRIANGLE, x=(0, 1)),
    "triangle 0 7": _f32(TRIANGLE, x=(0, 7)),
    "triangle 0 20": _f32(TRIANGLE, x=(0, 20)),
    "triangle 1 0": _f32(TRIANGLE, x=(1, 0)),
    "triangle 1 1": _f32(TRIANGLE, x=(1, 1)),
    "triangle 1 7": _f32(TRIANGLE, x=(1, 7)),
    "triangle 1 20": _f32(TRIANGLE, x=(1, 20)),
    "triangle 2 0": _f32(TRIANGLE, x=(2, 0)),
    "triangle 2 1": _f32(TRIANGLE, x=(2, 1)),
    "triangle 2 7": _f32(TRIANGLE, x=(2, 7)),
    "triangle 2 20": _f32(TRIANGLE, x=(2, 20)),
    "triangle 7 0": _f32(TRIANGLE, x=(7, 0)),
    "triangle 7 1": _f32(TRIANGLE, x=(7, 1)),
    "triangle 7 7": _f32(TRIANGLE, x=(7, 7)),
    "triangle 7 20": _f32(TRIANGLE, x=(7, 20)),
    "empty triangle": _f32(EMPTY_TRIANGLE, x=(4, 9)),
    "band wider": _f32(BAND_WIDER, x=(11, 11)),
    "two outer": _f32(TWO_OUTER, x=(5, 6, 9)),
    "two outer vector": _f32(TWO_OUTER_VECTOR, x=(5, 6, 19)),
    "three nested": _f32(THREE_NESTED, x=(9, 9, 9)),
    "four nested": _f32(FOUR_NESTED, x=(7, 7)),
    "narrow triangle sum": Program(NARROW_TRIANGLE_SUM, (("x", "i8", (9, 9)),)),
    "narrow partial sum": Program(NARROW_PARTIAL_SUM, (("x", "i8", (9, 9)),)),
    "triangle sum columns": _f32(TRIANGLE_SUM_COLUMNS, x=(9, 9)),
    "sum over both directions": _f32(SUM_OVER_BOTH_DIRECTIONS, x=(19, 19)),
    "two updates different ranges": _f32(TWO_UPDATES_DIFFERENT_RANGES, x=(19, 19)),
    "causal attention": _f32(CAUSAL_ATTENTION, q=(17, 8), k=(17, 8), v=(17, 8)),
    "bool triangle": Program(BOOL_TRIANGLE, (("x", "bool", (9, 9)),)),
    "mean triangle": _f32(MEAN_TRIANGLE, x=(9, 9)),
    "argmax triangle": _f32(ARGMAX_TRIANGLE, x=(9, 9)),
    "scalars": _f32(SCALARS, x=(9,)),
}
