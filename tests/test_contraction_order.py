"""Products of several tensors: which are computed in steps, in which order, and that
the numbers stay right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import machine
from program_builder import Program
from program_harness import ROWS, Case, job_of, run_case, tools_for

from polydsl.backend.arrays import layout_of
from polydsl.base.dtypes import F32
from polydsl.driver.compiler import begin
from polydsl.driver.einsum import einsum_kernel
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import Compilation, compile_until
from polydsl.schedule.contraction_order import AT_ONCE
from polydsl.schedule.contraction_tree import (
    MOST,
    Factor,
    Leaf,
    Network,
    Pair,
    Tree,
    cheapest,
    members,
    tree_cycles,
    tree_points,
)
from polydsl.schedule.decision import render
from polydsl.schedule.matrix_plan import MatrixPlan

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """A program, the orders of its products as `explain` shows them, the intermediates
    that are made, and how many microkernel products there are then."""

    text: str
    arguments: Arguments
    orders: tuple[str, ...]
    made: tuple[str, ...] = ()
    products: int = 0


BILINEAR = """\
kernel f(x: {t}[B, I], w: {t}[K, I, J], z: {t}[B, J]) -> {r}[B, K]:
    y[b, k] += x[b, i] * w[k, i, j] * z[b, j]
    return y
"""


def _bilinear(t: str, r: str, b: int, i: int, j: int, k: int) -> tuple[str, Arguments]:
    shapes = (("x", t, (b, i)), ("w", t, (k, i, j)), ("z", t, (b, j)))
    return BILINEAR.format(t=t, r=r), shapes


SUMS = {
    "bilinear": Sum(
        *_bilinear("f32", "f32", 13, 17, 19, 11), ("(x * w) * z",), ("x_w",), 1
    ),
    "bilinear in f16": Sum(
        *_bilinear("f16", "f16", 13, 17, 19, 11), ("(x * w) * z",), ("x_w",), 1
    ),
    "bilinear in bf16 stored in f32": Sum(
        *_bilinear("bf16", "f32", 13, 17, 19, 11), ("(x * w) * z",), ("x_w",), 1
    ),
    "bilinear in f64": Sum(
        *_bilinear("f64", "f64", 13, 17, 19, 11), ("(x * w) * z",), ("x_w",), 1
    ),
    "small sizes": Sum(*_bilinear("f32", "f32", 2, 3, 2, 3), (AT_ONCE,)),
    "empty": Sum(*_bilinear("f32", "f32", 13, 17, 0, 11), (AT_ONCE,)),
    "one row": Sum(*_bilinear("f32", "f32", 1, 37, 41, 23), (AT_ONCE,)),
    "one column": Sum(
        *_bilinear("f32", "f32", 29, 17, 19, 1), ("x * (w * z)",), ("w_z",), 1
    ),
    "integers of which each order takes as long": Sum(
        *_bilinear("i8", "i32", 7, 9, 11, 5), (AT_ONCE,)
    ),
    "integers that wrap around": Sum(
        """\
kernel f(a: i32[N, I], b: i32[I, J], c: i32[J, K], d: i32[K, M]) -> i32[N, M]:
    y[n, m] += a[n, i] * b[i, j] * 7 * c[j, k] * d[k, m]
    return y
""",
        (
            ("a", "i32", (5, 9)),
            ("b", "i32", (9, 8)),
            ("c", "i32", (8, 7)),
            ("d", "i32", (7, 6)),
        ),
        ("(((a * b) * c) * d) * 7",),
        ("a_b", "a_b_c", "a_b_c_d"),
    ),
    "a tensor train": Sum(
        """\
kernel f(x: f32[B, I, J, K], g: f32[I, P, A], h: f32[A, J, Q, C],
         u: f32[C, K, R]) -> f32[B, P, Q, R]:
    y[b, p, q, r] += x[b, i, j, k] * g[i, p, a] * h[a, j, q, c] * u[c, k, r]
    return y
""",
        (
            ("x", "f32", (31, 4, 4, 4)),
            ("g", "f32", (4, 3, 4)),
            ("h", "f32", (4, 4, 2, 3)),
            ("u", "f32", (3, 4, 2)),
        ),
        ("x * ((g * h) * u)",),
        ("g_h", "g_h_u"),
        3,
    ),
    "filters mixed for each sample": Sum(
        """\
kernel f(x: f32[N, C, H, W], e: f32[E, K, C, R, S], g: f32[N, E]) -> f32[N, K, P, Q]:
    P = H - R + 3
    Q = (W - S) // 2 + 1
    y[n, k, p, q] += pad(x[n, c, p + r - 1, 2*q + s]) * e[e_, k, c, r, s] * g[n, e_]
    return y
""",
        (
            ("x", "f32", (2, 5, 7, 9)),
            ("e", "f32", (3, 8, 5, 3, 2)),
            ("g", "f32", (2, 3)),
        ),
        ("x * (e * g)",),
        ("e_g",),
        2,
    ),
    "a step of two statements": Sum(
        """\
kernel f(x: f32[B, I], w: f32[K, I, J], z: f32[B, J],
         v: f32[B, J]) -> (f32[B, K], f32[K, B]):
    y[b, k] += x[b, i] * w[k, i, j] * z[b, j]
    q[p, r] += v[r, t] * w[p, s, t] * x[r, s]
    return y, q
""",
        (
            ("x", "f32", (13, 17)),
            ("w", "f32", (11, 17, 19)),
            ("z", "f32", (13, 19)),
            ("v", "f32", (13, 19)),
        ),
        ("(x * w) * z", "v * (w * x)"),
        ("x_w",),
        1,
    ),
    "a step that is a tensor": Sum(
        """\
kernel f(x: f32[B, I], w: f32[K, I, J], z: f32[B, J],
         v: f32[B, J]) -> (f32[B, K], f32[K, J, B]):
    q[k, s, p] += w[k, r, s] * x[p, r]
    y[b, k] += x[b, i] * w[k, i, j] * z[b, j]
    return y, q
""",
        (
            ("x", "f32", (13, 17)),
            ("w", "f32", (11, 17, 19)),
            ("z", "f32", (13, 19)),
            ("v", "f32", (13, 19)),
        ),
        ("(x * w) * z",),
        ("q",),
        1,
    ),
    "steps over other ranges": Sum(
        """\
kernel f(x: f32[B, I], w: f32[K, I, J], z: f32[B, J],
         v: f32[B, J]) -> (f32[B, K], f32[B, K]):
    s in range(I - 1)
    y[b, k] += x[b, i] * w[k, i, j] * z[b, j]
    q[p, r] += v[p, t] * w[r, s, t] * x[p, s]
    return y, q
""",
        (
            ("x", "f32", (13, 17)),
            ("w", "f32", (11, 17, 19)),
            ("z", "f32", (13, 19)),
            ("v", "f32", (13, 19)),
        ),
        ("(x * w) * z", "v * (w * x)"),
        ("x_w", "w_x"),
        2,
    ),
    "four matrices": Sum(
        """\
kernel f(a: f32[N, I], b: f32[I, J], c: f32[J, K], d: f32[K, M]) -> f32[N, M]:
    y[n, m] += a[n, i] * b[i, j] * c[j, k] * d[k, m]
    return y
""",
        (
            ("a", "f32", (23, 9)),
            ("b", "f32", (9, 17)),
            ("c", "f32", (17, 5)),
            ("d", "f32", (5, 19)),
        ),
        ("(a * (b * c)) * d",),
        ("b_c", "a_b_c"),
        3,
    ),
    "a diagonal": Sum(
        """\
kernel f(x: f32[B, I], w: f32[I, I, J], z: f32[J, K]) -> f32[B, K]:
    y[b, k] += x[b, i] * w[i, i, j] * z[j, k]
    return y
""",
        (("x", "f32", (23, 17)), ("w", "f32", (17, 17, 13)), ("z", "f32", (13, 19))),
        ("(x * w) * z",),
        ("x_w",),
        2,
    ),
    "a factor twice": Sum(
        """\
kernel f(x: f32[B, I], w: f32[I, J], z: f32[J, K]) -> f32[B, K]:
    y[b, k] += x[b, i] * w[i, j] * x[b, i] * z[j, k]
    return y
""",
        (("x", "f32", (23, 17)), ("w", "f32", (17, 13)), ("z", "f32", (13, 19))),
        ("((x * x) * w) * z",),
        ("x_x", "x_w_x"),
        2,
    ),
    "a function of a factor, and constant subscripts": Sum(
        """\
kernel f(x: f32[2, B, I], w: f32[I, J], z: f32[J, K]) -> f32[B, K]:
    y[b, k] += relu(x[1, b, i] - x[0, b, i]) * w[i, j] * z[j, k]
    return y
""",
        (("x", "f32", (2, 23, 17)), ("w", "f32", (17, 13)), ("z", "f32", (13, 19))),
        ("(x * w) * z",),
        ("x_factor", "x_w"),
        2,
    ),
    "a factor of another type": Sum(
        """\
kernel f(x: i8[B, I], w: f32[I, J], z: f32[J, K]) -> f32[B, K]:
    y[b, k] += x[b, i] * w[i, j] * z[j, k]
    return y
""",
        (("x", "i8", (23, 17)), ("w", "f32", (17, 13)), ("z", "f32", (13, 19))),
        ("(x * w) * z",),
        ("x_factor", "x_w"),
        2,
    ),
    "factors that leave the sum": Sum(
        """\
kernel f(x: f32[B, I], w: f32[I, J], z: f32[J, K], g: f32[B], h: f32[K]) -> f32[B, K]:
    y[b, k] += -x[b, i] / (g[b] * g[b] + 1) * w[i, j] * 0.5 * z[j, k] * h[k]
    return y
""",
        (
            ("x", "f32", (23, 17)),
            ("w", "f32", (17, 13)),
            ("z", "f32", (13, 19)),
            ("g", "f32", (23,)),
            ("h", "f32", (19,)),
        ),
        ("(x * w) * z",),
        ("x_w", "y_sum"),
        2,
    ),
    "an index that only a factor that leaves has": Sum(
        """\
kernel f(x: f32[B, I], w: f32[I, J], g: f32[B, M]) -> f32[B, J, M]:
    y[b, j, m] += x[b, i] * w[i, j] * g[b, m]
    return y
""",
        (("x", "f32", (13, 17)), ("w", "f32", (17, 11)), ("g", "f32", (13, 29))),
        ("x * w",),
        ("x_w",),
        1,
    ),
    "indices of one factor alone": Sum(
        """\
kernel f(x: f32[B, I, L], w: f32[J, K, M]) -> f32[B, K]:
    y[b, k] += x[b, i, l] * w[j, k, m]
    return y
""",
        (("x", "f32", (7, 5, 3)), ("w", "f32", (6, 11, 5))),
        ("x * w",),
        ("x_factor", "w_factor"),
    ),
    "the same factors summed over other indices": Sum(
        """\
kernel f(x: f32[I, K, B], w: f32[J, M]) -> (f32[K, M], f32[B, M]):
    y[k, m] += x[i, k, b] * w[j, m]
    s[b, m] += x[i, k, b] * w[j, m]
    return y, s
""",
        (("x", "f32", (7, 9, 8)), ("w", "f32", (11, 5))),
        ("x * w", "x * w"),
        ("x_factor", "x_factor_", "w_factor"),
    ),
    "several sums of one tensor, with a step in common": Sum(
        """\
kernel f(x: f32[B, I], w: f32[I, J], z: f32[J, K], u: f32[J, K],
         v: f32[J, M]) -> (f32[B, K], f32[B, M]):
    y[b, k] += 2 * x[b, i] * w[i, j] * z[j, k]
    y[b, k] += u[j, k] * w[i, j] * x[b, i]
    s[b, m] += x[b, i] * w[i, j] * v[j, m]
    return y, s
""",
        (
            ("x", "f32", (23, 17)),
            ("w", "f32", (17, 13)),
            ("z", "f32", (13, 19)),
            ("u", "f32", (13, 19)),
            ("v", "f32", (13, 5)),
        ),
        ("(x * w) * z", "u * (w * x)", "(x * w) * v"),
        ("x_w", "x_w_z"),
        4,
    ),
    "ranges that do not begin at 0": Sum(
        """\
kernel f(x: f32[B, I], w: f32[I, J], z: f32[J, K]) -> f32[B, K]:
    i in range(3, I)
    j in range(2, J - 1)
    y[b, k] += x[b, i] * w[i, j] * z[j, k]
    return y
""",
        (("x", "f32", (23, 17)), ("w", "f32", (17, 13)), ("z", "f32", (13, 19))),
        ("(x * w) * z",),
        ("x_w",),
        2,
    ),
    "dependent ranges": Sum(
        """\
kernel f(x: f32[B, I], w: f32[I, I], z: f32[I, K]) -> f32[B, K]:
    j in range(i)
    y[b, k] += x[b, i] * w[i, j] * z[j, k]
    return y
""",
        (("x", "f32", (23, 17)), ("w", "f32", (17, 17)), ("z", "f32", (17, 19))),
        (AT_ONCE,),
    ),
    "subscripts that depend on data": Sum(
        """\
kernel f(x: f32[B, I], n: i32[B], w: f32[I, J], z: f32[J, K]) -> f32[B, K]:
    y[b, k] += pad(x[n[b], i]) * w[i, j] * z[j, k]
    return y
""",
        (
            ("x", "f32", (23, 17)),
            ("n", "i32", (23,)),
            ("w", "f32", (17, 13)),
            ("z", "f32", (13, 19)),
        ),
        (AT_ONCE,),
    ),
    "a scatter": Sum(
        """\
kernel f(x: f32[B, I], w: f32[I, J], z: f32[J, K]) -> f32[M, K]:
    M = 2*B + 1
    y[2*b, k] += x[b, i] * w[i, j] * z[j, k]
    return y
""",
        (("x", "f32", (23, 17)), ("w", "f32", (17, 13)), ("z", "f32", (13, 19))),
        (AT_ONCE,),
    ),
    "a recurrence": Sum(
        """\
kernel f(x: f32[T, I], w: f32[I, J], z: f32[J, I]) -> f32[T, I]:
    g[t, k] += pad(h[t - 1, i]) * w[i, j] * z[j, k]
    h[t, k] = tanh(g[t, k] + x[t, k])
    return h
""",
        (("x", "f32", (9, 17)), ("w", "f32", (17, 13)), ("z", "f32", (13, 17))),
        (AT_ONCE,),
    ),
    "the greatest of sums": Sum(
        """\
kernel f(x: f32[B, I], w: f32[I, J], z: f32[J, K]) -> f32[B, K]:
    y[b, k] = max[i, j](x[b, i] + w[i, j] + z[j, k])
    return y
""",
        (("x", "f32", (7, 9)), ("w", "f32", (9, 8)), ("z", "f32", (8, 5))),
        (),
    ),
}


def _orders(state: Compilation) -> list[str]:
    assert state.schedule is not None
    decisions = state.schedule.decisions
    return [d.chosen for d in decisions if d.subject.startswith("order of ")]


def _planned(text: str, arguments: Arguments) -> Compilation:
    """Return what is planned for a program on a machine that is made up."""
    request = job_of(Case(Program(text, arguments), ROWS[-1])).request
    begun = begin(request, tools_for(ROWS[-1]))
    return compile_until(replace(begun, machine=machine("avx2")), "tree")


@pytest.mark.parametrize("name", SUMS)
def test_in_which_order_products_are_computed(name: str) -> None:
    sums = SUMS[name]
    state = _planned(sums.text, sums.arguments)
    assert state.schedule is not None and state.scop is not None
    assert _orders(state) == list(sums.orders)
    cut = [order for order in sums.orders if order != AT_ONCE]
    decisions = state.schedule.decisions
    copied = {d.subject.split()[0] for d in decisions if "it is copied" in d.chosen}
    found = {t.name for t in state.scop.tensors} | copied
    assert {*sums.made} <= found
    parts = [n for n in found - {*sums.made} if "_factor" in n or "_part" in n]
    assert not parts
    products = [plan for plan in state.schedule.plans if isinstance(plan, MatrixPlan)]
    assert not cut or len(products) == sums.products


@pytest.mark.parametrize("name", SUMS)
def test_products_in_steps_have_the_right_values(name: str) -> None:
    sums = SUMS[name]
    program = Program(sums.text, sums.arguments, large="wrap" in name)
    number = [*SUMS].index(name)
    run_case(Case(program, ROWS[0]))
    run_case(Case(program, ROWS[number % len(ROWS)], shuffle=number))
    none = run_case(Case(program, ROWS[0], fuse="none")).state
    assert _orders(none) == []


def test_each_step_says_what_it_saves() -> None:
    text, arguments = _bilinear("f32", "f32", 64, 128, 128, 32)
    state = _planned(text, arguments)
    assert state.schedule is not None
    found = (d for d in state.schedule.decisions if d.subject == "order of S1 (y)")
    shown = render(next(found), state.machine)
    assert shown.startswith("order of S1 (y): (x * w) * z\n")
    assert "33816576 multiply-adds" in shown
    assert f"not {AT_ONCE}: that takes 33554432 multiply-adds" in shown


def test_an_intermediate_of_narrow_numbers_is_wide() -> None:
    text, arguments = _bilinear("f16", "f16", 13, 17, 19, 11)
    state = _planned(text, arguments)
    assert state.scop is not None
    assert state.scop.tensor("x_w").dtype == F32


def test_an_intermediate_lies_as_the_vectors_of_its_product_run() -> None:
    text, arguments = _bilinear("f32", "f32", 64, 128, 128, 32)
    state = _planned(text, arguments)
    assert state.scop is not None
    assert state.scop.tensor("x_w").shape == (32, 64, 128)


# The search


def _trees(factors: tuple[int, ...]) -> Iterator[Tree]:
    """Yield every tree of some factors."""
    if len(factors) == 1:
        yield Leaf(factors[0])
    first, *others = factors
    for count in range(1, len(factors)):
        for second in combinations(others, count):
            rest = tuple(f for f in others if f not in second)
            for a in _trees((first, *rest)):
                yield from (Pair(a, b) for b in _trees(second))


@st.composite
def networks(draw: st.DrawFn, most: int) -> Network:
    """Draw the indices of factors."""
    names = "abcdefg"
    count = draw(st.integers(2, most))
    sets = st.frozensets(st.sampled_from(names), min_size=1, max_size=4)
    factors = []
    for dims in draw(st.lists(sets, min_size=count, max_size=count)):
        instructions = draw(st.sampled_from((None, None, 3.0)))
        factors.append(Factor(dims, draw(st.sampled_from(sorted(dims))), instructions))
    used = sorted(frozenset().union(*(f.dims for f in factors)))
    left = draw(st.frozensets(st.sampled_from(used)))
    extents = {d: draw(st.sampled_from((1, 2, 7, 16, 60, 300))) for d in names}
    row = draw(st.sampled_from(("avx512", "avx2", "generic")))
    return Network(tuple(factors), left, extents, F32, machine(row))


@pytest.mark.random
@settings(deadline=None)
@given(networks(5))
def test_no_tree_is_cheaper(network: Network) -> None:
    found = cheapest(network)
    assert members(found) == network.whole
    trees = _trees(tuple(range(len(network.factors))))
    least = min(tree_cycles(network, tree) for tree in trees)
    assert tree_cycles(network, found) == pytest.approx(least)


def test_the_best_order_of_matrices() -> None:
    """The chain of Cormen et al., Introduction to Algorithms, figure 15.5."""
    sizes = dict(zip("abcdefg", (30, 35, 15, 5, 10, 20, 25)))
    factors = tuple(
        Factor(frozenset(p), p[1]) for p in ("ab", "bc", "cd", "de", "ef", "fg")
    )
    narrow = machine("generic")
    network = Network(factors, frozenset("ag"), sizes, F32, narrow)
    with patch("polydsl.schedule.contraction_tree.START", 0.0):
        found = cheapest(network)
    assert tree_points(network, found) == 15125


def test_many_factors_have_a_tree_of_all_of_them() -> None:
    names = [chr(ord("a") + n) for n in range(2 * MOST + 1)]
    factors = tuple(Factor(frozenset(p), p[1]) for p in pairwise(names))
    sizes = {d: 10 + n % 7 for n, d in enumerate(names)}
    ends = frozenset((names[0], names[-1]))
    network = Network(factors, ends, sizes, F32, machine())
    found = cheapest(network)
    assert members(found) == network.whole
    assert tree_points(network, found) < 17**3 * len(factors)


# Any equation


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, tuple[tuple[int, ...], ...]]:
    """Draw an equation of three or four operands, and their shapes."""
    letters = st.sampled_from("abcdef")
    extents = {d: draw(st.sampled_from((1, 2, 3, 5, 8, 9, 0))) for d in "abcdef"}
    term = st.lists(letters, min_size=1, max_size=3)
    terms = draw(st.lists(term, min_size=3, max_size=4))
    used = sorted({d for t in terms for d in t})
    output = draw(st.lists(st.sampled_from(used), unique=True, max_size=3))
    text = ",".join("".join(t) for t in terms) + "->" + "".join(output)
    return text, tuple(tuple(extents[d] for d in t) for t in terms)


@pytest.mark.random
@settings(max_examples=40, deadline=None)
@given(equations(), st.sampled_from(("f8", "f4")), st.integers(0, 1 << 16))
def test_any_equation_is_what_numpy_computes(
    equation: tuple[str, tuple[tuple[int, ...], ...]], dtype: str, seed: int
) -> None:
    text, shapes = equation
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]
    library = einsum_kernel(text).library
    layouts = {f"x{n}": layout_of(array) for n, array in enumerate(arrays)}
    request = Request(library, "einsum", layouts, {})
    # Whatever it costs, everything is cut in steps.
    with patch("polydsl.schedule.contraction_order.written_cycles", lambda *_: 1e30):
        got = Specialization(request, tools_for(ROWS[0]), {})(*arrays)
    wide = [a.astype("f8") for a in arrays]
    bound = np.einsum(text, *map(np.abs, wide))
    error = np.abs(got - np.einsum(text, *wide))
    assert np.all(error <= 64 * np.finfo(dtype).eps * bound)
