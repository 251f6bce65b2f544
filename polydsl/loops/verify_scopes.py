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
from polydsl.base.dtypes import I64
from polydsl.loops.nest import (
    TILE,
    Accumulate,
    BatchReduceGemm,
    Buffer,
    Expr,
    Literal,
    LoopNest,
    Store,
    Strided,
    Var,
)
from polydsl.loops.verify_bounds import accesses
from polydsl.loops.verify_conditions import condition_variables, replaced
from polydsl.loops.verify_cuts import Piece
from polydsl.loops.verify_forms import Form, constant, variable
from polydsl.loops.verify_forms import Var as Counter
from polydsl.loops.verify_points import Frame, Leaf
from polydsl.loops.verify_translate import nest_form
from polydsl.poly.terms import Interval
from polydsl.schedule.matrix_plan import Copy


@dataclass(frozen=True, slots=True)
class Scope:
    """One life of a buffer: `depth` steps of the path lead to its body, `fills` write
    it, then `uses` read it, or combine into it, in order of execution."""

    buffer: Buffer
    depth: int
    fills: tuple[Leaf, ...]
    uses: tuple[Leaf, ...]

    @property
    def fill(self) -> Leaf:
        """The first leaf; a register has no other one."""
        return self.fills[0]

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


@dataclass(slots=True)
class _Life:
    """Parts of a body: those that only fill, then those that use; or one that does
    both, a life of its own."""

    fills: list[Leaf]
    uses: list[Leaf]
    inside: list[Leaf]


def _lives(buffer: Buffer, users: tuple[Leaf, ...], depth: int) -> Iterator[Scope]:
    """Yield the scopes of a buffer among leaves that share *depth* steps of path.

    A child of this body that fills the buffer after it was used, or that uses what it
    fills itself, begins a life. A life inside one child has its scope further in; else
    this body is the scope.
    """
    lives: list[_Life] = []
    for _, group in groupby(users, key=lambda leaf: leaf.path[: depth + 1]):
        part = list(group)
        fills = [not reads(leaf, buffer.name) for leaf in part]
        if all(fills):
            if not lives or lives[-1].uses or lives[-1].inside:
                lives.append(_Life([], [], []))
            lives[-1].fills += part
        elif fills[0]:
            lives.append(_Life([], [], part))
        elif lives and lives[-1].fills:
            lives[-1].uses += part
        else:
            bug(f"{buffer.name} is read before it is filled, {part[0].place({})}")
    for life in lives:
        if life.inside:
            yield from _lives(buffer, tuple(life.inside), depth + 1)
        else:
            _check_uses(buffer, life)
            yield Scope(buffer, depth, tuple(life.fills), tuple(life.uses))


def _check_uses(buffer: Buffer, life: _Life) -> None:
    """Raise where a part of the uses fills the buffer again."""
    for leaf in life.uses:
        if not reads(leaf, buffer.name):
            bug(f"{buffer.name} is filled again while it is used, {leaf.place({})}")


def _check_threads(scope: Scope) -> None:
    """Raise where threads would meet in the buffer, or one would miss its values."""
    one_thread = scope.buffer.memory == "register" or scope.buffer.private
    for leaf in (*scope.fills, *scope.uses):
        for frame in leaf.frames:
            is_inside = frame.depth > scope.depth
            if frame.loop.kind == "parallel" and is_inside == one_thread:
                bug(
                    f"{scope.buffer.name} is not filled by the thread that reads it, "
                    f"{leaf.place({frame.counter: leaf.hull.box[frame.counter][1]})}"
                )


# Registers


def slots(scope: Scope, leaf: Leaf) -> tuple[int | str, ...]:
    """Return the number, or the leaf's own counter, that each axis is indexed by."""
    found: list[int | str] = []
    for expr in _register_index(scope, leaf):
        form = nest_form(expr, leaf.names, leaf.hull)
        own = _own_counter(form, scope)
        if own is None or (isinstance(own, str) and own in found):
            bug(f"{scope.buffer.name} has odd subscripts, {leaf.place({})}")
        found.append(own)
    return tuple(found)


def _own_counter(form: Form | None, scope: Scope) -> int | str | None:
    if form is None:
        return None
    if form.is_constant:
        return form.constant
    ((first, factor), *more) = form.terms
    plain = factor == 1 and not more and not form.constant
    if not plain or not isinstance(first, Counter) or first.name in scope.outer:
        return None
    return first.name


def _register_index(scope: Scope, leaf: Leaf) -> tuple[Expr, ...]:
    node, buffer = leaf.node, scope.buffer
    if isinstance(node, BatchReduceGemm) and node.c.buffer == buffer.name:
        rows = Strided(buffer.strides[0])
        if node.c.base != Literal(0, I64) or node.c.row != rows:
            bug(f"{buffer.name} is no tile of the product, {leaf.place({})}")
        return Var(TILE[0]), Var(TILE[1])
    found = {index for name, index, _ in accesses(leaf) if name == buffer.name}
    if len(found) != 1:
        bug(f"{buffer.name} has no one slot here, {leaf.place({})}")
    return found.pop()


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
    _check_held(scope, leaf, scope.fill, "is not filled")
    if whole:
        _check_held(scope, scope.fill, leaf, "is not stored")


def _check_held(scope: Scope, inner: Leaf, outer: Leaf, message: str) -> None:
    names = _counters(scope, outer, inner)
    held_by = slot_boxes(scope, outer)
    for box, piece in slot_boxes(scope, inner):
        held = any(
            all(a <= c and d <= b for (c, d), (a, b) in zip(box, other))
            and _holds(part, piece, scope.outer, names)
            for other, part in held_by
        )
        if not held:
            point = {n: hi for n, (_, hi) in piece.space.box.items()}
            bug(f"an element of {scope.buffer.name} {message} {inner.place(point)}")


def _counters(scope: Scope, outer: Leaf, inner: Leaf) -> dict[str, Form]:
    """Return what one leaf's counters of register elements are in another leaf."""
    pairs = zip(slots(scope, outer), slots(scope, inner))
    return {
        name: constant(own) if isinstance(own, int) else variable(own)
        for name, own in pairs
        if isinstance(name, str)
    }


def _holds(
    outer: Piece, inner: Piece, names: frozenset[str], counters: Mapping[str, Form]
) -> bool:
    """Whether one piece holds another one's values of *names*, where its *counters* are
    the other one's."""
    if not outer.has(inner, names):
        return False
    telling = names | counters.keys()
    needed = [c for c in outer.conditions if condition_variables(c) & telling]
    if all(c in inner.conditions for c in needed):
        return True
    # Where the last loops are not cut into boxes, conditions are about elements, too.
    space = inner.space
    moving = {n: variable(n) for n in space.box}
    known = [replaced(c, moving, space) for c in inner.conditions]
    values = {**moving, **counters}
    return all(
        condition_variables(c) <= values.keys() and replaced(c, values, space) in known
        for c in needed
    )
