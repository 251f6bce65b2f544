"""Scatters turned round: `gathered(scop) -> Scop`.

A `+=` whose left side is an affine map hits an element from several points. It becomes
a sum for each element over the points that hit it, for which the map is inverted:

    y[2*p + r] += x[p] * w[r]
        ->  y[y_0] += x[p] * w[y_0 - 2*p]    for 0 <= y_0 - 2*p < R

One index of each subscript is solved for, one that moves it by a single element; of
several the longest one, so that short windows stay sums. A scatter whose points have
elements of their own, or that has no such index, or an indirect left side, stays as it
is and runs in an order that keeps points that meet apart; so does what the caller says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

from polydsl.base.diagnostics import bug
from polydsl.poly.isl import equal_dimensions, is_bijection_onto, map_text, parse_map
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import linear_term, resolve, substitute
from polydsl.poly.terms import (
    Interval,
    Linear,
    add_linear,
    interval,
    isl_name,
    linear_from,
    term_text,
    within,
)
from polydsl.semantics.program import Expr, Index, are_distinct

Stays: TypeAlias = Callable[[Scop, Statement], bool]
"""Which scatters are left as they are."""


def gathered(scop: Scop, stays: Stays) -> Scop:
    """Return the scop with every scatter that can be inverted, and does not stay as it
    is, as a sum of its own."""
    return replace(
        scop, statements=tuple(_gathered(scop, s, stays) for s in scop.statements)
    )


def is_plain(statement: Statement) -> bool:
    """Whether the left side are distinct indices."""
    return are_distinct(statement.subscripts)


@lru_cache(maxsize=256)
def colliding(statement: Statement) -> frozenset[str]:
    """Return the dimensions on the left side that an element does not tell: several of
    their values may hit one element."""
    if is_plain(statement):
        return frozenset()
    meeting = statement.write.apply_range(statement.write.reverse())
    told = equal_dimensions(meeting)
    return frozenset(d for d in statement.left if isl_name(d) not in told)


def _gathered(scop: Scop, statement: Statement, stays: Stays) -> Statement:
    if statement.combine is None or is_plain(statement):
        return statement
    has_own = not statement.reduced and bool(statement.write.is_injective())
    if has_own or not statement.points or stays(scop, statement):
        return statement
    forms = [resolve(s, scop.sizes, statement.ranges) for s in statement.subscripts]
    known = [form for form in forms if form is not None]
    names = _element_names(scop, statement)
    if len(known) < len(forms) or names is None:
        return statement
    solution = _solved(statement, known, names)
    if solution is None:
        return statement
    return _checked(statement, _turned(scop, statement, names, solution), solution)


def _element_names(scop: Scop, statement: Statement) -> tuple[str, ...] | None:
    """Return the indices of the tensor's first value, which the sum takes over."""
    for first in scop.statements:
        if first.tensor == statement.tensor and first.combine is None:
            names = tuple(s.name for s in first.subscripts if isinstance(s, Index))
            return names if is_plain(first) else None
    return None


Solution = Mapping[str, Linear]
"""Indices in terms of the element's and of the others."""


def _solved(
    statement: Statement, forms: Sequence[Linear], names: Sequence[str]
) -> Solution | None:
    """Solve each subscript for one of its indices."""
    found: dict[str, Linear] = {}
    for form, name in zip(forms, names):
        rest = _composed(form, found)
        free = [(d, c) for d, c in rest.coefficients if d in statement.dims]
        units = [(d, c) for d, c in free if abs(c) == 1]
        if not units:
            return None
        solved, factor = max(units, key=lambda entry: _extent(statement, entry[0]))
        # name = factor * solved + others
        others = {d: -factor * c for d, c in rest.coefficients if d != solved}
        others[name] = others.get(name, 0) + factor
        term = linear_from(others, -factor * rest.constant)
        found = {d: _composed(f, {solved: term}) for d, f in found.items()}
        found[solved] = term
    return found


def _composed(form: Linear, terms: Solution) -> Linear:
    """Return a form with indices replaced."""
    total = Linear((), form.constant)
    for d, factor in form.coefficients:
        part = terms.get(d, Linear(((d, 1),), 0))
        summed = add_linear(total, part, factor)
        assert summed is not None
        total = summed
    return total


def _extent(statement: Statement, d: str) -> int:
    lo, hi = statement.ranges[d]
    return hi - lo


def _turned(
    scop: Scop, statement: Statement, names: Sequence[str], solution: Solution
) -> Statement:
    """Return the statement over elements and the indices that are left."""
    span = statement.span
    terms: dict[str, Expr] = {d: linear_term(f, span) for d, f in solution.items()}
    shape = scop.tensor(statement.tensor).shape
    box: dict[str, Interval] = {n: (0, e - 1) for n, e in zip(names, shape)}
    box |= {d: ends for d, ends in statement.ranges.items() if d not in terms}
    conditions = [
        part
        for d, term in terms.items()
        for part in within(term, statement.ranges[d], interval(term, {}, box))
    ]
    conditions += [substitute(c, terms) for c in statement.conditions]
    element = tuple(Index(name, span) for name in names)
    moved = replace(statement, subscripts=element)
    return rebuilt(scop, moved, terms, box, tuple(conditions))


def _checked(old: Statement, new: Statement, solution: Solution) -> Statement:
    """Return the new statement; stop unless its points are those of the old one, each
    once, and hit the same elements."""
    plain = {d: Linear(((d, 1),), 0) for d in old.dims}
    forms = {**plain, **solution}
    values = [term_text(linear_term(forms[d], old.span), {}) for d in old.dims]
    names = [isl_name(d) for d in new.dims]
    points = parse_map(map_text(new.name, names, old.name, values))
    points = points.intersect_domain(new.domain)
    same = points.apply_range(old.write).is_equal(new.write)
    if not (is_bijection_onto(points, old.domain) and same):
        bug(f"{old.name} was turned round into another sum")
    return new
