"""Trees of plans that are made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from machines import machine
from matrix_loops import with_loops
from tree_harness import scop_of
from tree_kernels import (
    BATCHES,
    BIASED,
    CONVOLUTION,
    DEPTHWISE,
    GROUPS,
    MATMUL,
    NAMES,
    SUM,
)

from polydsl.base.dtypes import F32, I64
from polydsl.base.source import Source, Span
from polydsl.loops.generate import default_layout
from polydsl.poly.dependences import analyze
from polydsl.poly.scop import Scop
from polydsl.schedule.contraction import Contraction, match
from polydsl.schedule.legality import IllegalSchedule, precedences
from polydsl.schedule.matrix_plan import Copy, Factor, MatrixPlan
from polydsl.schedule.matrix_point import TileLoop
from polydsl.schedule.plan_tree import Plan, plan_tree
from polydsl.schedule.tree import render
from polydsl.schedule.vector_builder import VectorSetting, build
from polydsl.schedule.vector_plan import Run, VectorPlan
from polydsl.schedule.vector_point import IndexLoop, Unrolled, VectorPoint
from polydsl.semantics.program import Access, Literal

SPAN = Span(Source("made.pdl", "made"), 0, 4)


# Trees of plans, which are made by hand: the planner's taste may change


def matrix_plan(
    scop: Scop, statement: str, loops: str = "", parallel: str = "", **chosen: Any
) -> MatrixPlan:
    """Return a plan that computes a product in place, with what is given changed; the
    loops are batch indices, panels, blocks and rows, unless others are named."""
    product = match(scop, scop.statement(statement))
    assert isinstance(product, Contraction)
    plan = MatrixPlan(
        contraction=product,
        initialize="S0",
        rows=product.rows,
        row_tile=6,
        columns=product.columns,
        column_tile=64,
        depth=product.depth,
        depth_block=512,
        taps=(),
        taps_block=1,
        loops=tuple(TileLoop(d) for d in product.batch),
        parallel=-1,
        a=Factor(product.a, None, None, "strided"),
        b=Factor(product.b, None, None, "strided"),
    )
    return with_loops(plan, loops, parallel, **chosen)


def vector_plan(scop: Scop, statements: str, *loops: str, **chosen: Any) -> VectorPlan:
    """Return the plan of a point; `loops` are outermost first, and `parallel` is one of
    them. Of several statements the first gives the initial value."""
    names = statements.split()
    first, *updates = (scop.statement(name) for name in names)
    initialize = None if first.combine else first
    setting = VectorSetting(
        scop,
        default_layout(scop),
        machine(),
        first.tensor,
        initialize,
        tuple(updates) if initialize else (first, *updates),
    )
    reduced = dict.fromkeys(d for s in setting.updates for d in s.reduced)
    vector = chosen.setdefault("vector", None)
    taps = chosen.setdefault("taps", ())
    chosen["reduction"] = tuple(d for d in reduced if d not in (vector, *taps))
    parallel = chosen.pop("parallel", None)
    chosen["parallel"] = -1 if parallel is None else loops.index(parallel)
    chosen.setdefault("loops", tuple(IndexLoop(d) for d in loops))
    plan = build(setting, VectorPoint(**chosen))
    assert isinstance(plan, VectorPlan), plan
    return plan


def copy_of(factor: Factor, name: str, *, loops: int, prepared: bool) -> Factor:
    """Return a factor that is packed into a buffer of a made-up form."""
    tensor = factor.operand.tensor
    value = Access(tensor, (Literal(0, I64, SPAN),), F32, SPAN)
    pack = Copy(
        name, tensor, F32, ("d",), (1,), value, (), prepared, True, 16, loops=loops
    )
    return replace(factor, pack=pack)


def assert_tree(scop: Scop, plans: tuple[Plan, ...], expected: str) -> None:
    tree = plan_tree(scop, plans, precedences(analyze(scop)))
    assert render(tree) == expected.lstrip("\n")


def test_a_product_is_tiles_around_a_microkernel() -> None:
    scop = scop_of(MATMUL, a=(60, 700), b=(700, 1000))
    relu = vector_plan(scop, "S2", "i", vector="j", parallel="i")
    expected = """
sequence
├─ band panel = j/64 in 0..16 [parallel], depth_block = k/512 in 0..2, row_tile = i/6 in 0..10
│  └─ microkernel depth k, rows i, columns j: S0[i, j] -> c, S1[i, j, k] -> c
└─ band i in 0..60 [parallel], j_vector' = j/16 in 0..63, j in 0..1000 [vector]
   └─ S2[i, j] -> d
"""  # noqa: E501
    assert_tree(scop, (matrix_plan(scop, "S1", parallel="columns"), relu), expected)


def test_a_deep_product_runs_in_blocks() -> None:
    scop = scop_of(BATCHES, a=(2, 60, 700), b=(2, 700, 96))
    plan = matrix_plan(scop, "S1", depth_block=256, parallel="columns")
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
        loops="n, columns, taps, rows",
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
    plan = matrix_plan(scop, "S1", depth=("c",), depth_block=16, taps=("r", "s"))
    expected = """
band panel = k/64 in 0..2, tap_block = r.s in 0..9, depth_block = c/16 in 0..2, row_tile = (p.q)/6 in 0..9
└─ microkernel taps r.s, depth c, rows p.q, columns k: S0[n, p, q, k] -> y, S1[n, p, q, k, r, s, c] -> y
"""  # noqa: E501
    assert_tree(scop, (plan,), expected)


def test_copies_are_marks_where_they_are_made() -> None:
    scop = scop_of(BATCHES, a=(2, 60, 70), b=(2, 70, 96))
    loops = "p, rows:3, columns, depth, rows"
    plan = matrix_plan(scop, "S1", loops=loops, parallel="rows:3")
    a = copy_of(plan.a, "a_pack", loops=0, prepared=True)
    b = copy_of(plan.b, "b_pack", loops=3, prepared=False)
    expected = """
mark pack a into a_pack, once for all calls
└─ band p in 0..2, row_tile_2 = i/18 in 0..4 [parallel], panel = j/64 in 0..2
   └─ mark pack b into b_pack
      └─ band row_tile = i/6 in 0..10
         └─ microkernel depth k, rows i, columns j: S0[p, i, j] -> c, S1[p, i, j, k] -> c
"""  # noqa: E501
    assert_tree(scop, (replace(plan, a=a, b=b),), expected)


def test_a_copy_outside_of_all_loops_is_made_first() -> None:
    scop = scop_of(MATMUL, a=(60, 70), b=(70, 16))
    plan = matrix_plan(scop, "S1")
    plan = replace(plan, b=copy_of(plan.b, "b_pack", loops=0, prepared=False))
    relu = vector_plan(scop, "S2", "i", vector="j")
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
        vector_plan(scop, "S0 S1", "i", "j", vector="j", vectors=2),
        matrix_plan(scop, "S2", initialize=None, parallel="columns"),
    )
    expected = """
sequence
├─ band i in 0..60, j_tile' = j/32 in 0..3
│  └─ registers y
│     └─ sequence
│        ├─ band j_vector' = j/16 in 0..6 [unrolled], j in 0..96 [vector]
│        │  └─ S0[i, j] -> y
│        └─ band j_vector' = j/16 in 0..6 [unrolled], j in 0..96 [vector]
│           └─ S1[i, j] -> y
└─ band panel = j/64 in 0..2 [parallel], row_tile = i/6 in 0..10
   └─ microkernel depth k, rows i, columns j: S2[i, j, k] -> y
"""
    assert_tree(scop, plans, expected)


def test_loops_may_have_the_names_of_dimensions() -> None:
    scop = scop_of(NAMES, a=(60, 70), b=(70, 96), d=(96, 96))
    plans = (
        matrix_plan(scop, "S1", parallel="columns"),
        vector_plan(scop, "S2 S3", "j_vector", vector="j"),
    )
    expected = """
sequence
├─ band panel_ = j/64 in 0..2 [parallel], row_tile = panel/6 in 0..10
│  └─ microkernel depth k, rows panel, columns j: S0[panel, j] -> c, S1[panel, j, k] -> c
└─ band j_vector in 0..96
   └─ registers s
      └─ sequence
         ├─ S2[j_vector] -> s
         └─ band j_vector' = j/16 in 0..6, j in 0..96 [vector]
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
    plan = vector_plan(
        scop, "S0 S1", "h", "v", "c", vector="c", vectors=2, parallel="h"
    )
    expected = """
band h in 0..50 [parallel], v in 0..40, c_tile' = c/32 in 0..2
└─ registers y
   └─ sequence
      ├─ band c_vector' = c/16 in 0..3 [unrolled], c in 0..37 [vector]
      │  └─ S0[h, v, c] -> y
      └─ band r in 0..3, s in 0..3, c_vector' = c/16 in 0..3 [unrolled], c in 0..37 [vector]
         └─ S1[h, v, c, r, s] -> y
"""  # noqa: E501
    assert_tree(scop, (plan,), expected)


def test_lanes_may_be_partial_results() -> None:
    scop = scop_of(SUM, x=(5, 190))
    plan = vector_plan(scop, "S0 S1", "i", vector="j")
    expected = """
band i in 0..5
└─ registers y
   └─ sequence
      ├─ S0[i] -> y
      └─ band j_vector' = j/16 in 0..12, j in 0..190 [vector]
         └─ S1[i, j] -> y
"""
    assert_tree(scop, (plan,), expected)


def test_a_scalar_sum_has_no_outer_loops() -> None:
    scop = scop_of("kernel f(x: f32[N]) -> f32:\n    s += x[i]\n    return s\n", x=(9,))
    plan = vector_plan(scop, "S0 S1")
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
    scop = scop_of(text, x=(900,))
    chunks = (IndexLoop("i", 4),)
    plan = vector_plan(scop, "S0", "i", loops=chunks, vector="i", parallel="i")
    expected = """
band i_block' = i/64 in 0..15 [parallel], i_vector' = i/16 in 0..57, i in 0..900 [vector]
└─ S0[i] -> y
"""  # noqa: E501
    assert_tree(scop, (plan,), expected)


def test_a_register_tile_is_written_out() -> None:
    scop = scop_of(DEPTHWISE, x=(50, 40, 37), w=(3, 3, 37))
    tile = (Unrolled("h", 5), Unrolled("v", 2))
    plan = vector_plan(
        scop, "S0 S1", "h", "v", "c", vector="c", unrolled=tile, taps=("r",)
    )
    expected = """
band h_tile' = h/5 in 0..10, v_tile' = v/2 in 0..20, c_vector' = c/16 in 0..3
└─ registers y
   └─ sequence
      ├─ band h in 0..50 [unrolled], v in 0..40 [unrolled], c in 0..37 [vector]
      │  └─ S0[h, v, c] -> y
      └─ band s in 0..3, r in 0..3 [unrolled], h in 0..50 [unrolled], v in 0..40 [unrolled], c in 0..37 [vector]
         └─ S1[h, v, c, r, s] -> y
"""  # noqa: E501
    assert_tree(scop, (plan,), expected)


def test_an_index_may_be_looped_at_two_levels() -> None:
    scop = scop_of(DEPTHWISE, x=(50, 40, 37), w=(3, 3, 37))
    loops = (IndexLoop("h", 4), IndexLoop("c"), IndexLoop("v"), IndexLoop("h"))
    tile = (Unrolled("h", 2),)
    plan = vector_plan(scop, "S0 S1", loops=loops, vector="c", vectors=3, unrolled=tile)
    expected = """
band h_block' = h/8 in 0..7, v in 0..40, h_tile' = h/2 in 0..25
└─ registers y
   └─ sequence
      ├─ band h in 0..50 [unrolled], c_vector' = c/16 in 0..3 [unrolled], c in 0..37 [vector]
      │  └─ S0[h, v, c] -> y
      └─ band r in 0..3, s in 0..3, h in 0..50 [unrolled], c_vector' = c/16 in 0..3 [unrolled], c in 0..37 [vector]
         └─ S1[h, v, c, r, s] -> y
"""  # noqa: E501
    assert_tree(scop, (plan,), expected)


def test_rows_may_be_reduced_together() -> None:
    scop = scop_of(SUM, x=(5, 190))
    tile = (Unrolled("i", 3),)
    plan = vector_plan(scop, "S0 S1", "i", vector="j", vectors=4, unrolled=tile)
    expected = """
band i_tile' = i/3 in 0..2
└─ registers y
   └─ sequence
      ├─ band i in 0..5 [unrolled]
      │  └─ S0[i] -> y
      └─ band j_vector' = j/16 in 0..12, i in 0..5 [unrolled], j in 0..190 [vector]
         └─ S1[i, j] -> y
"""
    assert_tree(scop, (plan,), expected)


def test_a_plan_that_shares_a_sum_among_threads_is_refused() -> None:
    scop = scop_of(DEPTHWISE, x=(50, 40, 37), w=(3, 3, 37))
    whole = vector_plan(scop, "S0 S1", "h", "v", "c", vector="c")
    loops = (IndexLoop("r"), *whole.point.loops)
    point = replace(whole.point, loops=loops, reduction=("s",), parallel=0)
    runs = (("r", (Run(0, 3, 1, 3),)), *whole.runs)
    plan = replace(whole, initialize=None, updates=("S1",), point=point, runs=runs)
    zero = vector_plan(scop, "S0", "h", "v", vector="c")
    with pytest.raises(IllegalSchedule, match="carried by the parallel loop r"):
        plan_tree(scop, (zero, plan), precedences(analyze(scop)))
