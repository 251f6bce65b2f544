"""Where the loops of a `MatrixPlan` stand: their variables and bounds, the number of
the tile that they have reached, and its place in a copy made inside of some of them.

The variable of a loop over tiles counts what one of its iterations spans, from the
beginning of the axis; that of the last loop over an axis is the number of the tile.
"""

from __future__ import annotations

from collections.abc import Mapping

from polydsl.loops.nest import Expr, Var
from polydsl.loops.terms import (
    ZERO,
    minimum,
    minus,
    number,
    of_linear,
    plus,
    times,
    unflatten,
)
from polydsl.schedule.matrix_plan import Copy, MatrixPlan
from polydsl.schedule.matrix_point import AXES, Axis


def variable(plan: MatrixPlan, place: int) -> Var:
    """Return the variable of a loop; one over tiles is marked, since a dimension may
    have its name."""
    name = plan.loop_name(place)
    return Var(f"{name}'" if plan.loops[place].axis in AXES else name)


def bounds(plan: MatrixPlan, place: int) -> tuple[Expr, Expr]:
    """Return where a loop begins and ends; within another one over the same axis, its
    part of the axis, cut off at the end."""
    loop = plan.loops[place]
    axis = next((a for a in AXES if a == loop.axis), None)
    if axis is None:
        return ZERO, number(plan.contraction.sizes[loop.dimension])
    tiles = plan.side(axis).tiles
    end = number(-(-tiles // loop.tiles))
    outer = plan.around(axis, place)
    if outer is None:
        return ZERO, end
    span = plan.loops[outer].tiles
    lo = times(variable(plan, outer), span // loop.tiles)
    hi = plus(lo, number(span // loop.tiles))
    return lo, minimum(hi, end) if tiles % span else hi


def tile_number(plan: MatrixPlan, axis: Axis) -> Expr:
    """Return the number of the tile inside all loops."""
    return _variable_around(plan, axis, len(plan.loops))


def tile_start(plan: MatrixPlan, axis: Axis) -> Expr:
    """Return the first position of the tile inside all loops."""
    return times(tile_number(plan, axis), plan.side(axis).tile)


def coordinates(plan: MatrixPlan, places: Mapping[Axis, Expr]) -> dict[str, Expr]:
    """Return the indices of the statement at a place of the tile, given by its position
    on each axis; without those on an axis that is not given."""
    values: dict[str, Expr] = {d: Var(d) for d in plan.outer}
    for axis, position in places.items():
        flat = plus(tile_start(plan, axis), position)
        values |= unflatten(flat, plan.side(axis).dims, plan.contraction.sizes)
    away = {d for axis in AXES if axis not in places for d in plan.side(axis).dims}
    return {
        d: of_linear(form, values)
        for d, form in plan.contraction.coordinates
        if not away & {name for name, _ in form.coefficients}
    }


def copy_around(plan: MatrixPlan, copy: Copy) -> dict[str, Expr]:
    """Return the values of the dimensions around a copy."""
    return {
        d: _variable_around(plan, axis, copy.loops)
        for d, axis in zip(copy.dims, copy.around)
    }


def tile_in_copy(plan: MatrixPlan, axis: Axis, copy: Copy) -> Expr:
    """Return the number of the tile, from where a copy begins to hold its axis."""
    tile, outer = tile_number(plan, axis), plan.around(axis, copy.loops)
    if outer is None:
        return tile
    begin = times(variable(plan, outer), plan.loops[outer].tiles)
    return ZERO if begin == tile else minus(tile, begin)


def start_in_copy(plan: MatrixPlan, axis: Axis, copy: Copy) -> Expr:
    """Return the first position of the tile, counted like `tile_in_copy`."""
    return times(tile_in_copy(plan, axis, copy), plan.side(axis).tile)


def _variable_around(plan: MatrixPlan, axis: str, loops: int) -> Expr:
    place = plan.around(axis, loops)
    return ZERO if place is None else variable(plan, place)
