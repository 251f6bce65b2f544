"""Plans of products with other loops, for the tests of trees and of proofs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from polydsl.schedule.matrix_plan import Factor, MatrixPlan
from polydsl.schedule.matrix_point import AXES, TileLoop, point_axis

INNER = ("columns", "taps", "depth", "rows")


def with_loops(
    plan: MatrixPlan, loops: str = "", parallel: str = "", **chosen: Any
) -> MatrixPlan:
    """Return a plan with something changed and other loops, those that run once left
    out: "rows:3, columns, rows" for example. Copies made for a part of an axis stay
    inside of the loop over it."""
    plan = replace(plan, **chosen)
    names = loops.split(", ") if loops else [*map(point_axis, plan.outer), *INNER]
    wanted = [name.partition(":") for name in names]
    given = (TileLoop(axis, int(tiles or 1)) for axis, _, tiles in wanted)
    running = tuple(loop for loop in given if _runs(plan, loop))
    axes = [str(loop) for loop in running]
    place = axes.index(parallel) if parallel else -1
    a, b = (_placed(factor, running) for factor in (plan.a, plan.b))
    return replace(plan, loops=running, parallel=place, a=a, b=b)


def _runs(plan: MatrixPlan, loop: TileLoop) -> bool:
    axis = next((a for a in AXES if a == loop.axis), None)
    if axis is None:
        return plan.contraction.sizes[loop.dimension] > 1
    return plan.side(axis).tiles > loop.tiles


def _placed(factor: Factor, loops: tuple[TileLoop, ...]) -> Factor:
    pack = factor.pack
    if pack is None or not pack.around:
        return factor
    inside = [n + 1 for n, loop in enumerate(loops) if loop.axis in pack.around]
    return replace(factor, pack=replace(pack, loops=max(inside, default=0)))
