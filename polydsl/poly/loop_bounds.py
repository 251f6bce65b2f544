"""Bounds of loops that run over a domain and over nothing else.

    { S[i, j] : 0 <= i < N and 0 <= j <= i }   in the order i, j
        ->  i in range(0, N), j in range(0, i + 1)

A domain that is a polyhedron, without holes and steps, is cut exactly by such bounds in
every order of its loops (Ancourt and Irigoin, "Scanning polyhedra with DO loops", PPoPP
1991); of any other the bounds hold a hull, and conditions are left to ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import permutations
from types import MappingProxyType
from typing import TypeAlias

from polydsl.base.dtypes import I64
from polydsl.base.source import Span
from polydsl.poly.isl import Set
from polydsl.poly.polyhedra import (
    Constraint,
    constrained,
    dimensions,
    first_dimensions,
    from_starts,
    is_polyhedron,
    no_dimensions,
    ordered_dimensions,
    polyhedral_hull,
)
from polydsl.poly.scop import Statement
from polydsl.poly.substitute import linear_term
from polydsl.poly.terms import Interval, interval, isl_name, linear_from
from polydsl.semantics.program import Call, Expr, Index, Literal, walk

NO_TILES: Mapping[str, int] = MappingProxyType({})


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
    if not statement.conditions:
        return True
    if not is_polyhedron(_ordered(statement, statement.dims)):
        return False
    orders = _orders(statement, statement.dims)
    every = (_ordered(statement, order) for order in orders)
    return all(_is_cut(points, no_dimensions(), 0) for points in every)


def _orders(statement: Statement, dims: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the orders of some dimensions that may matter: those that conditions name,
    one after the other, in every order. (isl may find one polyhedron in one order, and
    in another one several that make it up, whose hull it does not know.)"""
    terms = (e for condition in statement.conditions for e in walk(condition))
    named = {e.name for e in terms if isinstance(e, Index)}
    rest = tuple(d for d in dims if d not in named)
    for order in permutations(d for d in dims if d in named):
        yield (*rest, *order)


def _is_cut(points: Set, around: Set, first: int) -> bool:
    """Whether bounds of the dimensions from the *first* on cut out all points exactly,
    in loops around which run over other points."""
    _, reached = _scan(points, around, first)
    return bool(reached.is_equal(points))


def fits(outer: Statement, inner: Statement) -> bool:
    """Whether a statement may run inside of loops over another one's points, in the
    dimensions on its left side: bounds of its own loops then cut out its domain, or,
    where it is no polyhedron, conditions do."""
    if not outer.conditions and not inner.conditions:
        return all(outer.ranges[d] == inner.ranges[d] for d in outer.left)
    points, around = _inside(outer, inner, outer.left, inner.reduced)
    shadow = first_dimensions(points, len(outer.left))
    if not bool(shadow.is_subset(around)):
        return False
    if not is_exact(inner):
        return True
    count = len(outer.left)
    every = (
        _inside(outer, inner, outer.left, o) for o in _orders(inner, inner.reduced)
    )
    return all(_is_cut(points, around, count) for points, around in every)


def loop_bounds(statement: Statement, order: Sequence[str]) -> Mapping[str, Bounds]:
    """Return the bounds of some dimensions of a statement, outermost first; a loop over
    the last one runs over the points of the domain whose first coordinates it has."""
    if not statement.conditions:
        return {d: box_bounds(statement, d) for d in order}
    rest = tuple(d for d in statement.dims if d not in order)
    points = _ordered(statement, (*order, *rest))
    found, _ = _scan(points, no_dimensions(), 0)
    return _bounds(statement, order, dict(zip(order, found)))


def inner_bounds(
    outer: Statement,
    inner: Statement,
    left: Sequence[str],
    order: Sequence[str],
    tiles: Mapping[str, int] = NO_TILES,
) -> Mapping[str, Bounds]:
    """Return the bounds of some dimensions of a statement, outermost first, inside of
    loops over another one's points in the dimensions of *left*. Some of these loops run
    over tiles of so many points: the bounds hold for all points of a tile."""
    if not inner.conditions:
        return {d: box_bounds(inner, d) for d in order}
    points, around = _inside(outer, inner, left, order)
    for d, count in tiles.items():
        points = from_starts(points, left.index(d), count)
        around = from_starts(around, left.index(d), count)
    found, _ = _scan(points, around, len(left))
    return _bounds(inner, (*left, *order), dict(zip(order, found)))


def _inside(
    outer: Statement, inner: Statement, left: Sequence[str], order: Sequence[str]
) -> tuple[Set, Set]:
    """Return the points of a statement, and those of another one around them."""
    points = _ordered(inner, (*left, *order))
    rest = tuple(d for d in outer.dims if d not in left)
    return points, first_dimensions(_ordered(outer, (*left, *rest)), len(left))


def _ordered(statement: Statement, order: Sequence[str]) -> Set:
    names = tuple(isl_name(d) for d in order)
    return ordered_dimensions(statement.domain, names).coalesce()


Level: TypeAlias = tuple[Constraint, ...]
"""The constraints that bound one dimension by those before it."""


def _scan(points: Set, around: Set, first: int) -> tuple[list[Level], Set]:
    """Return what bounds each dimension from the *first* on, in loops around which run
    over the points *around*; and the points that are reached."""
    found: list[Level] = []
    for place in range(first, dimensions(points)):
        shadow = first_dimensions(points, place + 1)
        hull = polyhedral_hull(shadow, around)
        level = tuple(c for c in hull if c.factors[place])
        around = constrained(around, level)
        found.append(level)
    return found, around


def _bounds(
    statement: Statement, order: Sequence[str], levels: Mapping[str, Level]
) -> Mapping[str, Bounds]:
    if statement.domain.is_empty():
        zero = Literal(0, I64, statement.span)
        return {d: Bounds(zero, zero) for d in levels}
    return {d: _bounds_of(statement, order, d, level) for d, level in levels.items()}


def _bounds_of(
    statement: Statement, order: Sequence[str], dim: str, level: Level
) -> Bounds:
    """Return the bounds of one dimension."""
    place, span = order.index(dim), statement.span
    lower: list[Expr] = []
    upper: list[Expr] = []
    for constraint in level:
        factor = constraint.factors[place]
        if factor > 0 or constraint.is_equality:
            lower.append(_bound(constraint, order, place, span, is_least=True))
        if factor < 0 or constraint.is_equality:
            upper.append(_bound(constraint, order, place, span, is_least=False))
    box = box_bounds(statement, dim)
    return Bounds(
        _extreme("max", lower or [box.lo], statement.ranges),
        _extreme("min", upper or [box.hi], statement.ranges),
    )


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
