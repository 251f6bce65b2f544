"""Statements in pieces by how many others must run before: `levelled(...)`.

    y[i] = x[i] + pad(y[i + 5]) + pad(y[i - 7])    for i < 11
        ->  the same for i = 6, which needs nothing, for i = 1, for i = 8, ...

The level of an instance is the length of the longest chain of needs that ends there, so
no two instances of a level need each other, and each piece is a box of one level. The
needs are looked at one by one: this is for recurrences that have an order, but along no
time that is linear, not even where conditions decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, TypeAlias

import numpy as np

from polydsl.poly.flows import Flow, unchanged
from polydsl.poly.isl import kept_dimensions
from polydsl.poly.points import pairs_of
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.statements import rebuilt
from polydsl.poly.terms import Interval, within
from polydsl.semantics.program import Expr, Index

MOST_NEEDS = 200_000
"""So many needs, and so many points, are looked at, at most."""
MOST_PIECES = 128
"""The statements are written out so many times, at most."""

Levels: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Place: TypeAlias = tuple[str, tuple[int, ...]]
"""An instance by its statement and the values of the indices that needs change."""


def levelled(
    scop: Scop, group: Sequence[Statement], known: Sequence[Flow], fixed: Sequence[str]
) -> tuple[Statement, ...] | None:
    """Return pieces of statements of which none needs itself, nor others that need it,
    for the same values of the *fixed* indices; None where there is no such order, or
    too much to look at."""
    free = {*fixed, *unchanged(group, known)}
    moved = {s.name: tuple(d for d in s.dims if d not in free) for s in group}
    points = (prod(hi - lo + 1 for lo, hi in _ends(s, moved[s.name])) for s in group)
    if sum(points) > MOST_NEEDS:
        return None
    needs = _needs(group, known, moved)
    levels = None if needs is None else _levels(needs)
    if levels is None:
        return None
    found: list[Statement] = []
    for statement in group:
        dims = moved[statement.name]
        for box in _boxes(_table(statement, dims, levels)):
            if len(found) == MOST_PIECES:
                return None
            piece = _piece(scop, statement, dims, box, f"l{len(found)}")
            if not piece.domain.is_empty():
                found.append(piece)
    return tuple(found)


def _ends(statement: Statement, dims: Sequence[str]) -> list[Interval]:
    return [statement.ranges[d] for d in dims]


def _needs(
    group: Sequence[Statement],
    known: Sequence[Flow],
    moved: Mapping[str, tuple[str, ...]],
) -> dict[Place, list[Place]] | None:
    """Return what each instance needs; None where that is too much to look at."""
    dims = {s.name: s.dims for s in group}
    found: dict[Place, list[Place]] = {}
    count = 0
    for flow in known:
        sides = (flow.source, flow.target)
        kept = [[dims[n].index(d) for d in moved[n]] for n in sides]
        pairs = pairs_of(kept_dimensions(flow.relation, *kept), MOST_NEEDS - count)
        if pairs is None:
            return None
        count += len(pairs)
        for before, after in pairs:
            found.setdefault((flow.target, after), []).append((flow.source, before))
    return found


def _levels(needs: Mapping[Place, Sequence[Place]]) -> dict[Place, int] | None:
    """Return the level of each instance that needs others; None where some need each
    other (Kahn, "Topological sorting of large networks", CACM 1962)."""
    users: dict[Place, list[Place]] = {}
    waiting = {place: len(others) for place, others in needs.items()}
    for place, others in needs.items():
        for other in others:
            users.setdefault(other, []).append(place)
    levels = dict.fromkeys((p for p in users if p not in needs), 0)
    ready = list(levels)
    while ready:
        place = ready.pop()
        for user in users.get(place, ()):
            levels[user] = max(levels.get(user, 0), levels[place] + 1)
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return None if any(waiting.values()) else levels


def _table(
    statement: Statement, dims: Sequence[str], levels: Mapping[Place, int]
) -> Levels:
    """Return the levels of a statement's instances as an array."""
    ends = _ends(statement, dims)
    table = np.zeros([hi - lo + 1 for lo, hi in ends], np.int64)
    for (name, point), level in levels.items():
        if name == statement.name:
            table[tuple(p - lo for p, (lo, _) in zip(point, ends))] = level
    return table


Box: TypeAlias = tuple[slice, ...]


def _boxes(table: Levels) -> Iterator[Box]:
    """Yield boxes that hold each element once, and equal ones only: from the first one
    that is left, as far as possible along each axis, the last axis first."""
    left = np.ones(table.shape, bool)
    while left.any():
        first = tuple(int(p) for p in np.unravel_index(np.argmax(left), table.shape))
        wanted = left & (table == table[first])
        box = [slice(p, p + 1) for p in first]
        for axis in reversed(range(table.ndim)):
            while box[axis].stop < table.shape[axis]:
                further = list(box)
                further[axis] = slice(box[axis].stop, box[axis].stop + 1)
                if not wanted[tuple(further)].all():
                    break
                box[axis] = slice(box[axis].start, box[axis].stop + 1)
        left[tuple(box)] = False
        yield tuple(box)


def _piece(
    scop: Scop, statement: Statement, dims: Sequence[str], box: Box, suffix: str
) -> Statement:
    """Return a statement on a part of its box."""
    span = statement.span
    where: list[Expr] = []
    for d, (lo, hi), part in zip(dims, _ends(statement, dims), box):
        first, last = lo + part.start, lo + part.stop - 1
        where += within(Index(d, span), (first, last), (lo, hi))
    named = replace(statement, name=f"{statement.name}{suffix}")
    conditions = (*statement.conditions, *where)
    return rebuilt(scop, named, {}, statement.ranges, conditions)
