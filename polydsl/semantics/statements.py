"""Elaboration of the statements that define tensors: `=`, `+=` and `*=`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

from polydsl.base.dtypes import BOOL, F32, DType, promote, widen
from polydsl.base.source import Span
from polydsl.semantics.affine import check_rank, elaborate_subscripts
from polydsl.semantics.context import Context, TensorInfo, text_of
from polydsl.semantics.expressions import accumulate, elaborate
from polydsl.semantics.program import (
    Call,
    Cast,
    Definition,
    Expr,
    Index,
    Literal,
    Operator,
    Reduce,
    Select,
    children,
)
from polydsl.semantics.scope import ARTICLES
from polydsl.semantics.types import UNKNOWN, Operand, convert, meet_types
from polydsl.syntax import ast


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement whose value is typed but not yet brought to its tensor's type."""

    tensor: str
    subscripts: tuple[Expr, ...]
    op: Operator
    value: Operand
    reduced: tuple[str, ...]
    statement: ast.Assign

    @property
    def span(self) -> Span:
        """The place of the whole statement."""
        return self.statement.span


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


def free_indices(expr: Expr, bound: frozenset[str] = frozenset()) -> Iterator[Index]:
    """Yield the places of indices that no reduction inside *expr* binds, in order."""
    if isinstance(expr, Index):
        if expr.name not in bound:
            yield expr
        return
    if isinstance(expr, Reduce):
        bound = bound | set(expr.indices)
    for child in children(expr):
        yield from free_indices(child, bound)


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


# Stores


def stored_type(draft: Draft) -> tuple[DType, bool]:
    """Return the type that a statement gives to an undeclared tensor."""
    if draft.op == "=":
        return draft.value.dtype, draft.value.weak
    return accumulate(draft.value)


def join_types(types: list[tuple[DType, bool]]) -> tuple[DType, bool]:
    """Return the type of a tensor that several statements add up."""
    return meet_types(types, keep=True)


def finish(
    drafts: Mapping[int, Draft], info: TensorInfo, context: Context
) -> dict[int, Definition]:
    """Bring the values of a tensor's statements to the type they are stored in.

    The value of `=` gets the type of the tensor. The values of `+=` and `*=` get the
    type in which they are accumulated; the finished result is stored in the tensor's.
    """
    good = {n: d for n, d in drafts.items() if _is_storable(d, info, context)}
    accumulated = [draft.value for draft in good.values() if draft.op != "="]
    dtype = _accumulator(accumulated, info.dtype) if accumulated else info.dtype
    return {
        position: Definition(
            draft.tensor,
            draft.subscripts,
            draft.op,
            convert(draft.value.expr, dtype),
            draft.reduced,
            draft.span,
        )
        for position, draft in good.items()
    }


def _accumulator(values: list[Operand], tensor: DType) -> DType:
    strong = [value.dtype for value in values if not value.weak]
    wide = widen(tensor)
    if any(v.weak and v.dtype.is_float for v in values) and not wide.is_float:
        strong.append(F32)
    if not strong:
        return wide
    result = widen(strong[0])
    for dtype in strong[1:]:
        result = promote(result, dtype)
    return promote(result, wide) if result.is_float == wide.is_float else result


def _is_storable(draft: Draft, info: TensorInfo, context: Context) -> bool:
    value, dtype = draft.value, info.dtype
    if UNKNOWN in (dtype, value.dtype):
        return False
    place = draft.statement.value.span
    if dtype == BOOL and value.dtype != BOOL:
        context.error(
            "E0208",
            f"{value.type_name} is stored in {draft.tensor}, which is bool",
            place,
            label=f"{value.type_name} here",
            hint=f"compare it: {_parenthesise(draft.statement.value)} != 0",
        )
        return False
    if value.dtype.is_float and not dtype.is_float and not is_rounded(value.expr):
        text = text_of(place)
        context.error(
            "E0208",
            f"{value.type_name} is stored in {draft.tensor}, which is {dtype}",
            place,
            label=f"{value.type_name} here",
            hint=f"say how: round({text}), or {dtype}({text}), which truncates",
        )
        return False
    return True


def _parenthesise(expr: ast.Expr) -> str:
    text = text_of(expr.span)
    plain = ast.Name | ast.Access | ast.Call | ast.Reduce | ast.Number | ast.Pad
    return text if isinstance(expr, plain) else f"({text})"


_KEEPS_WHOLE = frozenset(
    ("min", "max", "clamp", "neg", "pos", "abs", "relu", "add", "sub", "mul")
)


def is_rounded(expr: Expr) -> bool:
    """Whether a float expression was rounded: `round(x)`, `clamp(round(x), 0, 9)`."""
    return not isinstance(expr, Literal) and _is_whole(expr)


def _is_whole(expr: Expr) -> bool:
    match expr:
        case Call("round"):
            return True
        case Call(function, arguments) if function in _KEEPS_WHOLE:
            return all(map(_is_whole, arguments))
        case Select(_, then, otherwise):
            return _is_whole(then) and _is_whole(otherwise)
        case Cast(operand, dtype):
            return not dtype.is_float or _is_whole(operand)
        case Literal(value):
            return float(value).is_integer()
        case _:
            return not expr.dtype.is_float


# Warnings


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
