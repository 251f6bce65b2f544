"""Products run as any point of the space of schedules says, or are refused with words.

Random points, with loops in any order and at several levels, packing anywhere and any
loop shared by threads, are proved, run by the interpreter and as machine code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from typing import Literal as OneOf

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machines import machine
from matrix_points import random_plan
from program_examples import _channels_first, _conv, _dilated, _grouped, _matmul
from program_harness import ROWS, Case, run_case
from verify_harness import Case as Scheduled
from verify_harness import case, run
from verify_kernels import GROUPED, NCHW, NHWC, convolution, matmul

from polydsl.loops.generate import default_layout, generate
from polydsl.poly.dependences import analyze
from polydsl.schedule.contraction import Contraction, match
from polydsl.schedule.legality import precedences
from polydsl.schedule.matrix_builder import build
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import MatrixPoint, Reading, TileLoop
from polydsl.schedule.plan_tree import plan_tree
from polydsl.schedule.refused import Refused
from polydsl.schedule.schedule import Plan
from polydsl.schedule.setting import Setting
from polydsl.schedule.tree import render

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
Side = OneOf["rows", "columns"]
BOUND = frozenset({"w"})

KERNELS = (
    (*convolution(NHWC, 2, 3, 4, 5, 3, padding=1), ()),
    (*convolution(NCHW, 1, 3, 4, 6, 3, padding=1), ("w",)),
    (*convolution(NHWC, 1, 5, 7, 6, 3, padding=2, dilation=2, stride=2), ("w",)),
    (GROUPED, {"x": (2, 4, 4, 4), "w": (2, 2, 2, 12)}, {"groups": 2}, ()),
    (matmul(True, True), {"a": (9, 11), "b": (13, 9)}, {}, ()),
    (matmul(False, False), {"a": (11, 9), "b": (9, 13)}, {}, ("b",)),
)

PROGRAMS = (
    _conv(1, 5, 6, 4, 19, 2, 3),
    _conv(2, 5, 4, 3, 9, 3, 2, bound=BOUND),
    _channels_first(),
    _dilated(3, 17),
    _grouped(6),
    _matmul(13, 37, 25, bound=frozenset({"b"})),
    _matmul(9, 19, 31),
)

WANTED = frozenset(
    f"{name}{side}"
    for side in (" of rows", " of columns")
    for name in (
        "tiles", "last tile", "several levels", "part of a level", "packed whole",
        "packed in a loop", "packed tiles in a loop", "packed part of the depth",
        "a short last part", "padded", "in place",
    )
) | {
    "strided rows", "table rows", "guarded rows", "prepared", "swapped",
    "sets to zero", "summed outside", "taps and depth in blocks", "short block",
    "several levels of the depth", "several levels of taps", "flattened depth",
    "no shared loop", "shared rows", "shared columns", "shared outer",
    "shared inside another loop", "private copy", "copy shared by threads", "turned",
}  # fmt: skip


def kinds(point: MatrixPoint, plan: MatrixPlan) -> Iterator[str]:
    """Yield what a point has."""
    yield from _side_kinds(plan, "rows")
    yield from _side_kinds(plan, "columns")
    yield f"{plan.a.rows} rows"
    if any(c.prepared for c in (*plan.a.copies, *plan.b.copies)):
        yield "prepared"
    yield "swapped" if point.is_swapped else "as written"
    if plan.initialize is not None:
        yield "sets to zero"
    axes = [loop.axis for loop in plan.loops]
    summed = [n for n, axis in enumerate(axes) if axis in ("depth", "taps")]
    if summed and any(axis in ("rows", "columns") for axis in axes[summed[0] :]):
        yield "summed outside"
    if "depth" in axes and "taps" in axes:
        yield "taps and depth in blocks"
    if plan.side("taps").rest or plan.side("depth").rest:
        yield "short block"
    yield from (f"several levels of {a}" for a in ("taps",) if axes.count(a) > 1)
    if axes.count("depth") > 1:
        yield "several levels of the depth"
    if len(plan.depth) > 1:
        yield "flattened depth"
    yield from _thread_kinds(plan)


def _thread_kinds(plan: MatrixPlan) -> Iterator[str]:
    if plan.parallel < 0:
        yield "no shared loop"
        return
    axis = plan.loops[plan.parallel].axis
    yield f"shared {axis if axis in ('rows', 'columns') else 'outer'}"
    if plan.parallel > 0:
        yield "shared inside another loop"
    for pack in (plan.a.pack, plan.b.pack):
        if pack is not None and pack.loops:
            private = plan.parallel < pack.loops
            yield "private copy" if private else "copy shared by threads"


def _side_kinds(plan: MatrixPlan, axis: Side) -> Iterator[str]:
    """Yield what a point has on the side of A or B."""
    factor = plan.a if axis == "rows" else plan.b
    side = plan.side(axis)
    spans = [loop.tiles for loop in plan.loops if loop.axis == axis]
    pack = factor.pack
    found = {
        "tiles": side.tiles > 1,
        "last tile": side.rest > 0,
        "several levels": len(spans) > 1,
        "part of a level": any(side.tiles % span for span in spans),
        "padded": factor.padded is not None,
        "in place": pack is None and factor.padded is None,
    }
    if pack is not None:
        around = [loop.tiles for loop in plan.loops[: pack.loops] if loop.axis == axis]
        found |= {
            "packed whole": pack.loops == 0,
            "packed in a loop": pack.loops > 0,
            "packed tiles in a loop": bool(around) and around[-1] > 1,
            "packed part of the depth": "depth" in pack.around,
            "a short last part": bool(pack.limits),
        }
        if pack.turned:
            yield "turned"
    yield from (f"{name} of {axis}" for name, is_so in found.items() if is_so)


# Random points


def scheduled(first: Scheduled, bound: tuple[str, ...], seed: int) -> Scheduled | None:
    """Return a case with its product computed as a random point says, and note what
    the point has."""
    old = next(p for p in first.schedule.plans if isinstance(p, MatrixPlan))
    statement = first.scop.statement(old.contraction.statement)
    layout = default_layout(first.scop)
    target = replace(machine(cores=2), vector_bytes=16)
    setting = Setting(first.scop, statement, layout, target, frozenset(bound))
    found = match(first.scop, statement)
    assert isinstance(found, Contraction)
    made = random_plan(setting, found, old.initialize, seed)
    if made is None:
        return None
    point, plan = made
    SEEN.update(kinds(point, plan))
    plans: tuple[Plan, ...] = tuple(
        plan if isinstance(p, MatrixPlan) else p for p in first.schedule.plans
    )
    tree = plan_tree(first.scop, plans, precedences(analyze(first.scop)))
    chosen = replace(first.schedule, steps=plans, tree=tree)
    return Scheduled(first.scop, chosen, generate(first.scop, chosen, layout))


SEEN: Counter[str] = Counter()


def test_random_points_are_proved_and_interpreted() -> None:
    SEEN.clear()
    cases = [(case(*k[:3], bound=k[3], vector_bytes=16), k[3]) for k in KERNELS]
    wanted = [run(first, first.nest) for first, _ in cases]

    @settings(SETTINGS, max_examples=60)
    @given(st.integers(0, len(cases) - 1), st.integers(0, 1 << 20))
    def check(number: int, seed: int) -> None:
        other = scheduled(*cases[number], seed)
        assert other is not None, "no point of so many is possible"
        other.verify()
        if seed % 3:
            return
        for name, value in run(other, other.nest).items():
            expected = wanted[number][name]
            np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-4)

    check()
    missing = sorted(WANTED - SEEN.keys())
    assert not missing, f"no point has {', '.join(missing)}"


def test_random_points_run_as_machine_code() -> None:
    """The oracle says what comes out; one thread and two give the same bits."""
    found: list[str] = []

    @settings(SETTINGS, max_examples=16)
    @given(st.sampled_from(PROGRAMS), st.integers(0, 1 << 20))
    def check(program: Case, seed: int) -> None:
        done = run_case(replace(program, isa=ROWS[0], points=seed))
        assert done.state.schedule is not None
        plans = done.state.schedule.plans
        found.extend(p.describe() for p in plans if isinstance(p, MatrixPlan))

    check()
    assert len({*found}) > 10


# One point by hand

GOTO = MatrixPoint(
    is_swapped=False,
    rows=("i",),
    columns=("j",),
    depth=("k",),
    row_tile=6,
    column_tile=16,
    depth_block=64,
    taps_block=1,
    loops=(
        TileLoop("columns", 4),
        TileLoop("depth"),
        TileLoop("rows", 3),
        TileLoop("columns"),
        TileLoop("rows"),
    ),
    a=Reading("packed", 3),
    b=Reading("packed", 2),
    parallel=2,
)
"""Loops around the microkernel as GotoBLAS has them: B is packed for all threads, A by
each for itself."""

GOTO_TREE = """\
sequence
├─ band panel_2 = j/64 in 0..3, depth_block = k/64 in 0..3
│  └─ mark pack b into S1_b_columns_pack
│     └─ band row_tile_2 = i/18 in 0..3 [parallel]
│        └─ mark pack a into S1_a_rows_pack
│           └─ band panel = j/16 in 0..10, row_tile = i/6 in 0..9
│              └─ microkernel depth k, rows i, columns j: S0[i, j] -> c, S1[i, j, k] -> c
"""  # noqa: E501


def built(
    point: MatrixPoint, m: int = 50, n: int = 150, k: int = 130
) -> MatrixPlan | Refused:
    """Return the plan of a point for a matrix product."""
    made = case(matmul(False, False), {"a": (m, k), "b": (k, n)})
    old = next(p for p in made.schedule.plans if isinstance(p, MatrixPlan))
    return _rebuilt(made, old, point)


def _rebuilt(
    made: Scheduled, old: MatrixPlan, point: MatrixPoint
) -> MatrixPlan | Refused:
    statement = made.scop.statement(old.contraction.statement)
    layout = default_layout(made.scop)
    setting = Setting(made.scop, statement, layout, machine(cores=2), frozenset())
    found = match(made.scop, statement)
    assert isinstance(found, Contraction)
    return build(setting, found, point, old.initialize)


def test_loops_like_those_of_gotoblas() -> None:
    made = case(matmul(False, False), {"a": (50, 130), "b": (130, 150)})
    old = next(p for p in made.schedule.plans if isinstance(p, MatrixPlan))
    plan = _rebuilt(made, old, GOTO)
    assert isinstance(plan, MatrixPlan)
    assert plan.a.pack is not None and plan.a.pack.shape == (3, 64, 6)
    assert plan.b.pack is not None and plan.b.pack.shape == (4, 64, 16)
    other = made.planned(lambda _: plan)
    other.verify()
    private = {b.name: b.private for b in other.nest.buffers if "pack" in b.name}
    assert private == {"S1_a_rows_pack": True, "S1_b_columns_pack": False}
    tree = plan_tree(made.scop, other.schedule.plans, precedences(analyze(made.scop)))
    assert render(tree).startswith(GOTO_TREE)


def test_a_loop_of_one_iteration_is_left_out() -> None:
    plan = built(GOTO, m=18, n=16)
    assert isinstance(plan, MatrixPlan)
    assert [str(loop) for loop in plan.loops] == ["depth", "rows"]
    assert plan.parallel == -1
    assert plan.b.pack is not None and plan.b.pack.loops == 1


ONE = (TileLoop("columns"), TileLoop("depth"), TileLoop("rows"))
REFUSED = (
    ({"rows": ("j",)}, "j is no dimension of the rows"),
    ({"rows": ()}, "a tile has rows and columns"),
    ({"depth": ("k", "k")}, "a dimension is twice in the depth"),
    ({"is_swapped": True}, "i is no dimension of the rows"),
    (
        {"is_swapped": True, "rows": ("j",), "columns": ("i",)},
        "c is not contiguous along i",
    ),
    ({"row_tile": 0}, "a tile has 0 of the rows"),
    ({"loops": ONE[:2]}, "no loop runs over the tiles of rows"),
    ({"loops": (*ONE, TileLoop("rows", 2))}, "the last loop over rows spans 2 tiles"),
    (
        {"loops": (TileLoop("rows", 3), TileLoop("rows", 2), *ONE)},
        "a loop over rows spans 3 tiles, no multiple of the 2 of the one inside",
    ),
    ({"loops": (TileLoop("i"), *ONE)}, "i is no loop over points of an outer index"),
    ({"loops": ONE, "parallel": 1}, "the loop over depth sums up"),
    ({"loops": ONE, "parallel": 3}, "there is no loop 3 to share"),
    ({"a": Reading("packed", 9)}, "there is no place inside of 9 loops"),
    ({"a": Reading("padded", 1)}, "a padded copy is made before all loops"),
    (
        {"loops": ONE, "a": Reading("packed", 1), "b": Reading("packed")},
        "the loop over columns would only repeat the packing of a",
    ),
)


@pytest.mark.parametrize(("change", "reason"), REFUSED, ids=[r for _, r in REFUSED])
def test_what_is_not_possible_is_refused(change: dict[str, Any], reason: str) -> None:
    plain = replace(GOTO, parallel=-1, a=Reading("packed"), b=Reading("packed"))
    found = built(replace(plain, **change))
    assert isinstance(found, Refused)
    assert reason in found.reason
