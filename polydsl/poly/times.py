"""A time for the instances of a recurrence, along which nothing runs backward.

    h[t, d] = f(h[t - 1, d])        t
    h[t] = f(h[t + 1])              the last t first
    g[s] = f(h[s]); h[t] = f(g[t - 1])      s for g, t - 1 for h ... by isl

The time becomes an index of every statement, called like the index that it is, or by a
fresh name: then it takes the place of an index, which is written in terms of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import prod

from polydsl.base.dtypes import BOOL, I64
from polydsl.poly.flows import Flow
from polydsl.poly.isl import (
    BudgetExceeded,
    IslError,
    Map,
    budget,
    map_text,
    parse_map,
    schedule_rows,
    steps_of,
)
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import bounds, linear_term, substitute
from polydsl.poly.terms import (
    Interval,
    Linear,
    interval,
    isl_name,
    linear_from,
    term_text,
    within,
)
from polydsl.semantics.program import Call, Expr, Index, Literal


class NoTime(Exception):
    """No time was found."""


@dataclass(frozen=True, slots=True)
class Time:
    """The time of each statement's instances, a linear form of its dimensions, the name
    of the loop over it, and where it begins and ends."""

    index: str
    forms: Mapping[str, Linear]
    interval: Interval


def choose_time(
    group: Sequence[Statement], known: Sequence[Flow], fixed: Sequence[str]
) -> Time:
    """Return a time for statements of which some must run before others.

    It orders some of those that are in need of an order; an index that all statements
    share comes before what isl finds. Raises `NoTime`.
    """
    if not any(prod(hi - lo + 1 for lo, hi in s.box) for s in group):
        raise NoTime
    shared = [d for d in group[0].dims if all(d in s.dims for s in group)]
    shared = [d for d in shared if d not in fixed]
    single = [{d: factor} for d in shared for factor in (1, -1)]
    found = list(_legal(group, known, single))
    if not any(left == 0 for left, _ in found):
        # Along a diagonal what is left may run at the same time.
        sums = ({a: m, b: n} for a, b in permutations(shared, 2) for m, n in DIAGONALS)
        found += (entry for entry in _legal(group, known, sums) if entry[0] == 0)
    if not found:
        found = list(_scheduled(group, known, fixed))
    if not found:
        raise NoTime
    # What leaves least to be ordered inside comes first.
    _, forms = min(found, key=lambda entry: entry[0])
    index, (lo, hi) = _name(group, forms), _span(group, forms)
    if all(index in s.dims for s in group):
        return Time(index, forms, (lo, hi))
    shifted = {n: Linear(f.coefficients, f.constant - lo) for n, f in forms.items()}
    return Time(index, shifted, (0, hi - lo))


Forms = Mapping[str, Linear]


DIAGONALS = ((1, 1), (1, 2), (1, 3), (1, -1), (-1, -1), (1, -2), (-1, -2))
"""Factors of two indices that are tried as times."""


def _legal(
    group: Sequence[Statement],
    known: Sequence[Flow],
    times: Iterable[Mapping[str, int]],
) -> Iterator[tuple[int, Forms]]:
    """Yield the times, sums of indices that all statements share, along which nothing
    runs backward, each with the number of reads that it does not order."""
    for time in times:
        form = linear_from(time, 0)
        moves = {s.name: _time_map(s, form) for s in group}
        orders = [steps_of(f.relation, moves[f.source], moves[f.target]) for f in known]
        if any("after" in found for found in orders):
            continue
        reads = [o for o, f in zip(orders, known) if f.is_read]
        if any("before" in found for found in reads):
            left = sum("same" in found for found in reads)
            yield left, {s.name: form for s in group}


def _time_map(statement: Statement, form: Linear) -> Map:
    names = tuple(isl_name(d) for d in statement.dims)
    text = term_text(linear_term(form, statement.span), {})
    return parse_map(map_text(statement.name, names, "", [text]))


def _scheduled(
    group: Sequence[Statement], known: Sequence[Flow], fixed: Sequence[str]
) -> Iterator[tuple[int, Forms]]:
    """Yield the times that isl's scheduler finds."""
    domains = [s.domain for s in group]
    relations = [f.relation for f in known]
    try:
        with budget():
            rows = schedule_rows(domains, relations)
    except (BudgetExceeded, IslError):
        return
    dims = {s.name: s.dims for s in group}
    for row in rows:
        forms = {
            name: linear_from(dict(zip(dims[name], factors)), constant)
            for name, (factors, constant) in row.items()
        }
        moving = all(
            any(d not in fixed for d, _ in f.coefficients) for f in forms.values()
        )
        if moving:
            yield 0, forms


def _name(group: Sequence[Statement], forms: Forms) -> str:
    """Return the index that the time is, or a fresh name."""
    first = forms[group[0].name]
    if _is_index(first) and all(form == first for form in forms.values()):
        return first.coefficients[0][0]
    taken = {d for s in group for d in s.dims}
    wish = "wave"
    if len(first.coefficients) == 1:
        ((index, factor),) = first.coefficients
        wish = f"{index}_time" if factor > 0 else f"{index}_back"
    while wish in taken:
        wish += "_"
    return wish


def _is_index(form: Linear) -> bool:
    return form.constant == 0 and [c for _, c in form.coefficients] == [1]


def _span(group: Sequence[Statement], forms: Forms) -> Interval:
    ends = [bounds(forms[s.name], s.ranges) for s in group if s.points]
    return min(lo for lo, _ in ends), max(hi for _, hi in ends)


# Statements in terms of their time


def retimed(
    scop: Scop, group: Sequence[Statement], time: Time
) -> tuple[Statement, ...]:
    """Return statements that have the time as an index."""
    return tuple(_retimed(scop, s, time) for s in group)


def _retimed(scop: Scop, statement: Statement, time: Time) -> Statement:
    form = time.forms[statement.name]
    box = dict(statement.ranges)
    index = time.index
    if index in box:
        inside = within(Index(index, statement.span), box[index], time.interval)
        box[index] = time.interval
        return rebuilt(scop, statement, {}, box, (*statement.conditions, *inside))
    solved, factor = min(form.coefficients, key=lambda entry: abs(entry[1]))
    rest = {d: -c for d, c in form.coefficients if d != solved}
    sign = 1 if factor > 0 else -1
    # factor * solved = time - rest
    numerator = linear_from(
        {index: sign, **{d: sign * c for d, c in rest.items()}},
        -sign * form.constant,
    )
    span = statement.span
    term = linear_term(numerator, span)
    conditions: list[Expr] = []
    if abs(factor) > 1:
        divisor = Literal(abs(factor), I64, span)
        remainder = Call("mod", (term, divisor), I64, span)
        zero = Literal(0, I64, span)
        conditions.append(Call("eq", (remainder, zero), BOOL, span))
        term = Call("floordiv", (term, divisor), I64, span)
    range_ = box.pop(solved)
    box[index] = time.interval
    conditions += within(term, range_, interval(term, {}, box))
    terms = {solved: term}
    conditions += [substitute(c, terms) for c in statement.conditions]
    return rebuilt(scop, statement, terms, box, tuple(conditions))
