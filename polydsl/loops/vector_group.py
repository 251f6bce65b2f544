"""The statements of a `VectorPlan` as its loops see them, and where those have led."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from polydsl.base.dtypes import DType
from polydsl.loops.expressions import Translation
from polydsl.loops.nest import Expr, Load, Var
from polydsl.poly.defined import Defined
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.terms import Interval
from polydsl.schedule.vector_plan import VectorPlan


@dataclass(frozen=True, slots=True)
class Span:
    """Where the loops so far have led to in one index: `tiles` tiles of `size` points
    from `start` on, the last of which ends at `end` if it is cut off."""

    start: Expr
    size: int
    tiles: int
    end: Expr | None = None


Spans: TypeAlias = Mapping[str, Span]


@dataclass(frozen=True, slots=True)
class Group:
    """The statements of a plan, as the loops see them."""

    scop: Scop
    plan: VectorPlan
    defined: Mapping[str, Defined]

    @property
    def initialize(self) -> Statement | None:
        """The statement that gives the first value, if one does."""
        name = self.plan.initialize
        return None if name is None else self.scop.statement(name)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements in order of execution."""
        first = () if self.initialize is None else (self.initialize,)
        return (*first, *self.prologue, *self.updates)

    @property
    def updates(self) -> tuple[Statement, ...]:
        """The statements that combine into it."""
        found = map(self.scop.statement, self.plan.updates)
        return tuple(statement.inside(self.plan.fixed) for statement in found)

    @property
    def prologue(self) -> tuple[Statement, ...]:
        """The assignments that are made at each point of the update."""
        return tuple(self.scop.statement(name) for name in self.plan.prologue)

    @property
    def model(self) -> Statement:
        """The statement whose left-hand indices the loops run over."""
        last = self.updates[-1] if self.updates else self.initialize
        assert last is not None
        return last

    @property
    def epilogue(self) -> tuple[Statement, ...]:
        """The assignments that follow at each finished element."""
        return tuple(self.scop.statement(name) for name in self.plan.epilogue)

    @property
    def register(self) -> str:
        """The name of the buffer of accumulators."""
        return f"{self.model.name}_acc"

    @property
    def dtype(self) -> DType:
        """The type of the tensor that is defined."""
        return self.scop.tensor(self.plan.tensor).dtype

    @property
    def is_tiled(self) -> bool:
        """Whether the vector index is cut into register tiles; the others are."""
        point = self.plan.point
        in_tiles = bool(self.updates or point.unrolled)
        return in_tiles and point.vector in self.model.left

    def around(self, spans: Spans) -> dict[str, Expr]:
        """Return the values of the indices with loops around register tiles."""
        share = self.plan.share
        names = (*self.plan.fixed, *((share.var,) if share else ()))
        fixed: dict[str, Expr] = {name: Var(name) for name in names}
        return fixed | {d: span.start for d, span in spans.items()}

    def translation(
        self, values: Mapping[str, Expr], held: Mapping[str, Load] | None = None
    ) -> Translation:
        """Return how to write the statements over the given loop variables; tensors
        that are *held* are read from registers."""
        box: dict[str, Interval] = {}
        for statement in self.statements:
            box.update(statement.ranges)
        return Translation(self.scop, values, box, self.defined, held or {})
