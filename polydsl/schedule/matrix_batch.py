"""Many candidates as arrays: tiles, loops and places of packing.

A candidate is a column: its register tile, its blocks of the reduction, and D loops,
outermost first. A loop that spans the whole of what the loops outside of it left runs
once, which is how a candidate has fewer loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from polydsl.schedule.matrix_family import Family
from polydsl.schedule.matrix_plan import Factor, MatrixPlan
from polydsl.schedule.matrix_point import (
    AXES,
    Axis,
    MatrixPoint,
    Reading,
    TileLoop,
    point_axis,
)

Numbers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

WHOLE = 1 << 40
"""More tiles than any axis has."""


@dataclass(frozen=True, slots=True)
class Running:
    """The loops of n candidates, those that run more than once first, in their order.

    `count` loops run, at most D; what follows has no effect. `axis` and `tiles` have
    shape (D, n), as in a `Batch`. `a_loops` and `b_loops` are the running loops around
    the packing of a factor, of which the innermost one moves the factor.
    """

    axis: Numbers
    tiles: Numbers
    a_loops: Numbers
    b_loops: Numbers
    count: Numbers


@dataclass(frozen=True)
class Batch:
    """Candidates of families that flatten the same dimensions; n, with D loops each.

    `member` is the place of a candidate's family in `families`. `axis` holds for each
    loop the number of its axis in `axis_names`, `tiles` how many innermost tiles one
    iteration spans; both have shape (D, n). Loops over one axis span less from outside
    to inside, the last one a single tile. `a_loops` and `b_loops` are the loops around
    the packing of a factor. The other fields have shape (n,).
    """

    families: tuple[Family, ...]
    member: Numbers
    row_tile: Numbers
    column_tile: Numbers
    depth_block: Numbers
    taps_block: Numbers
    axis: Numbers
    tiles: Numbers
    a_loops: Numbers
    b_loops: Numbers

    def __len__(self) -> int:
        return len(self.row_tile)

    @property
    def plan(self) -> MatrixPlan:
        """The plan of one family: all have the same axes."""
        return self.families[0].plan

    def take(self, numbers: Sequence[int] | slice) -> Batch:
        """Return some of the candidates."""
        return Batch(self.families, *(part[..., numbers] for part in self.numbers))

    @property
    def numbers(self) -> tuple[Numbers, ...]:
        """All arrays, in the order of the fields."""
        return (
            self.member,
            self.row_tile,
            self.column_tile,
            self.depth_block,
            self.taps_block,
            self.axis,
            self.tiles,
            self.a_loops,
            self.b_loops,
        )

    def point(self, number: int, parallel: int = -1) -> MatrixPoint:
        """Return one candidate, without the loops that run once; `parallel` is the
        running loop that threads share."""
        family, running = self.families[self.member[number]], self.running
        plan, names = family.plan, axis_names(family)
        count = int(running.count[number])
        axes = running.axis[:count, number].tolist()
        tiles = running.tiles[:count, number].tolist()
        return MatrixPoint(
            family.is_swapped,
            plan.rows,
            plan.columns,
            plan.depth,
            int(self.row_tile[number]),
            int(self.column_tile[number]),
            int(self.depth_block[number]),
            int(self.taps_block[number]),
            tuple(TileLoop(names[axis], n) for axis, n in zip(axes, tiles)),
            Reading(family.how_a, int(running.a_loops[number])),
            Reading(family.how_b, int(running.b_loops[number])),
            parallel,
            plan.microkernel,
        )

    def keys(self) -> list[bytes]:
        """Return bytes for each candidate, equal for those of one point."""
        running = self.running
        chosen = (self.member, self.row_tile, self.column_tile)
        blocks = (self.depth_block, self.taps_block)
        places = (running.a_loops, running.b_loops)
        numbers = np.vstack([*chosen, *blocks, *places, running.axis, running.tiles])
        text, width = numbers.T.tobytes(), len(numbers) * numbers.itemsize
        return [text[n : n + width] for n in range(0, len(text), width)]

    @cached_property
    def running(self) -> Running:
        """The loops, those that run more than once first."""
        runs = self._runs
        count = runs.sum(axis=0)
        order = np.argsort(~runs, axis=0, kind="stable")
        own = _places(order)[:-1] < count
        axis = np.where(own, np.take_along_axis(self.axis, order, axis=0), 0)
        tiles = np.where(own, np.take_along_axis(self.tiles, order, axis=0), WHOLE)
        outside = np.vstack([np.zeros_like(count), np.cumsum(runs, axis=0)])
        factors = (self.plan.a, self.plan.b)
        a, b = (
            _where_moved(
                np.take_along_axis(outside, place[None], axis=0)[0],
                own & self._moving(side, factor)[axis],
            )
            for side, factor, place in zip(
                AXES, factors, (self.a_loops, self.b_loops), strict=False
            )
        )
        return Running(axis, tiles, a, b, count)

    def _moving(self, side: Axis, factor: Factor) -> Flags:
        """Return which axes move a factor, by their numbers."""
        inner = [axis in (side, "taps", "depth") for axis in AXES]
        outer = [d in factor.operand.dims for d in self.plan.outer]
        return np.array([*inner, *outer])

    @property
    def _runs(self) -> Flags:
        """Return which loops run more than once, shape (D, n)."""
        plan = self.plan
        tiles = (self.row_tile, self.column_tile, self.taps_block, self.depth_block)
        sizes = plan.contraction.sizes
        runs = np.zeros(self.axis.shape, dtype=bool)
        for number, name in enumerate((*AXES, *plan.outer)):
            span = np.full(len(self), sizes.get(name, 0))
            if number < len(AXES):
                extent = plan.side(AXES[number]).extent
                span = -(-extent // np.minimum(tiles[number], extent))
            here = self.axis == number
            inside = np.minimum.accumulate(np.where(here, self.tiles, WHOLE), axis=0)
            outside = np.minimum(np.vstack([span, inside[:-1]]), span)
            runs |= here & (inside < outside)
        return runs


def _places(loops: Numbers | Flags) -> Numbers:
    """Return the places before, between and behind loops, for all candidates."""
    return np.arange(len(loops) + 1)[:, None]


def _where_moved(place: Numbers, moves: Flags) -> Numbers:
    """Move packing outwards over the loops that do not move the factor."""
    places = _places(moves)
    behind = np.vstack([np.zeros_like(place), places[1:] * moves])
    return np.asarray(np.where(places <= place, behind, 0).max(axis=0))


def axis_names(family: Family) -> tuple[str, ...]:
    """Return the axes of a family's loops: the four of a product, then outer points."""
    return (*AXES, *(point_axis(d) for d in family.outer))


def single(family: Family, point: MatrixPoint) -> Batch:
    """Return a point of a family as a batch of one, without loops over an outer
    dimension that has one point."""
    names = axis_names(family)
    is_kept = [loop.axis in names for loop in point.loops]
    loops = [loop for loop, kept in zip(point.loops, is_kept) if kept]
    numbers = (
        point.row_tile,
        point.column_tile,
        point.depth_block,
        point.taps_block,
        [names.index(loop.axis) for loop in loops],
        [loop.tiles for loop in loops],
        sum(is_kept[: point.a.loops]),
        sum(is_kept[: point.b.loops]),
    )
    arrays = (np.array(n, dtype=np.int64)[..., None] for n in numbers)
    return Batch((family,), np.zeros(1, dtype=np.int64), *arrays)


def joined(batches: Sequence[Batch]) -> Batch:
    """Return the candidates of several batches, each with one family of its own."""
    families = tuple(family for batch in batches for family in batch.families)
    parts = [
        replace(batch, member=batch.member + number)
        for number, batch in enumerate(batches)
    ]
    columns = zip(*(part.numbers for part in parts), strict=True)
    return Batch(families, *(np.concatenate(c, axis=-1) for c in columns))
