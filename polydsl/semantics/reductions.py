"""Reductions: the names of their indices, and the type in which they accumulate."""

from __future__ import annotations

from typing import assert_never

from polydsl.base.dtypes import BOOL, F64, I64, DType
from polydsl.base.functions import Reduction
from polydsl.base.source import Span
from polydsl.semantics.context import Context
from polydsl.semantics.operators import is_bool
from polydsl.semantics.program import Reduce
from polydsl.semantics.typed import Copy
from polydsl.semantics.types import UNKNOWN, Operand, accumulator, as_float, convert
from polydsl.syntax import ast


def reduction(
    op: Reduction,
    names: tuple[str, ...],
    body: Operand,
    span: Span,
    context: Context,
) -> Operand | None:
    """Type a reduction of an elaborated body."""
    dtype, weak = accumulate(body, keep=op in ("max", "min"))
    match op:
        case "any" | "all":
            if not is_bool(body, f"the body of {op}", context):
                return None
            return Operand(Reduce(op, names, body.expr, BOOL, span), body.weak)
        case "argmax" | "argmin":
            return Operand(Reduce(op, names, body.expr, I64, span), False)
        case "mean":
            dtype = F64 if weak and dtype != UNKNOWN else as_float(dtype)
        case "sum" | "prod" | "max" | "min":
            pass
        case _:
            assert_never(op)
    expr = Reduce(op, names, convert(body.expr, dtype), dtype, span)
    return Operand(expr, weak)


def accumulate(body: Operand, *, keep: bool = False) -> tuple[DType, bool]:
    """Return the type in which a reduction of *body* accumulates, and if it is weak."""
    if keep:
        return body.dtype, body.weak
    if not body.weak:
        return accumulator(body.dtype), False
    return (F64 if body.dtype.is_float else I64), True


def check_indices(expr: ast.Reduce, context: Context) -> bool:
    """Report bound names that are no indices, or bound twice."""
    good = True
    seen: set[str] = set()
    for index in expr.indices:
        kind = context.scope.kind(index.name)
        if kind != "index":
            # The scope has reported that the name is two things.
            good = False
        if index.name in seen:
            good = False
            context.error(
                "E0121",
                f"{expr.op} runs over {index.name} twice",
                index.span,
                label=f"{index.name} again",
                hint="name every index once",
            )
        seen.add(index.name)
    return good


def bind_indices(expr: ast.Reduce, context: Context) -> tuple[str, ...]:
    """Return names for the indices of a reduction: new ones for those that hide others.

    An index whose declared range follows a renamed one gets a new name as well.
    """
    bound = [index.name for index in expr.indices]
    hiding = {name for name in bound if name in context.outer}
    _check_hidden(expr, hiding, context)
    fresh = set(hiding)
    stale = hiding | {old for old, new in context.renamed.items() if old != new}
    for name in bound:
        if any(name in context.follows.get(old, ()) for old in stale):
            fresh.add(name)
    new = {name: context.notes.fresh(name) for name in bound if name in fresh}
    names = tuple(new.get(name, name) for name in bound)
    renamed = {**context.renamed, **dict(zip(bound, names))}
    changed = tuple(sorted((a, b) for a, b in renamed.items() if a != b))
    context.notes.copies += [Copy(new[name], name, changed) for name in new]
    return names


def _check_hidden(expr: ast.Reduce, hidden: set[str], context: Context) -> None:
    """Refuse to hide an index on which an outer one depends that the body uses.

    The outer one's range holds for the hidden index, so it could not hold for the new.
    """
    used = {node.name for node in ast.walk(expr.body) if isinstance(node, ast.Name)}
    bound = {index.name for index in expr.indices}
    for index in expr.indices:
        if index.name not in hidden:
            continue
        followers = context.follows.get(index.name, frozenset())
        for follower in sorted((followers & used & context.outer) - bound):
            context.error(
                "E0115",
                f"{expr.op} hides {index.name}, and the range of {follower} "
                f"depends on {index.name}",
                index.span,
                label=f"hides the {index.name} outside",
                hint=f"name another index, and give it a range in terms of {follower}",
            )
