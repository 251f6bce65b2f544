"""Expressions of the program as expressions of the loop nest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from polydsl.base.diagnostics import bug
from polydsl.loops import nest
from polydsl.loops.terms import at_least, both, less, number
from polydsl.poly.defined import Defined
from polydsl.poly.scop import Scop, Statement, TensorInfo
from polydsl.poly.substitute import substitute
from polydsl.poly.terms import Interval, interval
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Pad,
    Reduce,
    Select,
    Size,
)


@dataclass(frozen=True, slots=True)
class Translation:
    """What an expression is translated with: the value of every index, its interval,
    and for each tensor where it is defined, if that is not all of it. The one element
    that is read of a tensor that is `held` is in a register."""

    scop: Scop
    values: Mapping[str, nest.Expr]
    box: Mapping[str, Interval]
    defined: Mapping[str, Defined]
    held: Mapping[str, nest.Load] = field(default_factory=dict)

    def expression(self, expr: Expr) -> nest.Expr:
        """Return *expr* over loop variables and buffers."""
        match expr:
            case Literal(value, dtype):
                return nest.Literal(value, dtype)
            case Size(name, dtype):
                return nest.Literal(self.scop.sizes[name], dtype)
            case Index(name):
                return self.values[name]
            case Access(tensor) if tensor in self.held:
                return self.held[tensor]
            case Access(tensor, subscripts, dtype):
                return nest.Load(tensor, self.subscripts(subscripts), dtype)
            case Pad(access, value, dtype):
                inside = both(self._inside(access))
                load = self.expression(access)
                if load.dtype != dtype:
                    load = nest.Cast(load, dtype)
                if inside is None:
                    return load
                return nest.Select(inside, load, self.expression(value), dtype)
            case Call(function, arguments, dtype):
                operands = tuple(self.expression(a) for a in arguments)
                return nest.Call(function, operands, dtype)
            case Select(condition, then, otherwise, dtype):
                return nest.Select(
                    self.expression(condition),
                    self.expression(then),
                    self.expression(otherwise),
                    dtype,
                )
            case Cast(operand, dtype):
                return nest.Cast(self.expression(operand), dtype)
            case Reduce():
                bug("a reduction is left in a statement")

    def subscripts(self, exprs: tuple[Expr, ...]) -> tuple[nest.Expr, ...]:
        """Return subscripts over loop variables."""
        return tuple(self.expression(e) for e in exprs)

    def assignment(self, statement: Statement) -> nest.Store:
        """Return a statement that assigns, at the values of its indices."""
        indices = tuple((d, self.values[d]) for d in statement.dims)
        return nest.Store(
            statement.tensor,
            self.subscripts(statement.subscripts),
            self.expression(statement.value),
            nest.Instance(statement.name, indices),
        )

    def _inside(self, access: Access) -> list[nest.Expr]:
        """Return the conditions under which a padded access is inside its tensor;
        those that always hold are left out."""
        tensor: TensorInfo = self.scop.tensor(access.tensor)
        whole = Defined(tuple((0, n - 1) for n in tensor.shape))
        defined = self.defined.get(access.tensor, whole)
        conditions: list[nest.Expr] = []
        for subscript, (lo, hi) in zip(access.subscripts, defined.box):
            least, greatest = interval(subscript, self.scop.sizes, self.box)
            term = self.expression(subscript)
            if least < lo:
                conditions.append(at_least(term, number(lo)))
            if greatest > hi:
                conditions.append(less(term, number(hi + 1)))
        terms = dict(zip(defined.indices, access.subscripts))
        for condition in defined.conditions:
            conditions.append(self.expression(substitute(condition, terms)))
        return conditions
