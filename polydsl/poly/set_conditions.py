"""Sets of isl as conditions of the program: `condition_of(points, names, span)`.

{ [j] : exists i : 0 <= i < 9 and j = 3*i }    ->    j % 3 == 0 and ... 0 <= j < 27
"""

from __future__ import annotations

from collections.abc import Sequence

from polydsl.base.dtypes import BOOL, I64
from polydsl.base.source import Span
from polydsl.poly.conditions import conjunction, disjunction
from polydsl.poly.isl import Set
from polydsl.poly.polyhedra import Part, parts_of
from polydsl.semantics.program import Call, Expr, Index, Literal


def condition_of(points: Set, names: Sequence[str], span: Span) -> Expr:
    """Return the condition that a point is in a set; *names* are its coordinates."""
    parts = [_part(part, names, span) for part in parts_of(points)]
    return disjunction(parts) or Literal(False, BOOL, span)


def _part(part: Part, names: Sequence[str], span: Span) -> Expr:
    terms: list[Expr] = [Index(name, span) for name in names]
    for division in part.divisions:
        inside = _sum(division.factors, division.constant, terms, span)
        divisor = Literal(division.divisor, I64, span)
        terms.append(Call("floordiv", (inside, divisor), I64, span))
    conditions: list[Expr] = []
    for constraint in part.constraints:
        left = _sum(constraint.factors, constraint.constant, terms, span)
        function = "eq" if constraint.is_equality else "ge"
        conditions.append(Call(function, (left, Literal(0, I64, span)), BOOL, span))
    return conjunction(conditions) or Literal(True, BOOL, span)


def _sum(
    factors: Sequence[int], constant: int, terms: Sequence[Expr], span: Span
) -> Expr:
    """Return `sum of factors * terms + constant`."""
    total: Expr = Literal(constant, I64, span)
    for factor, term in zip(factors, terms):
        if factor:
            scaled = Call("mul", (Literal(factor, I64, span), term), I64, span)
            total = Call("add", (total, scaled), I64, span)
    return total
