"""Reductions inside expressions become statements of their own.

    y[i, j] = exp(x[i, j] - max[k](x[i, k]))
        ->  y_max[i] = -inf;  y_max[i] max= x[i, k];  y[i, j] = exp(x[i, j] - y_max[i])

Each is computed once for each value of the indices that its body depends on. An
arg-max becomes the least position of the maximum; a mean a sum and a division.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from polydsl.base.diagnostics import Diagnostics, bug
from polydsl.base.dtypes import BOOL, F64, I64, DType, promote, widen
from polydsl.base.functions import Combine
from polydsl.base.source import Span
from polydsl.poly.casts import cast
from polydsl.poly.conditions import arm_conditions, bounding, ordered_indices
from polydsl.poly.drafts import Draft, Drafts, converted, neutral
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Pad,
    Reduce,
    Select,
    Size,
)

_COMBINE: dict[str, Combine] = {
    "sum": "add",
    "mean": "add",
    "prod": "mul",
    "max": "max",
    "min": "min",
    "any": "or",
    "all": "and",
}

Conditions = tuple[Expr, ...]


def hoist(drafts: Drafts, expr: Expr, owner: str, context: Conditions) -> Expr:
    """Return *expr* with its reductions replaced by accesses, and draft those.

    `owner` names the tensor being defined; `context` are the affine conditions under
    which *expr* is evaluated.
    """
    match expr:
        case Literal() | Size() | Index():
            return expr
        case Access(_, subscripts):
            return replace(expr, subscripts=_each(drafts, subscripts, owner, context))
        case Pad(access, value):
            inside = hoist(drafts, access, owner, context)
            if not isinstance(inside, Access):
                bug("an access became something else")
            outside = hoist(drafts, value, owner, context)
            return replace(expr, access=inside, value=outside)
        case Call(_, arguments):
            return replace(expr, arguments=_each(drafts, arguments, owner, context))
        case Select(condition, then, otherwise):
            yes, no = arm_conditions(condition)
            return replace(
                expr,
                condition=hoist(drafts, condition, owner, context),
                then=hoist(drafts, then, owner, context + yes),
                otherwise=hoist(drafts, otherwise, owner, context + no),
            )
        case Cast(operand):
            return cast(replace(expr, operand=hoist(drafts, operand, owner, context)))
        case Reduce():
            return _reduction(drafts, expr, owner, context)


def _each(
    drafts: Drafts, exprs: tuple[Expr, ...], owner: str, context: Conditions
) -> tuple[Expr, ...]:
    return tuple(hoist(drafts, e, owner, context) for e in exprs)


def _reduction(drafts: Drafts, expr: Reduce, owner: str, context: Conditions) -> Expr:
    body = hoist(drafts, expr.body, owner, context)
    if expr.op in ("argmax", "argmin"):
        return _arg_extremum(drafts, expr, body, owner, context)
    dtype = _accumulator(expr, body)
    result: Expr = _reduce(
        drafts,
        f"{owner}_{expr.op}",
        converted(body, dtype),
        expr.indices,
        _COMBINE[expr.op],
        context,
        expr.span,
    )
    if expr.op == "mean":
        count = converted(_count(drafts, expr, dtype), dtype)
        result = Call("div", (result, count), dtype, expr.span)
    return converted(result, expr.dtype)


def _accumulator(expr: Reduce, body: Expr) -> DType:
    """Return the type in which a reduction accumulates."""
    if expr.op == "mean":
        return promote(expr.dtype, body.dtype) if body.dtype.is_float else F64
    return widen(body.dtype) if expr.op in ("sum", "prod") else body.dtype


def _reduce(
    drafts: Drafts,
    name: str,
    body: Expr,
    indices: tuple[str, ...],
    combine: Combine,
    context: Conditions,
    span: Span,
) -> Access:
    """Draft `name[free] combine= body` and return the access to it."""
    free = _free(drafts, body, indices, context)
    dims = tuple(Index(i, span) for i in free)
    shape = tuple(drafts.box[i][1] + 1 for i in free)
    name = drafts.fresh(name)
    drafts.declare(name, body.dtype, shape, "local", span)
    zero = neutral(combine, body.dtype, span)
    drafts.add(Draft(name, dims, None, zero, (), context, span))
    drafts.add(Draft(name, dims, combine, body, indices, context, span))
    return Access(name, dims, body.dtype, span)


def _free(
    drafts: Drafts, body: Expr, bound: tuple[str, ...], context: Conditions
) -> tuple[str, ...]:
    """Return the indices that a reduction's value depends on, and those that decide
    where it is needed: in the program's order, which is that of the left side, so that
    the order of the operands decides nothing."""
    occurring = ordered_indices(body, *context)
    found = bounding(drafts.dependent, (*occurring, *bound))
    return tuple(i for i in drafts.box if i in found and i not in bound)


def _count(drafts: Drafts, expr: Reduce, dtype: DType) -> Expr:
    """Return the number of points of a mean: a literal, or a sum of ones."""
    if not any(i in drafts.dependent for i in expr.indices):
        extents = (drafts.box[i][1] - drafts.box[i][0] + 1 for i in expr.indices)
        return Literal(float(prod(max(n, 0) for n in extents)), dtype, expr.span)
    one = Literal(1.0, dtype, expr.span)
    return _reduce(drafts, "count", one, expr.indices, "add", (), expr.span)


def _arg_extremum(
    drafts: Drafts, expr: Reduce, body: Expr, owner: str, context: Conditions
) -> Expr:
    """Draft the extremum and the least position where it is reached.

    The values are stored first, so that both passes see the same bits. The first NaN
    counts as the extremum, as NumPy has it.
    """
    _check_not_empty(drafts, expr)
    value = _stored(drafts, f"{owner}_values", body, expr.indices, context)
    combine: Combine = "max" if expr.op == "argmax" else "min"
    candidate = _without_nan(value, combine)
    span = expr.span
    best = _reduce(
        drafts, f"{owner}_{combine}", candidate, expr.indices, combine, context, span
    )
    reached = Call("eq", (candidate, best), BOOL, span)
    position = _position(drafts, expr)
    later = Call("add", (position, Literal(_LATER, I64, span)), I64, span)
    nowhere = Literal(I64.greatest, I64, span)
    place: Expr = Select(reached, later, nowhere, I64, span)
    if body.dtype.is_float:
        isnan = Call("isnan", (value,), BOOL, span)
        place = Select(isnan, position, place, I64, span)
    name = f"{owner}_{expr.op}"
    first = _reduce(drafts, name, place, expr.indices, "min", context, span)
    return Call("mod", (first, Literal(_LATER, I64, span)), I64, span)


_LATER = 1 << 40
"""Added to the positions of the extremum, so that positions of NaN come before."""


def _stored(
    drafts: Drafts,
    name: str,
    body: Expr,
    indices: tuple[str, ...],
    context: Conditions,
) -> Access:
    """Draft a tensor of the values of *body* at every point of a reduction."""
    free = _free(drafts, body, indices, context)
    dims = tuple(Index(i, body.span) for i in (*free, *indices))
    name = drafts.fresh(name)
    shape = tuple(drafts.box[d.name][1] + 1 for d in dims)
    drafts.declare(name, body.dtype, shape, "local", body.span)
    drafts.add(Draft(name, dims, None, body, (), context, body.span))
    return Access(name, dims, body.dtype, body.span)


def _without_nan(value: Access, combine: Combine) -> Expr:
    """Return a value that loses against every other where it is NaN."""
    dtype, span = value.dtype, value.span
    if not dtype.is_float:
        return value
    isnan = Call("isnan", (value,), BOOL, span)
    return Select(isnan, neutral(combine, dtype, span), value, dtype, span)


def _check_not_empty(drafts: Drafts, expr: Reduce) -> None:
    """Raise unless every index of an arg-max has a value."""
    for index in expr.indices:
        lo, hi = drafts.box[index]
        if hi < lo:
            found = Diagnostics()
            found.error(
                "E0315",
                f"{expr.op} over nothing has no position",
                expr.span,
                label=f"the range of {index} is empty: {lo} to {hi + 1}",
                hint="call the kernel with at least one element there",
            )
            found.raise_errors()


def _position(drafts: Drafts, expr: Reduce) -> Expr:
    """Return the row-major position of a point, as `Reduce` defines it."""
    total: Expr = Literal(0, I64, expr.span)
    for name in expr.indices:
        extent = Literal(drafts.box[name][1] + 1, I64, expr.span)
        scaled = Call("mul", (total, extent), I64, expr.span)
        total = Call("add", (scaled, Index(name, expr.span)), I64, expr.span)
    return total
