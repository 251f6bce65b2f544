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
from polydsl.loops.terms import (
    ZERO,
    both,
    floordiv,
    maximum,
    minus,
    number,
    plus,
    times,
)
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
            return self._bounded(level, spans)
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
        share = self.plan.share
        is_shared = share is not None and share.index == loop.index
        origin: Expr = Var(share.var) if share and is_shared else ZERO
        parts: list[tuple[Span, int, int]] = []
        for run in self.plan.runs_of(loop.index):
            blocks, rest = divmod(run.count, loop.tiles)
            width = loop.tiles * run.size
            end = plus(origin, number(run.end)) if run.is_partial else None
            for first, count, tiles in ((0, blocks, loop.tiles), (blocks, 1, rest)):
                if count and tiles:
                    start = plus(origin, number(run.start + first * width))
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
        lo, hi = self._ends(level, spans)
        length = loop.tiles * self.plan.lanes
        name = f"{loop.index}_block'"
        span = Span(Var(name), length, 1, hi)
        return self._strided(level, spans, (lo, hi), span)

    def _bounded(self, level: int, spans: Spans) -> tuple[Loop, ...]:
        """Return the loops over an index whose domain depends on others. What is left
        of the vector index behind whole tiles is a tile that ends where the domain
        does."""
        index = self.plan.point.loops[level].index
        lo, hi = self._ends(level, spans)
        if index != self.plan.point.vector:
            return (self._strided(level, spans, (lo, hi), Span(Var(index), 1, 1)),)
        size = self.plan.point.vectors * self.plan.lanes
        tiles = floordiv(minus(maximum(hi, lo), lo), size)
        middle = plus(lo, times(tiles, size))
        whole = Span(Var(f"{index}_tile'"), size, 1)
        rest = Span(Var(f"{index}_rest'"), size, 1, hi)
        return (
            self._strided(level, spans, (lo, middle), whole),
            self._strided(level, spans, (middle, hi), rest),
        )

    def _ends(self, level: int, spans: Spans) -> tuple[Expr, Expr]:
        index = self.plan.point.loops[level].index
        return self.cuts.bounds(index, self.group.around(spans))

    def _strided(
        self, level: int, spans: Spans, ends: tuple[Expr, Expr], span: Span
    ) -> Loop:
        """Return a loop whose variable is where a span starts."""
        index = self.plan.point.loops[level].index
        assert isinstance(span.start, Var)
        body = self._loops(level + 1, {**spans, index: span})
        is_parallel = level == self.plan.point.parallel
        kind: LoopKind = "parallel" if is_parallel else "sequential"
        return Loop(span.start.name, *ends, body, step=span.size, kind=kind)

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
            return tile.each(tile.assignment(), *tile.epilogue({}))
        nodes = [*tile.each(tile.first())]
        for update in self.group.updates:
            body = tile.update(update)
            nodes += self._reduced_loops(update, spans, tile.tiled(), body)
        return (*nodes, *tile.each(*tile.last()))

    def _reduced_loops(
        self,
        update: Statement,
        spans: Spans,
        tiled: dict[str, int],
        body: tuple[Node, ...],
    ) -> tuple[Node, ...]:
        """Put the loops over reduced indices around the update of a tile, and its own
        conditions inside of them."""
        own = self.cuts.own(update)
        inner = tuple(d for d in update.reduced if d != self.plan.point.vector)
        nodes = self._guarded(own, spans, body, inner)
        kinds: list[tuple[str, LoopKind]] = [
            *((d, "sequential") for d in self.plan.point.reduction),
            *((d, "unrolled") for d in self.plan.point.taps),
        ]
        values = self.group.around(spans) | {d: Var(d) for d in inner}
        bounds = self.cuts.reduced(update, values, tiled)
        for d, kind in reversed(kinds):
            if d in update.reduced:
                nodes = (Loop(d, *bounds[d], nodes, kind=kind),)
        return nodes
