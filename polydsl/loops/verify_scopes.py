"""Buffers that live inside a loop: registers, and copies made again for every tile.

The *scope* of such a buffer is the body that fills it and uses it: the loops around
that body are the same for both. In each iteration of the scope the buffer is filled
once, before anything reads it, and what is read was filled in the same iteration. So
nothing flows from one iteration to another, nor between threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import (
    Accumulate,
    BatchReduceGemm,
    Buffer,
    Expr,
    LoopNest,
    Store,
)
from polydsl.loops.verify_bounds import accesses
from polydsl.loops.verify_conditions import condition_variables
from polydsl.loops.verify_cover import Target, Visit, check_cover
from polydsl.loops.verify_forms import Form, Space, Var, variables
from polydsl.loops.verify_instances import coordinates
from polydsl.loops.verify_points import Frame, Leaf, Piece
from polydsl.loops.verify_translate import Names, nest_form
from polydsl.poly.terms import Interval
from polydsl.schedule.matrix_plan import Copy


@dataclass(frozen=True, slots=True)
class Scope:
    """One life of a buffer: `depth` steps of the path lead to its body, `fill` writes
    it, `uses` read it, or combine into it, in order of execution."""

    buffer: Buffer
    depth: int
    fill: Leaf
    uses: tuple[Leaf, ...]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The loops around the body."""
        return tuple(f for f in self.fill.frames if f.depth <= self.depth)

    @property
    def outer(self) -> frozenset[str]:
        """The counters of those loops."""
        return frozenset(f.counter for f in self.frames)


def scopes(
    nest: LoopNest, copies: Mapping[str, Copy], leaves: Sequence[Leaf]
) -> tuple[Scope, ...]:
    """Return every life of every local buffer, and raise where one is none."""
    users: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        for name in dict.fromkeys(touched(leaf)):
            users.setdefault(name, []).append(leaf)
    found: list[Scope] = []
    for buffer in nest.buffers:
        copy = copies.get(buffer.name)
        is_local = copy is not None and copy.local > 0
        if buffer.memory == "register" or is_local:
            found += _lives(buffer, tuple(users.get(buffer.name, ())), 1)
    for scope in found:
        _check_threads(scope)
    return tuple(found)


def touched(leaf: Leaf) -> Iterator[str]:
    """Yield the names of the buffers that a leaf reads or writes."""
    for name, _, _ in accesses(leaf):
        yield name
    if isinstance(leaf.node, BatchReduceGemm):
        yield from (leaf.node.c.buffer, leaf.node.a.buffer, leaf.node.b.buffer)


def reads(leaf: Leaf, name: str) -> bool:
    """Whether a leaf needs what a buffer holds."""
    node = leaf.node
    match node:
        case Store():
            return name in [n for n, _, _ in accesses(leaf)][1:]
        case Accumulate():
            return name in touched(leaf)
        case BatchReduceGemm():
            updates = node.accumulate and node.c.buffer == name
            return updates or name in (node.a.buffer, node.b.buffer)


def writes(leaf: Leaf, name: str) -> bool:
    """Whether a leaf changes a buffer."""
    node = leaf.node
    return name == (node.c.buffer if isinstance(node, BatchReduceGemm) else node.buffer)


def _lives(buffer: Buffer, users: tuple[Leaf, ...], depth: int) -> Iterator[Scope]:
    """Yield the scopes of a buffer among leaves that share *depth* steps of path.

    A child of this body that begins by filling the buffer begins a life of it. A life
    inside one child has its scope further in; else this body is the scope.
    """
    lives: list[list[list[Leaf]]] = []
    for _, group in groupby(users, key=lambda leaf: leaf.path[: depth + 1]):
        part = list(group)
        if not reads(part[0], buffer.name):
            lives.append([part])
        elif lives:
            lives[-1].append(part)
        else:
            bug(f"{buffer.name} is read before it is filled, {part[0].place({})}")
    for life in lives:
        first, *rest = life
        if not rest and len(first) > 1:
            yield from _lives(buffer, tuple(first), depth + 1)
            continue
        if len(first) > 1:
            bug(
                f"{buffer.name} is filled again before it is used, {first[1].place({})}"
            )
        yield Scope(buffer, depth, first[0], tuple(u for part in rest for u in part))


def _check_threads(scope: Scope) -> None:
    """Raise where threads would meet in the buffer, or one would miss its values."""
    one_thread = scope.buffer.memory == "register" or scope.buffer.private
    for leaf in (scope.fill, *scope.uses):
        for frame in leaf.frames:
            is_inside = frame.depth > scope.depth
            if frame.loop.kind == "parallel" and is_inside == one_thread:
                bug(
                    f"{scope.buffer.name} is not filled by the thread that reads it, "
                    f"{leaf.place({frame.counter: leaf.hull.box[frame.counter][1]})}"
                )


# Copies made for every tile


def check_local_copy(copy: Copy, scope: Scope) -> Names:
    """Raise unless a copy is filled completely in every iteration of its scope, once,
    and is there wherever it is read; return its fixed coordinates in counters."""
    instance = scope.fill.node.instance
    if instance is None or instance.statement != copy.tensor:
        bug(f"{copy.tensor} is not filled by its copy, {scope.fill.place({})}")
    found = dict(zip(copy.dims, coordinates(scope.fill, instance, copy.dims)))
    stored = copy.dims[copy.local :]
    fixed = {d: found[d] for d in copy.dims[: copy.local]}
    for dim, form in fixed.items():
        if not variables(form) <= scope.outer:
            bug(f"{dim} changes while {copy.tensor} is filled, {scope.fill.place({})}")
    box = {d: (0, n - 1) for d, n in zip(stored, copy.shape)}
    target = Target(copy.tensor, stored, Space(box, {}))
    forms = tuple(found[d] for d in stored)
    for part in scope.fill.pieces:
        inner = _inner(part, scope)
        check_cover(target, [Visit(scope.fill, inner, forms)])
    for leaf in scope.uses:
        _check_filled(scope, leaf)
    return fixed


def _inner(piece: Piece, scope: Scope) -> Piece:
    """Return a piece for one iteration of the scope: its counters stand still."""
    box = {
        name: (lo, lo) if name in scope.outer else (lo, hi)
        for name, (lo, hi) in piece.space.box.items()
    }
    conditions = tuple(
        c for c in piece.conditions if not condition_variables(c) <= scope.outer
    )
    return Piece(Space(box, piece.space.tables), conditions)


def _check_filled(scope: Scope, leaf: Leaf) -> None:
    """Raise where a use runs in an iteration in which the fill does not."""
    for piece in leaf.pieces:
        if not any(_holds(part, piece, scope.outer) for part in scope.fill.pieces):
            point = {n: piece.space.box[n][1] for n in scope.outer}
            bug(f"{scope.buffer.name} is not filled {leaf.place(point)}")


def _holds(outer: Piece, inner: Piece, names: frozenset[str]) -> bool:
    """Whether one piece holds another one's values of *names*."""
    inside = all(
        outer.space.box[n][0] <= inner.space.box[n][0]
        and inner.space.box[n][1] <= outer.space.box[n][1]
        for n in names
    )
    needed = (c for c in outer.conditions if condition_variables(c) & names)
    return inside and all(c in inner.conditions for c in needed)


# Registers


def slots(scope: Scope, leaf: Leaf) -> tuple[int | str, ...]:
    """Return the number, or the leaf's own counter, that each axis is indexed by."""
    found: list[int | str] = []
    for expr in _register_index(scope, leaf):
        form = nest_form(expr, leaf.names, leaf.hull)
        own = _own_counter(form, scope)
        if own is None or own in found:
            bug(f"{scope.buffer.name} has odd subscripts, {leaf.place({})}")
        found.append(own)
    return tuple(found)


def _own_counter(form: Form | None, scope: Scope) -> int | str | None:
    if form is None:
        return None
    if form.is_constant:
        return form.constant
    ((first, factor), *more) = form.terms
    plain = isinstance(first, Var) and factor == 1 and not more and not form.constant
    if not plain or not isinstance(first, Var) or first.name in scope.outer:
        return None
    return first.name


def _register_index(scope: Scope, leaf: Leaf) -> tuple[Expr, ...]:
    for name, index, _ in accesses(leaf):
        if name == scope.buffer.name:
            return index
    bug(f"{scope.buffer.name} is not used, {leaf.place({})}")


Boxes = tuple[tuple[tuple[Interval, ...], Piece], ...]


def slot_boxes(scope: Scope, leaf: Leaf) -> Boxes:
    """Return for each piece of a leaf the box of register elements that it touches."""
    axes = slots(scope, leaf)
    return tuple(
        (
            tuple((a, a) if isinstance(a, int) else piece.space.box[a] for a in axes),
            piece,
        )
        for piece in leaf.pieces
    )


def check_same_slots(scope: Scope, leaf: Leaf, *, whole: bool) -> None:
    """Raise where a leaf touches a register element that was not filled, or (`whole`)
    leaves out one that was."""
    ours, filled = slot_boxes(scope, leaf), slot_boxes(scope, scope.fill)
    _check_held(scope, leaf, ours, filled, "is not filled")
    if whole:
        _check_held(scope, scope.fill, filled, ours, "is not stored")


def _check_held(
    scope: Scope, leaf: Leaf, inner: Boxes, outer: Boxes, message: str
) -> None:
    for box, piece in inner:
        held = any(
            all(a <= c and d <= b for (c, d), (a, b) in zip(box, other))
            and _holds(part, piece, scope.outer)
            for other, part in outer
        )
        if not held:
            point = {n: hi for n, (_, hi) in piece.space.box.items()}
            bug(f"an element of {scope.buffer.name} {message} {leaf.place(point)}")
