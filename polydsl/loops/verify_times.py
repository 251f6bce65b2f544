"""Whether elements are written before they are read, iteration by iteration.

The *time* of an access are the values of the loops around both accesses, the outermost
first; an element must be written at an earlier time than it is read, or at the same one
by a node further up. Lanes of a vector run at one time. Few points are looked at one by
one; for many, isl is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from polydsl.loops.verify_conditions import All, Condition, condition_variables, mask
from polydsl.loops.verify_forms import (
    ENUMERATION_LIMIT,
    Array,
    Form,
    Point,
    Space,
    Unproved,
    combine,
    evaluate,
    grid,
    point_at,
    variables,
)
from polydsl.loops.verify_isl import late_point
from polydsl.loops.verify_search import FEW
from polydsl.poly.isl import BudgetExceeded
from polydsl.poly.terms import Interval


@dataclass(frozen=True, slots=True)
class Visits:
    """The elements that a piece of a leaf touches: subscripts in counters of a space,
    where conditions hold."""

    subscripts: tuple[Form, ...]
    space: Space
    conditions: tuple[Condition, ...]

    @property
    def names(self) -> frozenset[str]:
        """The counters that decide about an element."""
        found = (*map(variables, self.subscripts),)
        return frozenset().union(*found, *map(condition_variables, self.conditions))


@dataclass(frozen=True, slots=True)
class Times:
    """The loops around both accesses, outermost first, and then that of `lanes`, if
    they are in one vector; whether the writing node stands further up."""

    counters: tuple[str, ...]
    lanes: str | None
    is_before: bool


def late_read(
    write: Visits, read: Visits, times: Times, extents: Sequence[int]
) -> Point | None:
    """Return a point at which an element is read that is not written before, None if
    there is none."""
    if _count(write, times) + _count(read, times) > FEW:
        try:
            return late_point(write, read, times.counters, times.lanes, times.is_before)
        except BudgetExceeded:
            pass
    return _looked_at(write, read, times, extents)


def _axes(visits: Visits, times: Times) -> list[str]:
    return sorted({*visits.names, *_all(times)})


def _all(times: Times) -> tuple[str, ...]:
    return times.counters if times.lanes is None else (*times.counters, times.lanes)


def _count(visits: Visits, times: Times) -> int:
    return prod(max(visits.space.extent(n), 0) for n in _axes(visits, times))


def _looked_at(
    write: Visits, read: Visits, times: Times, extents: Sequence[int]
) -> Point | None:
    """Look at every access: when is an element written last, and by which lanes?"""
    size = prod(extents)
    if size > ENUMERATION_LIMIT:
        raise Unproved(f"{size} elements are too many")
    ends = {
        n: (
            min(write.space.box[n][0], read.space.box[n][0]),
            max(write.space.box[n][1], read.space.box[n][1]),
        )
        for n in _all(times)
    }
    last = np.full(size, -1, np.int64)
    at, when, lane, _, _ = _codes(write, times, ends, extents)
    np.maximum.at(last, at, when)
    newest = when == last[at]
    least = np.full(size, np.iinfo(np.int64).max)
    greatest = np.full(size, -1, np.int64)
    np.minimum.at(least, at[newest], lane[newest])
    np.maximum.at(greatest, at[newest], lane[newest])
    at, when, lane, runs, names = _codes(read, times, ends, extents)
    alone = (least[at] == lane) & (greatest[at] == lane)
    same = (last[at] == when) & ~(alone & times.is_before)
    wrong = (last[at] > when) | same
    if not wrong.any():
        return None
    place = np.argwhere(runs)[int(np.argmax(wrong))].tolist()
    return dict(point_at(place, names, read.space))


def _codes(
    visits: Visits, times: Times, ends: dict[str, Interval], extents: Sequence[int]
) -> tuple[Array, Array, Array, Array, list[str]]:
    """Return for every access its element and its time as numbers, and its lane; where
    it is made, and the counters that are the axes of that."""
    names, space = _axes(visits, times), visits.space
    values = grid(names, space)
    shape = tuple(space.extent(n) for n in names)
    runs = np.broadcast_to(mask(All(visits.conditions), space, values), shape)
    position: Form = combine()
    inside: Array = np.ones((), np.bool_)
    for form, extent in zip(visits.subscripts, extents):
        found = evaluate(form, space, values)
        inside = inside & (found >= 0) & (found < extent)
        position = combine((position, extent), (form, 1))
    # What is outside is refused by the proof of bounds.
    runs = runs & inside
    when: Array = np.zeros((), np.int64)
    for name in times.counters:
        lo, hi = ends[name]
        when = when * (hi - lo + 1) + values[name] - lo
    lane: Array = np.zeros((), np.int64)
    if times.lanes is not None:
        lane = values[times.lanes] - ends[times.lanes][0]
    at = evaluate(position, space, values)
    at, when, lane = (np.broadcast_to(a, shape)[runs] for a in (at, when, lane))
    return at, when, lane, runs, names
