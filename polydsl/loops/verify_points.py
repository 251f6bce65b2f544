"""The loop points of a nest: every leaf with its path, its loops and its domain.

The domain of a leaf is a union of disjoint pieces, boxes of loop counters: a loop whose
length depends on an outer loop (a tail, a chunk of rows) or a guard cuts the outer
loop's range where the length changes. What does not come apart into boxes, a triangle,
stays as a condition of the piece. The counter of a loop that starts at a number with
step 1 is the loop variable itself; others count iterations from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias, assert_never

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import (
    TILE,
    Accumulate,
    BatchReduceGemm,
    Guard,
    Loop,
    LoopNest,
    Node,
    Store,
)
from polydsl.loops.render import render_node
from polydsl.loops.verify_conditions import (
    FALSE,
    TRUE,
    All,
    Any,
    Compare,
    Condition,
    at_least,
    condition_variables,
    mask,
    negation,
    simplified,
)
from polydsl.loops.verify_forms import (
    Array,
    Form,
    Space,
    combine,
    evaluate,
    floor_of,
    interval,
    shifted,
    subtract,
    variable,
    variables,
)
from polydsl.loops.verify_translate import Names, nest_condition, nest_form
from polydsl.poly.terms import Interval

MOST_RUNS = 64
"""A range is cut into so many parts, at most, where a loop's length changes."""
MOST_STEPS = 512
"""A range is halved so many times, at most, to find where a loop's length changes."""
LONGEST_CUT = 1 << 20
"""A range that is longer than this is not cut."""

LeafNode: TypeAlias = Store | Accumulate | BatchReduceGemm


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a domain: a box of counters, and conditions that the box cannot say."""

    space: Space
    conditions: tuple[Condition, ...] = ()

    def restricted(self, counter: str, ends: Interval) -> Piece:
        """Return the piece with a counter added, or with a shorter range of it."""
        box = {**self.space.box, counter: ends}
        return Piece(Space(box, self.space.tables), self.conditions)

    def where(self, condition: Condition) -> Piece:
        """Return the piece with one more condition."""
        return Piece(self.space, (*self.conditions, condition))


@dataclass(frozen=True, slots=True)
class Frame:
    """A loop around a leaf: how many steps of the path lead to it, and its counter."""

    depth: int
    counter: str
    loop: Loop


@dataclass(frozen=True, slots=True)
class Leaf:
    """A node that does something, and where.

    `path` are the places in the bodies from the root, whose parts are `prepare` (0) and
    `body` (1); `names` gives every loop variable in counters; `hull` is a box around
    all pieces.
    """

    node: LeafNode
    path: tuple[int, ...]
    frames: tuple[Frame, ...]
    names: Names
    hull: Space
    pieces: tuple[Piece, ...]

    def form(self, name: str) -> Form:
        """Return a loop variable in counters."""
        return self.names[name]

    def place(self, point: Mapping[str, int]) -> str:
        """Return the point and the node for a message; counters that are not in the
        point stand at their first value."""
        whole = {n: lo for n, (lo, _) in self.hull.box.items()} | dict(point)
        values = {n: np.array(v) for n, v in whole.items()}
        named = (
            f"{name} = {int(evaluate(form, self.hull, values))}"
            for name, form in self.names.items()
        )
        text = render_node(self.node).splitlines()[0]
        return f"at {', '.join(named) or 'the top level'}, in {text}"


def leaves(nest: LoopNest) -> tuple[Leaf, ...]:
    """Return every leaf of a nest that runs at least once, in order of execution."""
    start = Piece(Space({}, constant_tables(nest)))
    walk = _Walk()
    found: list[Leaf] = []
    for part, nodes in enumerate((nest.prepare, nest.body)):
        found += walk.nodes(nodes, _Around((part,), (), {}, (start,)))
    return tuple(found)


def constant_tables(nest: LoopNest) -> dict[str, Array]:
    """Return the entries of every constant buffer."""
    tables: dict[str, Array] = {}
    for buffer in nest.buffers:
        if buffer.memory != "constant":
            continue
        stored = np.frombuffer(buffer.data, buffer.dtype.numpy)
        if buffer.shape != (stored.size,) or buffer.strides != (1,):
            bug(f"{nest.name}: the table {buffer.name} holds {stored.size} entries")
        is_index = stored.dtype.kind == "i"
        tables[buffer.name] = stored.astype(np.int64) if is_index else stored
    return tables


@dataclass(frozen=True, slots=True)
class _Around:
    """What is around a node."""

    path: tuple[int, ...]
    frames: tuple[Frame, ...]
    names: Names
    pieces: tuple[Piece, ...]

    @property
    def is_vector(self) -> bool:
        return bool(self.frames) and self.frames[-1].loop.kind == "vector"


@dataclass(slots=True)
class _Walk:
    """Visits nodes in order; every loop gets a counter of its own."""

    loops: int = field(default=0)

    def nodes(self, nodes: tuple[Node, ...], around: _Around) -> Iterator[Leaf]:
        if not around.pieces:
            return
        for position, node in enumerate(nodes):
            path = (*around.path, position)
            match node:
                case Loop():
                    yield from self._loop(node, path, around)
                case Guard():
                    yield from self._guard(node, path, around)
                case Store() | Accumulate():
                    yield _leaf(node, path, around, around.pieces)
                case BatchReduceGemm():
                    yield _product(node, path, around)
                case _:
                    assert_never(node)

    def _loop(
        self, loop: Loop, path: tuple[int, ...], around: _Around
    ) -> Iterator[Leaf]:
        if loop.step < 1 or loop.lanes < 1 or around.is_vector:
            bug(f"a loop has no legal form: {_first_line(loop)}")
        if loop.var in around.names:
            bug(f"a loop hides another one's variable: {_first_line(loop)}")
        hull = _hull(around.pieces)
        lo = nest_form(loop.lo, around.names, hull)
        hi = nest_form(loop.hi, around.names, hull)
        if lo is None or hi is None:
            bug(f"the bounds of a loop depend on data: {_first_line(loop)}")
        self.loops += 1
        counter = f"{loop.var}@{self.loops}"
        is_plain = lo.is_constant and loop.step == 1
        form = variable(counter)
        if not is_plain:
            form = combine((lo, 1), (form, loop.step))
        first = lo.constant if is_plain else 0
        pieces = tuple(
            inside
            for piece in around.pieces
            for inside in _entered(piece, counter, first, _count(loop, lo, hi, piece))
        )
        if loop.kind == "unrolled" and not (lo.is_constant and hi.is_constant):
            bug(f"the bounds of an unrolled loop vary: {_first_line(loop)}")
        frames = (*around.frames, Frame(len(path), counter, loop))
        names = {**around.names, loop.var: form}
        yield from self.nodes(loop.body, _Around(path, frames, names, pieces))

    def _guard(
        self, guard: Guard, path: tuple[int, ...], around: _Around
    ) -> Iterator[Leaf]:
        hull = _hull(around.pieces)
        condition = nest_condition(guard.condition, around.names, hull)
        if condition is None or around.is_vector:
            bug(f"a guard has no legal form: {_first_line(guard)}")
        pieces = tuple(q for p in around.pieces for q in _guarded(p, condition))
        inside = _Around(path, around.frames, around.names, pieces)
        yield from self.nodes(guard.body, inside)


def _first_line(node: Node) -> str:
    return render_node(node).splitlines()[0]


def _leaf(
    node: LeafNode, path: tuple[int, ...], around: _Around, pieces: tuple[Piece, ...]
) -> Leaf:
    return Leaf(node, path, around.frames, around.names, _hull(pieces), pieces)


def _product(node: BatchReduceGemm, path: tuple[int, ...], around: _Around) -> Leaf:
    extents = (node.rows, node.columns, node.batch, node.depth)
    if min(extents) < 1 or around.is_vector:
        bug(f"a product has no legal form: {_first_line(node)}")
    pieces = around.pieces
    for name, extent in zip(TILE, extents):
        pieces = tuple(p.restricted(name, (0, extent - 1)) for p in pieces)
    names = {**around.names, **{name: variable(name) for name in TILE}}
    inside = _Around(path, around.frames, names, pieces)
    return _leaf(node, path, inside, pieces)


def _hull(pieces: tuple[Piece, ...]) -> Space:
    """Return the least box around pieces."""
    first = pieces[0].space
    if len(pieces) == 1:
        return first
    boxes = [piece.space.box for piece in pieces]
    box = {
        name: (min(b[name][0] for b in boxes), max(b[name][1] for b in boxes))
        for name in first.box
    }
    return Space(box, first.tables)


# How domains are cut


def _count(loop: Loop, lo: Form, hi: Form, piece: Piece) -> Form:
    """Return the number of iterations; nothing runs where it is not positive."""
    length = subtract(hi, lo)
    if loop.step == 1:
        return length
    return floor_of(shifted(length, loop.step - 1), loop.step, piece.space)


def _entered(piece: Piece, counter: str, first: int, count: Form) -> Iterator[Piece]:
    """Yield the pieces of a loop's body, from the number of its iterations."""
    least, most = interval(count, piece.space)
    if least == most or most <= 0:
        if most > 0:
            yield piece.restricted(counter, (first, first + most - 1))
        return
    cut = _cut(piece, count)
    if cut is None:
        inside = subtract(count, shifted(variable(counter), 1 - first))
        longest = piece.restricted(counter, (first, first + most - 1))
        yield longest.where(at_least(inside, 0))
        return
    for part, extent in cut:
        if extent > 0:
            yield part.restricted(counter, (first, first + extent - 1))


def _cut(piece: Piece, count: Form) -> list[tuple[Piece, int]] | None:
    """Cut a piece where a form changes; one that is not positive is 0."""
    moving = _moving(piece, variables(count))
    fixed = {n: np.array(lo) for n, (lo, _) in piece.space.box.items()}
    if not moving:
        return [(piece, int(evaluate(count, piece.space, fixed)))]
    if len(moving) > 1:
        return _halved(piece, moving, lambda part: _number(count, part))
    if piece.space.extent(moving[0]) > LONGEST_CUT:
        return None
    lo, hi = piece.space.box[moving[0]]
    values = {**fixed, moving[0]: np.arange(lo, hi + 1)}
    runs = _runs(np.maximum(evaluate(count, piece.space, values), 0))
    if len(runs) > MOST_RUNS:
        return None
    return [
        (piece.restricted(moving[0], (lo + first, lo + last)), value)
        for first, last, value in runs
    ]


def _moving(piece: Piece, names: frozenset[str]) -> tuple[str, ...]:
    """Return the variables that have several values, outermost first."""
    box = piece.space.box
    return tuple(n for n in box if n in names and box[n][0] < box[n][1])


def _number(count: Form, piece: Piece) -> int | None:
    least, most = interval(count, piece.space)
    if most <= 0:
        return 0
    return least if least == most else None


def _truth(condition: Condition, piece: Piece) -> int | None:
    left = simplified(condition, piece.space)
    return int(left == TRUE) if left in (TRUE, FALSE) else None


def _halved(
    piece: Piece, names: tuple[str, ...], tell: Callable[[Piece], int | None]
) -> list[tuple[Piece, int]] | None:
    """Cut a piece into boxes on each of which *tell* has an answer, by halving ranges
    from the outermost variable on; None where that would take long."""
    return _Halving(names, tell).cut(piece)


@dataclass(slots=True)
class _Halving:
    names: tuple[str, ...]
    tell: Callable[[Piece], int | None]
    steps: int = field(default=MOST_STEPS)

    def cut(self, piece: Piece) -> list[tuple[Piece, int]] | None:
        self.steps -= 1
        value = self.tell(piece)
        if value is not None:
            return [(piece, value)]
        moving = _moving(piece, frozenset(self.names))
        if not moving or self.steps <= 0:
            return None
        lo, hi = piece.space.box[moving[0]]
        middle = (lo + hi) // 2
        left = self.cut(piece.restricted(moving[0], (lo, middle)))
        if left is None:
            return None
        right = self.cut(piece.restricted(moving[0], (middle + 1, hi)))
        return None if right is None else _joined(left, right, moving[0])


def _joined(
    left: list[tuple[Piece, int]], right: list[tuple[Piece, int]], name: str
) -> list[tuple[Piece, int]]:
    """Return the boxes of two halves, those put together that have one answer and meet
    where the range of a variable was cut."""
    found = list(left)
    for piece, value in right:
        lo, hi = piece.space.box[name]
        for place, (other, answer) in enumerate(found):
            first, last = other.space.box[name]
            whole = piece.restricted(name, (first, hi))
            same = other.restricted(name, (first, hi)) == whole
            if last + 1 == lo and answer == value and same:
                found[place] = (whole, value)
                break
        else:
            found.append((piece, value))
    return found


def _runs(values: Array) -> list[tuple[int, int, int]]:
    """Return the first and last place and the value of each run of equal values."""
    starts = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return [(a, b - 1, int(values[a])) for a, b in pairwise(starts)]


def _guarded(piece: Piece, condition: Condition) -> Iterator[Piece]:
    """Yield the pieces of a guard's body."""
    left = simplified(condition, piece.space)
    match left:
        case All(parts):
            inside = [piece]
            for part in parts:
                inside = [q for p in inside for q in _guarded(p, part)]
            yield from inside
        case Any(parts):
            # Where a part holds, and where it does not and one of the others does.
            outside = [piece]
            for part in parts:
                yield from (q for p in outside for q in _guarded(p, part))
                no = negation(part)
                outside = [q for p in outside for q in _guarded(p, no)]
        case Compare():
            yield from _compared(piece, left)
        case _:
            assert_never(left)


def _compared(piece: Piece, condition: Compare) -> Iterator[Piece]:
    """Yield the pieces where a comparison holds."""
    moving = _moving(piece, condition_variables(condition))
    cut: list[tuple[Piece, int]] | None = None
    if len(moving) > 1:
        cut = _halved(piece, moving, lambda part: _truth(condition, part))
    elif moving and piece.space.extent(moving[0]) <= LONGEST_CUT:
        lo, hi = piece.space.box[moving[0]]
        fixed = {n: np.array(a) for n, (a, _) in piece.space.box.items()}
        values = {**fixed, moving[0]: np.arange(lo, hi + 1)}
        runs = _runs(np.broadcast_to(mask(condition, piece.space, values), hi - lo + 1))
        cut = [(piece.restricted(moving[0], (lo + a, lo + b)), v) for a, b, v in runs]
    if cut is None or len(cut) > MOST_RUNS:
        yield piece.where(condition)
        return
    yield from (part for part, value in cut if value)
