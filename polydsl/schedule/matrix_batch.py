"""Many candidates of one family as arrays: tiles, loops and places of packing.

A candidate is a column: its register tile, its blocks of the reduction, and D loops,
outermost first. A loop that spans the whole of what the loops outside of it left runs
once, which is how a candidate has fewer loops.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from polydsl.schedule.matrix_family import Family
from polydsl.schedule.matrix_point import (
    AXES,
    How,
    MatrixPoint,
    Reading,
    TileLoop,
    point_axis,
)

Numbers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """Candidates of one family; n of them, with D loops each.

    `axis` holds for each loop the number of its axis in `axis_names`, `tiles` how many
    innermost tiles one iteration spans; both have shape (D, n). Loops over one axis
    span less from outside to inside, the last one a single tile. `a_loops` and
    `b_loops` are the loops around the packing of a factor. The other fields have
    shape (n,).
    """

    family: Family
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

    def point(self, number: int, parallel: int = -1) -> MatrixPoint:
        """Return one candidate, without the loops that run once; `parallel` is the slot
        that threads share."""
        plan = self.family.plan
        names = axis_names(self.family)
        runs = self.runs[:, number]
        loops = zip(self.axis[runs, number].tolist(), self.tiles[runs, number].tolist())

        def reading(how: How, place: int) -> Reading:
            return Reading(how, int(runs[:place].sum()))

        return MatrixPoint(
            self.family.is_swapped,
            plan.rows,
            plan.columns,
            plan.depth,
            int(self.row_tile[number]),
            int(self.column_tile[number]),
            int(self.depth_block[number]),
            int(self.taps_block[number]),
            tuple(TileLoop(names[axis], tiles) for axis, tiles in loops),
            reading(self.family.how_a, int(self.a_loops[number])),
            reading(self.family.how_b, int(self.b_loops[number])),
            int(runs[:parallel].sum()) if parallel >= 0 and runs[parallel] else -1,
            plan.microkernel,
        )

    @cached_property
    def runs(self) -> Flags:
        """Return which loops run more than once, shape (D, n)."""
        plan = self.family.plan
        chosen = (self.row_tile, self.column_tile, self.taps_block, self.depth_block)
        spans = [
            -(-plan.side(axis).extent // np.minimum(tile, plan.side(axis).extent))
            for axis, tile in zip(AXES, chosen)
        ]
        sizes = plan.contraction.sizes
        spans += [np.full(len(self), sizes[d]) for d in plan.outer]
        runs = np.zeros(self.axis.shape, dtype=bool)
        for slot, (axis, tiles) in enumerate(zip(self.axis, self.tiles)):
            for number, span in enumerate(spans):
                here = axis == number
                shorter = np.where(here, np.minimum(tiles, span), span)
                runs[slot] |= here & (shorter < span)
                spans[number] = shorter
        return runs


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
        [point.row_tile],
        [point.column_tile],
        [point.depth_block],
        [point.taps_block],
        [[names.index(loop.axis)] for loop in loops],
        [[loop.tiles] for loop in loops],
        [sum(is_kept[: point.a.loops])],
        [sum(is_kept[: point.b.loops])],
    )
    arrays = (np.array(n, dtype=np.int64) for n in numbers)
    return Batch(family, *arrays)
