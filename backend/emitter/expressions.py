"""Scalar expressions and subscripts as LLVM instructions.

Values follow the language (integers wrap around); subscripts are known to stay in
range, so their arithmetic is `nsw`, divisions of what is never negative are unsigned,
and what the ranges of the loop variables decide is folded. A `Memo` holds what a
statement has computed already; an arm of a branch works on a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from llvmlite import ir

from polydsl.backend.emitter.access import load_element
from polydsl.backend.emitter.branches import branch
from polydsl.backend.emitter.calls import emit_call
from polydsl.backend.emitter.ranges import (
    Affine,
    affine,
    bounds,
    interval,
    open_conjuncts,
)
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.types import add, number, offset, scale
from polydsl.backend.llvm_types import memory_type
from polydsl.backend.memory_form import register_number
from polydsl.backend.scalar import emit_cast
from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import I64, DType
from polydsl.loops.nest import (
    Call,
    Cast,
    Expr,
    Literal,
    Load,
    Select,
    Var,
    operands,
)

Memo: TypeAlias = dict[int, ir.Value]
"""Values by the identity of their expression."""

SMALL = 12
"""Arms of at most so many nodes are computed both rather than branched over."""


# Subscripts


def emit_index(scope: Scope, expr: Expr, memo: Memo) -> ir.Value:
    """Return the i64 value of a subscript or a bound."""
    return emit_affine(scope, affine(expr, scope.ranges), memo)


def emit_affine(scope: Scope, form: Affine, memo: Memo) -> ir.Value:
    """Return the i64 value of an affine form, the outer loops' terms first."""
    total: ir.Value = number(0)
    for atom, factor in sorted(form.terms, key=lambda term: scope.depth(term[0])):
        value = _emit_atom(scope, atom, memo)
        total = add(scope.builder, total, scale(scope.builder, value, factor))
    return add(scope.builder, total, number(form.constant))


def emit_place(
    scope: Scope, buffer: str, index: tuple[Expr, ...], memo: Memo
) -> ir.Value:
    """Return the address of an element."""
    position = emit_affine(scope, scope.position(buffer, index), memo)
    element = memory_type(scope.kernel.buffer(buffer).dtype)
    return offset(scope.builder, scope.address(buffer), position, element)


def _emit_atom(scope: Scope, atom: Expr, memo: Memo) -> ir.Value:
    if id(atom) in memo:
        return memo[id(atom)]
    match atom:
        case Var(name):
            return scope.variable(name)
        case Call("floordiv" | "mod", (left, right)):
            divisor = affine(right, scope.ranges)
            if not divisor.terms and divisor.constant > 0:
                return _divide(scope, atom, left, divisor.constant, memo)
    memo[id(atom)] = _to_index(scope, atom, memo)
    return memo[id(atom)]


def _to_index(scope: Scope, atom: Expr, memo: Memo) -> ir.Value:
    if isinstance(atom, Call) and all(a.dtype == I64 for a in atom.arguments):
        values = [emit_index(scope, a, memo) for a in atom.arguments]
        return emit_call(scope.builder, atom.function, values, I64, scope.target)
    value = emit_value(scope, atom, memo)
    if atom.dtype != I64:
        bug(f"{scope.nest.name}: a subscript is {atom.dtype}")
    return value


def _divide(scope: Scope, atom: Call, left: Expr, divisor: int, memo: Memo) -> ir.Value:
    """Divide by a positive number: by shifts, unsigned, or with rounding down."""
    form = affine(left, scope.ranges)
    value = emit_affine(scope, form, memo)
    builder, is_quotient = scope.builder, atom.function == "floordiv"
    if divisor & (divisor - 1) == 0:
        if is_quotient:
            return builder.ashr(value, number(divisor.bit_length() - 1))
        return builder.and_(value, number(divisor - 1))
    if bounds(form, scope.ranges)[0] >= 0:
        divide = builder.udiv if is_quotient else builder.urem
        return divide(value, number(divisor))
    arguments = [value, number(divisor)]
    return emit_call(builder, atom.function, arguments, I64, scope.target)


# Values


def emit_value(scope: Scope, expr: Expr, memo: Memo) -> ir.Value:
    """Return the value of *expr* at one point."""
    if id(expr) not in memo:
        memo[id(expr)] = _emit(scope, expr, memo)
    return memo[id(expr)]


def _emit(scope: Scope, expr: Expr, memo: Memo) -> ir.Value:
    match expr:
        case Literal(value, dtype):
            return register_number(dtype, value)
        case Var(name):
            return scope.variable(name)
        case Load(buffer, index):
            place = emit_place(scope, buffer, index, memo)
            return load_element(scope, scope.kernel.buffer(buffer), place)
        case Call(function, arguments):
            values = [emit_value(scope, argument, memo) for argument in arguments]
            dtype = operand_type(scope, expr)
            return emit_call(scope.builder, function, values, dtype, scope.target)
        case Select():
            return _emit_select(scope, expr, memo)
        case Cast(operand, dtype):
            value = emit_value(scope, operand, memo)
            isa = scope.target.isa
            return emit_cast(scope.builder, value, operand.dtype, dtype, isa)
        case _:
            assert_never(expr)


def _emit_select(scope: Scope, select: Select, memo: Memo) -> ir.Value:
    """Choose between two values if both may be computed, else branch."""
    parts = open_conjuncts(select.condition, scope.ranges)
    if parts is None or not parts:
        return emit_value(
            scope, select.otherwise if parts is None else select.then, memo
        )
    builder = scope.builder
    condition = conjunction(builder, [emit_value(scope, p, memo) for p in parts])
    if is_harmless(scope, select.then) and is_harmless(scope, select.otherwise):
        then = emit_value(scope, select.then, memo)
        return builder.select(
            condition, then, emit_value(scope, select.otherwise, memo)
        )
    return branch(
        builder,
        condition,
        lambda: emit_value(scope, select.then, dict(memo)),
        lambda: emit_value(scope, select.otherwise, dict(memo)),
    )


def conjunction(builder: ir.IRBuilder, conditions: Sequence[ir.Value]) -> ir.Value:
    """Return whether all conditions hold."""
    result = conditions[0]
    for condition in conditions[1:]:
        result = builder.and_(result, condition)
    return result


def operand_type(scope: Scope, call: Call) -> DType:
    """Return the one type of a call's operands."""
    types = {argument.dtype for argument in call.arguments}
    if len(types) != 1:
        bug(f"{scope.nest.name}: the operands of {call.function} have several dtypes")
    return types.pop()


# What may be computed where it is not needed


def is_inside(scope: Scope, load: Load) -> bool:
    """Return whether every subscript is in bounds for all values of the variables."""
    shape = scope.kernel.buffer(load.buffer).shape
    ends = [interval(expr, scope.ranges) for expr in load.index]
    return all(low >= 0 and high < n for (low, high), n in zip(ends, shape))


def is_harmless(scope: Scope, expr: Expr) -> bool:
    """Return whether *expr* is small and reads nothing out of bounds anywhere."""
    return _nodes_left(scope, expr, SMALL) >= 0


def _nodes_left(scope: Scope, expr: Expr, budget: int) -> int:
    """Return what counting the nodes of *expr* leaves of a budget."""
    if isinstance(expr, Load) and not is_inside(scope, expr):
        return -1
    budget -= 1
    for operand in operands(expr):
        if budget < 0:
            break
        budget = _nodes_left(scope, operand, budget)
    return budget
