"""Bringing values to the types they are stored in: accumulators and conversions."""

from __future__ import annotations

from collections.abc import Mapping

from polydsl.base.dtypes import BOOL, F32, DType, promote, widen
from polydsl.semantics.context import Context, TensorInfo, text_of
from polydsl.semantics.drafts import Draft
from polydsl.semantics.program import Call, Cast, Definition, Expr, Literal, Select
from polydsl.semantics.reductions import accumulate
from polydsl.semantics.types import UNKNOWN, Operand, convert, meet_types
from polydsl.syntax import ast


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
