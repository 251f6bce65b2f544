"""Checks of subscripts that depend on data, as statements: `draft_check`.

    table_check min= n if ids[n] < 0 or ids[n] >= V else NOWHERE

A check runs over the indices that its subscript and the conditions around it need, and
finds the least position at which the subscript is outside.
"""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.checks import NOWHERE, SubscriptCheck
from polydsl.base.dtypes import I64
from polydsl.base.source import Span
from polydsl.poly.conditions import bounding, conjunction, ordered_indices
from polydsl.poly.drafts import Draft, Drafts
from polydsl.poly.scop import Check
from polydsl.semantics.program import (
    Access,
    Call,
    Expr,
    Index,
    Literal,
    Select,
    accesses,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression is evaluated: the indices around it, the affine conditions
    that hold, and those that depend on data (`guards`)."""

    indices: tuple[str, ...]
    conditions: tuple[Expr, ...] = ()
    guards: tuple[Expr, ...] = ()


def draft_check(
    drafts: Drafts, access: Access, axis: int, outside: Expr, place: Place
) -> None:
    """Draft the least position at which a subscript is outside, unless it is drafted
    already."""
    if any(lo > hi for lo, hi in (drafts.box[i] for i in place.indices)):
        return
    subscript = access.subscripts[axis]
    dims = _dims(drafts, subscript, place)
    subject = _subject(drafts, access, axis, dims, place)
    failed = conjunction((*place.guards, outside))
    assert failed is not None
    key = subject, failed, place.conditions
    if key in drafts.checks:
        return
    name = drafts.fresh(f"{access.tensor}_check")
    span = subscript.span
    nowhere = Literal(NOWHERE, I64, span)
    value = Select(failed, _position(drafts, dims, span), nowhere, I64, span)
    drafts.declare(name, I64, (), "local", span)
    drafts.add(Draft(name, (), None, nowhere, (), (), span))
    drafts.add(Draft(name, (), "min", value, dims, place.conditions, span))
    drafts.checks[key] = Check(name, subject, _where(place.conditions, subscript))


def _subject(
    drafts: Drafts, access: Access, axis: int, dims: tuple[str, ...], place: Place
) -> SubscriptCheck:
    subscript = access.subscripts[axis]
    box = tuple(drafts.box[d] for d in dims)
    found = [*accesses(subscript), *(a for g in place.guards for a in accesses(g))]
    return SubscriptCheck(
        access.tensor,
        axis,
        drafts.tensors[access.tensor].shape[axis],
        dims,
        tuple(lo for lo, _ in box),
        tuple(hi - lo + 1 for lo, hi in box),
        tuple(d for d in dims if d in ordered_indices(subscript)),
        all(drafts.tensors[a.tensor].role == "input" for a in found),
    )


def _where(conditions: tuple[Expr, ...], value: Expr) -> Expr:
    """Return a subscript that is read only where conditions hold."""
    where = conjunction(conditions)
    if where is None:
        return value
    return Select(where, value, Literal(0, I64, value.span), I64, value.span)


def _dims(drafts: Drafts, subscript: Expr, place: Place) -> tuple[str, ...]:
    """Return the indices over which a check runs, in the program's order.

    The others only repeat it, unless their ranges decide where it is evaluated.
    """
    used = ordered_indices(subscript, *place.conditions, *place.guards)
    cut = tuple(i for i in place.indices if i in drafts.dependent)
    found = bounding(drafts.dependent, (*used, *cut))
    return tuple(i for i in drafts.order if i in found)


def _position(drafts: Drafts, dims: tuple[str, ...], span: Span) -> Expr:
    """Return the row-major position of a point in its box."""
    total: Expr | None = None
    for name in dims:
        lo, hi = drafts.box[name]
        step: Expr = Index(name, span)
        if lo:
            step = Call("sub", (step, Literal(lo, I64, span)), I64, span)
        if total is not None:
            length = Literal(hi - lo + 1, I64, span)
            scaled = Call("mul", (total, length), I64, span)
            step = Call("add", (scaled, step), I64, span)
        total = step
    return Literal(0, I64, span) if total is None else total
