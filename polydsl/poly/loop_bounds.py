"""Bounds of loops that run over a domain and over nothing else.

    { S[i, j] : 0 <= i < N and 0 <= j <= i }   in the order i, j
        ->  i in range(0, N), j in range(0, i + 1)

A domain that is a polyhedron, without holes and steps, is cut exactly by such bounds in
every order of its loops (Ancourt and Irigoin, "Scanning polyhedra with DO loops", PPoPP
1991); of any other the bounds hold a hull, and conditions are left to ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

from polydsl.base.dtypes import BOOL, I64
from polydsl.base.source import Span
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.isl import (
    Constraint,
    Set,
    domain_text,
    first_dimensions,
    is_polyhedron,
    ordered_dimensions,
    parse_set,
    polyhedral_hull,
)
from polydsl.poly.scop import Statement
from polydsl.poly.substitute import linear_term
from polydsl.poly.terms import Interval, interval, isl_name, linear_from
from polydsl.semantics.program import Call, Expr, Literal


@dataclass(frozen=True, slots=True)
class Bounds:
    """`lo <= index < hi`: terms over the indices further out."""

    lo: Expr
    hi: Expr


def box_bounds(statement: Statement, dim: str) -> Bounds:
    """Return the bounds of a dimension in the box around the domain."""
    lo, hi = statement.ranges[dim]
    numbers = (Literal(n, I64, statement.span) for n in (lo, hi + 1))
    return Bounds(*numbers)


@lru_cache(maxsize=256)
def is_exact(statement: Statement) -> bool:
    """Whether bounds cut the domain exactly, in every order of the loops."""
    return not statement.conditions or is_polyhedron(statement.domain)


def runs_within(outer: Statement, inner: Statement) -> bool:
    """Whether loops over the points of one statement, in the dimensions on its left
    side, reach all points of another one."""
    if not outer.conditions:
        ranges = outer.ranges
        known = ((ranges[d], inner.ranges[d]) for d in outer.left if d in inner.dims)
        return all(a <= c and d <= b for (a, b), (c, d) in known)
    names = tuple(isl_name(d) for d in outer.left)
    shadows = (_shadow(statement, names) for statement in (inner, outer))
    return bool(next(shadows).is_subset(next(shadows)))


def may_share_loops(outer: Statement, inner: Statement) -> bool:
    """Whether loops over the points of one statement may run another one, too: where
    that has fewer of them, it is for indices that loops inside are bounded by."""
    if not runs_within(outer, inner):
        return False
    reduced = {*inner.reduced}
    names = [{*ordered_indices(c)} for c in inner.conditions]
    tied = {d for found in names if found & reduced for d in found}
    return restricted(outer, inner) <= tied


@lru_cache(maxsize=256)
def restricted(outer: Statement, inner: Statement) -> frozenset[str]:
    """Return the dimensions on the left side, of which a statement has fewer values
    than loops over the points of the other one reach."""
    if not inner.conditions:
        return frozenset()
    left = tuple(d for d in outer.left if d in inner.dims)
    names = tuple(isl_name(d) for d in left)
    found = polyhedral_hull(_shadow(inner, names), _reached(outer, left))
    return frozenset(d for c in found for d, n in zip(left, c.factors) if n)


def _shadow(statement: Statement, names: Sequence[str]) -> Set:
    """Return the values of some dimensions in the domain."""
    rest = (isl_name(d) for d in statement.dims if isl_name(d) not in names)
    points = ordered_dimensions(statement.domain, (*names, *rest))
    return first_dimensions(points, len(names))


def loop_bounds(statement: Statement, order: Sequence[str]) -> Mapping[str, Bounds]:
    """Return the bounds of some dimensions of a statement, outermost first; a loop over
    the last one runs over the points of the domain whose first coordinates it has."""
    if not statement.conditions:
        return {d: box_bounds(statement, d) for d in order}
    if statement.domain.is_empty():
        return _nothing(statement, order)
    points = _ordered(statement, order)
    return {
        d: _bounds_of(statement, _hull(points, k), order, k)
        for k, d in enumerate(order)
    }


@dataclass(frozen=True, slots=True)
class Inner:
    """Loops inside of others: their bounds, and the conditions on the indices further
    out without which none of them runs."""

    bounds: Mapping[str, Bounds]
    conditions: tuple[Expr, ...] = ()


def inner_bounds(
    outer: Statement, inner: Statement, left: Sequence[str], order: Sequence[str]
) -> Inner:
    """Return the bounds of some dimensions of a statement, inside of loops that run
    over dimensions *left* of another one and reach all of its points.

    Bounds alone need not say where there are none: in `j in range(min(i, 1), 1)`, `j`
    is 0, and so must `i` be.
    """
    if not inner.conditions:
        return Inner(loop_bounds(inner, order))
    if inner.domain.is_empty():
        return Inner(_nothing(inner, order), (Literal(False, BOOL, inner.span),))
    every = (*left, *order)
    points = _ordered(inner, every)
    count = len(left)
    around = _reached(outer, left)
    first = polyhedral_hull(
        first_dimensions(points, count + min(len(order), 1)), around
    )
    bounds = {}
    for k, d in enumerate(order, count):
        found = first if k == count else _hull(points, k)
        bounds[d] = _bounds_of(inner, found, every, k)
    outside = (c for c in first if not any(c.factors[count:]))
    return Inner(bounds, tuple(_condition(c, left, inner.span) for c in outside))


def _nothing(statement: Statement, order: Sequence[str]) -> dict[str, Bounds]:
    zero = Literal(0, I64, statement.span)
    return {d: Bounds(zero, zero) for d in order}


def _ordered(statement: Statement, order: Sequence[str]) -> Set:
    """Return the domain with some dimensions in front."""
    rest = (d for d in statement.dims if d not in order)
    return ordered_dimensions(
        statement.domain, tuple(isl_name(d) for d in (*order, *rest))
    )


def _reached(outer: Statement, left: Sequence[str]) -> Set:
    """Return the points that loops over some dimensions of a statement reach."""
    names = tuple(isl_name(d) for d in left)
    if is_exact(outer):
        return _shadow(outer, names)
    ends = (outer.ranges[d] for d in left)
    where = [f"{lo} <= {name} <= {hi}" for name, (lo, hi) in zip(names, ends)]
    return parse_set(domain_text("", names, where))


def _hull(points: Set, place: int) -> tuple[Constraint, ...]:
    """Return what bounds one dimension, those behind it projected out."""
    shadow = first_dimensions(points, place + 1)
    return polyhedral_hull(shadow, first_dimensions(points, place))


def _bounds_of(
    statement: Statement,
    constraints: Sequence[Constraint],
    order: Sequence[str],
    place: int,
) -> Bounds:
    """Return the bounds that constraints are for one dimension."""
    lower: list[Expr] = []
    upper: list[Expr] = []
    for constraint in constraints:
        factor = constraint.factors[place]
        if factor > 0 or (factor and constraint.is_equality):
            lower.append(
                _bound(constraint, order, place, statement.span, is_least=True)
            )
        if factor < 0 or (factor and constraint.is_equality):
            upper.append(
                _bound(constraint, order, place, statement.span, is_least=False)
            )
    box = box_bounds(statement, order[place])
    ranges = {**statement.ranges}
    return Bounds(
        _extreme("max", lower or [box.lo], ranges),
        _extreme("min", upper or [box.hi], ranges),
    )


def _condition(constraint: Constraint, left: Sequence[str], span: Span) -> Expr:
    """Return a constraint on the first dimensions as a condition."""
    form = linear_from(dict(zip(left, constraint.factors)), constraint.constant)
    function = "eq" if constraint.is_equality else "ge"
    zero = Literal(0, I64, span)
    return Call(function, (linear_term(form, span), zero), BOOL, span)


def _bound(
    constraint: Constraint,
    order: Sequence[str],
    place: int,
    span: Span,
    *,
    is_least: bool,
) -> Expr:
    """Return what `factor * index + rest >= 0` says of an index: the least value, or
    one more than the greatest."""
    factor = constraint.factors[place]
    sign = 1 if (factor > 0) == is_least else -1
    # An equality may be read with both signs.
    sign = sign if constraint.is_equality else 1
    factor *= sign
    rest = {d: sign * c for d, c in zip(order[:place], constraint.factors) if c}
    number = sign * constraint.constant
    if is_least:
        # index >= ceil(-rest / factor) = floor((factor - 1 - rest) / factor)
        form = linear_from({d: -c for d, c in rest.items()}, factor - 1 - number)
    else:
        # index < floor(rest / -factor) + 1 = floor((rest - factor) / -factor)
        form = linear_from(rest, number - factor)
    term = linear_term(form, span)
    divisor = abs(factor)
    if divisor == 1:
        return term
    return Call("floordiv", (term, Literal(divisor, I64, span)), I64, span)


def _extreme(function: str, terms: Iterable[Expr], box: Mapping[str, Interval]) -> Expr:
    """Return the greatest or the least of terms, those that never are it left out."""
    kept = list(dict.fromkeys(terms))
    for term in tuple(kept):
        least, greatest = interval(term, {}, box)
        others = [interval(t, {}, box) for t in kept if t is not term]
        if function == "max":
            never = any(lo >= greatest for lo, _ in others)
        else:
            never = any(hi <= least for _, hi in others)
        if never:
            kept.remove(term)
    return reduce(lambda a, b: Call(function, (a, b), I64, a.span), kept)
