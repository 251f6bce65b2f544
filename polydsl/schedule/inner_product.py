"""The inner product that a statement asks for: its function of two accesses.

    c[i, j] += abs(x[i, k] - y[k, j])  ->  (add, abs(A - B)), A = x[i, k], B = y[k, j]

An access may occur several times and may be padded with a literal; the first one is A.
One of a narrower float type is widened to that of the product (`widened_access`).
A sum of several products reads more than two, and is none.

Where factors may be computed, they are the greatest parts of the value that some index
of the result does not move, so that each is the same for a whole row or column:

    c[i, j] += exp(x[i, k] - m[i]) * w[k, j]  ->  (add, A * B), A = exp(x[i, k] - m[i])
"""

from __future__ import annotations

from collections.abc import Mapping

from polydsl.base.diagnostics import bug
from polydsl.base.functions import Combine
from polydsl.base.inner_product import (
    INSTRUCTIONS,
    Apply,
    Factor,
    InnerProduct,
    Number,
    Term,
    can_combine,
)
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scop import Statement
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Literal,
    Pad,
    Size,
    Value,
    accesses,
    children,
    walk,
)

Factors = tuple[Expr, Expr]
"""What A and B stand for: two accesses, perhaps padded, or values of such."""


def inner_product(
    statement: Statement, sizes: Mapping[str, Value]
) -> tuple[InnerProduct, Factors] | str:
    """Return a statement's inner product and its factors, or why it has none."""
    combine = statement.combine
    if combine is None or not can_combine(combine):
        return "it does not sum, multiply or take the greatest or least"
    return _applied(combine, _outermost_factors(statement.value), statement, sizes)


def computed_product(
    statement: Statement, sizes: Mapping[str, Value]
) -> tuple[InnerProduct, Factors] | str:
    """Return a statement's inner product of factors that may be computed, or why it has
    none."""
    combine = statement.combine
    if combine is None or not can_combine(combine):
        return "it does not sum, multiply or take the greatest or least"
    left = frozenset(
        d for d in statement.left if statement.ranges[d][0] < statement.ranges[d][1]
    )
    return _applied(combine, _sides(statement.value, left), statement, sizes)


def _applied(
    combine: Combine,
    found: list[Expr],
    statement: Statement,
    sizes: Mapping[str, Value],
) -> tuple[InnerProduct, Factors] | str:
    """Return a statement as an inner product of factors, or why it is none."""
    factors = tuple(dict.fromkeys(found))
    if len(factors) != 2:
        return "its value is not a function of two accesses"
    function = _term(statement.value, factors, sizes)
    if isinstance(function, str):
        return function
    first, second = factors
    return InnerProduct(combine, function), (first, second)


def _sides(expr: Expr, left: frozenset[str]) -> list[Expr]:
    """Return the greatest parts of an expression that read something and that some of
    the indices on the left do not move."""
    if widened_access(expr) is not None:
        return [expr]
    if next(accesses(expr), None) is None:
        return []
    if not left <= {*ordered_indices(expr)}:
        return [expr]
    return [side for part in children(expr) for side in _sides(part, left)]


def widened_access(expr: Expr) -> Access | Pad | None:
    """Return the access, perhaps padded, that an expression is: as it stands, or as a
    float of more bits, which changes no number."""
    match expr:
        case Access() | Pad():
            return expr
        case Cast(Access() | Pad() as operand, dtype):
            is_wider = dtype.is_float and operand.dtype.is_float
            return operand if is_wider and operand.dtype.bits < dtype.bits else None
        case _:
            return None


def accessed(factor: Expr) -> Access:
    """Return the access of a factor, without what pads or widens it."""
    match widened_access(factor):
        case Access() as access:
            return access
        case Pad(access):
            return access
        case None:
            bug(f"a factor of a product is no access: {factor}")


def factor_access(factor: Expr) -> Access | None:
    """Return the access that a factor is, None where it is a value."""
    return None if widened_access(factor) is None else accessed(factor)


def number(expr: Expr, sizes: Mapping[str, Value]) -> float | None:
    """Return the number that an expression without accesses is; None for others."""
    match expr:
        case Literal(value):
            return float(value)
        case Size(name):
            return float(sizes[name])
        case Cast(operand, dtype) if dtype.is_float:
            inside = number(operand, sizes)
            return None if inside is None else float(dtype.numpy.type(inside))
        case _:
            return None


def _outermost_factors(expr: Expr) -> list[Expr]:
    """Return the accesses in an expression, padded ones with their padding and widened
    ones as such, in order; not those that are inside subscripts."""
    inside: set[int] = set()
    found: list[Expr] = []
    for node in walk(expr):
        if id(node) in inside:
            continue
        if widened_access(node) is not None:
            inside.update(id(below) for below in walk(node))
            found.append(node)
    return found


def _term(
    expr: Expr, factors: tuple[Expr, ...], sizes: Mapping[str, Value]
) -> Term | str:
    """Return an expression as a term over the factors, or why it is none."""
    if expr in factors:
        access = widened_access(expr)
        if isinstance(access, Pad) and not isinstance(access.value, Literal):
            return "a factor is padded with what is no number"
        return Factor("A" if expr == factors[0] else "B")
    value = number(expr, sizes)
    if value is not None:
        return Number(value)
    if not isinstance(expr, Call):
        return "its value is not arithmetic on two accesses"
    if expr.function not in INSTRUCTIONS:
        return f"{expr.function} takes so long that plain loops are as fast"
    operands: list[Term] = []
    for argument in expr.arguments:
        operand = _term(argument, factors, sizes)
        if isinstance(operand, str):
            return operand
        if argument.dtype != expr.dtype:
            return "its value mixes types"
        operands.append(operand)
    return Apply(expr.function, tuple(operands))
