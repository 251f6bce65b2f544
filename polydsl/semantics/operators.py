"""Typing of operators: arithmetic, logic, comparisons, conditionals, powers."""

from __future__ import annotations

from collections.abc import Sequence

from polydsl.base.dtypes import BOOL
from polydsl.base.functions import FUNCTIONS, Function
from polydsl.base.source import Span
from polydsl.semantics.context import Context, text_of
from polydsl.semantics.program import Expr, Literal, Reduce, Select, walk
from polydsl.semantics.types import UNKNOWN, Operand, apply, convert, meet

_BY_SYMBOL: dict[tuple[str, int], Function] = {
    (row.symbol, row.arity): row for row in FUNCTIONS.values() if row.is_operator
}
_LARGEST_PRODUCT = 4
_LARGEST_COPIED = 60


def unary(op: str, operand: Operand, span: Span, context: Context) -> Operand | None:
    """Apply `-`, `+` or `not`; the sign of a literal is part of it."""
    if op == "not":
        return _logical("not", (operand,), span, context)
    if isinstance(operand.expr, Literal) and not isinstance(operand.expr.value, bool):
        value = -operand.expr.value if op == "-" else operand.expr.value
        return Operand(Literal(value, operand.dtype, span), operand.weak)
    return apply(_BY_SYMBOL[op, 1], (operand,), span)


def binary(
    op: str, operands: Sequence[Operand], span: Span, context: Context
) -> Operand | None:
    """Apply a binary operator to its two operands."""
    if op in ("and", "or"):
        return _logical(op, operands, span, context)
    if op == "**":
        return _power(operands[0], operands[1], span)
    return apply(_BY_SYMBOL[op, 2], operands, span)


def compare(ops: Sequence[str], operands: Sequence[Operand], span: Span) -> Operand:
    """Write a chain as comparisons joined by `and`."""
    pairs = [
        apply(_BY_SYMBOL[op, 2], (left, right), left.expr.span.to(right.expr.span))
        for op, left, right in zip(ops, operands, operands[1:])
    ]
    result = pairs[0]
    for pair in pairs[1:]:
        result = apply(FUNCTIONS["and"], (result, pair), span)
    return result


def select(
    condition: Operand, then: Operand, otherwise: Operand, span: Span, context: Context
) -> Operand | None:
    """Write `then if condition else otherwise`, or `where`, as a `Select`."""
    if not is_bool(condition, "a condition", context):
        return None
    dtype, weak = meet((then, otherwise), keep=True)
    arms = convert(then.expr, dtype), convert(otherwise.expr, dtype)
    return Operand(Select(condition.expr, *arms, dtype, span), weak)


def _power(base: Operand, exponent: Operand, span: Span) -> Operand:
    """`x**2` is a product, so that it is as exact as one."""
    match exponent.expr:
        case Literal(int() as value) if 2 <= value <= _LARGEST_PRODUCT:
            size = sum(1 for _ in walk(base.expr))
            if size <= _LARGEST_COPIED and not _has_reduction(base.expr):
                return _product(base, value, span)
    return apply(FUNCTIONS["power"], (base, exponent), span)


def _product(base: Operand, count: int, span: Span) -> Operand:
    if count == 1:
        return base
    half = _product(base, count // 2, span)
    rest = _product(base, count - count // 2, span)
    return apply(FUNCTIONS["mul"], (rest, half), span)


def _has_reduction(expr: Expr) -> bool:
    return any(isinstance(node, Reduce) for node in walk(expr))


def is_bool(operand: Operand, what: str, context: Context) -> bool:
    """Report an operand that should be a bool and is a number."""
    if operand.dtype in (BOOL, UNKNOWN):
        return True
    text = text_of(operand.expr.span)
    context.error(
        "E0207",
        f"{what} must be a bool, and {text} is {operand.type_name}",
        operand.expr.span,
        label=f"{operand.type_name} here",
        hint=f"compare it: {text} != 0",
    )
    return False


def _logical(
    op: str, operands: Sequence[Operand], span: Span, context: Context
) -> Operand | None:
    good = [is_bool(operand, f"an operand of {op}", context) for operand in operands]
    return apply(FUNCTIONS[op], operands, span) if all(good) else None
