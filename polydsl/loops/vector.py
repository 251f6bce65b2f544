"""Loops of a `VectorPlan`: assignments and reductions, a register tile at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polydsl.loops.expressions import Defined
from polydsl.loops.nest import (
    Buffer,
    Expr,
    Guard,
    Literal,
    Loop,
    LoopKind,
    Node,
    Var,
    contiguous,
)
from polydsl.loops.terms import ZERO, both, number, plus, times
from polydsl.loops.vector_tile import Group, RegisterTile, Span, Spans
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.semantics.program import Expr as ProgramExpr


@dataclass(frozen=True, slots=True)
class VectorLoops:
    """The nodes of one plan and the register buffers that they use."""

    nodes: tuple[Node, ...]
    buffers: tuple[Buffer, ...]


def generate_vector(
    scop: Scop, plan: VectorPlan, defined: Mapping[str, Defined]
) -> VectorLoops:
    """Return the loops of a plan."""
    return _Generator(Group(scop, plan, defined)).generate()


@dataclass(frozen=True, slots=True)
class _Generator:
    group: Group

    @property
    def plan(self) -> VectorPlan:
        return self.group.plan

    def generate(self) -> VectorLoops:
        nodes = self._loops(0, {})
        if not self.group.updates:
            return VectorLoops(nodes, ())
        point = self.plan.point
        shape = tuple(u.count for u in point.unrolled)
        if self.group.is_tiled:
            shape = (*shape, point.vectors, self.plan.lanes)
        buffer = Buffer(
            self.group.register, self.group.dtype, shape, contiguous(shape), "register"
        )
        return VectorLoops(nodes, (buffer,))

    # Loops around register tiles

    def _loops(self, level: int, spans: Spans) -> tuple[Node, ...]:
        """Return the loops from a level on, around the tile where they end."""
        point = self.plan.point
        if level == len(point.loops):
            return self._guarded(self._shared_conditions(), spans, self._tile(spans))
        loop = point.loops[level]
        if not self.group.is_tiled and loop.index == point.vector:
            return (self._chunks(level, spans),)
        nodes: tuple[Node, ...] = ()
        for span, trips, width in self._parts(level, spans):
            nodes += self._loop_over(level, spans, span, trips, width)
        return nodes

    def _parts(self, level: int, spans: Spans) -> list[tuple[Span, int, int]]:
        """Return the parts of a loop that hold tiles of one kind: the first iteration,
        their number, and how far they are apart."""
        loop = self.plan.point.loops[level]
        around = spans.get(loop.index)
        if around is not None:
            inner = Span(around.start, around.size, 1, around.end)
            return [(inner, around.tiles, around.size)]
        parts: list[tuple[Span, int, int]] = []
        for run in self.plan.runs_of(loop.index):
            blocks, rest = divmod(run.count, loop.tiles)
            width = loop.tiles * run.size
            end = run.end if run.is_partial else None
            for first, count, tiles in ((0, blocks, loop.tiles), (blocks, 1, rest)):
                if count and tiles:
                    start = number(run.start + first * width)
                    parts.append((Span(start, run.size, tiles, end), count, width))
        return parts

    def _loop_over(
        self, level: int, spans: Spans, first: Span, trips: int, width: int
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
        span = Span(start, first.size, first.tiles, first.end)
        body = self._loops(level + 1, {**spans, index: span})
        return (Loop(counter.name, lo, plus(lo, number(trips)), body, kind=kind),)

    def _chunks(self, level: int, spans: Spans) -> Loop:
        """Return the loop over chunks of the vector index of an assignment."""
        loop = self.plan.point.loops[level]
        lo, hi = self.group.model.ranges[loop.index]
        length = loop.tiles * self.plan.lanes
        start = Var(f"{loop.index}_block'")
        span = Span(start, length, 1, hi + 1)
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
        statements = [
            s for s in (self.group.initialize, *self.group.updates) if s is not None
        ]
        around = {loop.index for loop in self.plan.point.loops}
        return tuple(
            c
            for c in self.group.model.conditions
            if {*ordered_indices(c)} <= around
            and all(c in s.conditions for s in statements)
        )

    def _guarded(
        self,
        conditions: tuple[ProgramExpr, ...],
        spans: Spans,
        body: tuple[Node, ...],
        inner: tuple[str, ...] = (),
    ) -> tuple[Node, ...]:
        """Run nodes where conditions on some indices hold."""
        values = {d: span.start for d, span in spans.items()}
        translate = self.group.translation(values | {d: Var(d) for d in inner})
        guard = both(translate.expression(c) for c in conditions)
        return body if guard is None else (Guard(guard, body),)

    # Register tiles

    def _tile(self, spans: Spans) -> tuple[Node, ...]:
        """Return the nodes of one register tile."""
        tile = RegisterTile(self.group, spans)
        if not self.group.updates:
            return (tile.each(tile.assignment()),)
        nodes = [tile.each(tile.first())]
        for update in self.group.updates:
            nodes += self._reduced_loops(update, spans, tile.update(update))
        return (*nodes, tile.each(tile.last()))

    def _reduced_loops(
        self, update: Statement, spans: Spans, body: Node
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
