"""The loop points of a nest: every leaf with its path, its loops and its domain.

The domain of a leaf is a union of disjoint pieces, boxes of loop counters: a loop whose
length depends on an outer loop (a tail, a chunk of rows) or a guard cuts the outer
loop's range where the length changes. What does not come apart into boxes, a triangle,
stays as a condition of the piece. The counter of a loop that starts at a number with
step 1 is the loop variable itself; others count iterations from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, assert_never

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import (
    TILE,
    Accumulate,
    BatchReduceGemm,
    Check,
    Guard,
    Loop,
    LoopNest,
    Node,
    Store,
)
from polydsl.loops.render import render_node
from polydsl.loops.verify_cuts import Piece, entered, guarded, most_runs
from polydsl.loops.verify_forms import (
    Array,
    Form,
    Space,
    combine,
    evaluate,
    floor_of,
    shifted,
    subtract,
    variable,
)
from polydsl.loops.verify_translate import Names, nest_condition, nest_form
from polydsl.poly.terms import Interval

LeafNode: TypeAlias = Store | Accumulate | BatchReduceGemm


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


def with_variable(leaf: Leaf, name: str, ends: Interval) -> Leaf:
    """Return a leaf at every value of one more variable."""
    pieces = tuple(piece.restricted(name, ends) for piece in leaf.pieces)
    return replace(leaf, hull=_hull(pieces), pieces=pieces)


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
                case Check():
                    # It ends the call, and is looked at by itself (`verify_checks`).
                    if len(path) != 2:
                        bug(f"a check is inside a loop: {_first_line(node)}")
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
        runs = most_runs(len(around.pieces))
        pieces = tuple(
            inside
            for piece in around.pieces
            for inside in entered(
                piece, counter, first, _count(loop, lo, hi, piece), runs
            )
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
        pieces = tuple(q for p in around.pieces for q in guarded(p, condition))
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


def _count(loop: Loop, lo: Form, hi: Form, piece: Piece) -> Form:
    """Return the number of iterations; nothing runs where it is not positive."""
    length = subtract(hi, lo)
    if loop.step == 1:
        return length
    return floor_of(shifted(length, loop.step - 1), loop.step, piece.space)
