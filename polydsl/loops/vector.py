"""Loops of a `VectorPlan`: assignments and reductions, a register tile at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import TypeAlias

from polydsl.base.dtypes import DType
from polydsl.loops.expressions import Defined, Translation
from polydsl.loops.nest import (
    Accumulate,
    Buffer,
    Expr,
    Guard,
    Instance,
    Literal,
    Load,
    Loop,
    LoopKind,
    Node,
    Store,
    Var,
    contiguous,
)
from polydsl.loops.terms import ZERO, both, minimum, minus, number, plus, times
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.terms import Interval
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.semantics.program import Expr as ProgramExpr

Values = dict[str, Expr]

UNROLLED, LANE = "u'", "lane'"
"""Loop variables of a register tile, marked so that no index is called like them."""


NOTHING: Mapping[str, Expr] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class VectorLoops:
    """The nodes of one plan and the register buffers that they use."""

    nodes: tuple[Node, ...]
    buffers: tuple[Buffer, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """Where the loops so far have led to in one index: `tiles` tiles of `size` points
    from `start` on, the last of which ends at `end` if it is cut off."""

    start: Expr
    size: int
    tiles: int
    end: int | None = None


_Spans: TypeAlias = Mapping[str, _Span]


def generate_vector(
    scop: Scop, plan: VectorPlan, defined: Mapping[str, Defined]
) -> VectorLoops:
    """Return the loops of a plan."""
    return _Generator(scop, plan, defined).generate()


@dataclass(frozen=True, slots=True)
class _Generator:
    scop: Scop
    plan: VectorPlan
    defined: Mapping[str, Defined]

    @property
    def initialize(self) -> Statement | None:
        name = self.plan.initialize
        return None if name is None else self.scop.statement(name)

    @property
    def updates(self) -> tuple[Statement, ...]:
        return tuple(self.scop.statement(name) for name in self.plan.updates)

    @property
    def model(self) -> Statement:
        """The statement whose left-hand indices the loops run over."""
        last = self.updates[-1] if self.updates else self.initialize
        assert last is not None
        return last

    @property
    def register(self) -> str:
        return f"{self.model.name}_acc"

    @property
    def dtype(self) -> DType:
        return self.scop.tensor(self.plan.tensor).dtype

    @property
    def is_tiled(self) -> bool:
        """Whether the vector index is cut into register tiles; the others are."""
        point = self.plan.point
        in_tiles = bool(self.updates or point.unrolled)
        return in_tiles and point.vector in self.model.left

    def generate(self) -> VectorLoops:
        nodes = self._loops(0, {})
        if not self.updates:
            return VectorLoops(nodes, ())
        point = self.plan.point
        shape = tuple(u.count for u in point.unrolled)
        if self.is_tiled:
            shape = (*shape, point.vectors, self.plan.lanes)
        buffer = Buffer(self.register, self.dtype, shape, contiguous(shape), "register")
        return VectorLoops(nodes, (buffer,))

    # Loops around register tiles

    def _loops(self, level: int, spans: _Spans) -> tuple[Node, ...]:
        """Return the loops from a level on, around the tile where they end."""
        point = self.plan.point
        if level == len(point.loops):
            return self._guarded(self._shared_conditions(), spans, self._tile(spans))
        loop = point.loops[level]
        if not self.is_tiled and loop.index == point.vector:
            return (self._chunks(level, spans),)
        nodes: tuple[Node, ...] = ()
        for span, trips, width in self._parts(level, spans):
            nodes += self._loop_over(level, spans, span, trips, width)
        return nodes

    def _parts(self, level: int, spans: _Spans) -> list[tuple[_Span, int, int]]:
        """Return the parts of a loop that hold tiles of one kind: the first iteration,
        their number, and how far they are apart."""
        loop = self.plan.point.loops[level]
        around = spans.get(loop.index)
        if around is not None:
            inner = _Span(around.start, around.size, 1, around.end)
            return [(inner, around.tiles, around.size)]
        parts: list[tuple[_Span, int, int]] = []
        for run in self.plan.runs_of(loop.index):
            blocks, rest = divmod(run.count, loop.tiles)
            width = loop.tiles * run.size
            end = run.end if run.is_partial else None
            for first, count, tiles in ((0, blocks, loop.tiles), (blocks, 1, rest)):
                if count and tiles:
                    start = number(run.start + first * width)
                    parts.append((_Span(start, run.size, tiles, end), count, width))
        return parts

    def _loop_over(
        self, level: int, spans: _Spans, first: _Span, trips: int, width: int
    ) -> tuple[Node, ...]:
        """Return the loop over tiles of one kind; a single one needs none."""
        index = self.plan.point.loops[level].index
        is_block = self.plan.point.loops[level].tiles > 1
        if trips == 1:
            return self._loops(level + 1, {**spans, index: first})
        kind: LoopKind = (
            "parallel" if level == self.plan.point.parallel else "sequential"
        )
        counter = Var(f"{index}_{'block' if is_block else 'tile'}'")
        lo: Expr = ZERO
        start = plus(first.start, times(counter, width))
        if width == 1 and isinstance(first.start, Literal):
            counter, lo = Var(index), first.start
            start = counter
        span = _Span(start, first.size, first.tiles, first.end)
        body = self._loops(level + 1, {**spans, index: span})
        return (Loop(counter.name, lo, plus(lo, number(trips)), body, kind=kind),)

    def _chunks(self, level: int, spans: _Spans) -> Loop:
        """Return the loop over chunks of the vector index of an assignment."""
        loop = self.plan.point.loops[level]
        lo, hi = self.model.ranges[loop.index]
        length = loop.tiles * self.plan.lanes
        start = Var(f"{loop.index}_block'")
        span = _Span(start, length, 1, hi + 1)
        body = self._loops(level + 1, {**spans, loop.index: span})
        is_parallel = level == self.plan.point.parallel
        return Loop(
            start.name,
            number(lo),
            number(hi + 1),
            body,
            step=length,
            kind="parallel" if is_parallel else "sequential",
        )

    def _shared_conditions(self) -> tuple[ProgramExpr, ...]:
        """Return the conditions of the domain that hold for every statement of the
        plan and only need the indices around the tile."""
        statements = [s for s in (self.initialize, *self.updates) if s is not None]
        around = {loop.index for loop in self.plan.point.loops}
        return tuple(
            c
            for c in self.model.conditions
            if {*ordered_indices(c)} <= around
            and all(c in s.conditions for s in statements)
        )

    def _guarded(
        self,
        conditions: tuple[ProgramExpr, ...],
        spans: _Spans,
        body: tuple[Node, ...],
        inner: tuple[str, ...] = (),
    ) -> tuple[Node, ...]:
        """Run nodes where conditions on some indices hold."""
        values = {d: span.start for d, span in spans.items()}
        translate = self.translation(values | {d: Var(d) for d in inner})
        guard = both(translate.expression(c) for c in conditions)
        return body if guard is None else (Guard(guard, body),)

    def translation(self, values: Mapping[str, Expr]) -> Translation:
        """Return how to write the statements over the given loop variables."""
        box: dict[str, Interval] = {}
        for statement in (self.initialize, *self.updates):
            box.update(statement.ranges if statement else {})
        return Translation(self.scop, values, box, self.defined)

    # Register tiles

    def _tile(self, spans: _Spans) -> tuple[Node, ...]:
        """Return the nodes of one register tile."""
        tile = _Tile(self, spans)
        if not self.updates:
            return (tile.each(tile.assignment()),)
        nodes = [tile.each(tile.first())]
        for update in self.updates:
            nodes += self._reduced_loops(update, spans, tile.update(update))
        return (*nodes, tile.each(tile.last()))

    def _reduced_loops(
        self, update: Statement, spans: _Spans, body: Node
    ) -> tuple[Node, ...]:
        """Put the loops over reduced indices around the update of a tile, and its own
        conditions inside of them."""
        shared = self._shared_conditions()
        own = tuple(c for c in update.conditions if c not in shared)
        inner = tuple(d for d in update.reduced if d != self.plan.point.vector)
        nodes = self._guarded(own, spans, (body,), inner)
        kinds: list[tuple[str, LoopKind]] = [
            *((d, "sequential") for d in self.plan.point.reduction),
            *((d, "unrolled") for d in self.plan.point.taps),
        ]
        for d, kind in reversed(kinds):
            if d in update.reduced:
                lo, hi = update.ranges[d]
                nodes = (Loop(d, number(lo), number(hi + 1), nodes, kind=kind),)
        return nodes


@dataclass(frozen=True, slots=True)
class _Tile:
    """The register tile at one place of the loops around it."""

    generator: _Generator
    spans: _Spans

    @property
    def vector(self) -> str | None:
        return self.generator.plan.point.vector

    @property
    def vectors(self) -> int:
        """The vectors of the vector index that lie side by side."""
        if not self.generator.is_tiled or self.vector is None:
            return 1
        return self.spans[self.vector].size // self.generator.plan.lanes

    @property
    def sides(self) -> tuple[tuple[str, int], ...]:
        """The unrolled indices and how many points of them there are."""
        unrolled = self.generator.plan.point.unrolled
        return tuple((u.index, self.spans[u.index].size) for u in unrolled)

    # Statements

    def assignment(self) -> Node:
        model = self.generator.model
        values = self._values(model)
        translate = self.generator.translation(values)
        return Store(
            model.tensor,
            translate.subscripts(model.subscripts),
            translate.expression(model.value),
            _instance(model, values),
        )

    def first(self) -> Node:
        """Return the store of an accumulator's first value."""
        generator, initialize = self.generator, self.generator.initialize
        values = self._values(generator.model)
        translate = generator.translation(values)
        if initialize is None:
            place = translate.subscripts(generator.model.subscripts)
            held = Load(generator.plan.tensor, place, generator.dtype)
            return Store(generator.register, self._index(), held)
        value = translate.expression(initialize.value)
        instance = _instance(initialize, values)
        return Store(generator.register, self._index(), value, instance)

    def last(self) -> Node:
        """Return the store of an accumulator's last value."""
        generator = self.generator
        translate = generator.translation(self._values(generator.model))
        place = translate.subscripts(generator.model.subscripts)
        result = Load(generator.register, self._index(), generator.dtype)
        return Store(generator.plan.tensor, place, result)

    def update(self, update: Statement) -> Node:
        """Return one step of the reduction for the whole tile."""
        if self.vector is None or self.vector not in update.reduced:
            return self.each(self._accumulate(update, {}))
        lo, hi = update.ranges[self.vector]
        points = product(*(range(count) for _, count in self.sides))
        names = [_unrolled(d) for d, _ in self.sides]
        body = tuple(
            self._accumulate(update, dict(zip(names, map(number, point))))
            for point in points
        )
        return Loop(
            self.vector,
            number(lo),
            number(hi + 1),
            body,
            kind="vector",
            lanes=self.generator.plan.lanes,
            vectors=self.generator.plan.point.vectors,
        )

    def _accumulate(self, update: Statement, fixed: Mapping[str, Expr]) -> Node:
        values = self._values(update, fixed)
        assert update.combine is not None
        return Accumulate(
            self.generator.register,
            self._index(fixed),
            update.combine,
            self.generator.translation(values).expression(update.value),
            _instance(update, values),
        )

    # Places

    def _values(
        self, statement: Statement, fixed: Mapping[str, Expr] = NOTHING
    ) -> Values:
        """Return the value of every dimension of a statement at a point of the tile."""
        values: Values = {d: Var(d) for d in statement.dims}
        for d, span in self.spans.items():
            if self.generator.is_tiled or d != self.vector:
                values[d] = span.start
        for d, count in self.sides:
            if count > 1:
                offset = fixed.get(_unrolled(d), Var(_unrolled(d)))
                values[d] = plus(values[d], offset)
        if self.generator.is_tiled and self.vector is not None:
            values[self.vector] = plus(self._start(), Var(LANE))
        return {d: values[d] for d in statement.dims}

    def _start(self) -> Expr:
        """Return where a vector of the tile starts."""
        assert self.vector is not None
        start = self.spans[self.vector].start
        if self.vectors == 1:
            return start
        return plus(start, times(Var(UNROLLED), self.generator.plan.lanes))

    def _index(self, fixed: Mapping[str, Expr] = NOTHING) -> tuple[Expr, ...]:
        """Return the subscripts of the register buffer at a point of the tile."""
        index: list[Expr] = []
        for d, count in self.sides:
            name = _unrolled(d)
            index.append(fixed.get(name, Var(name)) if count > 1 else ZERO)
        if self.generator.is_tiled:
            index += [Var(UNROLLED) if self.vectors > 1 else ZERO, Var(LANE)]
        return tuple(index)

    def each(self, node: Node) -> Node:
        """Run a node at every point of the tile."""
        plan = self.generator.plan
        if self.generator.is_tiled and self.vector is not None:
            lanes: Expr = number(plan.lanes)
            end = self.spans[self.vector].end
            if end is not None:
                lanes = minimum(lanes, minus(number(end), self._start()))
            node = Loop(LANE, ZERO, lanes, (node,), kind="vector", lanes=plan.lanes)
            node = _written_out(UNROLLED, self.vectors, node)
        elif not self.generator.updates and self.vector is not None:
            node = self._row(node, self.vector)
        for d, count in reversed(self.sides):
            node = _written_out(_unrolled(d), count, node)
        return node

    def _row(self, node: Node, vector: str) -> Node:
        """Return the vector loop over a whole index, or over a chunk of it."""
        lo, hi = self.generator.model.ranges[vector]
        first: Expr = number(lo)
        last: Expr = number(hi + 1)
        span = self.spans.get(vector)
        if span is not None:
            last = minimum(plus(span.start, number(span.size)), last)
            first = span.start
        lanes = self.generator.plan.lanes
        return Loop(vector, first, last, (node,), kind="vector", lanes=lanes)


def _written_out(name: str, count: int, node: Node) -> Node:
    if count == 1:
        return node
    return Loop(name, ZERO, number(count), (node,), kind="unrolled")


def _unrolled(index: str) -> str:
    return f"{index}_u'"


def _instance(statement: Statement, values: Mapping[str, Expr]) -> Instance:
    return Instance(statement.name, tuple((d, values[d]) for d in statement.dims))
