"""Indices of an expression replaced by terms, with `//` and `%` simplified."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from polydsl.base.dtypes import I64
from polydsl.base.source import Span
from polydsl.poly.terms import Interval, Linear, add_linear, linear
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
    Value,
)


def substitute(expr: Expr, terms: Mapping[str, Expr]) -> Expr:
    """Return *expr* with each index in *terms* replaced."""
    if isinstance(expr, Index):
        return terms.get(expr.name, expr)
    return with_parts(expr, lambda part: substitute(part, terms))


def with_parts(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """Return *expr* with each of its direct parts changed. What is read stays an
    access."""
    match expr:
        case Literal() | Size() | Index():
            return expr
        case Access(_, subscripts):
            return replace(expr, subscripts=tuple(map(change, subscripts)))
        case Pad(access, value):
            inside = change(access)
            assert isinstance(inside, Access)
            return replace(expr, access=inside, value=change(value))
        case Call(_, arguments):
            return replace(expr, arguments=tuple(map(change, arguments)))
        case Select(condition, then, otherwise):
            return replace(
                expr,
                condition=change(condition),
                then=change(then),
                otherwise=change(otherwise),
            )
        case Cast(operand):
            return replace(expr, operand=change(operand))
        case Reduce(body=body):
            return replace(expr, body=change(body))


def linear_term(form: Linear, span: Span) -> Expr:
    """Return a linear form as an expression."""
    total: Expr | None = Literal(form.constant, I64, span) if form.constant else None
    for name, factor in form.coefficients:
        term: Expr = Index(name, span)
        function, size = ("sub", -factor) if factor < 0 and total else ("add", factor)
        if size != 1:
            term = Call("mul", (Literal(size, I64, span), term), I64, span)
        total = term if total is None else Call(function, (total, term), I64, span)
    return Literal(0, I64, span) if total is None else total


def resolve(
    expr: Expr, binding: Mapping[str, Value], box: Mapping[str, Interval]
) -> Linear | None:
    """Return a term as a linear form, solving `//` and `%` by a constant that divides
    every coefficient but those of indices too small to matter.

        (2*g + c) // 2  with 0 <= c < 2   ->  g
        (2*g + c) % 2   with 0 <= c < 2   ->  c

    None where the term is not linear on the box.
    """
    form = linear(expr, binding)
    if form is not None:
        return form
    match expr:
        case Cast(operand):
            return resolve(operand, binding, box)
        case Call("floordiv" | "mod" as function, (left, right)):
            inner = resolve(left, binding, box)
            divisor = linear(right, binding)
            if inner is None or divisor is None or divisor.constant <= 0:
                return None
            return _split(inner, divisor.constant, function == "mod", box)
        case Call("add" | "sub" as function, (left, right)):
            a, b = resolve(left, binding, box), resolve(right, binding, box)
            return add_linear(a, b, 1 if function == "add" else -1)
        case Call("mul", (left, right)):
            return _scaled(left, right, binding, box)
        case _:
            return None


def _scaled(
    left: Expr, right: Expr, binding: Mapping[str, Value], box: Mapping[str, Interval]
) -> Linear | None:
    a, b = resolve(left, binding, box), resolve(right, binding, box)
    if a is None or b is None or (a.coefficients and b.coefficients):
        return None
    form, factor = (a, b.constant) if a.coefficients else (b, a.constant)
    return add_linear(Linear((), 0), form, factor)


def _split(
    form: Linear, divisor: int, remainder: bool, box: Mapping[str, Interval]
) -> Linear | None:
    """Divide a form into multiples of the divisor and a rest within [0, divisor)."""
    whole = tuple((n, c) for n, c in form.coefficients if c % divisor == 0)
    rest = tuple((n, c) for n, c in form.coefficients if c % divisor)
    quotient, constant = divmod(form.constant, divisor)
    ends = [sorted((c * box[n][0], c * box[n][1])) for n, c in rest]
    lo = constant + sum(low for low, _ in ends)
    hi = constant + sum(high for _, high in ends)
    if lo < 0 or hi >= divisor:
        return None
    if remainder:
        return Linear(rest, constant)
    return Linear(tuple((n, c // divisor) for n, c in whole), quotient)


def without_constants(form: Linear, box: Mapping[str, Interval]) -> Linear:
    """Return a linear form without the indices that have a single value."""
    kept = tuple((n, c) for n, c in form.coefficients if box[n][0] < box[n][1])
    gone = (c * box[n][0] for n, c in form.coefficients if box[n][0] == box[n][1])
    return Linear(kept, form.constant + sum(gone))


def bounds(form: Linear, box: Mapping[str, Interval]) -> Interval:
    """Return the least and the greatest value of a linear form over a box."""
    ends = [sorted((c * box[n][0], c * box[n][1])) for n, c in form.coefficients]
    lo = form.constant + sum(low for low, _ in ends)
    return lo, form.constant + sum(high for _, high in ends)
