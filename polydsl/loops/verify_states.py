"""States: buffers of which one row is in memory, for one step of a loop after another.

    for t: h[t, :] = a[t, :] * h[t - 1, :]       with stride 0 along t

Writing an element ends the lives of all those that were in its place before, which in
a loop that counts up are those of earlier steps. So each of them must have been used
for the last time by then. Threads have different places: what tells them apart are the
other subscripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import Buffer, Store
from polydsl.loops.verify_forms import (
    ZERO,
    Form,
    Var,
    combine,
    subtract,
    variable,
    variables,
)
from polydsl.loops.verify_order import parallel_pairs
from polydsl.loops.verify_points import Leaf, with_variable
from polydsl.loops.verify_times import Visits, late_read, times_of
from polydsl.loops.verify_told import Event, shared_depth, untold

STEPS = "steps@"
"""How many steps a place is ahead of what it held; no counter is called like that."""


def check_state(buffer: Buffer, axes: Sequence[int], events: Sequence[Event]) -> None:
    """Raise where one row is not enough for a buffer, whose accesses are given."""
    if buffer.private or len(axes) != 1:
        bug(f"{buffer.name} is read at another row, of several or a thread's own")
    (axis,) = axes
    _check_threads(axis, events)
    written = [e for e in events if e.kind != "read"]
    signs = {sign for e in written for sign in _signs(e, axis)}
    if len(signs) != 1:
        bug(f"{buffer.name} is not written step by step")
    for writer in written:
        end = _overwriting(writer, axis, *signs)
        for event in events:
            if not _is_plain(event, writer, axis, *signs):
                _check_over(event, end)


def _check_threads(axis: int, events: Sequence[Event]) -> None:
    """Raise where threads use one place."""
    places = [replace(e, subscripts=_without(e.subscripts, axis)) for e in events]
    for event, other, frame in parallel_pairs(places):
        point = untold(event, other, [frame.counter])
        if point is not None:
            bug(f"threads share a row of {event.buffer}, {other.leaf.place(point)}")


def _without(subscripts: tuple[Form, ...], axis: int) -> tuple[Form, ...]:
    return (*subscripts[:axis], ZERO, *subscripts[axis + 1 :])


def _signs(event: Event, axis: int) -> Iterator[int]:
    """Yield whether a row grows or falls with each loop that its number depends on."""
    for atom, factor in event.subscripts[axis].terms:
        if not isinstance(atom, Var):
            bug(f"a row of {event.buffer} is at no step, {event.leaf.place({})}")
        yield 1 if factor > 0 else -1


def _is_plain(event: Event, writer: Event, axis: int, sign: int) -> bool:
    """Whether it is plain to see that an element is used before a writer overwrites it:
    in an earlier loop, or in an iteration in which a step is written that is not after
    its own. Which iteration of the threads' loops that is, an element tells."""
    depth = shared_depth(event.leaf, writer.leaf)
    shared = [f for f in event.leaf.frames if f.depth <= depth]
    ordered = [f for f in shared if f.loop.kind != "parallel"]
    if not ordered:
        return event.leaf.path < writer.leaf.path
    row, written = event.subscripts[axis], writer.subscripts[axis]
    ahead = subtract(row, written)
    is_outermost = variables(written) == {ordered[0].counter}
    return is_outermost and not ahead.terms and sign * ahead.constant >= 0


def _overwriting(event: Event, axis: int, sign: int) -> Event:
    """Return a write as an access to all elements whose lives it ends."""
    leaf = with_variable(event.leaf, STEPS, (1, event.extents[axis] - 1))
    before = combine((event.subscripts[axis], 1), (variable(STEPS), -sign))
    subscripts = (*event.subscripts[:axis], before, *event.subscripts[axis + 1 :])
    return replace(event, leaf=leaf, subscripts=subscripts)


def _check_over(event: Event, end: Event) -> None:
    """Raise where an element is used when its life has ended."""
    depth = shared_depth(event.leaf, end.leaf)
    frames = [f for f in event.leaf.frames if f.depth <= depth]
    a, b = event.leaf.path, end.leaf.path
    is_before = a[depth : depth + 1] < b[depth : depth + 1] or _is_operand(event, end)
    times = times_of(frames, is_before=is_before)
    for one in _visits(event):
        for other in _visits(end):
            point = late_read(one, other, times, event.extents)
            if point is not None:
                place = end.leaf.place(point)
                bug(f"{event.buffer} is used after it is overwritten, {place}")


def _is_operand(event: Event, end: Event) -> bool:
    """Whether an event is a read of the very store that ends the element's life."""
    is_same = event.leaf.path == end.leaf.path
    return is_same and event.kind == "read" and isinstance(event.leaf.node, Store)


def _visits(event: Event) -> Iterator[Visits]:
    leaf: Leaf = event.leaf
    for piece in leaf.pieces:
        yield Visits(event.subscripts, piece.space, piece.conditions)
