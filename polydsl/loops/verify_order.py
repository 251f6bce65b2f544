"""Proof (b), in time: what is read is finished, and threads do not meet.

Two events are in order where one node comes before the other in the body in which their
paths part, and the element tells in which iteration of the loops around that body it
happens: the same for both (`verify_told`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.loops.verify_conditions import All, about, condition_variables, mask
from polydsl.loops.verify_cuts import Piece
from polydsl.loops.verify_forms import (
    ENUMERATION_LIMIT,
    Array,
    Form,
    Point,
    Unproved,
    Var,
    evaluate,
    grid,
    interval,
    point_at,
    subtract,
    variables,
)
from polydsl.loops.verify_points import Frame, Leaf
from polydsl.loops.verify_times import Visits, late_read, times_of
from polydsl.loops.verify_told import (
    Event,
    independent_axes,
    position_of,
    shared_depth,
    untold,
)


def check_order(events: Sequence[Event]) -> None:
    """Raise unless each element gets its first value, then its updates, and is read
    after all of them."""
    by_buffer: dict[str, list[Event]] = {}
    for event in events:
        by_buffer.setdefault(event.buffer, []).append(event)
    for group in by_buffer.values():
        for earlier, later in _ordered_pairs(group):
            _check_before(earlier, later)
        for pair in parallel_pairs(group):
            _check_apart(*pair)


def _ordered_pairs(group: Sequence[Event]) -> Iterator[tuple[Event, Event]]:
    for earlier in group:
        for later in group:
            if earlier.kind != "read" and later.kind == "read":
                yield earlier, later
            if earlier.kind == "first" and later.kind == "update":
                yield earlier, later


def _check_before(earlier: Event, later: Event) -> None:
    depth = shared_depth(earlier.leaf, later.leaf)
    frames = [f for f in earlier.leaf.frames if f.depth <= depth]
    a, b = earlier.leaf.path, later.leaf.path
    is_before = a[depth : depth + 1] < b[depth : depth + 1]
    point = untold(earlier, later, [f.counter for f in frames]) if is_before else {}
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
        if first[1] < second[0] or _is_earlier(earlier, later, frame):
            return
        # Counters further out are the same for both by now, or the order is decided.
        is_open = first[1] > second[0]
        if is_open and untold(earlier, later, [frame.counter]) is not None:
            break
    else:
        if is_before:
            return
    if _meeting(earlier, later) is None:
        return
    write, read = (
        Visits(e.subscripts, e.leaf.hull, e.leaf.pieces[0].conditions)
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


def _is_earlier(earlier: Event, later: Event, frame: Frame) -> bool:
    """Whether an axis tells that the second of two events with one element is in a
    later iteration of a loop than the first: `h[t]` is written, `h[t - 1]` read."""
    counter = Var(frame.counter)
    for first, second in zip(earlier.subscripts, later.subscripts):
        factor = dict(first.terms).get(counter, 0)
        steps = subtract(first, second)
        is_step = len(first.terms) == 1 and not steps.terms
        if is_step and factor * steps.constant > 0:
            return frame.loop.kind == "sequential"
    return False


def _meeting(event: Event, other: Event) -> Point | None:
    """Return a point of *other* with an element that *event* touches, too; None if in
    some axes they have no position in common."""
    found: Point = {}
    for axes in independent_axes(event.subscripts, other.subscripts):
        a, b = position_of(event, axes), position_of(other, axes)
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
    """Return the values of a form on a piece, where the piece's conditions on its
    variables hold, and the variables that are the axes of both."""
    own = variables(form)
    conditions = about(piece.conditions, own)
    names = sorted(own.union(*map(condition_variables, conditions)))
    values = grid(names, piece.space)
    shape = tuple(piece.space.extent(n) for n in names)
    at = np.broadcast_to(evaluate(form, piece.space, values), shape)
    runs = np.broadcast_to(mask(All(conditions), piece.space, values), shape)
    return (at[runs] if flat else at), runs, names


# Threads


def parallel_pairs(
    group: Sequence[Event],
) -> Iterator[tuple[Event, Event, Frame]]:
    """Yield each pair of events of a parallel loop of which one writes."""
    for number, event in enumerate(group):
        for other in group[number:]:
            if event.kind == other.kind == "read":
                continue
            depth = shared_depth(event.leaf, other.leaf)
            for frame in event.leaf.frames:
                if frame.depth <= depth and frame.loop.kind == "parallel":
                    yield event, other, frame


def _check_apart(event: Event, other: Event, frame: Frame) -> None:
    point = untold(event, other, [frame.counter])
    if point is not None:
        bug(
            f"{event.buffer} is used in several iterations of the parallel loop "
            f"{frame.loop.var}, {other.leaf.place(point)}"
        )
