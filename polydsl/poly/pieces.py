"""Statements in pieces: `pieces_of(scop, statement)`, where its conditions decide.

    y[i] = x[i] + (y[i - 1] if i > M else y[i + 1] if i < M else 0)
        ->  the same for i > M, for i < M, and for i = M

Each piece has an order of its own where all together have none (index-set splitting:
Griebl, Feautrier and Lengauer, "Index set splitting", IJPP 2000).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from polydsl.base.dtypes import BOOL, I64
from polydsl.poly.conditions import conjunction
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.statements import rebuilt
from polydsl.semantics.program import (
    Access,
    Call,
    Expr,
    Literal,
    Pad,
    Select,
    is_affine,
    walk,
)

MOST_CONDITIONS = 5
"""So many conditions split a statement, at most: 32 pieces."""


def pieces_of(scop: Scop, statement: Statement) -> tuple[Statement, ...]:
    """Return an assignment in pieces, one for each way in which its affine conditions
    hold or not; the statement alone where there are none, or too many."""
    conditions = tuple(dict.fromkeys(_conditions(scop, statement)))
    if statement.combine is not None or not 0 < len(conditions) <= MOST_CONDITIONS:
        return (statement,)
    found: list[Statement] = []
    for signs in product((True, False), repeat=len(conditions)):
        chosen = (c if s else _negated(c) for c, s in zip(conditions, signs))
        where = (*statement.conditions, *chosen)
        name = f"{statement.name}p{len(found)}"
        named = replace(statement, name=name)
        piece = rebuilt(scop, named, {}, statement.ranges, where)
        if not piece.domain.is_empty():
            found.append(piece)
    return tuple(found)


def _conditions(scop: Scop, statement: Statement) -> Iterator[Expr]:
    """Yield the conditions that decide what a statement reads."""
    for node in walk(statement.value):
        match node:
            case Select(condition) if is_affine(condition):
                yield condition
            case Pad(access) if all(is_affine(s) for s in access.subscripts):
                if access.tensor == statement.tensor:
                    yield from _inside(scop, access)


def _inside(scop: Scop, access: Access) -> Iterator[Expr]:
    """Yield the condition that a padded access is inside its tensor."""
    span = access.span
    parts: list[Expr] = []
    for subscript, extent in zip(access.subscripts, scop.tensor(access.tensor).shape):
        for function, number in (("ge", 0), ("lt", extent)):
            end = Literal(number, I64, span)
            parts.append(Call(function, (subscript, end), BOOL, span))
    inside = conjunction(parts)
    if inside is not None:
        yield inside


def _negated(condition: Expr) -> Expr:
    return Call("not", (condition,), BOOL, condition.span)
