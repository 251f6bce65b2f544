"""Which loop counters an element tells: `untold(event, other, counters)`.

An `Event` is an access to a buffer that several loops share. Where the element that it
touches tells in which iteration of a loop that is, two events on one element are in one
iteration. That is looked at for every element, apart for axes that share no counter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal as OneOf

import numpy as np

from polydsl.loops.verify_conditions import All, about, condition_variables, mask
from polydsl.loops.verify_cuts import Piece
from polydsl.loops.verify_forms import (
    ENUMERATION_LIMIT,
    ZERO,
    Array,
    Form,
    Point,
    Space,
    Unproved,
    Var,
    combine,
    evaluate,
    expanded,
    grid,
    point_at,
    variables,
)
from polydsl.loops.verify_points import Leaf
from polydsl.poly.terms import Interval

EventKind = OneOf["first", "update", "read"]


@dataclass(frozen=True, slots=True)
class Event:
    """An access to a shared buffer: a `first` write gives an element its first value,
    an `update` reads and writes it."""

    buffer: str
    kind: EventKind
    leaf: Leaf
    subscripts: tuple[Form, ...]
    extents: tuple[int, ...]


def shared_depth(left: Leaf, right: Leaf) -> int:
    """Return how many steps two paths have in common."""
    depth = 0
    for a, b in zip(left.path, right.path):
        if a != b:
            break
        depth += 1
    return depth


def untold(event: Event, other: Event, counters: Sequence[str]) -> Point | None:
    """Return a point of *other* whose element *event* touches with other values of the
    counters, None if the element tells them.

    Counters further out than all of *counters* are the same for both.
    """
    moving = [c for c in counters if _moves(event.leaf, other.leaf, c)]
    if not moving:
        return None
    ours, theirs = event.subscripts, other.subscripts
    told = {
        c
        for axis in range(len(ours))
        for c in moving
        if _tells(event, other, (axis,), [c])
    }
    for axes in independent_axes(ours, theirs):
        names = frozenset().union(
            *(variables(ours[a]) | variables(theirs[a]) for a in axes)
        )
        wanted = [c for c in moving if c in names and c not in told]
        fixed = _common_outside(event.leaf, other.leaf, names, counters)
        if not wanted and names <= {*fixed} and _differ(event, other, axes, names):
            return None
        if not wanted or _tells(event, other, axes, wanted):
            told.update(wanted)
            continue
        group = _Elements(event, other, axes, tuple(wanted), fixed)
        point = group.compare(ours, theirs)
        if point is not None:
            return point
        told.update(wanted)
    for counter in moving:
        if counter not in told:
            lo, hi = other.leaf.hull.box[counter]
            return {counter: hi if hi > lo else lo}
    return None


def _moves(left: Leaf, right: Leaf, counter: str) -> bool:
    """Whether two leaves can be in different iterations of a loop."""
    a, b = left.hull.box[counter], right.hull.box[counter]
    return a != b or a[0] < a[1]


def _common_box(left: Leaf, right: Leaf) -> dict[str, Interval]:
    """Return intervals of all counters that hold for both leaves."""
    box: dict[str, Interval] = {}
    for leaf in (left, right):
        for name, (lo, hi) in leaf.hull.box.items():
            a, b = box.get(name, (lo, hi))
            box[name] = (min(a, lo), max(b, hi))
    return box


def _differ(
    event: Event, other: Event, axes: Sequence[int], names: frozenset[str]
) -> bool:
    """Whether the elements of some axes are different ones wherever the counters in
    them have the same values for both: `u[t]` and `u[t - 1]` are."""
    box = _common_box(event.leaf, other.leaf)
    space = Space(box, {**other.leaf.hull.tables, **event.leaf.hull.tables})
    if prod(space.extent(n) for n in names) > ENUMERATION_LIMIT:
        return False
    values = grid(sorted(names), space)
    same: Array = np.ones((), np.bool_)
    for axis in axes:
        ours, theirs = event.subscripts[axis], other.subscripts[axis]
        same = same & (evaluate(ours, space, values) == evaluate(theirs, space, values))
    return not same.any()


def _tells(event: Event, other: Event, axes: Sequence[int], wanted: list[str]) -> bool:
    """Whether the elements of some axes tell the counters in closed form: the row-major
    position is the same form for both, and injective."""
    if position_of(event, axes) != position_of(other, axes):
        return False
    box = _common_box(event.leaf, other.leaf)
    form = position_of(event, axes)
    reach = 0
    factors = sorted(
        ((abs(c), a) for a, c in form.terms if isinstance(a, Var)),
        key=lambda entry: entry[0],
    )
    if len(factors) < len(form.terms):
        return False
    for factor, moving in factors:
        lo, hi = box[moving.name]
        if hi > lo and factor <= reach:
            return False
        reach += factor * (hi - lo)
    return {*wanted} <= {a.name for _, a in factors}


def position_of(event: Event, axes: Sequence[int]) -> Form:
    """Return the row-major position of an event's element in some axes. That each
    subscript is inside its axis is proof (c)."""
    total = ZERO
    for axis in axes:
        total = combine((total, event.extents[axis]), (event.subscripts[axis], 1))
    return expanded(total, event.leaf.hull)


def independent_axes(
    ours: Sequence[Form], theirs: Sequence[Form]
) -> list[tuple[int, ...]]:
    """Return the axes in groups that share no counter."""
    groups: list[tuple[frozenset[str], tuple[int, ...]]] = []
    for axis, (left, right) in enumerate(zip(ours, theirs)):
        names = variables(left) | variables(right)
        axes = [axis]
        apart: list[tuple[frozenset[str], tuple[int, ...]]] = []
        for other_names, other in groups:
            if names & other_names:
                names |= other_names
                axes += other
            else:
                apart.append((other_names, other))
        groups = [*apart, (names, tuple(sorted(axes)))]
    return [axes for _, axes in groups]


def _common_outside(
    left: Leaf, right: Leaf, names: frozenset[str], counters: Sequence[str]
) -> tuple[str, ...]:
    """Return the counters in use that are further out than a parallel loop's."""
    depth = shared_depth(left, right)
    shared = [f for f in left.frames if f.depth <= depth]
    last = max(f.depth for f in shared if f.counter in counters)
    return tuple(
        f.counter
        for f in shared
        if f.depth < last and f.counter in names and f.counter not in counters
    )


@dataclass(frozen=True, slots=True)
class _Elements:
    """The elements of some axes that two events touch, and the counters they tell."""

    event: Event
    other: Event
    axes: tuple[int, ...]
    counters: tuple[str, ...]
    fixed: tuple[str, ...]

    def compare(self, ours: Sequence[Form], theirs: Sequence[Form]) -> Point | None:
        """Return a point of the other event with an element that the first touches at
        other values of the counters, or None."""
        table = np.full(self._size(), -1, np.int64)
        for leaf, forms in ((self.event.leaf, ours), (self.other.leaf, theirs)):
            for piece in leaf.pieces:
                point = self._enter(table, forms, piece, first=forms is ours)
                if point is not None:
                    return point
        return None

    def _size(self) -> int:
        size = prod(self.event.extents[a] for a in self.axes)
        size *= prod(self._ends(n)[1] - self._ends(n)[0] + 1 for n in self.fixed)
        if size > ENUMERATION_LIMIT:
            raise Unproved(f"{self.event.buffer}: {size} elements are too many")
        return size

    def _ends(self, name: str) -> tuple[int, int]:
        a = self.event.leaf.hull.box[name]
        b = self.other.leaf.hull.box[name]
        return min(a[0], b[0]), max(a[1], b[1])

    def _enter(
        self, table: Array, forms: Sequence[Form], piece: Piece, *, first: bool
    ) -> Point | None:
        own = frozenset((*self.counters, *self.fixed)).union(
            *(variables(forms[a]) for a in self.axes)
        )
        conditions = about(piece.conditions, own)
        names = sorted(own.union(*map(condition_variables, conditions)))
        space = piece.space
        values = grid(names, space)
        shape = tuple(space.extent(n) for n in names)
        code: Array = np.zeros((), np.int64)
        for axis in self.axes:
            at = evaluate(forms[axis], space, values)
            code = code * self.event.extents[axis] + at
        for name in self.fixed:
            lo, hi = self._ends(name)
            code = code * (hi - lo + 1) + values[name] - lo
        told: Array = np.zeros((), np.int64)
        for name in self.counters:
            lo, hi = self._ends(name)
            told = told * (hi - lo + 1) + values[name] - lo
        runs = np.broadcast_to(mask(All(conditions), space, values), shape)
        code, told = np.broadcast_to(code, shape), np.broadcast_to(told, shape)
        inside = runs & (code >= 0) & (code < table.size)
        if first:
            table[code[inside]] = told[inside]
        # The first event must agree with itself, too: the table holds its last value.
        held = table[np.clip(code, 0, table.size - 1)]
        wrong = inside & (held >= 0) & (held != told)
        if not wrong.any():
            return None
        place = np.argwhere(wrong)[0].tolist()
        return dict(point_at(place, names, space))
