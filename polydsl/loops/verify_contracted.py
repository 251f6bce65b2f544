"""Contracted tensors: of which one row is in memory, for one value of some loops.

    for i: t[i, :] = ...; y[i, :] = f(t[i, :])      with stride 0 along i

Each access is in the same loops over the indices that have no memory, at just the
values of their variables, and no other loop that runs twice is around those: so an
element is written and read in one iteration, in which no other element of its place is
touched. Whether it is written before it is read is proved for elements, like that of
any tensor. What is used in other iterations, too, is a state (`verify_states`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import BatchReduceGemm, Buffer, Literal, Loop
from polydsl.loops.verify_bounds import accesses
from polydsl.loops.verify_buffers import contracted_axes
from polydsl.loops.verify_forms import Form, variable
from polydsl.loops.verify_points import Frame, Leaf
from polydsl.loops.verify_products import Memory, product_elements
from polydsl.loops.verify_states import check_state
from polydsl.loops.verify_told import Event
from polydsl.loops.verify_translate import nest_form


def check_contracted(
    memory: Memory, leaves: Sequence[Leaf], events: Sequence[Event]
) -> None:
    """Raise where one row of a contracted buffer is not enough, or not a thread's."""
    for buffer in memory.buffers.values():
        axes = contracted_axes(buffer)
        if not axes:
            continue
        if not buffer.private and _is_state(memory, leaves, buffer, axes):
            own = tuple(e for e in events if e.buffer == buffer.name)
            check_state(buffer, axes, own)
            continue
        around: set[tuple[str, ...]] = set()
        for leaf in leaves:
            counters = tuple(_counters(memory, leaf, buffer, axes))
            around.update(counters)
            for names in counters:
                _check_frames(leaf, buffer, names)
        if len(around) > 1:
            bug(f"{buffer.name} is used in several loops, {sorted(around)}")


def _is_state(
    memory: Memory, leaves: Sequence[Leaf], buffer: Buffer, axes: tuple[int, ...]
) -> bool:
    """Whether something needs another row than that of its iteration, the loop is in
    parts, or threads have parts of one row."""
    loops: set[tuple[Form | None, ...]] = set()
    for leaf in leaves:
        own = {variable(frame.counter): frame for frame in leaf.frames}
        for name, forms in _elements(memory, leaf):
            if name == buffer.name:
                rows = tuple(forms[axis] for axis in axes)
                found = [own[row] for row in rows if row in own]
                if len(found) < len(rows):
                    return True
                depth = max(frame.depth for frame in found)
                if any(_is_parallel(f) and f.depth <= depth for f in leaf.frames):
                    return True
                loops.add(rows)
    return len(loops) > 1


def _elements(
    memory: Memory, leaf: Leaf
) -> Iterator[tuple[str, tuple[Form | None, ...]]]:
    """Yield each buffer that a leaf uses with the subscripts of the element."""
    if isinstance(leaf.node, BatchReduceGemm):
        yield from ((name, forms) for name, forms, _ in product_elements(memory, leaf))
        return
    for name, index, _ in accesses(leaf):
        yield name, tuple(nest_form(e, leaf.names, leaf.hull) for e in index)


def _counters(
    memory: Memory, leaf: Leaf, buffer: Buffer, axes: tuple[int, ...]
) -> list[tuple[str, ...]]:
    """Return the loops that each access of a leaf to the buffer is at one value of."""
    own = {variable(frame.counter): frame.counter for frame in leaf.frames}
    found: list[tuple[str, ...]] = []
    for name, forms in _elements(memory, leaf):
        if name != buffer.name:
            continue
        rows = [form for form in (forms[axis] for axis in axes) if form is not None]
        names = [own[form] for form in rows if form in own]
        if len({*names}) != len(axes):
            bug(f"{buffer.name} is read at another row, {leaf.place({})}")
        found.append(tuple(names))
    return found


def _check_frames(leaf: Leaf, buffer: Buffer, names: tuple[str, ...]) -> None:
    """Raise where another loop is around those that a row belongs to, or where threads
    would share it."""
    rows = [f for f in leaf.frames if f.counter in names]
    depth = max(f.depth for f in rows)
    if any(f.loop.kind not in ("sequential", "parallel") for f in rows):
        bug(f"several rows of {buffer.name} are used at once, {leaf.place({})}")
    for frame in leaf.frames:
        is_around = frame.depth <= depth and not _runs_once(frame.loop)
        if is_around and frame.counter not in names:
            bug(f"a row of {buffer.name} is used again, {leaf.place({})}")
    if buffer.private != any(_is_parallel(f) for f in leaf.frames if f.depth <= depth):
        bug(f"threads share a row of {buffer.name}, {leaf.place({})}")
    if buffer.private and any(_is_parallel(f) for f in leaf.frames if f.depth > depth):
        bug(f"a row of {buffer.name} is another thread's, {leaf.place({})}")


def _runs_once(loop: Loop) -> bool:
    """Whether a loop has one iteration at most, as over an index of one value, along
    which a buffer is never contracted."""
    ends = loop.lo, loop.hi
    match ends:
        case Literal(lo), Literal(hi):
            return hi - lo <= loop.step
    return False


def _is_parallel(frame: Frame) -> bool:
    return frame.loop.kind == "parallel"
