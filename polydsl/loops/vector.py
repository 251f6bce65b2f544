"""Loops of a `VectorPlan`: assignments and reductions, a vector at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polydsl.base.dtypes import DType
from polydsl.loops.expressions import Defined, Translation
from polydsl.loops.nest import (
    Accumulate,
    Buffer,
    Expr,
    Guard,
    Instance,
    Load,
    Loop,
    LoopKind,
    Node,
    Store,
    Var,
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


@dataclass(frozen=True, slots=True)
class VectorLoops:
    """The nodes of one plan and the register buffers that they use."""

    nodes: tuple[Node, ...]
    buffers: tuple[Buffer, ...]


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

    def generate(self) -> VectorLoops:
        if not self.updates:
            return VectorLoops(self._around(self._assignment()), ())
        if self.plan.vector in self.model.left:
            shape: tuple[int, ...] = (self.plan.unroll, self.plan.lanes)
            strides: tuple[int, ...] = (self.plan.lanes, 1)
            body = self._column_tiles()
        else:
            shape, strides = (), ()
            body = self._row_reduction()
        buffer = Buffer(self.register, self.dtype, shape, strides, "register")
        return VectorLoops(self._around(body), (buffer,))

    # Loops around

    def _around(self, body: tuple[Node, ...]) -> tuple[Node, ...]:
        """Put the guard and the outer loops around the body."""
        body = self._guarded(self._shared_conditions(), self.plan.outer, body)
        for d in reversed(self.plan.outer):
            kind: LoopKind = "parallel" if d == self.plan.parallel else "sequential"
            body = (self._loop(d, self.model, body, kind),)
        return body

    def _shared_conditions(self) -> tuple[ProgramExpr, ...]:
        """Return the conditions of the domain that hold for every statement of the
        plan and only need the outer indices."""
        statements = [s for s in (self.initialize, *self.updates) if s is not None]
        return tuple(
            c
            for c in self.model.conditions
            if {*ordered_indices(c)} <= {*self.plan.outer}
            and all(c in s.conditions for s in statements)
        )

    def _guarded(
        self,
        conditions: tuple[ProgramExpr, ...],
        dims: tuple[str, ...],
        body: tuple[Node, ...],
    ) -> tuple[Node, ...]:
        """Run nodes where conditions on some indices hold."""
        translate = self._translation({d: Var(d) for d in dims})
        guard = both(translate.expression(c) for c in conditions)
        return body if guard is None else (Guard(guard, body),)

    def _loop(
        self, dim: str, statement: Statement, body: tuple[Node, ...], kind: LoopKind
    ) -> Loop:
        lo, hi = statement.ranges[dim]
        lanes = self.plan.lanes if kind == "vector" else 1
        return Loop(dim, number(lo), number(hi + 1), body, kind=kind, lanes=lanes)

    def _translation(self, values: Mapping[str, Expr]) -> Translation:
        box: dict[str, Interval] = {}
        for statement in (self.initialize, *self.updates):
            box.update(statement.ranges if statement else {})
        return Translation(self.scop, values, box, self.defined)

    # Assignments

    def _assignment(self) -> tuple[Node, ...]:
        statement = self.model
        values: Values = {d: Var(d) for d in statement.dims}
        translate = self._translation(values)
        store: tuple[Node, ...] = (
            Store(
                statement.tensor,
                translate.subscripts(statement.subscripts),
                translate.expression(statement.value),
                _instance(statement, values),
            ),
        )
        vector = self.plan.vector
        if vector is None:
            return store
        if not self.plan.chunk:
            return (self._loop(vector, statement, store, "vector"),)
        return self._chunked(vector, store)

    def _chunked(self, vector: str, body: tuple[Node, ...]) -> tuple[Node, ...]:
        lo, hi = self.model.ranges[vector]
        start = Var(f"{vector}_chunk'")
        end = minimum(plus(start, number(self.plan.chunk)), number(hi + 1))
        inner = Loop(vector, start, end, body, kind="vector", lanes=self.plan.lanes)
        return (
            Loop(
                start.name,
                number(lo),
                number(hi + 1),
                (inner,),
                step=self.plan.chunk,
                kind="parallel",
            ),
        )

    # Reductions: lanes are elements of the result

    def _column_tiles(self) -> tuple[Node, ...]:
        """Run over full register tiles, then single vectors, then a partial one."""
        assert self.plan.vector is not None
        lo, hi = self.model.ranges[self.plan.vector]
        wide = self.plan.unroll * self.plan.lanes
        split = lo + (hi + 1 - lo) // wide * wide
        nodes: tuple[Node, ...] = ()
        if split > lo:
            nodes += (self._tiles(lo, split, self.plan.unroll),)
        if split <= hi:
            nodes += (self._tiles(split, hi + 1, 1),)
        return nodes

    def _tiles(self, lo: int, hi: int, unroll: int) -> Loop:
        width = unroll * self.plan.lanes
        start = Var(f"{self.plan.vector}_tile'")
        exact = (hi - lo) % width == 0
        lanes: Expr = number(self.plan.lanes)
        if not exact:
            lanes = minimum(lanes, minus(number(hi), start))
        tile = _Tile(self, start, unroll, lanes)
        return Loop(start.name, number(lo), number(hi), tile.body(), step=width)

    # Reductions: lanes are partial results, or there are none

    def _row_reduction(self) -> tuple[Node, ...]:
        values: Values = {d: Var(d) for d in self.model.dims}
        translate = self._translation(values)
        place = translate.subscripts(self.model.subscripts)
        nodes: list[Node] = [
            Store(self.register, (), *self._first(values, place)),
        ]
        for update in self.updates:
            local: Values = {d: Var(d) for d in update.dims}
            combine = update.combine
            assert combine is not None
            body: tuple[Node, ...] = (
                Accumulate(
                    self.register,
                    (),
                    combine,
                    self._translation(local).expression(update.value),
                    _instance(update, local),
                ),
            )
            nodes += self._reduced_loops(update, body)
        result = Load(self.register, (), self.dtype)
        nodes.append(Store(self.plan.tensor, place, result))
        return tuple(nodes)

    def _first(
        self, values: Values, place: tuple[Expr, ...]
    ) -> tuple[Expr, Instance | None]:
        """Return the first value of an accumulator and the instance that gives it."""
        if self.initialize is None:
            return Load(self.plan.tensor, place, self.dtype), None
        value = self._translation(values).expression(self.initialize.value)
        return value, _instance(self.initialize, values)

    def _reduced_loops(
        self, update: Statement, body: tuple[Node, ...]
    ) -> tuple[Node, ...]:
        """Put the loops over reduced indices around *body*, the vector innermost, and
        the update's own conditions around the vector."""
        shared = self._shared_conditions()
        own = tuple(c for c in update.conditions if c not in shared)
        inner = [d for d in update.reduced if d == self.plan.vector]
        for d in inner:
            body = (self._loop(d, update, body, "vector"),)
        body = self._guarded(own, update.dims, body)
        for d in (d for d in reversed(update.reduced) if d not in inner):
            body = (self._loop(d, update, body, "sequential"),)
        return body


@dataclass(frozen=True, slots=True)
class _Tile:
    """A register tile of `unroll` vectors that starts at `start`."""

    generator: _Generator
    start: Var
    unroll: int
    lanes: Expr

    def body(self) -> tuple[Node, ...]:
        """Return initialisation, updates and stores."""
        generator = self.generator
        model = generator.model
        values = self._values(model)
        place = generator._translation(values).subscripts(model.subscripts)
        nodes = [
            self._each(
                Store(
                    generator.register, self._index(), *generator._first(values, place)
                )
            )
        ]
        for update in generator.updates:
            nodes += generator._reduced_loops(update, (self._update(update),))
        result = Load(generator.register, self._index(), generator.dtype)
        nodes.append(self._each(Store(generator.plan.tensor, place, result)))
        return tuple(nodes)

    def _update(self, update: Statement) -> Node:
        values = self._values(update)
        assert update.combine is not None
        value = self.generator._translation(values).expression(update.value)
        return self._each(
            Accumulate(
                self.generator.register,
                self._index(),
                update.combine,
                value,
                _instance(update, values),
            )
        )

    def _index(self) -> tuple[Expr, ...]:
        unrolled: Expr = Var(UNROLLED) if self.unroll > 1 else ZERO
        return (unrolled, Var(LANE))

    def _values(self, statement: Statement) -> Values:
        values: Values = {d: Var(d) for d in statement.dims}
        offset = Var(LANE)
        position = plus(self.start, offset)
        if self.unroll > 1:
            step = times(Var(UNROLLED), self.generator.plan.lanes)
            position = plus(plus(self.start, step), offset)
        assert self.generator.plan.vector is not None
        values[self.generator.plan.vector] = position
        return values

    def _each(self, node: Node) -> Node:
        """Run a node for every vector of the tile."""
        lanes = self.generator.plan.lanes
        loop = Loop(LANE, ZERO, self.lanes, (node,), kind="vector", lanes=lanes)
        if self.unroll == 1:
            return loop
        return Loop(UNROLLED, ZERO, number(self.unroll), (loop,), kind="unrolled")


def _instance(statement: Statement, values: Mapping[str, Expr]) -> Instance:
    return Instance(statement.name, tuple((d, values[d]) for d in statement.dims))
