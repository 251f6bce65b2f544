"""Proof (b), in time: what is read is finished, and threads do not meet.

An `Event` is an access to a buffer that several loops share. Two events are in order
where one node comes before the other in the body in which their paths part, and the
element tells in which iteration of the loops around that body it happens: the same for
both. That an element tells a loop's counter is looked at for every element, apart for
axes that share no counter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal as OneOf

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.loops.verify_conditions import All, Condition, condition_variables, mask
from polydsl.loops.verify_cuts import Piece
from polydsl.loops.verify_forms import (
    ENUMERATION_LIMIT,
    ZERO,
    Array,
    Form,
    Point,
    Unproved,
    Var,
    combine,
    evaluate,
    expanded,
    grid,
    interval,
    point_at,
    variables,
)
from polydsl.loops.verify_points import Frame, Leaf
from polydsl.loops.verify_times import Visits, late_read, times_of
from polydsl.poly.terms import Interval

EventKind = OneOf["first", "update", "read"]


@dataclass(frozen=True, slots=True)
class Event:
    """An access to a shared buffer: a `first` write gives an element its first value,
    an `update` reads and writes it. Nothing is accessed but `where` conditions hold."""

    buffer: str
    kind: EventKind
    leaf: Leaf
    subscripts: tuple[Form, ...]
    extents: tuple[int, ...]
    where: tuple[Condition, ...] = ()


def check_order(events: Sequence[Event]) -> None:
    """Raise unless each element gets its first value, then its updates, and is read
    after all of them."""
    by_buffer: dict[str, list[Event]] = {}
    for event in events:
        by_buffer.setdefault(event.buffer, []).append(event)
    for group in by_buffer.values():
        for earlier, later in _ordered_pairs(group):
            _check_before(earlier, later)
        for pair in _parallel_pairs(group):
            _check_apart(*pair)


def _ordered_pairs(group: Sequence[Event]) -> Iterator[tuple[Event, Event]]:
    for earlier in group:
        for later in group:
            if earlier.kind != "read" and later.kind == "read":
                yield earlier, later
            if earlier.kind == "first" and later.kind == "update":
                yield earlier, later


def _check_before(earlier: Event, later: Event) -> None:
    depth = _shared_depth(earlier.leaf, later.leaf)
    frames = [f for f in earlier.leaf.frames if f.depth <= depth]
    a, b = earlier.leaf.path, later.leaf.path
    is_before = a[depth : depth + 1] < b[depth : depth + 1]
    point = _untold(earlier, later, [f.counter for f in frames]) if is_before else {}
    if point is None:
        return
    for first in _single_pieces(earlier):
        for second in _single_pieces(later):
            _check_pieces(first, second, frames, is_before)


def _single_pieces(event: Event) -> Iterator[Event]:
    """Yield an event for every piece of its leaf."""
    for piece in event.leaf.pieces:
        leaf = replace(event.leaf, hull=piece.space, pieces=(piece,))
        yield replace(event, leaf=leaf)


def _check_pieces(
    earlier: Event, later: Event, frames: Sequence[Frame], is_before: bool
) -> None:
    """Raise unless one piece of an event is before one of another: in the outermost
    loop that the element does not tell, or else in the body where they part.

    A loop that sums runs to and fro over the elements of the result: the first block
    comes before all others there.
    """
    for frame in frames:
        first = earlier.leaf.hull.box[frame.counter]
        second = later.leaf.hull.box[frame.counter]
        if first[1] < second[0]:
            return
        # Counters further out are the same for both by now, or the order is decided.
        is_open = first[1] > second[0]
        if is_open and _untold(earlier, later, [frame.counter]) is not None:
            break
    else:
        if is_before:
            return
    if _meeting(earlier, later) is None:
        return
    write, read = (
        Visits(e.subscripts, e.leaf.hull, (*e.leaf.pieces[0].conditions, *e.where))
        for e in (earlier, later)
    )
    times = times_of(frames, is_before=is_before)
    point = late_read(write, read, times, earlier.extents)
    if point is None:
        return
    when = "written and used in several iterations"
    if not is_before:
        when = "read before it is finished"
        if later.kind == "update":
            when = "updated before it is set"
    bug(f"{earlier.buffer} is {when}, {later.leaf.place(point)}")


def _shared_depth(left: Leaf, right: Leaf) -> int:
    """Return how many steps two paths have in common."""
    depth = 0
    for a, b in zip(left.path, right.path):
        if a != b:
            break
        depth += 1
    return depth


def _meeting(event: Event, other: Event) -> Point | None:
    """Return a point of *other* with an element that *event* touches, too; None if in
    some axes they have no position in common."""
    found: Point = {}
    for axes in _independent(event.subscripts, other.subscripts):
        a, b = _position(event, axes), _position(other, axes)
        ends, others = interval(a, event.leaf.hull), interval(b, other.leaf.hull)
        if ends[1] < others[0] or others[1] < ends[0]:
            return None
        size = prod(event.extents[axis] for axis in axes)
        if size > ENUMERATION_LIMIT:
            raise Unproved(f"{event.buffer}: {size} elements are too many")
        touched = np.zeros(size, np.bool_)
        for piece in event.leaf.pieces:
            at, _, _ = _positions(a, piece)
            touched[at[(at >= 0) & (at < size)]] = True
        point = _first_touched(touched, b, other.leaf)
        if point is None:
            return None
        found.update(point)
    return found


def _first_touched(touched: Array, form: Form, leaf: Leaf) -> Point | None:
    for piece in leaf.pieces:
        at, runs, names = _positions(form, piece, flat=False)
        inside = runs & (at >= 0) & (at < touched.size)
        hit = inside & touched[np.clip(at, 0, touched.size - 1)]
        if hit.any():
            return dict(point_at(np.argwhere(hit)[0].tolist(), names, piece.space))
    return None


def _positions(
    form: Form, piece: Piece, *, flat: bool = True
) -> tuple[Array, Array, list[str]]:
    """Return the values of a form on a piece, where the piece's conditions hold, and
    the variables that are the axes of both."""
    names = sorted(
        variables(form).union(*(condition_variables(c) for c in piece.conditions))
    )
    values = grid(names, piece.space)
    shape = tuple(piece.space.extent(n) for n in names)
    at = np.broadcast_to(evaluate(form, piece.space, values), shape)
    runs = np.broadcast_to(mask(All(piece.conditions), piece.space, values), shape)
    return (at[runs] if flat else at), runs, names


# Threads


def _parallel_pairs(
    group: Sequence[Event],
) -> Iterator[tuple[Event, Event, Frame]]:
    """Yield each pair of events of a parallel loop of which one writes."""
    for number, event in enumerate(group):
        for other in group[number:]:
            if event.kind == other.kind == "read":
                continue
            depth = _shared_depth(event.leaf, other.leaf)
            for frame in event.leaf.frames:
                if frame.depth <= depth and frame.loop.kind == "parallel":
                    yield event, other, frame


def _check_apart(event: Event, other: Event, frame: Frame) -> None:
    point = _untold(event, other, [frame.counter])
    if point is not None:
        bug(
            f"{event.buffer} is used in several iterations of the parallel loop "
            f"{frame.loop.var}, {other.leaf.place(point)}"
        )


# Elements tell counters


def _untold(event: Event, other: Event, counters: Sequence[str]) -> Point | None:
    """Return a point of *other* whose element *event* touches with other values of the
    counters, None if the element tells them.

    Counters further out than all of *counters* are the same for both.
    """
    moving = [c for c in counters if _moves(event.leaf, other.leaf, c)]
    if not moving:
        return None
    ours, theirs = event.subscripts, other.subscripts
    told: set[str] = set()
    for axes in _independent(ours, theirs):
        names = frozenset().union(
            *(variables(ours[a]) | variables(theirs[a]) for a in axes)
        )
        wanted = [c for c in moving if c in names]
        if not wanted or _tells(event, other, axes, wanted):
            told.update(wanted)
            continue
        fixed = _common_outside(event.leaf, other.leaf, names, counters)
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


def _tells(event: Event, other: Event, axes: Sequence[int], wanted: list[str]) -> bool:
    """Whether the elements of some axes tell the counters in closed form: the row-major
    position is the same form for both, and injective."""
    if _position(event, axes) != _position(other, axes):
        return False
    box: dict[str, Interval] = {}
    for leaf in (event.leaf, other.leaf):
        for name, (lo, hi) in leaf.hull.box.items():
            a, b = box.get(name, (lo, hi))
            box[name] = (min(a, lo), max(b, hi))
    form = _position(event, axes)
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


def _position(event: Event, axes: Sequence[int]) -> Form:
    """Return the row-major position of an event's element in some axes. That each
    subscript is inside its axis is proof (c)."""
    total = ZERO
    for axis in axes:
        total = combine((total, event.extents[axis]), (event.subscripts[axis], 1))
    return expanded(total, event.leaf.hull)


def _independent(ours: Sequence[Form], theirs: Sequence[Form]) -> list[tuple[int, ...]]:
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
    depth = _shared_depth(left, right)
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
        names = sorted(
            frozenset((*self.counters, *self.fixed)).union(
                *(variables(forms[a]) for a in self.axes),
                *(condition_variables(c) for c in piece.conditions),
            )
        )
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
        runs = np.broadcast_to(mask(All(piece.conditions), space, values), shape)
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
