"""Loops of a `VectorPlan`: assignments and reductions, a register tile at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
from polydsl.loops.vector_bounds import Cuts, cuts_of
from polydsl.loops.vector_group import Group, Span, Spans
from polydsl.loops.vector_tile import RegisterTile
from polydsl.poly.defined import Defined
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
    group = Group(scop, plan, defined)
    return _Generator(group, cuts_of(group)).generate()


@dataclass(frozen=True, slots=True)
class _Generator:
    group: Group
    cuts: Cuts

    @property
    def plan(self) -> VectorPlan:
        return self.group.plan

    def generate(self) -> VectorLoops:
        nodes = self.cuts.fixed(self._loops(0, {}), self.group.around({}))
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
            return self._guarded(self.cuts.shared(), spans, self._tile(spans))
        loop = point.loops[level]
        if not self.group.is_tiled and loop.index == point.vector:
            return (self._chunks(level, spans),)
        if loop.index in self.plan.bounded:
            return (self._bounded(level, spans),)
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
            end = number(run.end) if run.is_partial else None
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
        length = loop.tiles * self.plan.lanes
        return self._strided(level, spans, f"{loop.index}_block'", length)

    def _bounded(self, level: int, spans: Spans) -> Loop:
        """Return the loop over an index whose domain depends on others: the last tile
        of the vector index ends where the domain does."""
        index = self.plan.point.loops[level].index
        if index != self.plan.point.vector:
            return self._strided(level, spans, index, 1)
        size = self.plan.point.vectors * self.plan.lanes
        return self._strided(level, spans, f"{index}_tile'", size)

    def _strided(self, level: int, spans: Spans, name: str, size: int) -> Loop:
        """Return a loop in steps of *size* points, of which the last has what is
        left."""
        index = self.plan.point.loops[level].index
        lo, hi = self.cuts.bounds(index, self.group.around(spans))
        span = Span(Var(name), size, 1, hi)
        body = self._loops(level + 1, {**spans, index: span})
        is_parallel = level == self.plan.point.parallel
        kind: LoopKind = "parallel" if is_parallel else "sequential"
        return Loop(name, lo, hi, body, step=size, kind=kind)

    def _guarded(
        self,
        conditions: tuple[ProgramExpr, ...],
        spans: Spans,
        body: tuple[Node, ...],
        inner: tuple[str, ...] = (),
    ) -> tuple[Node, ...]:
        """Run nodes where conditions on some indices hold."""
        values = self.group.around(spans) | {d: Var(d) for d in inner}
        translate = self.group.translation(values)
        guard = both(translate.expression(c) for c in conditions)
        return body if guard is None else (Guard(guard, body),)

    # Register tiles

    def _tile(self, spans: Spans) -> tuple[Node, ...]:
        """Return the nodes of one register tile."""
        tile = RegisterTile(self.group, spans, self.cuts)
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
        own = self.cuts.own(update)
        inner = tuple(d for d in update.reduced if d != self.plan.point.vector)
        nodes = self._guarded(own, spans, (body,), inner)
        kinds: list[tuple[str, LoopKind]] = [
            *((d, "sequential") for d in self.plan.point.reduction),
            *((d, "unrolled") for d in self.plan.point.taps),
        ]
        values = self.group.around(spans) | {d: Var(d) for d in inner}
        bounds = self.cuts.reduced(update, values)
        for d, kind in reversed(kinds):
            if d in update.reduced:
                nodes = (Loop(d, *bounds[d], nodes, kind=kind),)
        return self._guarded(self.cuts.outside(update), spans, nodes)
