"""Programs that reach what random ones do not: long depths, many taps, large tensors,
every function, all productions of the grammar."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

from copied_programs import VALUES as COPIED
from program_builder import Program
from program_followers import SUMMED
from program_harness import Case
from program_layouts import PLAIN, Placing
from range_programs import PROGRAMS as RANGES
from recurrence_programs import PROGRAMS as RECURRENCES
from scatter_programs import PROGRAMS as SCATTERS

Argument: TypeAlias = tuple[str, str, tuple[int, ...]]

FLOATS = """\
\"\"\"Every function of floating-point numbers.\"\"\"

kernel f(x: T[N], y: "T[N]", m: bool[N], k: i32[N], *, s: int = 1, u: float = 0.5,
         on: bool = True):
    \"\"\"The results are sums of what the functions give.\"\"\"
    P = (N + 2*s - 1) // s - s + N % 2
    p in range(min(P, N))  # a part of the rows
    near[i] = clamp(x[i], -3.0, 3.0)
    big[i] = abs(x[i]) + 1
    a[i] = exp(near[i]) + exp2(near[i]) - expm1(near[i]) * sin(x[i]) / (2 + cos(x[i]))
    b[i] = log(big[i]) + log2(big[i]) + log1p(big[i]) + sqrt(big[i]) + rsqrt(big[i])
    c[i] = tanh(x[i]) + sigmoid(x[i]) + erf(x[i]) + gelu(x[i]) + silu(x[i])
    d[i] = floor(x[i] + 0.37) + ceil(y[i]) + round(x[i]) + sign(y[i]) + relu(-y[i])
    e[i] = pow(big[i], u) + big[i] ** 1.5 + near[i]**2 + fma(x[i], y[i], s)
    g[i] = (x[i] // 1.5 + x[i] % 2.5 if on and not m[i] or k[i] >= 2 else u)
    h[i] = max(x[i], y[i], 0) if isnan(x[i]) or x[i] <= y[i] or 0 < k[i] != 3 else 1e-3
    o[i] = softplus(+x[i])
    q[p] = k[p] // 2 + k[p] % 3 - max(k[p], 2) ** 2 + (1 if k[p] == s else P)
    return a, b, c, d, e, g, h, o, q
"""
INTEGERS = """\
kernel f(a: i8[N], b: u8[N], c: i16[N], d: i32[N], e: i64[N], m: bool[N]):
    r[i] = a[i] + b[i] * c[i] - d[i] // (a[i] % 5) + d[i] % b[i]
    s[i] = e[i] * b[i] + m[i] - abs(a[i]) * (-c[i])
    t: u8[N]
    t[i] = a[i] + c[i]
    u: i8[N]
    u[i] = b[i] - d[i]
    v[i] = u8(c[i]) + i8(d[i]) + i16(e[i]) + i32(b[i]) + i64(m[i])
    w[i] = f32(b[i]) - f64(a[i]) + (0 if b[i] > c[i] else 1)
    q: i32
    q += b[i] + max(a[i], 0)
    p = min[i](b[i]) + max[i](a[i])
    return r, s, t, u, v, w, q, p
"""
REDUCTIONS = """\
kernel f(x: f32[..., M, N], k: i16[M, N], m: bool[M, N]):
    a[..., i] = sum[j](x[..., i, j]) + max[j](x[..., i, j]) * min[j](x[..., i, j])
    g[i] = max[j](-abs(k[i, j]) - 1) - min[j](abs(k[i, j]) + 1)
    h[..., i] = max[j](-exp(x[..., i, j])) + min[j](exp(x[..., i, j]))
    b[..., i] = mean[j](x[..., i, j]) - prod[j](x[..., i, j] * 0.1)
    c[i] = any[j](m[i, j]) and not all[j](k[i, j] > 0)
    d[i] = argmax[j](k[i, j]) * 100 + argmin[j](k[i, j])
    e = sum[i, j](k[i, j]) % 7
    n: i8[M]
    n[i] += k[i, j] * k[i, j]
    r[i] *= 1 + 0.01 * k[i, j]
    return a, b, c, d, e, g, h, n, r
"""
CALLS = """\
kernel f(x: f32[A, B], w: f32[B, B],
         *, s: float = 0.5) -> (f32[A, B], f32[A], f32[A, B]):
    h: f32[A, B]
    h[i, j] += x[i, k] * w[k, j]
    y, n = scaled(h, s=s * 2)
    return y, n, x

kernel scaled(u: T[..., N], *, s: float) -> (T[..., N], T[...]):
    v[..., i] = u[..., i] * s
    n[...] += v[..., i]
    return v, n
"""
PIECES = """\
kernel f(x: f32[A], y: f64[A, B]):
    i in range(1, A)
    j in range(A)
    a[j] = pad(late[j], 0.5) + (sum[b](y[j, b]) if j > 3 else 0)
    late[i] = x[i] - x[i - 1]
    s = 1 if x[0] > 0 else max[j](x[j]) * 2
    return a, s
"""
CONV = """\
kernel f(x: f32[N, H, W, C], w: f32[R, S, C, K], z: i8[N, P, Q]):
    n in range(N)
    p in range(P)
    q in range(Q)
    y[n, p, q, k] += pad(x[n, p*2 + r - 1, q + s - 1, c]) * w[r, s, c, k]
    return y
"""
DILATED = """\
kernel f(x: f32[C, H, W], w: f32[S, R, C, K], z: i8[P, Q]):
    p in range(P)
    q in range(Q)
    y[p, q, k] += x[c, p + 2*r, q + 2*s] * w[s, r, c, k]
    return y
"""
CHANNELS_FIRST = """\
kernel f(x: f32[N, C, H, W], w: f32[K, C, R, S], z: i8[N, H, W]):
    p in range(H)
    q in range(W)
    y[n, k, p, q] += w[k, c, r, s] * pad(x[n, c, p + r - 1, q + s - 1], 0.25)
    return y
"""
GROUPED = """\
kernel f(x: f64[N, C, H], w: f64[K, D, R], v: f64[K, D, R], z: i8[N, P]):
    G = C // D
    n in range(N)
    p in range(P)
    y[n, k, p] += pad(x[n, k // (K // G) * D + d, p + r - 1]) * w[k, d, r]
    y[n, k, p] += v[k, d, r] * pad(x[n, k // (K // G) * D + d, p + r - 1], 1.5)
    return y
"""
MATMUL = """\
kernel f(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    d[i, j] = relu(c[i, j])
    return d
"""
TRANSPOSED = """\
kernel f(a: f64[K, M], b: f64[N, K], c: f64[K, M], d: f64[K, N]):
    y[i, j] += a[k, i] * b[j, k]
    y[i, j] += c[k, i] * d[k, j]
    return y
"""
NEARLY_PRODUCTS = """\
kernel f(a: f32[M, K], b: f32[K, N], g: f32[H, K]):
    m: f32[M, N]
    m[i, j] = max[k](a[i, k] * b[k, j])
    p[i, j] *= a[i, k] * b[k, j]
    q[i, j] += g[i // 2, k] * b[k, j]
    r[i, j] += a[i, k] * b[k, j] * 2
    s[i, j] += exp(a[i, k]) - b[k, j]
    return m, p, q, r, s
"""
INNER_PRODUCTS = """\
kernel f(a: f32[M, K], b: f32[K, N], x: f32[P, K], w: f32[R, K, N]):
    p in range(P)
    tropical[i, j] = min[k](b[k, j] + a[i, k])
    turned[j, i] += abs(a[i, k] - 0.5 * b[k, j])
    widest[j, i] = max[k](a[i, k] - 2 * b[k, j])
    adder[p, j] += abs(pad(x[p + r - 1, k], 0.5) - w[r, k, j])
    weakest[p, j] = max[r, k](min(pad(x[p + r - 1, k], -1.5), w[r, k, j]))
    grown[i, j] *= 1 + 0.1 * min(a[i, k], b[k, j], 1)
    same[i, n] += (a[i, k] - a[n, k])**2
    return tropical, turned, widest, adder, weakest, grown, same
"""
ELEMENTWISE = """\
kernel f(x: f32[N], y: f32[M, K], i: i8[M, K], u: u8[M, K]):
    a[n] = x[n] * 2 + 1
    b[m, k] = y[m, k] - i[m, k] + u[m, k]
    c[m] += y[m, k] * y[m, k]
    return a, b, c
"""


def _case(text: str, *arguments: Argument, **options: Any) -> Case:
    constants, large = options.pop("constants", ()), options.pop("large", False)
    return Case(Program(text, arguments, constants, large), "", **options)


def _conv(
    n: int, h: int, w: int, c: int, k: int, r: int, s: int, **options: object
) -> Case:
    p, q = (h + 2 - r) // 2 + 1, w + 2 - s + 1
    return _case(
        CONV,
        ("x", "f32", (n, h, w, c)),
        ("w", "f32", (r, s, c, k)),
        ("z", "i8", (n, p, q)),
        **options,
    )


def _channels_first(**options: Any) -> Case:
    return _case(
        CHANNELS_FIRST,
        ("x", "f32", (2, 3, 5, 19)),
        ("w", "f32", (7, 3, 3, 2)),
        ("z", "i8", (2, 5, 19)),
        **options,
    )


def _dilated(c: int, k: int, **options: Any) -> Case:
    return _case(
        DILATED,
        ("x", "f32", (c, 9, 11)),
        ("w", "f32", (3, 2, c, k)),
        ("z", "i8", (7, 7)),
        **options,
    )


def _grouped(k: int, **options: Any) -> Case:
    shape = (k, 3, 3)
    return _case(
        GROUPED,
        ("x", "f64", (2, 9, 7)),
        ("w", "f64", shape),
        ("v", "f64", shape),
        ("z", "i8", (2, 7)),
        **options,
    )


def _matmul(m: int, n: int, k: int, **options: Any) -> Case:
    return _case(MATMUL, ("a", "f32", (m, k)), ("b", "f32", (k, n)), **options)


def _functions(dtype: str) -> Case:
    vector = (37,)
    return _case(
        FLOATS,
        ("x", dtype, vector),
        ("y", dtype, vector),
        ("m", "bool", vector),
        ("k", "i32", vector),
        constants=(("s", 2), ("u", 0.75), ("on", False)),
    )


def _integers(**options: Any) -> Case:
    types = zip("abcdem", ("i8", "u8", "i16", "i32", "i64", "bool"))
    arguments = ((name, dtype, (67,)) for name, dtype in types)
    return _case(INTEGERS, *arguments, large=True, **options)


BOUND = frozenset({"w"})

CHAIN = """\
kernel f(x: f32[B, I], w: f32[I, J], z: f32[J, K]):
    y[b, k] += x[b, i] * w[i, j] * z[j, k]
    u[b, k] = relu(y[b, k])
    v[b, k] = tanh(u[b, k])
    return u, v
"""
CONTINUED = """\
kernel f(a: f32[M, K], b: f32[K, N], c: f32[M, N]):
    y[i, j] += a[i, k] * b[k, j]
    y[i, j] += abs(c[i, j])
    return y
"""

GATHERS = """\
kernel f(t: f32[V, D], i: i32[N], j: u8[N, D], k: i64[M], x: i8[N, D]):
    a[n, d] = t[i[n], d] + t[i[n], j[n, d]]
    b[m] = pad(t[i[k[m]] - 1, i[k[m]] + 2], 3)
    v in range(D)
    c[n] = argmax[d](x[n, d])
    e[n, v] += t[c[n] % V, d] * t[i[n], v]
    g[n] = t[c[n], 1] if n > 1 else max[v](t[i[n], j[n, v]])
    return a, b, e, g
"""


def _gathers(**given: Any) -> Case:
    """Rows, lanes, two axes, nested; subscripts that are checked early and late."""
    found = _case(
        GATHERS,
        ("t", "f32", (7, 7)),
        ("i", "i32", (21,)),
        ("j", "u8", (21, 7)),
        ("k", "i64", (35,)),
        ("x", "i8", (21, 7)),
        **given,
    )
    bounded = (("i", 7), ("j", 7), ("k", 21))
    return replace(found, program=replace(found.program, bounded=bounded))


IN_PLACE = "large stride collisions"
TABLE = "columns of a table, some of them outside"
ORDERS = (
    "reversed read", "skew needed", "wave of three", "other names", "several states",
    "reversed index",
)  # fmt: skip
"""Recurrences of all kinds: backward, skewed, shifted, one inside of another."""

EXAMPLES: tuple[Case, ...] = (
    *(_gathers(shuffle=n, seed=n) for n in range(12)),
    # A product first, then plain loops that go on from what it stored.
    _case(
        CONTINUED,
        ("a", "f32", (40, 96)),
        ("b", "f32", (96, 53)),
        ("c", "f32", (40, 53)),
    ),
    _functions("f32"),
    _functions("f64"),
    *(_integers(shuffle=n) for n in (None, 0, 1)),
    _case(
        REDUCTIONS,
        ("x", "f32", (2, 5, 19)),
        ("k", "i16", (5, 19)),
        ("m", "bool", (5, 19)),
    ),
    _case(
        CALLS,
        ("x", "f32", (7, 17)),
        ("w", "f32", (17, 17)),
        constants=(("s", 0.25),),
        bound=BOUND,
    ),
    _case(PIECES, ("x", "f32", (19,)), ("y", "f64", (19, 3))),
    _case(SUMMED, ("x", "f32", (40, 100))),
    _matmul(97, 131, 67),
    _matmul(13, 37, 1025, bound=frozenset({"b"})),
    _matmul(300, 16, 300, bound=frozenset({"a", "b"})),
    _matmul(5, 19, 2051, placings=(Placing("reversed", 1),)),
    _case(
        TRANSPOSED,
        ("a", "f64", (11, 23)),
        ("b", "f64", (17, 11)),
        ("c", "f64", (11, 23)),
        ("d", "f64", (11, 17)),
    ),
    _case(
        ELEMENTWISE,
        ("x", "f32", (40_001,)),
        ("y", "f32", (211, 193)),
        ("i", "i8", (211, 193)),
        ("u", "u8", (211, 193)),
        large=True,
    ),
    *(
        _case(
            NEARLY_PRODUCTS,
            ("a", "f32", (7, 3)),
            ("b", "f32", (3, 35)),
            ("g", "f32", (4, 3)),
            shuffle=n,
        )
        for n in (None, 0, 1, 2, 3)
    ),
    *(
        _case(
            INNER_PRODUCTS,
            ("a", "f32", (21, 19)),
            ("b", "f32", (19, 35)),
            ("x", "f32", (23, 19)),
            ("w", "f32", (3, 19, 35)),
            shuffle=n,
            **given,
        )
        for n in (None, *range(6))
        for given in ({}, {"bound": BOUND, "out": (Placing("mixed", 1),)})
    ),
    _conv(1, 10, 10, 150, 16, 3, 3),
    _conv(1, 9, 9, 8, 35, 3, 3, out=(Placing("step 2", 1),)),
    _conv(1, 9, 9, 8, 35, 3, 3, bound=BOUND),
    _conv(2, 7, 5, 3, 19, 3, 2, bound=frozenset({"w", "x"})),
    *(_conv(2, 7, 5, 3, 19, 3, 2, shuffle=n) for n in range(6)),
    # Points, which no price chooses: rows from a padded copy; depth blocks of taps.
    *(_conv(2, 7, 5, 3, 19, 3, 2, points=n) for n in (2, 5)),
    *(
        _conv(1, 5, 6, 4, 9, 2, 3, bound=frozenset({"w", "x"}), shuffle=n)
        for n in range(6)
    ),
    _channels_first(),
    # Images that are widened and padded by a copy, as columns and as rows.
    _case(
        CHANNELS_FIRST.replace("x: f32", "x: f16"),
        ("x", "f16", (2, 3, 5, 19)),
        ("w", "f32", (7, 3, 3, 2)),
        ("z", "i8", (2, 5, 19)),
    ),
    _case(
        CONV.replace("x: f32", "x: f16"),
        ("x", "f16", (2, 7, 5, 3)),
        ("w", "f32", (3, 2, 3, 19)),
        ("z", "i8", (2, 4, 6)),
    ),
    *(_channels_first(bound=frozenset({"x"}), shuffle=n) for n in range(12)),
    _dilated(5, 33),
    _dilated(5, 33, placings=(PLAIN, Placing("transposed", 0))),
    *(_dilated(3, 17, shuffle=n) for n in range(6)),
    _grouped(6),
    *(_grouped(6, shuffle=n) for n in range(4)),
    # The last group is a part of one.
    *(_grouped(7, shuffle=n) for n in (None, 0, 1)),
    _case(
        CHAIN, ("x", "f32", (23, 17)), ("w", "f32", (17, 13)), ("z", "f32", (13, 19))
    ),
    *(Case(COPIED[name].program, "") for name in ("rows of a table", TABLE)),
    *(Case(RANGES[name], "", shuffle=1) for name in ("band wider", "two outer")),
    *(Case(RECURRENCES[name], "") for name in ORDERS),
    *(Case(SCATTERS[name], "") for name in ("two strides", IN_PLACE)),
    *(Case(SCATTERS["scattered images"], "", shuffle=n) for n in range(4)),
)
