"""Which values are computed where they are read, and which right after what they read;
and that nothing else changes."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

import polydsl
from polydsl.loops.verify_buffers import is_contracted
from polydsl.schedule.decision import Decision
from polydsl.schedule.matrix_plan import MatrixPlan

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Fusion:
    """A program, the tensors that are computed where they are read, the pairs of which
    one follows on the other's elements, and why other pairs are not fused."""

    text: str
    arguments: Arguments
    fused: tuple[str, ...] = ()
    followed: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Chained:
    """A program, the tensors of which it keeps one row, the pairs that share loops, and
    why other pairs do not."""

    text: str
    arguments: Arguments
    contracted: tuple[str, ...]
    fused: tuple[str, ...]
    kept: tuple[tuple[str, str], ...] = ()


X = (("x", "f32", (5, 19)),)

FUSIONS = {
    "a chain": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a[i, j] = x[i, j] * 2
    b[i, j] = exp(a[i, j])
    c[i, j] = b[i, j] + a[i, j]
    return c
""",
        X,
        ("a", "b"),
    ),
    "a reduction of it": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N]:
    a[i, j] = exp(x[i, j])
    y[i] += a[i, j]
    return y
""",
        X,
        ("a",),
    ),
    "several readers of what is dear": Fusion(
        """\
kernel f(x: f32[N, M]) -> (f32[N], f32[N, M]):
    a[i, j] = exp(x[i, j])
    y[i] += a[i, j]
    z[i, j] = a[i, j] / y[i]
    return y, z
""",
        X,
        kept=(
            ("a into y", "computed 2 times"),
            ("a into z", "needs y, which comes in between"),
        ),
    ),
    "padding": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a[i, j] = x[i, j] + 1
    y[i, j] = pad(a[i - 1, j + 2], 7)
    return y
""",
        X,
        ("a",),
    ),
    "at two places": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a[i, j] = x[i, j] * 2
    y[i, j] = pad(a[i, j - 1]) - pad(a[i, j + 1])
    return y
""",
        X,
        ("a",),
    ),
    "windows of what is padded itself": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a[i, j] = pad(x[i, j - 1], 3) * 2 if i > 1 else 5
    b[i, j] = pad(a[i, j + 1], -1) + pad(a[i, j - 1])
    y[i, j] = b[i, j] if j % 3 == 0 else a[i, M - 1 - j]
    return y
""",
        X,
        ("b",),
        kept=(("a into y", "computed 3 times"),),
    ),
    "the factor of two products": Fusion(
        """\
kernel f(x: f32[N, M], w: f32[M, K], u: f32[M, K]) -> (f32[N, K], f32[N, K]):
    a[i, j] = relu(x[i, j])
    y[i, k] += a[i, j] * w[j, k]
    z[i, k] += a[i, j] * u[j, k]
    return y, z
""",
        (*X, ("w", "f32", (19, 17)), ("u", "f32", (19, 17))),
        kept=(("a into y", "each would copy it"), ("a into z", "each would copy it")),
    ),
    "a subscript": Fusion(
        """\
kernel f(x: f32[N, M], n: i32[K]) -> f32[K, M]:
    a[k] = i64(n[k]) + 1
    y[k, j] = x[a[k], j]
    return y
""",
        (*X, ("n", "i32", (7,))),
        kept=(("a into y", "subscript, or checked"),),
    ),
    "a subscript on the left": Fusion(
        """\
kernel f(x: f32[N], n: i32[N], *, V: int = 9) -> f32[V]:
    a[i] = i64(n[i]) + 1
    y[a[i]] += x[i]
    return y
""",
        (("x", "f32", (19,)), ("n", "i32", (19,))),
        kept=(("a into y", "subscript, or checked"),),
    ),
    "at subscripts that depend on data": Fusion(
        """\
kernel f(x: f32[N, M], n: i32[K]) -> f32[K, M]:
    a[i, j] = x[i, j] + 1 if i > 0 else 0
    y[k, j] = a[n[k], j]
    return y
""",
        (*X, ("n", "i32", (7,))),
        kept=(("a into y", "subscripts that depend on data"),),
    ),
    "at subscripts that are not linear": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a[i, j] = x[i, j // 2] + 1
    y[i, j] = a[i, j // 2]
    return y
""",
        X,
        kept=(("a into y", "not linear"),),
    ),
    "a recurrence": Fusion(
        """\
kernel f(x: f32[T, N]) -> f32[T, N]:
    g[t, i] = 0.5 * pad(h[t - 1, i]) + x[t, i]
    h[t, i] = tanh(g[t, i])
    return h
""",
        (("x", "f32", (9, 19)),),
        ("g",),
    ),
    "narrow numbers are rounded as before": Fusion(
        """\
kernel f(x: i32[N], h: f16[N]) -> (i32[N], f32[N]):
    a: i8[N]
    a[i] = x[i] * 3
    y[i] = a[i] * 1000
    b: f16[N]
    b[i] = h[i] * 1.001
    z[i] = b[i] * 1000.0
    return y, z
""",
        (("x", "i32", (37,)), ("h", "f16", (37,))),
        ("a", "b"),
    ),
    "what is not defined everywhere stays": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a: f32[N, M]
    i in range(1, N)
    a[i, j] = x[i, j] + 1
    n in range(N)
    y[n, j] = pad(a[n, j], 9)
    return y
""",
        X,
    ),
    "a chain that would double at every step": Fusion(
        """\
kernel f(a0: f32[N]) -> f32[N]:
    a1[i] = a0[i] * 0.5 - a0[i] * a0[i]
    a2[i] = a1[i] * 0.5 - a1[i] * a1[i]
    a3[i] = a2[i] * 0.5 - a2[i] * a2[i]
    a4[i] = a3[i] * 0.5 - a3[i] * a3[i]
    a5[i] = a4[i] * 0.5 - a4[i] * a4[i]
    a6[i] = a5[i] * 0.5 - a5[i] * a5[i]
    a7[i] = a6[i] * 0.5 - a6[i] * a6[i]
    a8[i] = a7[i] * 0.5 - a7[i] * a7[i]
    a9[i] = a8[i] * 0.5 - a8[i] * a8[i]
    a10[i] = a9[i] * 0.5 - a9[i] * a9[i]
    a11[i] = a10[i] * 0.5 - a10[i] * a10[i]
    a12[i] = a11[i] * 0.5 - a11[i] * a11[i]
    return a12
""",
        (("a0", "f32", (37,)),),
        ("a1", "a2", "a4", "a5", "a7", "a8", "a10", "a11"),
        ("a3 into a6", "a6 into a9", "a9 into a12"),
    ),
    "a result is read": Fusion(
        """\
kernel f(x: f32[N, M]) -> (f32[N, M], f32[N, M]):
    a[i, j] = x[i, j] + 1
    b[p, q] = a[p, q] * 2
    return a, b
""",
        X,
        followed=("a into b",),
    ),
    "a product": Fusion(
        """\
kernel f(x: f32[N, K], w: f32[K, M], b: f32[M], r: f32[N, M]) -> f32[N, M]:
    h[i, j] += x[i, k] * w[k, j]
    a[i, j] = h[i, j] + b[j]
    y[p, q] = max(a[p, q], 0) + r[p, q]
    return y
""",
        (*X, ("w", "f32", (19, 37)), ("b", "f32", (37,)), ("r", "f32", (5, 37))),
        ("a",),
        ("h into y",),
    ),
    "a product that is a result": Fusion(
        """\
kernel f(x: f64[N, K], w: f64[K, M]) -> (f64[N, M], f64[N, M]):
    h[i, j] += x[i, k] * w[k, j]
    y[i, j] = exp(h[i, j]) if h[i, j] < 1 else h[i, j]
    return h, y
""",
        (("x", "f64", (5, 19)), ("w", "f64", (19, 37))),
        followed=("h into y",),
    ),
    "several readers": Fusion(
        """\
kernel f(x: f32[N, K], w: f32[K, M]) -> (f32[N, M], bool[N, M], i8[N, M]):
    h[i, j] += x[i, k] * w[k, j]
    y[i, j] = tanh(h[i, j])
    z[i, j] = h[i, j] > y[i, j]
    n: i8[N, M]
    n[i, j] = i32(h[i, j] * 100) + 1
    return y, z, n
""",
        (*X, ("w", "f32", (19, 37))),
        followed=("h into y", "h into z", "y into z", "h into n"),
    ),
    "a sum that another sum reads, too": Fusion(
        """\
kernel f(x: f32[N, K], w: f32[K, M]) -> (f32[N, M], f32[N]):
    h[i, j] += x[i, k] * w[k, j]
    y[i, j] = max(h[i, j], 0)
    s[i] += h[i, j]
    return y, s
""",
        (*X, ("w", "f32", (19, 37))),
        followed=("h into y",),
        kept=(("h into s", "s is a reduction"),),
    ),
    "two products": Fusion(
        """\
kernel f(x: f32[N, K], u: f32[K, M], v: f32[K, M]) -> f32[N, M]:
    g[i, j] += x[i, k] * u[k, j]
    h[i, j] += x[i, k] * v[k, j]
    y[i, j] = g[i, j] / (1 + abs(g[i, j])) * h[i, j]
    return y
""",
        (*X, ("u", "f32", (19, 37)), ("v", "f32", (19, 37))),
        followed=("h into y",),
        kept=(("g into y", "run in different loops"),),
    ),
    "two sums of one tensor": Fusion(
        """\
kernel f(x: f32[N, N], w: f32[N, N]) -> f32[N, N]:
    h[i, j] += x[i, k] * w[k, j]
    m in range(i)
    h[i, j] += sin(x[i, m]) + w[m, j]
    y[i, j] = h[i, j] * 2
    return y
""",
        (("x", "f32", (19, 19)), ("w", "f32", (19, 19))),
        kept=(("h into y", "not all elements are finished in the same loops"),),
    ),
    "a mean": Fusion(
        """\
kernel f(x: f32[N]) -> f32[]:
    s += x[i]
    y = s / N
    return y
""",
        (("x", "f32", (37,)),),
        followed=("s into y",),
    ),
    "rows, one after the other": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    m[i] = max[j](x[i, j])
    e[i, j] = exp(x[i, j] - m[i])
    s[i] += e[i, j]
    y[i, j] = e[i, j] / s[i]
    return y
""",
        X,
        ("m",),
        kept=(
            ("e into s", "computed 2 times"),
            ("e into y", "needs s, which comes in between"),
        ),
    ),
    "a triangle": Fusion(
        """\
kernel f(x: f32[N, N]) -> f32[N]:
    k in range(i)
    s[i] += x[i, k]
    y[i] = s[i] * 2 + 1
    return y
""",
        (("x", "f32", (19, 19)),),
        followed=("s into y",),
    ),
    "a convolution": Fusion(
        """\
kernel f(x: f32[N, H, W, C], w: f32[3, 3, C, K], z: f32[N, H, W, K]) -> f32[N, H, W, K]:
    h[n, p, q, k] += pad(x[n, p + r - 1, q + s - 1, c]) * w[r, s, c, k]
    y[n, p, q, k] = max(h[n, p, q, k], z[n, p, q, k])
    return y
""",
        (
            ("x", "f32", (2, 5, 7, 4)),
            ("w", "f32", (3, 3, 4, 19)),
            ("z", "f32", (2, 5, 7, 19)),
        ),
        followed=("h into y",),
    ),
    "a convolution with lanes across lines": Fusion(
        """\
kernel f(x: f32[N, C, H, W], w: f32[K, C], b: f32[K], r: f32[H]) -> f32[N, K, H, W]:
    h[n, k, p, q] += x[n, c, p, q] * w[k, c]
    y[n, k, p, q] = h[n, k, p, q] * b[k] + r[p] * q
    return y
""",
        (
            ("x", "f32", (2, 4, 5, 7)),
            ("w", "f32", (6, 4)),
            ("b", "f32", (6,)),
            ("r", "f32", (5,)),
        ),
        followed=("h into y",),
    ),
    "another order": Fusion(
        """\
kernel f(x: f32[N, K], w: f32[K, M]) -> f32[M, N]:
    h[i, j] += x[i, k] * w[k, j]
    y[j, i] = h[i, j] + 1
    return y
""",
        (*X, ("w", "f32", (19, 37))),
        kept=(("h into y", "stored in another order"),),
    ),
    "other elements": Fusion(
        """\
kernel f(x: f32[N, M]) -> (f32[N], f32[N], f32[N]):
    h[i] += x[i, j]
    y[i] = h[i] + pad(h[i - 1])
    m in range(1, N)
    z: f32[N]
    z[m] = h[m]
    v[i] = pad(z[i], 1)
    u[i] = exp(h[N - 1 - i])
    return y, v, u
""",
        X,
        kept=(
            ("h into y", "other elements than its own"),
            ("h into z", "z has other points"),
            ("h into u", "other elements than its own"),
        ),
    ),
    "a scatter": Fusion(
        """\
kernel f(x: f32[N], n: i32[N], *, V: int = 9) -> f32[V]:
    h: f32[V]
    h[n[i]] += x[i]
    y[v] = h[v] * 2
    return y
""",
        (("x", "f32", (19,)), ("n", "i32", (19,))),
        kept=(("h into y", "not finished element by element"),),
    ),
    "what depends on it by another way": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N]:
    h[i] += x[i, j]
    t += h[i] * h[i]
    y[i] = h[i] / t
    return y
""",
        X,
        kept=(("h into y", "needs t, which comes in between"),),
    ),
    "a subscript of another tensor": Fusion(
        """\
kernel f(x: i32[N, M], u: f32[V]) -> f32[N]:
    h[i] += x[i, j]
    y[i] = u[h[i] % V] if h[i] > 0 else 0
    return y
""",
        (("x", "i32", (5, 19)), ("u", "f32", (11,))),
        kept=(("h into y", "other elements than its own"),),
    ),
    "its own element and the one across": Fusion(
        """\
kernel f(x: f32[N, K], w: f32[K, N]) -> f32[N, N]:
    h[i, j] += x[i, k] * w[k, j]
    y[i, j] = h[i, j] + h[j, i]
    return y
""",
        (*X, ("w", "f32", (19, 5))),
        kept=(("h into y", "other elements than its own"),),
    ),
    "gates of a recurrence": Fusion(
        """\
kernel f(x: f32[T, N], w: f32[N, N]) -> (f32[T, N], f32[N]):
    g[t, i] += pad(h[t - 1, k]) * w[k, i]
    h[t, i] = tanh(g[t, i] + x[t, i])
    y[i] = h[T - 1, i]
    return h, y
""",
        (("x", "f32", (9, 19)), ("w", "f32", (19, 19))),
        followed=("g into h",),
    ),
}
names = pytest.mark.parametrize("name", FUSIONS)


def decisions(fusion: Fusion, fuse: str) -> dict[str, Decision]:
    """Return the decisions about pairs of tensors, by subject."""
    case = Case(Program(fusion.text, fusion.arguments), ROWS[0], fuse=fuse)
    schedule = run_case(case).state.schedule
    assert schedule is not None
    return {d.subject: d for d in schedule.decisions if " into " in d.subject}


@names
def test_what_is_fused_and_why(name: str) -> None:
    fusion = FUSIONS[name]
    found = decisions(fusion, "elementwise")
    forwarded = (s for s, d in found.items() if "where it is read" in d.chosen)
    assert {s.partition(" ")[0] for s in forwarded} == {*fusion.fused}
    followed = [s for s, d in found.items() if "right after" in d.chosen]
    assert sorted(followed) == sorted(fusion.followed)
    for pair, reason in fusion.kept:
        assert found[pair].chosen == "not fused"
        assert reason in found[pair].reason


@pytest.mark.parametrize("name", ["a chain", "several readers", "a mean"])
def test_nothing_is_fused_for_who_wants_none(name: str) -> None:
    assert decisions(FUSIONS[name], "none") == {}


@names
def test_any_plan_of_what_is_fused(name: str) -> None:
    fusion = FUSIONS[name]
    number = [*FUSIONS].index(name)
    program = Program(fusion.text, fusion.arguments)
    run_case(Case(program, ROWS[number % len(ROWS)], shuffle=number))


PRODUCTS = [n for n in FUSIONS if "product" in n or "convolution" in n]


@pytest.mark.parametrize("name", PRODUCTS)
def test_any_tiles_of_a_product_with_an_epilogue(name: str) -> None:
    """Also those whose sums are made in several blocks, the last one in registers."""
    fusion = FUSIONS[name]
    program = Program(fusion.text, fusion.arguments)
    blocks: list[int] = []
    for seed in (None, *range(3)):
        isa = ROWS[(seed or 0) % len(ROWS)]
        run = run_case(Case(program, isa, points=seed))
        assert run.state.schedule is not None
        plans = [p for p in run.state.schedule.plans if isinstance(p, MatrixPlan)]
        assert fusion.followed == () or any(plan.epilogue for plan in plans)
        blocks += [p.side("depth").tiles * p.side("taps").tiles for p in plans]
    assert 1 in blocks and max(blocks) > 1


CHAINS = {
    "rows": Chained(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    m[i] = max[j](x[i, j])
    e[i, j] = exp(x[i, j] - m[i])
    s[p] += e[p, q]
    y[i, j] = e[i, j] / s[i]
    return y
""",
        (("x", "f32", (7, 37)),),
        ("e", "m_max", "s"),
        ("m_max into e", "e into s", "e into y", "s into y"),
    ),
    "two indices": Chained(
        """\
kernel f(x: f32[B, T, C], g: f32[C]) -> f32[B, T, C]:
    m[b, t] += x[b, t, c]
    v[b, t] += (x[b, t, c] - m[b, t] / C) ** 2
    y[b, t, c] = (x[b, t, c] - m[b, t] / C) / sqrt(v[b, t] / C + 1) * g[c]
    return y
""",
        (("x", "f32", (3, 5, 19)), ("g", "f32", (19,))),
        ("m", "v"),
        ("m into v", "m into y", "v into y"),
    ),
    "groups of channels": Chained(
        """\
kernel f(x: f32[N, G, C, P]) -> f32[N, G, C, P]:
    m[n, g] += x[n, g, c, p] / (C * P)
    d[n, g, c, p] = exp(x[n, g, c, p] - m[n, g])
    v[n, g] += d[n, g, c, p] * d[n, g, c, p]
    y[n, g, c, p] = d[n, g, c, p] / sqrt(v[n, g])
    return y
""",
        (("x", "f32", (2, 3, 4, 21)),),
        ("m", "d", "v"),
        ("m into d", "d into v", "d into y", "v into y"),
    ),
    "a triangle": Chained(
        """\
kernel f(x: f32[N, N]) -> f32[N, N]:
    j in range(i + 1)
    m[i] = max[j](x[i, j])
    e: f32[N, N]
    e[i, j] = exp(x[i, j] - m[i])
    s[i] += e[i, j]
    k in range(N)
    y[i, k] = pad(e[i, k]) / s[i]
    return y
""",
        (("x", "f32", (19, 19)),),
        ("e", "m_max", "s"),
        ("m_max into e", "e into s", "e into y", "s into y"),
    ),
    "what is needed outside": Chained(
        """\
kernel f(x: f32[N, M]) -> (f32[N], f32[N, M], f32[M]):
    s[i] += x[i, j]
    e[i, j] = exp(x[i, j]) * s[i]
    y[i] = max[j](e[i, j])
    z[i, j] = e[i, j] - y[i]
    c[j] += z[i, j]
    return y, z, c
""",
        (("x", "f32", (7, 37)),),
        ("s", "e"),
        ("s into e", "e into y_max", "e into z", "y into z"),
        (("z into c", "no index of a loop around them"),),
    ),
    "another row": Chained(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    s[i] += x[i, j]
    y[i, j] = exp(x[i, j] - s[N - 1 - i])
    return y
""",
        (("x", "f32", (7, 37)),),
        (),
        (),
        (("s into y", "no index of a loop around them"),),
    ),
    "two rows": Chained(
        """\
kernel f(x: f32[N, N]) -> f32[N, N]:
    s[i] += x[i, j]
    y[i, j] = exp(x[i, j] - s[i]) * s[j]
    return y
""",
        (("x", "f32", (19, 19)),),
        (),
        (),
        (("s into y", "no index of a loop around them"),),
    ),
    "something in between": Chained(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    s[i] += x[i, j]
    t += s[i]
    y[i, j] = exp(x[i, j] - s[i]) * t
    return y
""",
        (("x", "f32", (7, 37)),),
        (),
        (),
        (("s into y", "needs t, which comes in between"),),
    ),
    "checked subscripts": Chained(
        """\
kernel f(x: f32[V, M], n: i32[N]) -> f32[N, M]:
    s[i] += x[n[i], j]
    y[i, j] = exp(x[n[i], j]) / s[i]
    return y
""",
        (("x", "f32", (7, 37)), ("n", "i32", (5,))),
        ("s",),
        ("s into y",),
    ),
    "products of heads": Chained(
        """\
kernel f(q: f32[H, T, D], k: f32[H, S, D], v: f32[H, S, D]) -> f32[H, T, D]:
    s[h, i, j] += q[h, i, d] * k[h, j, d]
    m[h, i] = max[j](s[h, i, j] / 4)
    e[h, i, j] = exp(s[h, i, j] / 4 - m[h, i])
    l[h, i] += e[h, i, j]
    o[h, i, d] += e[h, i, j] / l[h, i] * v[h, j, d]
    return o
""",
        (
            ("q", "f32", (3, 13, 16)),
            ("k", "f32", (3, 21, 16)),
            ("v", "f32", (3, 21, 16)),
        ),
        ("s", "m_max", "e", "l"),
        (
            "s into m_max",
            "s into e",
            "m_max into e",
            "e into l",
            "e into o_sum",
            "l into o",
        ),
    ),
    "a product of rows": Chained(
        """\
kernel f(x: f32[N, C], w: f32[C, K]) -> f32[N, K]:
    s[i] = max[c](x[i, c])
    e[i, c] = exp(x[i, c] - s[i])
    y[i, k] += e[i, c] * w[c, k]
    return y
""",
        (("x", "f32", (7, 37)), ("w", "f32", (37, 19))),
        ("s_max", "e"),
        ("s_max into e", "e into y"),
    ),
    "a name that is taken": Chained(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    s[j] += exp(x[j, i])
    y[i, j] = x[i, j] / s[i]
    return y
""",
        (("x", "f32", (19, 19)),),
        ("s",),
        ("s into y",),
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_share_loops(name: str) -> None:
    """As if it always paid: small programs fit the nearest cache anyway."""
    chain = CHAINS[name]
    program = Program(chain.text, chain.arguments)
    with patch("polydsl.schedule.fusion_chain.START", -1e9):
        state = run_case(Case(program, ROWS[0])).state
        assert state.schedule is not None and state.nest is not None
        found = {d.subject: d for d in state.schedule.decisions}
        fused = [s for s, d in found.items() if "in loops over" in d.chosen]
        assert sorted(fused) == sorted(chain.fused)
        for pair, reason in chain.kept:
            assert found[pair].chosen == "not fused"
            assert reason in found[pair].reason
        kept = [b.name for b in state.nest.buffers if is_contracted(b)]
        assert sorted(kept) == sorted(chain.contracted)
        with patch("polydsl.schedule.schedule.LEAST_POINTS", 0):
            run_case(Case(program, ROWS[-1]))
    for seed in range(2):
        run_case(Case(program, ROWS[seed % len(ROWS)], shuffle=seed))


def test_no_loops_are_shared_for_who_wants_elements_only() -> None:
    chain = CHAINS["rows"]
    program = Program(chain.text, chain.arguments)
    with patch("polydsl.schedule.fusion_chain.START", -1e9):
        state = run_case(Case(program, ROWS[0], fuse="elementwise")).state
    assert state.schedule is not None and state.nest is not None
    assert not any("in loops over" in d.chosen for d in state.schedule.decisions)
    assert not any(is_contracted(b) for b in state.nest.buffers)


def test_loops_are_shared_where_rows_would_come_from_afar() -> None:
    kernel = polydsl.loads(CHAINS["rows"].text).f
    for shape, words in (
        ((8, 64), "would cost more than they save"),
        ((512, 1024), "in loops over i"),
        ((2, 1 << 22), "too much for any cache"),
    ):
        text = kernel.explain(np.zeros(shape, np.float32))
        assert words in text.partition("e into s")[2]


def test_a_loop_over_one_batch_is_around_rows() -> None:
    """What is shared along an index of one value has memory along it, and one row."""
    kernel = polydsl.loads(
        """\
kernel f(x: f32[B, N, M]) -> f32[B, N, M]:
    s[b, i] += x[b, i, j]
    e[b, i, j] = exp(x[b, i, j] - s[b, i])
    t[b, i] = max[j](e[b, i, j])
    y[b, i, j] = e[b, i, j] / t[b, i]
    return y
"""
    ).f
    with patch("polydsl.schedule.fusion_chain.START", -1e9):
        kernel.verify(np.ones((1, 5, 19), np.float32))


def test_a_group_that_sums_over_what_another_one_shares() -> None:
    """The index of a sum is none that its own readers could share."""
    kernel = polydsl.stdlib.triangular.cholesky
    kernel.verify(np.full((1, 1), 4.0, np.float32))


def test_explain_says_what_is_fused() -> None:
    kernel = polydsl.loads(FUSIONS["a chain"].text).f
    x = np.zeros((5, 19), np.float32)
    text = kernel.explain(x)
    assert "a into b: fused, computed where it is read" in text
    text = kernel.configure(fuse="none").explain(x)
    assert "asked for: fuse none" in text
    assert "into" not in text


def test_other_words_are_refused() -> None:
    kernel = polydsl.loads(FUSIONS["a chain"].text).f
    with pytest.raises(polydsl.ArgumentError, match="none, elementwise, all"):
        kernel.configure(fuse="some")
