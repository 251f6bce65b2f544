"""Copies that are made again in every round, an iteration of their scope.

Each is filled completely in every round, once, and is there wherever it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from polydsl.base.diagnostics import bug
from polydsl.loops.verify_conditions import Condition, condition_variables
from polydsl.loops.verify_cover import Target, Visit, check_cover
from polydsl.loops.verify_cuts import Piece
from polydsl.loops.verify_forms import (
    Form,
    Space,
    combine,
    constant,
    interval,
    normal,
    variable,
    variables,
)
from polydsl.loops.verify_instances import coordinates
from polydsl.loops.verify_points import Leaf
from polydsl.loops.verify_scopes import Scope
from polydsl.loops.verify_translate import Names
from polydsl.poly.terms import Interval
from polydsl.schedule.matrix_plan import Copy


def check_local_copy(copy: Copy, scope: Scope) -> Names:
    """Raise unless a copy is filled completely in every iteration of its scope, once,
    and is there wherever it is read; return its fixed coordinates in counters."""
    fixed: Names | None = None
    visits: list[Visit] = []
    for leaf in scope.fills:
        found = _filled_coordinates(copy, leaf)
        here = {d: found[d] for d in copy.dims[: copy.local]}
        if fixed is None:
            fixed = here
        steady = all(variables(form) <= scope.outer for form in here.values())
        if here != fixed or not steady:
            bug(f"{copy.tensor} changes while it is filled, {leaf.place({})}")
        forms = tuple(found[d] for d in copy.stored)
        visits += [Visit(leaf, piece, forms) for piece in leaf.pieces]
    rounds: dict[_Round, list[Visit]] = {}
    for visit, part in _cut_alike(visits, scope):
        forms = tuple(normal(form, part.space) for form in visit.coordinates)
        cut = Visit(visit.leaf, part, forms)
        rounds.setdefault(_round_of(part, scope), []).append(cut)
    for (ends, _), found_here in rounds.items():
        target = _stored_target(copy, fixed or {}, dict(ends), scope)
        check_cover(*_in_each_round(target, found_here, dict(ends), scope))
    for leaf in scope.uses:
        _check_filled(scope, leaf)
    return fixed or {}


def _cut_alike(visits: Sequence[Visit], scope: Scope) -> Iterator[tuple[Visit, Piece]]:
    """Yield the visits of the pieces that are left where all are cut at the same values
    of the loops around the scope."""
    pieces = [visit.piece for visit in visits]
    for visit in visits:
        for part in _cut_by((visit.piece,), pieces, scope):
            yield visit, part


def _cuts_of(piece: Piece, name: str) -> tuple[int, int]:
    lo, hi = piece.space.box[name]
    return lo, hi + 1


def _cut_at(piece: Piece, name: str, cuts: Sequence[int]) -> Iterator[Piece]:
    lo, hi = piece.space.box[name]
    ends = [lo, *(c for c in cuts if lo < c <= hi), hi + 1]
    for first, after in pairwise(ends):
        yield piece.restricted(name, (first, after - 1))


def _in_each_round(
    target: Target, visits: Sequence[Visit], ends: Mapping[str, Interval], scope: Scope
) -> tuple[Target, list[Visit]]:
    """Return what is to be hit in one iteration of the scope, which stands for all.

    Where it depends on a loop around the scope how the elements are found, that loop's
    counter is one more dimension: each of its values hits every element.
    """
    tied = _tied(visits, scope)
    names = tuple(n for n in ends if n in tied and ends[n][0] < ends[n][1])
    box = {**{n: ends[n] for n in names}, **target.space.box}
    space = Space(box, target.space.tables)
    whole = Target(target.name, (*names, *target.dims), space, target.conditions)
    counters = tuple(variable(n) for n in names)
    return whole, [
        Visit(v.leaf, _inner(v.piece, scope, names), (*counters, *v.coordinates))
        for v in visits
    ]


def _tied(visits: Sequence[Visit], scope: Scope) -> frozenset[str]:
    """Return the counters around the scope that decide, together with those inside,
    what is filled."""
    forms = (variables(form) for v in visits for form in v.coordinates)
    conditions = (condition_variables(c) for v in visits for c in v.piece.conditions)
    inside = (names for names in conditions if names - scope.outer)
    return frozenset().union(*forms, *inside) & scope.outer


def _stored_target(
    copy: Copy, fixed: Names, ends: Mapping[str, Interval], scope: Scope
) -> Target:
    """Return the elements that a copy holds in some iterations of its scope: where a
    block is the last of its axis, those up to the end of the axis."""
    box = {d: (0, n - 1) for d, n in zip(copy.stored, copy.shape)}
    space = Space(ends, {})
    for limit in copy.limits:
        held = box[limit.dim][1] + 1
        left = combine((fixed[limit.block], -held), (constant(limit.total), 1))
        least, most = (min(held, n) for n in interval(left, space))
        if least != most:
            bug(f"{copy.tensor} has several lengths, {scope.fill.place({})}")
        box[limit.dim] = (0, most - 1)
    return Target(copy.tensor, copy.stored, Space(box, {}))


def _filled_coordinates(copy: Copy, leaf: Leaf) -> dict[str, Form]:
    instance = leaf.node.instance
    if instance is None or instance.statement != copy.tensor:
        bug(f"{copy.tensor} is not filled by its copy, {leaf.place({})}")
    return dict(zip(copy.dims, coordinates(leaf, instance, copy.dims)))


_Round: TypeAlias = tuple[tuple[tuple[str, Interval], ...], frozenset[Condition]]
"""The iterations of a scope in which a piece runs."""


def _round_of(piece: Piece, scope: Scope) -> _Round:
    ends = ((n, e) for n, e in piece.space.box.items() if n in scope.outer)
    outer = (c for c in piece.conditions if condition_variables(c) <= scope.outer)
    return tuple(ends), frozenset(outer)


def _inner(piece: Piece, scope: Scope, moving: tuple[str, ...]) -> Piece:
    """Return a piece for one iteration of the scope: its counters stand still, except
    those that are *moving*."""
    box = {
        name: (lo, lo) if name in scope.outer and name not in moving else (lo, hi)
        for name, (lo, hi) in piece.space.box.items()
    }
    conditions = tuple(
        c for c in piece.conditions if not condition_variables(c) <= scope.outer
    )
    return Piece(Space(box, piece.space.tables), conditions)


def _check_filled(scope: Scope, leaf: Leaf) -> None:
    """Raise where a use runs in an iteration in which nothing is filled."""
    parts = tuple(part for fill in scope.fills for part in fill.pieces)
    for piece in _cut_by(leaf.pieces, parts, scope):
        if not any(_runs_in(part, piece, scope.outer) for part in parts):
            point = {n: piece.space.box[n][1] for n in scope.outer}
            bug(f"{scope.buffer.name} is not filled {leaf.place(point)}")


def _cut_by(
    pieces: Sequence[Piece], parts: Sequence[Piece], scope: Scope
) -> Iterator[Piece]:
    """Yield pieces, cut at the ends of others in the loops around the scope."""
    found = list(pieces)
    for name in sorted(scope.outer):
        cuts = sorted({e for part in parts for e in _cuts_of(part, name)})
        found = [q for p in found for q in _cut_at(p, name, cuts)]
    yield from found


def _runs_in(outer: Piece, inner: Piece, names: frozenset[str]) -> bool:
    """Whether one piece runs, for some values of its other counters, wherever another
    one does. Which elements it then hits is for `check_cover`."""
    needed = (c for c in outer.conditions if condition_variables(c) <= names)
    return outer.has(inner, names) and all(c in inner.conditions for c in needed)
