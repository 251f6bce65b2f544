"""Elaboration of the statements that define tensors: `=`, `+=` and `*=`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from polydsl.base.source import Span
from polydsl.semantics.affine import elaborate_subscripts
from polydsl.semantics.context import Context, text_of
from polydsl.semantics.drafts import Draft, free_indices
from polydsl.semantics.expressions import elaborate
from polydsl.semantics.program import Call, Cast, Expr, Operator
from polydsl.semantics.ranks import check_rank
from polydsl.semantics.scope import ARTICLES
from polydsl.syntax import ast


def draft_definition(statement: ast.Assign, context: Context) -> Draft | None:
    """Elaborate a statement; None, with the errors recorded, if it is wrong."""
    target = _target(statement)
    subscripts = _left_side(statement, target, context)
    outer = {index.name for s in (subscripts or ()) for index in free_indices(s)}
    outer |= {name.name for name in _free_names(statement.value, frozenset(), context)}
    outer |= {s.name for s in target.subscripts if isinstance(s, ast.Name)}
    value = elaborate(statement.value, replace(context, outer=frozenset(outer)))
    if value is None or subscripts is None:
        return None
    left = {index.name for s in subscripts for index in free_indices(s)}
    free = _first_places(value.expr, left)
    if statement.op == "=" and free:
        _refuse_free(statement, free, context)
        return None
    op = cast(Operator, statement.op)
    draft = Draft(target.tensor, subscripts, op, value, tuple(free), statement)
    _warn_repeated_term(draft, context)
    return draft


def _target(statement: ast.Assign) -> ast.Access:
    target = statement.target
    if isinstance(target, ast.Name):
        return ast.Access(target.name, (), target.span, target.span)
    return target


def _first_places(expr: Expr, left: set[str]) -> dict[str, Span]:
    found: dict[str, Span] = {}
    for index in free_indices(expr):
        if index.name not in left:
            found.setdefault(index.name, index.span)
    return found


def _free_names(
    expr: ast.Expr, bound: frozenset[str], context: Context
) -> Iterator[ast.Name]:
    if isinstance(expr, ast.Name):
        if expr.name not in bound and context.scope.kind(expr.name) == "index":
            yield expr
        return
    if isinstance(expr, ast.Reduce):
        bound = bound | {index.name for index in expr.indices}
    for child in ast.children(expr):
        yield from _free_names(child, bound, context)


def _refuse_free(
    statement: ast.Assign, free: dict[str, Span], context: Context
) -> None:
    left = text_of(statement.target.span)
    for name, span in free.items():
        context.error(
            "E0109",
            f"the index {name} is not on the left of =",
            span,
            label=f"{name} is free here",
            hint=f"sum over it with {left} += ..., or bind it: sum[{name}](...)",
        )


# The left side


def _left_side(
    statement: ast.Assign, target: ast.Access, context: Context
) -> tuple[Expr, ...] | None:
    info = context.tensors.get(target.tensor)
    if statement.op in ("=", "*=") and not _are_distinct(statement, target, context):
        return None
    subscripts = elaborate_subscripts(target, context)
    if subscripts is None or info is None:
        return subscripts
    if not check_rank(target, len(subscripts), info.rank, context):
        return None
    return subscripts


def _are_distinct(statement: ast.Assign, target: ast.Access, context: Context) -> bool:
    seen: set[str] = set()
    good = True
    for subscript in target.subscripts:
        if isinstance(subscript, ast.Ellipsis):
            continue
        text = text_of(subscript.span)
        if not isinstance(subscript, ast.Name):
            label = "not an index name"
        elif context.scope.kind(subscript.name) != "index":
            label = f"{ARTICLES[context.scope.kind(subscript.name)]} here"
        elif subscript.name in seen:
            label = f"{subscript.name} again"
        else:
            seen.add(subscript.name)
            continue
        good = False
        context.error(
            "E0112",
            f"the left-hand subscripts of {statement.op} are distinct index names, "
            f"and {text} is not one",
            subscript.span,
            label=label,
            hint=_left_hint(subscript, target),
        )
    return good


def _left_hint(subscript: ast.Expr, target: ast.Access) -> str:
    if isinstance(subscript, ast.Number) and isinstance(subscript.value, int):
        value = subscript.value
        return (
            f"use an index of one value: i in range({value}, {value + 1}) and "
            f"{target.tensor}[i]"
        )
    return f"only += scatters: {text_of(target.span)} += ..."


def _warn_repeated_term(draft: Draft, context: Context) -> None:
    """Warn of `y += a*b + c[j]`, which adds `c` once for every summed index."""
    if draft.op != "+=" or not draft.reduced:
        return
    terms = list(_terms(draft.value.expr))
    if len(terms) < 2:
        return
    for term in terms:
        held = {index.name for index in free_indices(term)}
        missing = [name for name in draft.reduced if name not in held]
        if missing:
            names = ", ".join(missing)
            context.notes.found.warning(
                "W0101",
                f"{text_of(term.span)} is added once for every {names}",
                term.span,
                label=f"does not depend on {names}, which is summed",
                hint=f"add it in a statement of its own: "
                f"{text_of(draft.statement.target.span)} += {text_of(term.span)}",
            )


def _terms(expr: Expr) -> Iterator[Expr]:
    match expr:
        case Call("add" | "sub", arguments):
            for argument in arguments:
                yield from _terms(argument)
        case Cast(operand, _, False):
            yield from _terms(operand)
        case _:
            yield expr
