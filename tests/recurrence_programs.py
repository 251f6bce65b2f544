"""Programs with recurrences: in all directions, over several indices and tensors."""

from __future__ import annotations

from program_builder import Program


def _f32(text: str, **shapes: tuple[int, ...]) -> Program:
    """Return a program whose arguments all are f32."""
    return Program(text, tuple((n, "f32", s) for n, s in shapes.items()))


NO_ORDER_ALONE = """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[i, j] + 0.5 * pad(y[i - 1, j + 1]) + 0.25 * pad(y[i, j - 1])
    return y
"""
SKEW_NEEDED = """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[i, j] + 0.5 * pad(y[i - 2, j + 1]) + 0.25 * pad(y[i + 1, j - 2])
    return y
"""
REVERSED_INDEX = """\
kernel f(x: f32[N]) -> f32[N]:
    y: f32[N]
    y[N - 1 - i] += x[i]
    z[i] = 0.5 * pad(z[i + 1], y[i]) + y[N - 1 - i]
    return z
"""
REVERSED_READ = """\
kernel f(x: f32[N]) -> (f32[N], f32[N]):
    h[i] = 0.5 * pad(g[N - i]) + x[i]
    g[j] = tanh(h[N - 1 - j])
    return h, g
"""
OTHER_NAMES = """\
kernel f(x: f32[T, D], w: f32[D, D]) -> (f32[T, D], f32[T, D]):
    s: f32[T, D]
    s[u, a] += pad(h[u - 1, b], 0.25) * w[a, b]
    g[v, c] = tanh(s[v, c]) + x[v, c]
    h[t, d] = g[t, d] * 0.5 + 0.1 * pad(h[t - 2, d])
    return h, g
"""
WITH_REDUCTIONS = """\
kernel f(x: f32[T, D]) -> f32[T, D]:
    a[t, d] = 0.5 * sum[k](pad(h[t - 1, k])) / D + 0.1 * mean[k](pad(h[t - 3, k]))
    h[t, d] = x[t, d] + a[t, d] - 0.1 * max[k](pad(h[t - 1, k], -1.5))
    return h
"""
ARGMAX = """\
kernel f(x: f32[T, D]) -> (f32[T, D], i64[T]):
    m[t] = argmax[k](h[t, k])
    h[t, d] = x[t, d] + 0.1 * pad(m[t - 1], 2)
    return h, m
"""
PRODUCT = """\
kernel f(x: f32[T, D]) -> (f32[T], f32[T, D]):
    y: f32[T]
    y[t] *= tanh(x[t, d] + pad(y[t - 1], 0.75))
    z[t, d] = max[k](pad(z[t - 1, k], x[t, d])) * 0.5 + y[t]
    return y, z
"""
INTEGERS = """\
kernel f(x: i32[T]) -> i32[T]:
    y: i32[T]
    y[t] = x[t] + 1103515245 * pad(y[t - 1], 12345)
    return y
"""
I8 = """\
kernel f(x: i8[T, D]) -> (i8[T, D], u8[T]):
    y: i8[T, D]
    y[t, d] = x[t, d] + 3 * pad(y[t - 1, d], 5)
    s: u8[T]
    s[t] += 2 * y[t, d] + pad(s[t - 1], 1)
    return y, s
"""
BOOL = """\
kernel f(x: bool[T, D]) -> bool[T, D]:
    y: bool[T, D]
    y[t, d] = x[t, d] != pad(y[t - 1, d], True)
    return y
"""
LATER_CALL = """\
kernel soft(u: f32[N, M]) -> f32[N, M]:
    e[i, j] = exp(u[i, j])
    v[i, j] = e[i, j] / sum[k](e[i, k])
    return v
kernel f(x: f32[T, D]) -> f32[T, D]:
    h[t, d] = x[t, d] + 0.5 * pad(h[t - 1, d])
    y = soft(h)
    return y
"""
INLINED_TWICE = """\
kernel scan(a: f32[T, D], *, back: bool = False) -> f32[T, D]:
    h: f32[T, D]
    h[t, d] = a[t, d] + 0.5 * (pad(h[t + 1, d]) if back else pad(h[t - 1, d]))
    return h
kernel f(x: f32[T, D]) -> (f32[T, D], f32[T, D]):
    p = scan(x)
    q = scan(p, back=True)
    r = scan(q)
    return q, r
"""
INLINED_BACK = """\
kernel scan(a: f32[T, D]) -> f32[T, D]:
    h[t, d] = a[t, d] + 0.5 * pad(h[t - 1, d])
    return h
kernel f(x: f32[T, D]) -> (f32[T, D], f32[T, D]):
    p = scan(x)
    q = scan(p)
    return p, q
"""
PARTLY = """\
kernel f(x: f32[T, D]) -> f32[T, D]:
    h: f32[T, D]
    t in range(2, T - 1)
    h[t, d] = x[t, d] + 0.5 * pad(h[t - 1, d], x[t, d])
    a in range(T)
    y[a, d] = pad(h[a, d], 7)
    return y
"""
PARTLY_TRIANGLE = """\
kernel f(x: f32[T, T]) -> f32[T, T]:
    h: f32[T, T]
    t in range(T)
    d in range(t + 1)
    h[t, d] = x[t, d] + 0.5 * pad(h[t - 1, d], x[t, d])
    a in range(T)
    b in range(T)
    y[a, b] = pad(h[a, b], 7)
    return y
"""
PARTLY_TRIANGLE_COLUMNS = """\
kernel f(x: f32[T, T]) -> f32[T, T]:
    h: f32[T, T]
    t in range(T)
    d in range(t + 1)
    h[t, d] = x[t, d] + 0.5 * pad(h[t, d + 1], 1) + pad(h[t - 1, d])*0.25
    a in range(T)
    b in range(T)
    y[a, b] = pad(h[a, b], 7)
    return y
"""
WHERE = """\
kernel f(x: f32[T, D], m: bool[T, D]) -> f32[T, D]:
    h: f32[T, D]
    g[t, d] = x[t, d] if m[t, d] else 0
    h[t, d] = where(t > 0, h[t - 1, d] * 0.5 if t > 0 else 1, x[t, d]) + g[t, d]
    return h
"""
DOTS = """\
kernel f(x: f32[..., T]) -> f32[..., T]:
    h[..., t] = x[..., t] + 0.5 * pad(h[..., t - 1])
    return h
"""
DOTS_NONE = """\
kernel f(x: f32[..., T]) -> f32[..., T]:
    h[..., t] = x[..., t] + 0.5 * pad(h[..., t - 1])
    return h
"""
DOTS_BEFORE = """\
kernel f(x: f32[T, N], w: f32[..., N]) -> f32[..., N]:
    h: f32[..., N]
    h[..., n] = w[..., n] + 0.5 * pad(h[..., n + 1])
    return h
"""
SEVERAL_STATES = """\
kernel f(x: f32[T, D], w: f32[D, D]) -> (f32[T, D], f32[T, D]):
    i[t, d] = sigmoid(x[t, d] + sum[k](pad(h[t - 1, k]) * w[d, k]) * 0.1)
    c[t, d] = i[t, d] * pad(c[t - 1, d]) + (1 - i[t, d]) * tanh(x[t, d])
    h[t, d] = i[t, d] * tanh(c[t, d])
    return h, c
"""
STATES_NOT_RETURNED = """\
kernel f(x: f32[T, D]) -> f32[D]:
    h[t, d] = x[t, d] + 0.5 * pad(h[t - 1, d])
    y[d] = h[T - 1, d]
    return y
"""
RECURRENCE_EXTENTS = """\
kernel f(x: f32[T, D], w: f32[D, D]) -> f32[T, D]:
    s: f32[T, D]
    s[t, d] += pad(h[t - 1, e], 0.5) * w[d, e]
    h[t, d] = tanh(x[t, d] + s[t, d])
    return h
"""
WAVEFRONT_EXTENTS = """\
kernel f(x: f32[T, D]) -> f32[T, D]:
    h[t, d] = (x[t, d] + 0.5 * pad(h[t - 1, d + 1]) + 0.25 * pad(h[t, d - 1])
               + 0.125 * pad(h[t - 1, d - 1]))
    return h
"""
WAVE_OF_THREE = """\
kernel f(x: f32[A, B, C]) -> f32[A, B, C]:
    y[i, j, k] = (x[i, j, k] + 0.3 * pad(y[i - 1, j, k + 1])
                  + 0.3 * pad(y[i, j - 1, k + 1]) + 0.3 * pad(y[i, j, k - 1]))
    return y
"""
STENCIL_IN_TIME = """\
kernel f(x: f32[N], *, T: int = 6) -> f32[T, N]:
    t in range(T)
    u: f32[T, N]
    u[t, n] = x[n] if t == 0 else (
        0.25 * pad(u[t - 1, n - 1]) + 0.5 * u[t - 1, n] + 0.25 * pad(u[t - 1, n + 1]))
    return u
"""
SUBSTITUTION = """\
kernel f(l: f32[N, N], b: f32[N, M]) -> f32[N, M]:
    i in range(N)
    j in range(i)
    y[i, m] = b[i, m] - 0.1 * sum[j](l[i, j] * y[j, m])
    return y
"""
CHOLESKY_LIKE = """\
kernel f(a: f32[N, N]) -> f32[N, N]:
    i in range(N)
    j in range(i + 1)
    k in range(j)
    l: f32[N, N]
    s[i, j] = a[i, j] - sum[k](l[i, k] * l[j, k])
    l[i, j] = 0.1 * s[i, j] if i != j else 1 + 0.01 * abs(s[i, j])
    p in range(N)
    q in range(N)
    y[p, q] = pad(l[p, q])
    return y
"""
FOLD_BY_HALVES = """\
kernel f(x: f32[N]) -> f32[N]:
    y: f32[N]
    y[i] = x[i] + (0.5 * y[i // 2] if i > 0 else 0)
    return y
"""
MODULO_READ = """\
kernel f(x: f32[N]) -> f32[N]:
    y: f32[N]
    y[i] = x[i] + (0.5 * y[i - i % 4] if i % 4 > 0 else 0)
    return y
"""
MIN_MAX_READS = """\
kernel f(x: f32[N]) -> f32[N]:
    y: f32[N]
    y[i] = x[i] + (
        0.5 * y[max(0, i - 3)] + 0.25 * y[min(i - 1, N // 2)] if i > 0 else 0)
    return y
"""
TWO_RECURRENCES = """\
kernel f(x: f32[T, D]) -> (f32[T, D], f32[T, D]):
    h[t, d] = x[t, d] + 0.5 * pad(h[t - 1, d])
    g[t, d] = h[t, d] + 0.5 * pad(g[t + 1, d])
    return h, g
"""
NESTED_RECURRENCE = """\
kernel f(x: f32[T, D]) -> f32[T, D]:
    h: f32[T, D]
    s[t, d] = 0.5 * pad(s[t, d - 1]) + pad(h[t - 1, d])
    h[t, d] = x[t, d] + tanh(s[t, d])
    return h
"""
LAYERED = """\
kernel f(x: f32[T, D], w: f32[L, D, D]) -> f32[L, T, D]:
    l in range(L)
    h: f32[L, T, D]
    s[l, t, d] = 0.1 * sum[k](w[l, d, k] * pad(h[l, t - 1, k]))
    h[l, t, d] = tanh((x[t, d] if l == 0 else h[l - 1, t, d]) + s[l, t, d])
    return h
"""
TRIANGULAR_RECURRENCE = """\
kernel f(x: f32[N, N]) -> f32[N]:
    n in range(N)
    k in range(n)
    y: f32[N]
    y[n] = 1 if n == 0 else 0.1 * sum[k](y[k] * y[n - 1 - k]) + x[n, n]
    return y
"""
INTERVALS = """\
kernel f(x: f32[N]) -> f32[N, N]:
    N2 = N
    i in range(N)
    d in range(N - i)
    k in range(d)
    c: f32[N, N]
    c[i, d] = x[i] if d == 0 else 0.1 * min[k](c[i, k] + c[i + k + 1, d - k - 1]) + 0.1
    a in range(N)
    b in range(N)
    y[a, b] = pad(c[a, b])
    return y
"""
EDIT_DISTANCE = """\
kernel f(x: i32[M], y: i32[N]) -> i32[M + 1, N + 1]:
    d: i32[M + 1, N + 1]
    i in range(M + 1)
    j in range(N + 1)
    d[i, j] = i + j if i == 0 or j == 0 else min(
        d[i - 1, j] + 1, d[i, j - 1] + 1,
        d[i - 1, j - 1] + (0 if x[i - 1] == y[j - 1] else 1))
    return d
"""
I64_WRAP = """\
kernel f(x: i64[T]) -> i64[T]:
    y: i64[T]
    y[t] *= x[t] + 6364136223846793005 * pad(y[t - 1], 3)
    return y
"""
TIME_NOT_FIRST = """\
kernel f(x: f32[B, D, T]) -> f32[B, D, T]:
    h[b, d, t] = x[b, d, t] + 0.5 * pad(h[b, d, t - 1])
    return h
"""
READS_TWO_EARLIER_PARTIAL = """\
kernel f(x: f32[T, D]) -> f32[T, D]:
    h[t, d] = (x[t, d] + 0.5 * pad(h[t - 1, d // 2])
               + 0.25 * pad(h[t - 2, (d + 1) % D]))
    return h
"""

PROGRAMS: dict[str, Program] = {
    "no order alone": _f32(NO_ORDER_ALONE, x=(7, 9)),
    "skew needed": _f32(SKEW_NEEDED, x=(7, 9)),
    "reversed index": _f32(REVERSED_INDEX, x=(17,)),
    "reversed read": _f32(REVERSED_READ, x=(13,)),
    "other names": _f32(OTHER_NAMES, x=(9, 20), w=(20, 20)),
    "with reductions": _f32(WITH_REDUCTIONS, x=(9, 13)),
    "argmax": _f32(ARGMAX, x=(6, 5)),
    "product": _f32(PRODUCT, x=(9, 5)),
    "integers": Program(INTEGERS, (("x", "i32", (40,)),), large=True),
    "i8": Program(I8, (("x", "i8", (20, 19)),), large=True),
    "bool": Program(BOOL, (("x", "bool", (20, 19)),)),
    "later call": _f32(LATER_CALL, x=(8, 10)),
    "inlined twice": _f32(INLINED_TWICE, x=(8, 10)),
    "inlined back": _f32(INLINED_BACK, x=(8, 10)),
    "partly": _f32(PARTLY, x=(9, 5)),
    "partly triangle": _f32(PARTLY_TRIANGLE, x=(9, 9)),
    "partly triangle columns": _f32(PARTLY_TRIANGLE_COLUMNS, x=(9, 9)),
    "where": Program(
        WHERE,
        (
            ("x", "f32", (9, 20)),
            ("m", "bool", (9, 20)),
        ),
    ),
    "dots": _f32(DOTS, x=(3, 4, 7)),
    "dots none": _f32(DOTS_NONE, x=(7,)),
    "dots before": _f32(DOTS_BEFORE, x=(7, 5), w=(2, 3, 5)),
    "several states": _f32(SEVERAL_STATES, x=(9, 17), w=(17, 17)),
    "states not returned": _f32(STATES_NOT_RETURNED, x=(9, 17)),
    "recurrence extents 0 0": _f32(RECURRENCE_EXTENTS, x=(0, 0), w=(0, 0)),
    "wavefront extents 0 0": _f32(WAVEFRONT_EXTENTS, x=(0, 0)),
    "recurrence extents 0 1": _f32(RECURRENCE_EXTENTS, x=(0, 1), w=(1, 1)),
    "wavefront extents 0 1": _f32(WAVEFRONT_EXTENTS, x=(0, 1)),
    "recurrence extents 0 3": _f32(RECURRENCE_EXTENTS, x=(0, 3), w=(3, 3)),
    "wavefront extents 0 3": _f32(WAVEFRONT_EXTENTS, x=(0, 3)),
    "recurrence extents 1 0": _f32(RECURRENCE_EXTENTS, x=(1, 0), w=(0, 0)),
    "wavefront extents 1 0": _f32(WAVEFRONT_EXTENTS, x=(1, 0)),
    "recurrence extents 1 1": _f32(RECURRENCE_EXTENTS, x=(1, 1), w=(1, 1)),
    "wavefront extents 1 1": _f32(WAVEFRONT_EXTENTS, x=(1, 1)),
    "recurrence extents 1 3": _f32(RECURRENCE_EXTENTS, x=(1, 3), w=(3, 3)),
    "wavefront extents 1 3": _f32(WAVEFRONT_EXTENTS, x=(1, 3)),
    "recurrence extents 2 0": _f32(RECURRENCE_EXTENTS, x=(2, 0), w=(0, 0)),
    "wavefront extents 2 0": _f32(WAVEFRONT_EXTENTS, x=(2, 0)),
    "recurrence extents 2 1": _f32(RECURRENCE_EXTENTS, x=(2, 1), w=(1, 1)),
    "wavefront extents 2 1": _f32(WAVEFRONT_EXTENTS, x=(2, 1)),
    "recurrence extents 2 3": _f32(RECURRENCE_EXTENTS, x=(2, 3), w=(3, 3)),
    "wavefront extents 2 3": _f32(WAVEFRONT_EXTENTS, x=(2, 3)),
    "wave of three": _f32(WAVE_OF_THREE, x=(4, 5, 6)),
    "stencil in time": _f32(STENCIL_IN_TIME, x=(37,)),
    "substitution": _f32(SUBSTITUTION, l=(13, 13), b=(13, 5)),
    "cholesky like": _f32(CHOLESKY_LIKE, a=(9, 9)),
    "fold by halves": _f32(FOLD_BY_HALVES, x=(20,)),
    "modulo read": _f32(MODULO_READ, x=(20,)),
    "min max reads": _f32(MIN_MAX_READS, x=(21,)),
    "two recurrences": _f32(TWO_RECURRENCES, x=(7, 18)),
    "nested recurrence": _f32(NESTED_RECURRENCE, x=(7, 18)),
    "layered": _f32(LAYERED, x=(6, 9), w=(3, 9, 9)),
    "triangular recurrence": _f32(TRIANGULAR_RECURRENCE, x=(12, 12)),
    "intervals": _f32(INTERVALS, x=(8,)),
    "edit distance": Program(
        EDIT_DISTANCE,
        (
            ("x", "i32", (9,)),
            ("y", "i32", (20,)),
        ),
    ),
    "i64 wrap": Program(I64_WRAP, (("x", "i64", (20,)),), large=True),
    "time not first": _f32(TIME_NOT_FIRST, x=(3, 4, 20)),
    "reads two earlier partial": _f32(READS_TWO_EARLIER_PARTIAL, x=(7, 18)),
}
