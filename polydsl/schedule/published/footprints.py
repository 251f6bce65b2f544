"""How many elements loops touch, for many variants at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polydsl.base.diagnostics import bug
from polydsl.poly.working_sets import PerfectNest
from polydsl.schedule.published.placement import Integers

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Variants:
    """Variants of one statement: their loops, outermost first, and its accesses.

    `trips[variant, loop]` is 1 for loops that a variant does not have;
    `steps[variant, loop, axis]` is how far an iteration moves the subscript of an axis,
    0 if it does not. `arrays` are the axes of each array.
    """

    arrays: tuple[tuple[int, ...], ...]
    trips: Integers
    steps: Integers

    def moves(self, axes: tuple[int, ...]) -> Flags:
        """Return whether a loop moves one of the axes; shape (variants, loops)."""
        moved: Flags = np.any(self.steps[:, :, list(axes)] > 0, axis=2)
        return moved


def variants_of(nests: Sequence[PerfectNest]) -> Variants:
    """Return nests around one statement as arrays. A limit of a loop is not kept: a
    partial last tile counts as a whole one."""
    touches = tuple(dict.fromkeys((*nests[0].reads, *nests[0].writes)))
    axes = [form for touch in touches for form in touch.subscripts]
    longest = max(len(nest.loops) for nest in nests)
    trips = np.ones((len(nests), longest), np.int64)
    steps = np.zeros((len(nests), longest, len(axes)), np.int64)
    for v, nest in enumerate(nests):
        if {*nest.reads, *nest.writes} != set(touches):
            bug("variants of one statement access the same elements")
        inside = {loop.within: loop.name for loop in nest.loops if loop.within}
        for place, loop in enumerate(nest.loops):
            index = loop.name
            while index in inside:
                index = inside[index]
            trips[v, place] = loop.trips
            steps[v, place] = [abs(a.coefficient(index)) * loop.step for a in axes]
    ends = np.cumsum([len(touch.subscripts) for touch in touches]).tolist()
    starts = [0, *ends[:-1]]
    arrays = tuple(tuple(range(a, b)) for a, b in zip(starts, ends))
    return Variants(arrays, trips, steps)


def distinct(steps: Integers, trips: Integers) -> Integers:
    """Return how many values a sum of iterators takes; loops are the last axis.

    From the smallest step on, a loop either extends a run of evenly spaced values,
    where its step is a multiple of their distance and leaves no gap, or repeats it at
    that step. Values of two repetitions meet where multiples of step and distance do:
    b trips of one loop make a of the other. That is exact unless a third loop moves on
    what two have interleaved.
    """
    steps, trips = np.broadcast_arrays(steps, trips)
    moving = (steps > 0).reshape(-1, steps.shape[-1]).any(axis=0)
    steps, trips = steps[..., moving], trips[..., moving]
    trips = np.where(steps > 0, trips, 1)
    order = np.argsort(np.where(trips > 1, steps, 0), axis=-1)
    sorted_steps = np.take_along_axis(steps, order, axis=-1)
    sorted_trips = np.take_along_axis(trips, order, axis=-1)
    shape = trips.shape[:-1]
    distance, run = np.ones(shape, np.int64), np.ones(shape, np.int64)
    copies, met = np.ones(shape, np.int64), np.zeros(shape, np.int64)
    for place in range(trips.shape[-1]):
        step, count = sorted_steps[..., place], sorted_trips[..., place]
        distance = np.where(run * copies == 1, np.maximum(step, 1), distance)
        extends = (step % distance == 0) & (step <= distance * run)
        longer = run + (count - 1) * (step // distance)
        begins = (count > 1) & ~extends
        common = np.maximum(np.gcd(step, distance), 1)
        again = np.maximum(run - step // common, 0)
        again *= np.maximum(count - distance // common, 0)
        met = np.where(begins, met * count + again * copies, met)
        copies = np.where(begins, copies * run, copies)
        run = np.where(count == 1, run, np.where(extends, longer, count))
        distance = np.where(begins, step, distance)
    total: Integers = copies * run - met
    return total


def elements(variants: Variants, trips: Integers) -> Integers:
    """Return how many elements of all arrays are touched if the loops ran so many
    trips; shape (..., variants, loops) -> (..., variants)."""
    total = np.zeros(trips.shape[:-1], np.int64)
    for axes in variants.arrays:
        total += array_elements(variants, axes, trips)
    return total


def array_elements(
    variants: Variants, axes: tuple[int, ...], trips: Integers
) -> Integers:
    """Return how many elements of one array are touched, in the same form."""
    count = np.ones(trips.shape[:-1], np.int64)
    for axis in axes:
        count *= distinct(variants.steps[:, :, axis], trips)
    return count
