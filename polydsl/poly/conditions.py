"""Where the parts of an expression are evaluated: arms of conditionals, padding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

from polydsl.base.dtypes import BOOL
from polydsl.poly.terms import conjuncts
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
    is_affine,
    walk,
)

Evaluated = tuple[Access, tuple[Expr, ...], bool]
"""An access, the affine conditions where it is evaluated, and whether it is padded."""


def reads_of(expr: Expr, context: tuple[Expr, ...]) -> list[Evaluated]:
    """Return every access in *expr*, in order, with its context."""
    match expr:
        case Literal() | Size() | Index():
            return []
        case Access(_, subscripts):
            inner = [r for s in subscripts for r in reads_of(s, context)]
            return [(expr, context, False), *inner]
        case Pad(access, value):
            inner = [r for s in access.subscripts for r in reads_of(s, context)]
            return [(access, context, True), *inner, *reads_of(value, context)]
        case Select(condition, then, otherwise):
            yes, no = arm_conditions(condition)
            return [
                *reads_of(condition, context),
                *reads_of(then, context + yes),
                *reads_of(otherwise, context + no),
            ]
        case Call(_, arguments):
            return [r for a in arguments for r in reads_of(a, context)]
        case Cast(operand):
            return reads_of(operand, context)
        case Reduce(_, _, body):
            return reads_of(body, context)


def arm_conditions(condition: Expr) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
    """Return the affine conditions that hold in the two arms of a conditional.

    Of a condition that depends on data only the affine conjuncts to the left of the
    first that does restrict the first arm; the second arm is read everywhere.
    """
    if is_affine(condition):
        negated = Call("not", (condition,), BOOL, condition.span)
        return (condition,), (negated,)
    leading: list[Expr] = []
    for part in conjuncts(condition):
        if not is_affine(part):
            break
        leading.append(part)
    return tuple(leading), ()


def conjunction(conditions: Iterable[Expr]) -> Expr | None:
    """Return conditions joined by `and`, None if there are none."""
    return _joined("and", conditions)


def disjunction(conditions: Iterable[Expr]) -> Expr | None:
    """Return conditions joined by `or`, None if there are none."""
    return _joined("or", conditions)


def _joined(function: str, conditions: Iterable[Expr]) -> Expr | None:
    parts = list(conditions)
    if not parts:
        return None
    return reduce(lambda a, b: Call(function, (a, b), BOOL, b.span), parts)


def bounding(
    dependent: Mapping[str, tuple[Expr, ...]], indices: tuple[str, ...]
) -> tuple[str, ...]:
    """Return *indices* and those on which their ranges depend; *dependent* holds the
    conditions of ranges that depend on other indices."""
    conditions = (c for i in indices for c in dependent.get(i, ()))
    return tuple(dict.fromkeys((*indices, *ordered_indices(*conditions))))


def ordered_indices(*exprs: Expr) -> tuple[str, ...]:
    """Return the indices that occur in expressions, in order of appearance."""
    return tuple(
        dict.fromkeys(
            node.name for e in exprs for node in walk(e) if isinstance(node, Index)
        )
    )
