"""Schedule trees of whole kernels: what they look like, and that they are right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_harness import machine, results, scop_of

from polydsl.base.dtypes import F32
from polydsl.base.source import Source, Span
from polydsl.loops.generate import default_layout
from polydsl.poly.dependences import analyze
from polydsl.poly.scop import Scop
from polydsl.schedule.contraction import Contraction, match
from polydsl.schedule.legality import IllegalSchedule, check, verify
from polydsl.schedule.matrix_plan import Copy, Factor, MatrixPlan
from polydsl.schedule.plan_tree import Plan, plan_tree, statements_of
from polydsl.schedule.schedule import Schedule, schedule
from polydsl.schedule.transform import initial_tree
from polydsl.schedule.tree import (
    Axis,
    Band,
    Leaf,
    Mark,
    Member,
    Microkernel,
    Sequence,
    children,
    leaves,
    render,
    whole,
)
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.semantics.program import Literal

MATMUL = """
kernel mm(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    d[i, j] = relu(c[i, j])
    return d
"""
CONVOLUTION = """
kernel conv(x: f32[N, H, W, C], w: f32[R, S, C, K]) -> f32[N, P, Q, K]:
    P = H + 2 - R + 1
    Q = W + 2 - S + 1
    y[n, p, q, k] += pad(x[n, p + r - 1, q + s - 1, c]) * w[r, s, c, k]
    return y
"""
CHANNELS_FIRST = """
kernel conv(x: f32[N, C, H, W], w: f32[K, C, R, S]) -> f32[N, K, P, Q]:
    P = (H + 2 - R) // 2 + 1
    Q = (W + 2 - S) // 2 + 1
    y[n, k, p, q] += pad(x[n, c, p*2 + r - 1, q*2 + s - 1]) * w[k, c, r, s]
    return y
"""
GROUPS = """
kernel groups(x: f32[P, C], w: f32[D, K]) -> f32[P, K]:
    y[p, k] += x[p, (k // (K // 2)) * (C // 2) + d] * w[d, k]
    return y
"""
DEPTHWISE = """
kernel depthwise(x: f32[H, W, C], w: f32[R, S, C]) -> f32[H, W, C]:
    y[h, v, c] += pad(x[h + r - 1, v + s - 1, c]) * w[r, s, c]
    return y
"""
SOFTMAX = """
kernel softmax(x: f32[M, N]) -> f32[M, N]:
    e[i, j] = exp(x[i, j] - max[k](x[i, k]))
    y[i, j] = e[i, j] / sum[k](e[i, k])
    return y
"""
SUMS = """
kernel sums(x: f32[N, M], b: f32[M], a: f32[N, K], w: f32[K, M]) -> (f32[N, M], f32):
    y[i, j] += b[j]
    y[i, j] += x[i, l] * x[j, l]
    y[i, j] += a[i, k] * w[k, j]
    j in range(M)
    l in range(min(N, M))
    i in range(N)
    s += y[i, j]
    return y, s
"""
BATCHES = """
kernel batches(a: f32[B, M, K], b: f32[B, K, N]) -> f32[B, M, N]:
    c[p, i, j] += a[p, i, k] * b[p, k, j]
    return c
"""
BIASED = """
kernel biased(b: f32[M], a: f32[N, K], w: f32[K, M]) -> f32[N, M]:
    y[i, j] += b[j]
    y[i, j] += a[i, k] * w[k, j]
    return y
"""
NAMES = """
kernel names(a: f32[M, K], b: f32[K, N], d: f32[L, N]) -> (f32[M, N], f32[L]):
    c[panel, j] += a[panel, k] * b[k, j]
    s[j_vector] += d[j_vector, j]
    return c, s
"""
SUM = """
kernel f(x: f32[M, N]) -> f32[M]:
    y[i] += x[i, j]
    return y
"""
SPAN = Span(Source("made.pdl", "made"), 0, 4)


def planned(scop: Scop, *, cores: int = 4, bound: tuple[str, ...] = ()) -> Schedule:
    layout = default_layout(scop)
    return schedule(scop, analyze(scop), layout, machine(cores), frozenset(bound))


# Nodes


def test_an_axis_is_a_part_of_a_dimension() -> None:
    axis = Axis("k", 10, 24, 2, 4)
    assert [axis.value(10 + n) for n in range(24)] == [n // 2 % 4 for n in range(24)]
    assert str(axis) == "k/2%4"
    assert not axis.is_first
    assert str(Axis("k", 10, 24, 8, 3)) == "k/8"
    assert str(whole("k", 10, 24)) == "k"


def test_a_member_runs_over_the_tiles_of_its_positions() -> None:
    member = Member("t", (whole("p", 0, 3), whole("q", 0, 5)), 4, "parallel")
    assert (member.positions, member.trips) == (15, 4)
    assert str(member) == "t = (p.q)/4 in 0..4 [parallel]"
    assert str(Member("one", ())) == "one = 0 in 0..1"


def test_leaves_come_in_order_with_their_steps() -> None:
    first, second = Leaf("A", "x", ("i",), ()), Leaf("B", "x", ("i",), ())
    i, none = Member("i", (whole("i", 0, 4),)), Member("none", ())
    kernel = Microkernel(none, none, i, none, (first, second))
    tree = Sequence((Band((i,), Mark("m", first)), kernel))
    inner = (none, none, i, none)
    assert [(leaf.statement, steps) for leaf, steps in leaves(tree)] == [
        ("A", (0, i)),
        ("A", (1, *inner, 0)),
        ("B", (1, *inner, 1)),
    ]
    assert [len(children(node)) for node in (tree, *tree.children, first)] == [
        2,
        1,
        2,
        0,
    ]


# Trees of plans, which are made by hand: the planner's taste may change


def matrix_plan(scop: Scop, statement: str, **chosen: Any) -> MatrixPlan:
    """Return a plan that computes a product in place, with what is given changed."""
    product = match(scop, scop.statement(statement))
    assert isinstance(product, Contraction)
    plan = MatrixPlan(
        contraction=product,
        initialize="S0",
        outer=product.batch,
        rows=product.rows,
        row_tile=6,
        columns=product.columns,
        column_tile=64,
        depth=product.depth,
        depth_block=512,
        taps=(),
        taps_block=1,
        a=Factor(product.a, None, None, "strided"),
        b=Factor(product.b, None, None, "strided"),
        parallel="panel",
        row_chunks=1,
    )
    return replace(plan, **chosen)


def copy_of(factor: Factor, name: str, *, local: int, prepared: bool) -> Factor:
    """Return a factor that is packed into a buffer of a made-up form."""
    value = Literal(0.0, F32, SPAN)
    tensor = factor.operand.tensor
    pack = Copy(name, tensor, F32, ("d",), (1,), value, local, prepared, True, 16)
    return replace(factor, pack=pack)


def assert_tree(scop: Scop, plans: tuple[Plan, ...], expected: str) -> None:
    tree = plan_tree(scop, plans, analyze(scop))
    assert render(tree) == expected.lstrip("\n")


def test_a_product_is_tiles_around_a_microkernel() -> None:
    scop = scop_of(MATMUL, a=(60, 700), b=(700, 1000))
    relu = VectorPlan("d", "S2", (), ("i",), "j", 16, 1, 0, "i")
    expected = """
sequence
├─ band panel = j/64 in 0..16 [parallel], depth_block = k/512 in 0..2, row_tile = i/6 in 0..10
│  └─ microkernel depth k, rows i, columns j: S0[i, j] -> c, S1[i, j, k] -> c
└─ band i in 0..60 [parallel], j_vector = j/16 in 0..63, j in 0..1000 [vector]
   └─ S2[i, j] -> d
"""  # noqa: E501
    assert_tree(scop, (matrix_plan(scop, "S1"), relu), expected)


def test_a_deep_product_runs_in_blocks() -> None:
    scop = scop_of(BATCHES, a=(2, 60, 700), b=(2, 700, 96))
    plan = matrix_plan(scop, "S1", depth_block=256, parallel="panel")
    expected = """
band p in 0..2, panel = j/64 in 0..2 [parallel], depth_block = k/256 in 0..3, row_tile = i/6 in 0..10
└─ microkernel depth k, rows i, columns j: S0[p, i, j] -> c, S1[p, i, j, k] -> c
"""  # noqa: E501
    assert_tree(scop, (plan,), expected)


def test_a_convolution_flattens_pixels_and_batches_taps() -> None:
    scop = scop_of(CONVOLUTION, x=(2, 7, 7, 32), w=(3, 3, 32, 80))
    plan = matrix_plan(
        scop,
        "S1",
        outer=("n",),
        rows=("p", "q"),
        depth=("c",),
        taps=("r", "s"),
        taps_block=3,
        parallel="n",
    )
    expected = """
band n in 0..2 [parallel], panel = k/64 in 0..2, tap_block = (r.s)/3 in 0..3, row_tile = (p.q)/6 in 0..9
└─ microkernel taps r.s, depth c, rows p.q, columns k: S0[n, p, q, k] -> y, S1[n, p, q, k, r, s, c] -> y
"""  # noqa: E501
    assert_tree(scop, (plan,), expected)


def test_the_depth_of_every_tap_is_cut_into_blocks() -> None:
    scop = scop_of(CONVOLUTION, x=(1, 7, 7, 32), w=(3, 3, 32, 80))
    plan = matrix_plan(
        scop, "S1", depth=("c",), depth_block=16, taps=("r", "s"), parallel=""
    )
    expected = """
band panel = k/64 in 0..2, tap = r.s in 0..9, depth_block = c/16 in 0..2, row_tile = (p.q)/6 in 0..9
└─ microkernel taps r.s, depth c, rows p.q, columns k: S0[n, p, q, k] -> y, S1[n, p, q, k, r, s, c] -> y
"""  # noqa: E501
    assert_tree(scop, (plan,), expected)


def test_copies_are_marks_where_they_are_made() -> None:
    scop = scop_of(BATCHES, a=(2, 60, 70), b=(2, 70, 96))
    plan = matrix_plan(scop, "S1", parallel="rows", row_chunks=4)
    a = copy_of(plan.a, "a_pack", local=0, prepared=True)
    b = copy_of(plan.b, "b_pack", local=2, prepared=False)
    expected = """
mark pack a into a_pack, once for all calls
└─ band p in 0..2, row_chunk = i/18 in 0..4 [parallel], panel = j/64 in 0..2
   └─ mark pack b into b_pack
      └─ band row_tile = i/6 in 0..10
         └─ microkernel depth k, rows i, columns j: S0[p, i, j] -> c, S1[p, i, j, k] -> c
"""  # noqa: E501
    assert_tree(scop, (replace(plan, a=a, b=b),), expected)


def test_a_copy_in_a_panel_that_is_alone_is_made_first() -> None:
    scop = scop_of(MATMUL, a=(60, 70), b=(70, 16))
    plan = matrix_plan(scop, "S1")
    plan = replace(plan, b=copy_of(plan.b, "b_pack", local=1, prepared=False))
    relu = VectorPlan("d", "S2", (), ("i",), "j", 16, 1, 0, None)
    expected = """
sequence
├─ mark pack b into b_pack
│  └─ band row_tile = i/6 in 0..10
│     └─ microkernel depth k, rows i, columns j: S0[i, j] -> c, S1[i, j, k] -> c
└─ band i in 0..60, j in 0..16 [vector]
   └─ S2[i, j] -> d
"""
    assert_tree(scop, (plan, relu), expected)


def test_groups_split_a_dimension() -> None:
    scop = scop_of(GROUPS, x=(40, 64), w=(32, 48))
    expected = """
band k_o = k/24 in 0..2 [parallel], row_tile = p/6 in 0..7
└─ microkernel depth d, rows p, columns k%24: S0[p, k] -> y, S1[p, k, d] -> y
"""
    assert_tree(scop, (matrix_plan(scop, "S1", parallel="k_o"),), expected)


def test_a_product_may_continue_a_sum() -> None:
    scop = scop_of(BIASED, b=(96,), a=(60, 70), w=(70, 96))
    plans = (
        VectorPlan("y", "S0", ("S1",), ("i",), "j", 16, 2, 0, None),
        matrix_plan(scop, "S2", initialize=None),
    )
    expected = """
sequence
├─ band i in 0..60, j_tile = j/32 in 0..3
│  └─ registers y
│     └─ sequence
│        ├─ band j_vector = j/16 in 0..6 [unrolled], j in 0..96 [vector]
│        │  └─ S0[i, j] -> y
│        └─ band j_vector = j/16 in 0..6 [unrolled], j in 0..96 [vector]
│           └─ S1[i, j] -> y
└─ band panel = j/64 in 0..2 [parallel], row_tile = i/6 in 0..10
   └─ microkernel depth k, rows i, columns j: S2[i, j, k] -> y
"""
    assert_tree(scop, plans, expected)


def test_loops_may_have_the_names_of_dimensions() -> None:
    scop = scop_of(NAMES, a=(60, 70), b=(70, 96), d=(96, 96))
    plans = (
        matrix_plan(scop, "S1"),
        VectorPlan("s", "S2", ("S3",), ("j_vector",), "j", 16, 1, 0, None),
    )
    expected = """
sequence
├─ band panel_ = j/64 in 0..2 [parallel], row_tile = panel/6 in 0..10
│  └─ microkernel depth k, rows panel, columns j: S0[panel, j] -> c, S1[panel, j, k] -> c
└─ band j_vector in 0..96
   └─ registers s
      └─ sequence
         ├─ S2[j_vector] -> s
         └─ band j_vector_ = j/16 in 0..6, j in 0..96 [vector]
            └─ S3[j_vector, j] -> s
"""  # noqa: E501
    assert_tree(scop, plans, expected)


def test_a_product_of_one_point_is_a_microkernel() -> None:
    scop = scop_of(BATCHES, a=(1, 1, 70), b=(1, 70, 1))
    expected = """
microkernel depth k: S0[p, i, j] -> c, S1[p, i, j, k] -> c
"""
    assert_tree(scop, (matrix_plan(scop, "S1"),), expected)


def test_a_reduction_stays_in_registers() -> None:
    scop = scop_of(DEPTHWISE, x=(50, 40, 37), w=(3, 3, 37))
    plan = VectorPlan("y", "S0", ("S1",), ("h", "v"), "c", 16, 2, 0, "h")
    expected = """
band h in 0..50 [parallel], v in 0..40, c_tile = c/32 in 0..2
└─ registers y
   └─ sequence
      ├─ band c_vector = c/16 in 0..3 [unrolled], c in 0..37 [vector]
      │  └─ S0[h, v, c] -> y
      └─ band r in 0..3, s in 0..3, c_vector = c/16 in 0..3 [unrolled], c in 0..37 [vector]
         └─ S1[h, v, c, r, s] -> y
"""  # noqa: E501
    assert_tree(scop, (plan,), expected)


def test_lanes_may_be_partial_results() -> None:
    scop = scop_of(SUM, x=(5, 190))
    plan = VectorPlan("y", "S0", ("S1",), ("i",), "j", 16, 1, 0, None)
    expected = """
band i in 0..5
└─ registers y
   └─ sequence
      ├─ S0[i] -> y
      └─ band j_vector = j/16 in 0..12, j in 0..190 [vector]
         └─ S1[i, j] -> y
"""
    assert_tree(scop, (plan,), expected)


def test_a_scalar_sum_has_no_outer_loops() -> None:
    scop = scop_of("kernel f(x: f32[N]) -> f32:\n    s += x[i]\n    return s\n", x=(9,))
    plan = VectorPlan("s", "S0", ("S1",), (), None, 1, 1, 0, None)
    expected = """
registers s
└─ sequence
   ├─ S0[] -> s
   └─ band i in 0..9
      └─ S1[i] -> s
"""
    assert_tree(scop, (plan,), expected)


def test_threads_take_chunks_of_one_long_dimension() -> None:
    text = "kernel f(x: f32[N]) -> f32[N]:\n    y[i] = x[i] * 2\n    return y\n"
    plan = VectorPlan("y", "S0", (), (), "i", 16, 1, 64, "i")
    expected = """
band i_chunk = i/64 in 0..15 [parallel], i_vector = i/16 in 0..57, i in 0..900 [vector]
└─ S0[i] -> y
"""
    assert_tree(scop_of(text, x=(900,)), (plan,), expected)


def test_a_plan_that_shares_a_sum_among_threads_is_refused() -> None:
    scop = scop_of(DEPTHWISE, x=(50, 40, 37), w=(3, 3, 37))
    plan = VectorPlan("y", None, ("S1",), ("r", "h", "v"), "c", 16, 2, 0, "r")
    zero = VectorPlan("y", "S0", (), ("h", "v"), "c", 16, 1, 0, None)
    with pytest.raises(IllegalSchedule, match="carried by the parallel loop r"):
        plan_tree(scop, (zero, plan), analyze(scop))


def test_plans_that_change_the_meaning_do_not_get_through() -> None:
    scop = scop_of(MATMUL, a=(6, 7), b=(7, 8))
    found = planned(scop)
    with pytest.raises(IllegalSchedule, match="through c runs backward"):
        plan_tree(scop, found.plans[::-1], analyze(scop))
    with pytest.raises(IllegalSchedule, match="is no order of the sequence's children"):
        plan_tree(scop, found.plans[:1], analyze(scop))


# Trees and what they compute

KERNELS = {
    BIASED: {"b": "C", "a": "MK", "w": "KC"},
    SUM: {"x": "MC"},
    MATMUL: {"a": "MK", "b": "KN"},
    CONVOLUTION: {"x": "NMMK", "w": "RSKC"},
    CHANNELS_FIRST: {"x": "NKMM", "w": "CKRS"},
    GROUPS: {"x": "ME", "w": "CE"},
    DEPTHWISE: {"x": "MMC", "w": "RSC"},
    SOFTMAX: {"x": "MK"},
    SUMS: {"x": "MM", "b": "M", "a": "MK", "w": "KM"},
    BATCHES: {"a": "NMK", "b": "NKC"},
}


@st.composite
def scops(draw: st.DrawFn) -> Scop:
    """Draw a kernel with small sizes, 1 and primes and 0 among them."""
    text = draw(st.sampled_from([*KERNELS]))
    sizes = {letter: draw(st.integers(1, 4)) for letter in "NMKCRS"}
    sizes["K"] = draw(st.sampled_from((0, 1, 2, 3, 5)))
    sizes["M"] = max(sizes["M"], sizes["R"], sizes["S"])
    sizes["C"] = draw(st.sampled_from((1, 2, 3, 17, 20)))
    if text == GROUPS:
        sizes["C"], sizes["E"] = 1, 2 * draw(st.integers(1, 9))
        shapes = {"x": (sizes["M"], 2 * sizes["N"]), "w": (sizes["N"], sizes["E"])}
        return scop_of(text, **shapes)
    shapes = {
        name: tuple(sizes[letter] for letter in letters)
        for name, letters in KERNELS[text].items()
    }
    return scop_of(text, **shapes)


@settings(deadline=None, max_examples=120)
@given(scops(), st.sampled_from((1, 2, 3, 8)), st.booleans())
def test_every_schedule_has_a_right_tree(scop: Scop, cores: int, bound: bool) -> None:
    found = planned(scop, cores=cores, bound=scop.parameters if bound else ())
    check(found.tree, analyze(scop))
    verify(found.tree, scop)
    assert results(scop, found.tree) == results(scop, initial_tree(scop))
    planned_statements = {s for plan in found.plans for s in statements_of(plan)}
    assert planned_statements == {s.name for s in scop.statements}


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from((1, 5, 16, 100, 700)),
    st.sampled_from((1, 13, 64, 1500)),
    st.sampled_from((1, 31, 96, 1000)),
    st.sampled_from((1, 4, 16)),
)
def test_products_of_every_size_have_a_tree(m: int, k: int, n: int, cores: int) -> None:
    scop = scop_of(MATMUL, a=(m, k), b=(k, n))
    found = planned(scop, cores=cores)
    names = [leaf.statement for leaf, _ in leaves(found.tree)]
    assert names == ["S0", "S1", "S2"]
