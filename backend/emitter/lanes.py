"""One block of a vector loop: the same expression at `count` points at once.

What does not depend on the loop's variable stays scalar until it meets a vector. The
arms of a `Select` are computed under a guard, the mask of its condition, which loads
obey unless their subscripts are in bounds at every point; lanes outside hold zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llvmlite import ir

from polydsl.backend.emitter.access import Mask
from polydsl.backend.emitter.branches import value_if
from polydsl.backend.emitter.expressions import (
    Memo,
    emit_affine,
    emit_value,
    is_inside,
)
from polydsl.backend.emitter.ranges import Affine
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.types import any_lane, splat, zeros
from polydsl.loops.nest import (
    Expr,
    Load,
    Var,
    operands,
)
from polydsl.loops.touched import parts


@dataclass(frozen=True, slots=True)
class Lanes:
    """`count` consecutive points of the loop over `var`; `scope` has the first one's.

    `tail` tells which points exist, None if all do. `guard` is the mask of the arms of
    `Select` around the expression, within the tail. `memo` holds vectors and `scalars`
    values by the identity of the expression.
    """

    scope: Scope
    var: str
    step: int
    count: int
    tail: Mask | None
    memo: Memo
    scalars: Memo
    guard: ir.Value | None = None

    @property
    def builder(self) -> ir.IRBuilder:
        """Where instructions go."""
        return self.scope.builder

    def under(self, condition: ir.Value) -> Lanes:
        """Return the lanes of an arm that is taken where *condition* holds."""
        outer = self.guard
        if outer is None and self.tail is not None:
            outer = self.tail.lanes
        if outer is not None:
            none = zeros(condition.type)
            condition = self.builder.select(outer, condition, none)
        return replace(self.branch(), guard=condition)

    def branch(self) -> Lanes:
        """Return the lanes with memos of their own."""
        return replace(self, memo=dict(self.memo), scalars=dict(self.scalars))

    def mask_for(self, load: Load) -> Mask | None:
        """Return the mask that *load* must obey."""
        if self.guard is None or is_inside(self.scope, load):
            return self.tail
        return Mask(self.guard)

    def varies(self, expr: Expr) -> bool:
        """Return whether *expr* depends on the loop's variable."""
        known = self.scope.function.varying
        key = self.var, id(expr)
        if key not in known:
            known[key] = (isinstance(expr, Var) and expr.name == self.var) or any(
                self.varies(operand) for operand in operands(expr)
            )
        return known[key]

    def wide(self, scalar: ir.Value) -> ir.Value:
        """Return *scalar* in every lane."""
        return splat(self.builder, scalar, self.count)


def uniform_value(lanes: Lanes, expr: Expr) -> ir.Value:
    """Return the scalar value of what does not depend on the loop's variable.

    If it may be out of bounds where no lane needs it, that is where the value is 0.
    """
    scope, builder = lanes.scope, lanes.builder
    if lanes.guard is None or id(expr) in lanes.scalars or reads_inside(scope, expr):
        return emit_value(scope, expr, lanes.scalars)
    value = value_if(
        builder,
        any_lane(builder, lanes.guard),
        lambda: emit_value(scope, expr, dict(lanes.scalars)),
    )
    lanes.scalars[id(expr)] = value
    return value


def uniform_index(lanes: Lanes, form: Affine) -> ir.Value:
    """Return the i64 value of a form that does not depend on the loop's variable.

    What it reads may be out of bounds where no lane needs it; it is 0 there.
    """
    for atom, _ in form.terms:
        if not isinstance(atom, Var) and not reads_inside(lanes.scope, atom):
            uniform_value(lanes, atom)
    return emit_affine(lanes.scope, form, lanes.scalars)


def reads_inside(scope: Scope, expr: Expr) -> bool:
    """Return whether all that *expr* reads is in bounds for all values of the
    variables."""
    reads = (part for part in parts(expr) if isinstance(part, Load))
    return all(is_inside(scope, read) for read in reads)
