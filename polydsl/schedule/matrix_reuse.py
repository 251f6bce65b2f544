"""The loops of product schedules as the reuse analysis sees them.

For every candidate of a batch: how often each loop runs, how many values of each index
the loops inside touch, and which arrays they reach: the factors or their copies, the
sources of copies, the result. Two loops more than the schedule has stand for the inside
of the microkernel: over taps and over the depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from polydsl.schedule.matrix_array import INNER, Array, Footprint, arrays_of
from polydsl.schedule.matrix_batch import Batch, Numbers
from polydsl.schedule.matrix_point import AXES
from polydsl.schedule.reuse.footprint import (
    PAGE,
    Counts,
    Reference,
    progressions,
)
from polydsl.schedule.reuse.traffic import Flags, Nest, Table
from polydsl.schedule.setting import Setting


@dataclass(frozen=True)
class Reuse:
    """The loops of a batch and what they touch; D loops, n candidates."""

    batch: Batch
    setting: Setting

    @property
    def sizes(self) -> dict[str, int]:
        """The extent of each dimension."""
        return self.batch.plan.contraction.sizes

    @cached_property
    def depth(self) -> int:
        """The most loops that run outside the microkernel."""
        return int(self.batch.running.count.max(initial=0))

    @cached_property
    def axis(self) -> Numbers:
        """The number of each loop's axis, (D, n)."""
        return self.batch.running.axis[: self.depth]

    @cached_property
    def totals(self) -> dict[str, int]:
        """The number of positions of each axis, and of points of outer dimensions."""
        plan = self.batch.plan
        sides: dict[str, int] = {axis: plan.side(axis).extent for axis in AXES}
        return {**sides, **{d: self.sizes[d] for d in plan.outer}}

    @cached_property
    def tiles(self) -> dict[str, Counts]:
        """The positions of an innermost tile."""
        batch = self.batch
        chosen = {
            "rows": batch.row_tile,
            "columns": batch.column_tile,
            "depth": batch.depth_block,
            "taps": batch.taps_block,
        }
        one = np.ones(len(batch))
        return {
            name: np.minimum(chosen[name], total).astype(float)
            if name in chosen
            else one
            for name, total in self.totals.items()
        }

    @cached_property
    def spans(self) -> dict[str, Table]:
        """The positions of each axis that one iteration of 0 to D + 2 loops visits,
        shape (D + 3, n)."""
        tiles = self.batch.running.tiles[: self.depth]
        found = {}
        for number, (name, total) in enumerate(self.totals.items()):
            spans = np.full((self.depth + 3, len(self.batch)), float(total))
            reach = np.where(self.axis == number, tiles * self.tiles[name], total)
            spans[1 : self.depth + 1] = reach
            if name in INNER:
                spans[self.depth + 1 + INNER.index(name)] = 1.0
            found[name] = np.minimum.accumulate(spans, axis=0)
        return found

    @cached_property
    def _trips(self) -> dict[str, Table]:
        """How many iterations each loop has because of one axis: those of a loop over
        part of an axis, on average, for it has fewer where the axis ends."""
        found = {}
        for name, spans in self.spans.items():
            trips = spans[:-1] / spans[1:]
            tiles = np.ceil(spans[: self.depth + 1] / self.tiles[name])
            trips[: self.depth] = tiles[:-1] / tiles[1:]
            found[name] = trips
        return found

    @cached_property
    def trips(self) -> Table:
        """The mean iterations of each loop, the microkernel's last, (D + 2, n)."""
        return np.asarray(prod(self._trips.values()))

    @cached_property
    def calls(self) -> Counts:
        """The number of microkernel calls."""
        return np.asarray(self.trips[: self.depth].prod(axis=0))

    def executions(self, place: Numbers) -> Counts:
        """Return how often something runs that is inside so many loops."""
        outside = np.arange(self.depth)[:, None] < place
        return np.asarray(np.where(outside, self.trips[: self.depth], 1.0).prod(axis=0))

    def held(self, axis: str, place: Numbers) -> Counts:
        """Return the positions of an axis that are visited inside so many loops."""
        return np.asarray(np.take_along_axis(self.spans[axis], place[None], axis=0)[0])

    @cached_property
    def arrays(self) -> tuple[Array, ...]:
        """Everything that the loops read or write."""
        return arrays_of(self.batch, self.setting, self.depth)

    # Footprints

    def _footprint(self, reference: Reference) -> Footprint:
        """Return what a reference touches within the loops: much the same for many
        candidates, so that it is worked out for different spans only."""
        plan, extents = self.batch.plan, {name: np.ones(1) for name in self.sizes}
        axes: dict[str, tuple[str, ...]] = {a: plan.side(a).dims for a in AXES}
        axes.update({d: (d,) for d in plan.outer})
        moving = [
            a for a, dims in axes.items() if not reference.indices.isdisjoint(dims)
        ]
        # Below the number of multiply-adds, so far below 2 to the power of 63.
        codes = np.zeros((self.depth + 3, len(self.batch)), dtype=np.int64)
        for axis in moving:
            codes = codes * self.totals[axis] + (self.spans[axis].astype(np.int64) - 1)
        codes, inverse = np.unique(codes, return_inverse=True)
        for axis in reversed(moving):
            codes, left = np.divmod(codes, self.totals[axis])
            left = left + 1.0
            for d in reversed(axes[axis]):
                extents[d] = np.minimum(left, self.sizes[d])
                left = np.maximum(left / self.sizes[d], 1.0)
        return Footprint(reference, progressions(reference, extents), inverse)

    @cached_property
    def _footprints(self) -> dict[Reference, Footprint]:
        every = {r for array in self.arrays for r, _ in array.references}
        return {r: self._footprint(r) for r in every}

    def nest(self, line: int, *, conflicts: bool = True) -> Nest:
        """Return the loops with footprints in lines of so many bytes; with or without
        the conflicts of lines that may only lie in some sets of a cache."""
        levels = np.arange(len(self.trips) + 1)[:, None]
        footprint = np.zeros((len(levels), len(self.arrays), len(self.batch)))
        room = np.ones_like(footprint)
        for number, array in enumerate(self.arrays):
            here = footprint[:, number]
            if array.is_packed.any():
                np.copyto(here, self._packed(array, line), where=array.is_packed)
            for reference, users in array.references:
                touched = self._footprints[reference]
                uses = users & (levels <= array.place)
                np.copyto(here, touched.lines(line), where=uses)
                if conflicts and line < PAGE:
                    np.copyto(room[:, number], touched.spread(line), where=uses)
        return Nest(
            self._trips_of_arrays(line),
            footprint,
            room,
            self._moves,
            np.array([array.place for array in self.arrays]),
        )

    def run_bytes(self, array: Array, line: int) -> Counts:
        """Return how many bytes of an array, where it is read in place, follow on one
        another before the loops lead elsewhere: what the innermost loop that moves it
        touches in one run; 0 for packed copies."""
        number = self.arrays.index(array)
        moves = self._moves[: self.depth, number] & (self.trips[: self.depth] > 1)
        loops = np.arange(self.depth)[:, None]
        place = np.where(moves, loops, -1).max(axis=0, initial=-1)
        place = np.where(place < 0, self.depth, place)
        found = np.zeros(len(self.batch))
        for reference, users in array.references:
            spans = self._footprints[reference].run_bytes(line)
            here = np.take_along_axis(spans, place[None], axis=0)[0]
            np.copyto(found, here, where=users)
        return found

    def _packed(self, array: Array, line: int) -> Table:
        """Return the lines of a packed copy, (D + 3, n)."""
        points = prod(self.spans[axis] for axis in array.axes)
        touched = np.ceil(points * self.batch.plan.contraction.dtype.bytes / line)
        # Outside of the loops that fill it anew it is the same memory.
        levels = np.arange(len(touched))[:, None]
        return np.take_along_axis(touched, np.maximum(levels, array.anew), axis=0)

    @cached_property
    def _shares(self) -> tuple[dict[str, Table], Table]:
        """How often each loop moves what it moves along each axis, and of each array,
        (D + 2, A, n): the last tile of an axis is shorter. It moves less of what lies
        along the axis, and all of what does not."""
        parts = {name: spans[:-1] / spans[1:] for name, spans in self.spans.items()}
        found = np.ones((len(self.trips), len(self.arrays), len(self.batch)))
        for number, array in enumerate(self.arrays):
            for name, part in parts.items():
                found[:, number] *= part if name in array.axes else self._trips[name]
        return parts, found

    def _trips_of_arrays(self, line: int) -> Table:
        """Return how often each loop moves what it moves of each array, (D + 2, A, n).
        Of copies packed in tiles of less than a line, the last tile is whole."""
        parts, shares = self._shares
        lanes = line // self.batch.plan.contraction.dtype.bytes
        found = shares.copy()
        for number, array in enumerate(self.arrays):
            side = array.axes[0]
            is_whole = array.is_packed & (self.tiles[side] < lanes)
            if is_whole.any():
                more = self._trips[side] / parts[side]
                np.multiply(
                    found[:, number], more, out=found[:, number], where=is_whole
                )
        return found

    @cached_property
    def _moves(self) -> Flags:
        """Which loops move which array, (D + 2, A, n)."""
        moves = np.zeros((len(self.trips), len(self.arrays), len(self.batch)), bool)
        loops = np.arange(self.depth)[:, None]
        for number, array in enumerate(self.arrays):
            moving = np.array([name in array.axes for name in self.totals])
            moves[: self.depth, number] = moving[self.axis] & (loops >= array.anew)
            for d, axis in enumerate(INNER, self.depth):
                moves[d, number] = axis in array.axes
        return moves
