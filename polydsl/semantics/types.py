"""How element types meet: promotion, weak values and the conversions between them.

An `Operand` is a typed expression and whether its type is weak (literals, sizes,
constants, indices, and expressions of these alone). `apply` turns a row of the
function table and its operands into a call with every conversion written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from polydsl.base.dtypes import BOOL, F32, F64, I32, I64, DType, promote, widen
from polydsl.base.functions import Function
from polydsl.base.source import Span
from polydsl.semantics.program import Call, Cast, Expr, Literal

UNKNOWN = DType("unknown", "float", 0)
"""The type of a tensor that is still being inferred: it is left out of every meeting.

It never reaches a finished program.
"""


@dataclass(frozen=True, slots=True)
class Operand:
    """A typed expression; a *weak* one takes the type of what it meets."""

    expr: Expr
    weak: bool

    @property
    def dtype(self) -> DType:
        """The type of the expression."""
        return self.expr.dtype

    @property
    def type_name(self) -> str:
        """The type as an error says it: `f32`, or `a number` where it is weak."""
        if not self.weak:
            return self.dtype.name
        return {"float": "a float", "int": "an integer", "bool": "a bool"}[
            self.dtype.kind
        ]


def convert(expr: Expr, dtype: DType) -> Expr:
    """Bring *expr* to *dtype*: a literal changes its type, others get a `Cast`."""
    if expr.dtype == dtype:
        return expr
    if isinstance(expr, Literal):
        folded = _fold(expr, dtype)
        if folded is not None:
            return folded
    return Cast(expr, dtype, False, expr.span)


def _fold(literal: Literal, dtype: DType) -> Literal | None:
    value = literal.value
    if dtype.is_float:
        return Literal(float(value), dtype, literal.span)
    if literal.dtype.is_float:
        return None
    if dtype.is_int and dtype.least <= value <= dtype.greatest:
        return Literal(int(value), dtype, literal.span)
    if dtype == BOOL and value in (0, 1):
        return Literal(bool(value), dtype, literal.span)
    return None


def meet(operands: Iterable[Operand], *, keep: bool) -> tuple[DType, bool]:
    """Return the type in which *operands* meet, and whether it is weak.

    With `keep` narrow types stay narrow (`min`, `where`, `pad`); else they widen as
    operators do.
    """
    return meet_types(((o.dtype, o.weak) for o in operands), keep=keep)


def meet_types(
    types: Iterable[tuple[DType, bool]], *, keep: bool
) -> tuple[DType, bool]:
    """Do as `meet`, for types with whether each is weak."""
    known = [(dtype, weak) for dtype, weak in types if dtype != UNKNOWN]
    strong = [dtype for dtype, is_weak in known if not is_weak]
    weak = [dtype for dtype, is_weak in known if is_weak]
    if not known:
        return UNKNOWN, False
    if not strong:
        return _meet_weak(weak, keep=keep), True
    dtype = reduce(keep_wider if keep else promote, strong)
    if not keep:
        dtype = widen(dtype)
    if any(w.is_float for w in weak) and not dtype.is_float:
        return F32, False
    if dtype == BOOL and any(w.is_int for w in weak):
        return I32, False
    return dtype, False


def _meet_weak(dtypes: Sequence[DType], *, keep: bool) -> DType:
    if any(dtype.is_float for dtype in dtypes):
        return F64
    if keep and all(dtype == BOOL for dtype in dtypes):
        return BOOL
    return I64


_KINDS = ("bool", "int", "float")


def keep_wider(left: DType, right: DType) -> DType:
    """Return the type that holds both, as narrow as it can be."""
    if left.kind != right.kind:
        return max(left, right, key=lambda dtype: _KINDS.index(dtype.kind))
    narrow, wide = sorted((left, right), key=lambda dtype: dtype.bits)
    if narrow.bits < wide.bits and (wide.signed or not narrow.signed):
        return wide
    return left if left == right else promote(left, right)


def accumulator(dtype: DType) -> DType:
    """Return the type in which a sum or product of *dtype* accumulates."""
    return dtype if dtype == UNKNOWN else widen(dtype)


def as_float(dtype: DType) -> DType:
    """Return the type that `/`, `mean` and the functions of floats compute in."""
    return dtype if dtype.is_float else F32


def apply(row: Function, operands: Sequence[Operand], span: Span) -> Operand:
    """Call *row* on operands that its rule admits, with conversions written out."""
    dtype, weak = meet(operands, keep=row.rule == "keep")
    if row.rule == "float" and not dtype.is_float:
        dtype = F64 if weak else F32
    if row.rule in ("logical", "test"):
        arguments = tuple(operand.expr for operand in operands)
        return Operand(Call(row.name, arguments, BOOL, span), weak)
    if row.rule == "compare" and all(o.dtype == BOOL for o in operands):
        dtype = BOOL
    arguments = tuple(convert(operand.expr, dtype) for operand in operands)
    result = BOOL if row.rule == "compare" else dtype
    if row.variadic:
        return Operand(_nest(row, arguments, result, span), weak)
    return Operand(Call(row.name, arguments, result, span), weak)


def _nest(row: Function, arguments: tuple[Expr, ...], dtype: DType, span: Span) -> Expr:
    """Write a call with many arguments as a balanced tree of binary ones."""
    if len(arguments) == 1:
        return arguments[0]
    half = (len(arguments) + 1) // 2
    left = _nest(row, arguments[:half], dtype, span)
    right = _nest(row, arguments[half:], dtype, span)
    return Call(row.name, (left, right), dtype, span)
