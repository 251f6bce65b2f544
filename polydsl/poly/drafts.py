"""Statements before their sets are built, and the names and ranges around them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from polydsl.base.dtypes import BOOL, DType
from polydsl.base.functions import Combine, identity
from polydsl.base.source import Span
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scop import Check, Role, TensorInfo
from polydsl.poly.terms import Interval, interval
from polydsl.semantics.program import (
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Program,
    Value,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """`tensor[subscripts] combine= value`, where `conditions` hold; `calls` are the
    places of the kernel calls through which it was inlined, outermost first."""

    tensor: str
    subscripts: tuple[Expr, ...]
    combine: Combine | None
    value: Expr
    reduced: tuple[str, ...]
    conditions: tuple[Expr, ...]
    span: Span
    calls: tuple[Span, ...] = ()


class Drafts:
    """The statements drafted so far, with every tensor and every index's bounds.

    `box` bounds each index by an interval; `dependent` holds the two conditions of an
    index whose range depends on other indices. `calls` are those of the definition that
    is drafted.
    """

    def __init__(self, program: Program) -> None:
        self.binding: dict[str, Value] = dict(program.binding)
        self.definitions = program.definitions
        self.order = tuple(r.name for r in program.ranges)
        self.tensors: dict[str, TensorInfo] = {}
        self.statements: list[Draft] = []
        self.calls: tuple[Span, ...] = ()
        self.checks: dict[object, Check] = {}
        self.box: dict[str, Interval] = {}
        self.dependent: dict[str, tuple[Expr, ...]] = {}
        self._bound_indices(program)

    def _bound_indices(self, program: Program) -> None:
        pending = list(program.ranges)
        while pending:
            for r in [r for r in pending if self._is_bounded(r.lo, r.hi)]:
                lo = interval(r.lo, self.binding, self.box)[0]
                hi = interval(r.hi, self.binding, self.box)[1]
                self.box[r.name] = (lo, max(lo, hi) - 1)
                if ordered_indices(r.lo, r.hi):
                    index = Index(r.name, r.span)
                    self.dependent[r.name] = (
                        Call("le", (r.lo, index), BOOL, r.span),
                        Call("lt", (index, r.hi), BOOL, r.span),
                    )
                pending.remove(r)

    def _is_bounded(self, *exprs: Expr) -> bool:
        return all(i in self.box for i in ordered_indices(*exprs))

    def declare(
        self, name: str, dtype: DType, shape: tuple[int, ...], role: Role, span: Span
    ) -> None:
        """Add a tensor."""
        self.tensors[name] = TensorInfo(name, dtype, shape, role, span)

    def add(self, draft: Draft) -> None:
        """Add a statement after those that are there."""
        self.statements.append(replace(draft, calls=self.calls))

    def fresh(self, name: str) -> str:
        """Return *name*, with a number behind it if it is taken."""
        taken = self.tensors.keys() | self.box.keys()
        if name not in taken:
            return name
        return next(n for k in range(2, 10**6) if (n := f"{name}{k}") not in taken)

    def whole(self, tensor: str, span: Span) -> tuple[Index, ...]:
        """Return fresh indices over a whole tensor."""
        dims: list[Index] = []
        for axis, extent in enumerate(self.tensors[tensor].shape):
            name = self.fresh(f"{tensor}_{axis}")
            self.box[name] = (0, extent - 1)
            dims.append(Index(name, span))
        return tuple(dims)


def neutral(combine: Combine, dtype: DType, span: Span) -> Literal:
    """Return the neutral element of a combining function as a literal of *dtype*."""
    number = identity(combine, dtype)
    return Literal(dtype.numpy.type(number).item(), dtype, span)


def converted(expr: Expr, dtype: DType) -> Expr:
    """Return *expr*, cast where it has another type."""
    return expr if expr.dtype == dtype else Cast(expr, dtype, False, expr.span)
