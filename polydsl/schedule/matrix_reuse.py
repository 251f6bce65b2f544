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

from polydsl.schedule.matrix_batch import Batch, Numbers
from polydsl.schedule.matrix_plan import Copy
from polydsl.schedule.matrix_point import AXES, Axis
from polydsl.schedule.operand import Operand, row_major
from polydsl.schedule.reuse.footprint import (
    PAGE,
    Counts,
    Progression,
    Reference,
    lines,
    progressions,
    spread,
)
from polydsl.schedule.reuse.footprint import Axis as ArrayAxis
from polydsl.schedule.reuse.traffic import Flags, Nest, Table
from polydsl.schedule.setting import Setting

INNER: tuple[Axis, ...] = ("taps", "depth")
"""The loops inside the microkernel."""


@dataclass(frozen=True, slots=True)
class Array:
    """An array that a candidate uses: elements of a tensor, or a packed copy.

    `reference` says where the elements are; a packed copy has none, for it is dense.
    `indices` move it: names of axes of the product, and outer dimensions. `place` is
    the number of loops around its accesses, `anew` that of the loops outside of which
    it is the same memory (a copy that is filled anew): 0 for what is not. `is_filled`
    says that every call fills it.
    """

    name: str
    reference: Reference | None
    axes: tuple[str, ...]
    place: Numbers
    anew: Numbers
    is_written: bool = False
    is_filled: bool = False


@dataclass(frozen=True)
class Reuse:
    """The loops of a batch and what they touch; D loops, n candidates."""

    batch: Batch
    setting: Setting

    @property
    def sizes(self) -> dict[str, int]:
        """The extent of each dimension."""
        return self.batch.family.plan.contraction.sizes

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
        plan = self.batch.family.plan
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

    # Arrays

    @cached_property
    def arrays(self) -> tuple[Array, ...]:
        """Everything that the loops read or write, the result last."""
        plan, running = self.batch.family.plan, self.batch.running
        whole = np.full(len(self.batch), self.depth + len(INNER))
        zero = np.zeros(len(self.batch), dtype=np.int64)
        found: list[Array] = []
        for axis, factor, loops in (
            ("rows", plan.a, running.a_loops),
            ("columns", plan.b, running.b_loops),
        ):
            dims = factor.operand.dims
            axes = (axis, *INNER, *(d for d in plan.outer if d in dims))
            if factor.pack is None:
                reference = self._reference(factor.operand, factor.padded)
                found.append(Array("operand", reference, axes, whole, zero))
            else:
                is_filled = not factor.pack.prepared
                found.append(
                    Array("packed", None, axes, whole, loops, is_filled=is_filled)
                )
                if is_filled:
                    reference = self._reference(factor.operand, None)
                    found.append(Array("source", reference, axes, loops, zero))
        result = self._reference(plan.contraction.c, None)
        dims = plan.contraction.c.dims
        axes = ("rows", "columns", *(d for d in plan.outer if d in dims))
        place = np.full(len(self.batch), self.depth)
        return (*found, Array("result", result, axes, place, zero, is_written=True))

    def _reference(self, operand: Operand, padded: Copy | None) -> Reference:
        """Return an operand in its tensor, or in a padded copy."""
        if padded is not None:
            shape, strides = padded.shape, row_major(padded.shape)
        else:
            strides = self.setting.layout[operand.tensor]
            shape = self.setting.scop.tensor(operand.tensor).shape
        element = self.batch.family.plan.contraction.dtype.bytes
        axes = tuple(
            ArrayAxis(stride * element, extent, subscript.coefficients)
            for subscript, extent, stride in zip(operand.subscripts, shape, strides)
        )
        return Reference(operand.tensor, element, axes)

    # Footprints

    @cached_property
    def _extents(self) -> dict[str, Table]:
        """Return how many values of each dimension one iteration of 0 to D + 2 loops
        touches, (D + 3, n): positions of an axis are its dimensions, flattened."""
        plan, spans = self.batch.family.plan, self.spans
        extents = {name: np.ones((1, 1)) for name in self.sizes}
        extents.update({d: spans[d] for d in plan.outer})
        for axis in AXES:
            left = spans[axis]
            for d in reversed(plan.side(axis).dims):
                extents[d] = np.minimum(left, self.sizes[d])
                left = np.maximum(left / self.sizes[d], 1.0)
        return extents

    @cached_property
    def _along(self) -> tuple[tuple[Progression, ...], ...]:
        """Return what each array touches along its axes; nothing for packed copies."""
        return tuple(
            progressions(array.reference, self._extents) if array.reference else ()
            for array in self.arrays
        )

    def nest(self, line: int, *, conflicts: bool = True) -> Nest:
        """Return the loops with footprints in lines of so many bytes; with or without
        the conflicts of lines that may only lie in some sets of a cache."""
        element = self.batch.family.plan.contraction.dtype.bytes
        levels = np.arange(len(self.trips) + 1)[:, None]
        footprint = np.empty((len(levels), len(self.arrays), len(self.batch)))
        room = np.ones_like(footprint)
        for number, array in enumerate(self.arrays):
            if array.reference is not None:
                along = self._along[number]
                touched = lines(along, element, line)
                if conflicts and line < PAGE:
                    room[:, number] = spread(along, element, line)
            else:
                points = prod(self.spans[axis] for axis in array.axes)
                touched = np.ceil(points * element / line)
                # Outside of the loops that fill it anew it is the same memory.
                inside = np.maximum(levels, array.anew)
                touched = np.take_along_axis(touched, inside, axis=0)
            footprint[:, number] = np.where(levels <= array.place, touched, 0.0)
        return Nest(
            self._trips_of_arrays(line),
            footprint,
            room,
            self._moves,
            np.array([array.place for array in self.arrays]),
        )

    def _trips_of_arrays(self, line: int) -> Table:
        """Return how often each loop moves what it moves of each array, (D + 2, A, n).

        The last tile of an axis is shorter: it moves less of what lies along the axis,
        unless that is packed in tiles of less than a line, and all of what does not.
        """
        lanes = line // self.batch.family.plan.contraction.dtype.bytes
        found = np.ones((len(self.trips), len(self.arrays), len(self.batch)))
        for name, spans in self.spans.items():
            trips = self._trips[name]
            part = spans[:-1] / spans[1:]
            short = np.where(self.tiles[name] >= lanes, part, trips)
            for number, array in enumerate(self.arrays):
                if name not in array.axes:
                    found[:, number] *= trips
                elif array.reference is None and name in ("rows", "columns"):
                    found[:, number] *= short
                else:
                    found[:, number] *= part
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
