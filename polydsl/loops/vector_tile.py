"""One register tile of a `VectorPlan`: its statements at every point of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType

from polydsl.base.dtypes import DType
from polydsl.base.functions import Combine, identity
from polydsl.loops.nest import (
    Accumulate,
    Expr,
    Instance,
    Literal,
    Load,
    Loop,
    Node,
    Select,
    Store,
    Var,
)
from polydsl.loops.terms import ZERO, both, minimum, minus, number, plus, times
from polydsl.loops.vector_bounds import Cuts
from polydsl.loops.vector_group import Group, Spans
from polydsl.poly.scop import Statement

Values = dict[str, Expr]

UNROLLED, LANE = "u'", "lane'"
"""Loop variables of a register tile, marked so that no index is called like them."""


NOTHING: Mapping[str, Expr] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RegisterTile:
    """The register tile at one place of the loops around it."""

    group: Group
    spans: Spans
    cuts: Cuts

    @property
    def vector(self) -> str | None:
        """The vector index, if there is one."""
        return self.group.plan.point.vector

    @property
    def vectors(self) -> int:
        """The vectors of the vector index that lie side by side."""
        if not self.group.is_tiled or self.vector is None:
            return 1
        return self.spans[self.vector].size // self.group.plan.lanes

    @property
    def sides(self) -> tuple[tuple[str, int], ...]:
        """The unrolled indices and how many points of them there are."""
        unrolled = self.group.plan.point.unrolled
        return tuple((u.index, self.spans[u.index].size) for u in unrolled)

    # Statements

    def assignment(self) -> Node:
        """Return the store of an element that is computed at once."""
        model = self.group.model
        return self.group.translation(self._values(model)).assignment(model)

    def first(self) -> Node:
        """Return the store of an accumulator's first value."""
        group, initialize = self.group, self.group.initialize
        values = self._values(group.model)
        translate = group.translation(values)
        if initialize is None:
            place = translate.subscripts(group.model.subscripts)
            held = Load(group.plan.tensor, place, group.dtype)
            return Store(group.register, self._index(), held)
        value = translate.expression(initialize.value)
        instance = _instance(initialize, values)
        return Store(group.register, self._index(), value, instance)

    def last(self) -> tuple[Node, ...]:
        """Return the store of an accumulator's last value, and what follows on it."""
        group = self.group
        result = Load(group.register, self._index(), group.dtype)
        after = self.epilogue({group.plan.tensor: result})
        if not group.plan.is_stored:
            return after
        translate = group.translation(self._values(group.model))
        place = translate.subscripts(group.model.subscripts)
        return (Store(group.plan.tensor, place, result), *after)

    def epilogue(self, held: Mapping[str, Load]) -> tuple[Node, ...]:
        """Return the assignments that follow on an element, some of what they read
        held in registers."""
        return tuple(
            self.group.translation(self._values(s), held).assignment(s)
            for s in self.group.epilogue
        )

    def update(self, update: Statement) -> tuple[Node, ...]:
        """Return one step of the reduction for the whole tile, the assignments that
        are made at its points in front of each."""
        if self.vector is None or self.vector not in update.reduced:
            return self.each(*self._point(update, {}))
        lo, hi = self.cuts.reduced(update, self._around(), self.tiled())[self.vector]
        points = product(*(range(count) for _, count in self.sides))
        names = [_unrolled(d) for d, _ in self.sides]
        body = tuple(
            node
            for point in points
            for node in self._point(update, dict(zip(names, map(number, point))))
        )
        loop = Loop(
            self.vector,
            lo,
            hi,
            body,
            kind="vector",
            lanes=self.group.plan.lanes,
            vectors=self.group.plan.point.vectors,
        )
        return (loop,)

    def _point(self, update: Statement, fixed: Mapping[str, Expr]) -> tuple[Node, ...]:
        made = (
            self.group.translation(self._values(s, fixed)).assignment(s)
            for s in self.group.prologue
        )
        return (*made, self._accumulate(update, fixed))

    def _accumulate(self, update: Statement, fixed: Mapping[str, Expr]) -> Node:
        values = self._values(update, fixed)
        assert update.combine is not None
        translate = self.group.translation(values)
        value = translate.expression(update.value)
        instance = _instance(update, values)
        where = both(map(translate.expression, self.cuts.masks(update, self.tiled())))
        if where is not None:
            nothing = Literal(_neutral(update.combine, value.dtype), value.dtype)
            value = Select(where, value, nothing, value.dtype)
            instance = replace(instance, where=where)
        return Accumulate(
            self.group.register, self._index(fixed), update.combine, value, instance
        )

    def tiled(self) -> dict[str, int]:
        """Return the left-hand indices of which the tile holds several points."""
        sizes = dict(self.sides)
        if self.group.is_tiled and self.vector is not None:
            sizes[self.vector] = self.spans[self.vector].size
        return {d: count for d, count in sizes.items() if count > 1}

    # Places

    def _around(self) -> Values:
        """Return the values of the indices around a vector loop."""
        inner: Values = {d: Var(d) for u in self.group.updates for d in u.reduced}
        return {**inner, **self.group.around(self.spans)}

    def _values(
        self, statement: Statement, fixed: Mapping[str, Expr] = NOTHING
    ) -> Values:
        """Return the value of every dimension of a statement at a point of the tile."""
        values: Values = {d: Var(d) for d in statement.dims}
        for d, span in self.spans.items():
            if self.group.is_tiled or d != self.vector:
                values[d] = span.start
        for d, count in self.sides:
            if count > 1:
                offset = fixed.get(_unrolled(d), Var(_unrolled(d)))
                values[d] = plus(values[d], offset)
        if self.group.is_tiled and self.vector is not None:
            values[self.vector] = plus(self._start(), Var(LANE))
        return {d: values[d] for d in statement.dims}

    def _start(self) -> Expr:
        """Return where a vector of the tile starts."""
        assert self.vector is not None
        start = self.spans[self.vector].start
        if self.vectors == 1:
            return start
        return plus(start, times(Var(UNROLLED), self.group.plan.lanes))

    def _index(self, fixed: Mapping[str, Expr] = NOTHING) -> tuple[Expr, ...]:
        """Return the subscripts of the register buffer at a point of the tile."""
        index: list[Expr] = []
        for d, count in self.sides:
            name = _unrolled(d)
            index.append(fixed.get(name, Var(name)) if count > 1 else ZERO)
        if self.group.is_tiled:
            index += [Var(UNROLLED) if self.vectors > 1 else ZERO, Var(LANE)]
        return tuple(index)

    def each(self, *nodes: Node) -> tuple[Node, ...]:
        """Run nodes at every point of the tile."""
        plan = self.group.plan
        if self.group.is_tiled and self.vector is not None:
            lanes: Expr = number(plan.lanes)
            end = self.spans[self.vector].end
            if end is not None:
                lanes = minimum(lanes, minus(end, self._start()))
            loop = Loop(LANE, ZERO, lanes, nodes, kind="vector", lanes=plan.lanes)
            nodes = _written_out(UNROLLED, self.vectors, (loop,))
        elif not self.group.updates and self.vector is not None:
            nodes = (self._row(nodes, self.vector),)
        for d, count in reversed(self.sides):
            nodes = _written_out(_unrolled(d), count, nodes)
        return nodes

    def _row(self, nodes: tuple[Node, ...], vector: str) -> Node:
        """Return the vector loop over a whole index, or over a chunk of it."""
        first, last = self.cuts.bounds(vector, self._around())
        span = self.spans.get(vector)
        if span is not None:
            last = minimum(plus(span.start, number(span.size)), last)
            first = span.start
        lanes = self.group.plan.lanes
        return Loop(vector, first, last, nodes, kind="vector", lanes=lanes)


def _written_out(name: str, count: int, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    if count == 1:
        return nodes
    return (Loop(name, ZERO, number(count), nodes, kind="unrolled"),)


def _unrolled(index: str) -> str:
    return f"{index}_u'"


def _neutral(combine: Combine, dtype: DType) -> int | float | bool:
    number: int | float | bool = dtype.numpy.type(identity(combine, dtype)).item()
    return number


def _instance(statement: Statement, values: Mapping[str, Expr]) -> Instance:
    return Instance(statement.name, tuple((d, values[d]) for d in statement.dims))
