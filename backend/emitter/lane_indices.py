"""Subscripts and loop variables as vectors, in 32 bits where the ranges allow it.

A subscript is a scalar, the same for all lanes, plus what varies. An i32 vector of it
takes half the registers, compares with the masks of f32, and divides and converts to
floats without help.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from polydsl.backend.emitter.calls import emit_call
from polydsl.backend.emitter.lanes import Lanes, uniform_index
from polydsl.backend.emitter.ranges import Affine, affine, bounds
from polydsl.backend.emitter.types import I32, I64, counting, without_constant
from polydsl.backend.scalar import emit_cast
from polydsl.base import dtypes
from polydsl.loops.nest import Call, Cast, Expr, Var

ValueOf = Callable[[Lanes, Expr], ir.Value]
"""How to emit an expression that is not an index: `lane_values.emit_lanes`."""

_NARROW_LIMIT = 2**30
"""A sum of at most this magnitude cannot overflow 32 bits in any order."""


@dataclass(frozen=True, slots=True)
class Parts:
    """An affine form split by how it depends on the loop's variable.

    In lane i it is `uniform + stride * i + irregular`, where the uniform part holds
    the variable itself, at its first lane.
    """

    uniform: Affine
    stride: int
    irregular: Affine


def split(lanes: Lanes, form: Affine) -> Parts:
    """Split *form* into what is uniform, what is linear and the rest."""
    own = Var(lanes.var)
    irregular = [
        term for term in form.terms if term[0] != own and lanes.varies(term[0])
    ]
    rest = Affine(0, tuple(irregular))
    return Parts(form - rest, form.coefficient(lanes.var) * lanes.step, rest)


def is_narrow(lanes: Lanes, form: Affine) -> bool:
    """Return whether every number on the way to *form* fits 32 bits with room."""
    ranges = lanes.scope.ranges
    total = abs(form.constant) + abs(split(lanes, form).stride) * lanes.count
    for atom, factor in form.terms:
        low, high = bounds(Affine(0, ((atom, 1),)), ranges)
        total += abs(factor) * max(abs(low), abs(high))
        if lanes.varies(atom) and not _is_narrow_atom(lanes, atom):
            return False
    return total < _NARROW_LIMIT


def _is_narrow_atom(lanes: Lanes, atom: Expr) -> bool:
    match atom:
        case Var():
            return True
        case Cast(operand):
            return operand.dtype.is_int and operand.dtype.bits <= 32
        case Call(_, arguments):
            return all(
                argument.dtype == dtypes.I64
                and is_narrow(lanes, affine(argument, lanes.scope.ranges))
                for argument in arguments
            )
        case _:
            return False


def is_narrow_expr(lanes: Lanes, expr: Expr) -> bool:
    """Return whether the value of *expr* can be computed as an i32 vector."""
    if expr.dtype != dtypes.I64 or not isinstance(expr, Var | Call):
        return False
    return is_narrow(lanes, affine(expr, lanes.scope.ranges))


def index_vector(
    lanes: Lanes, form: Affine, dtype: dtypes.DType, value_of: ValueOf
) -> ir.Value:
    """Return *form* in every lane, as a vector of *dtype*, i32 or i64."""
    parts = split(lanes, form)
    start, shift = uniform_index(lanes, parts.uniform), 0
    is_uniform = not parts.stride and not parts.irregular.terms
    if not is_uniform:
        # Blocks side by side then have the vector of one start in common.
        start, shift = without_constant(start)
    if dtype == dtypes.I32:
        start = lanes.builder.trunc(start, I32)
    whole = lanes.wide(start)
    if is_uniform:
        return whole
    varying = varying_vector(lanes, parts, dtype, value_of, shift)
    return lanes.builder.add(whole, varying, flags=("nsw",))


def varying_vector(
    lanes: Lanes, parts: Parts, dtype: dtypes.DType, value_of: ValueOf, first: int = 0
) -> ir.Value:
    """Return what a form adds to its uniform part, lane by lane, and *first*."""
    builder = lanes.builder
    element = I32 if dtype == dtypes.I32 else I64
    total: ir.Value = counting(element, lanes.count, parts.stride, first)
    for atom, factor in parts.irregular.terms:
        value = _atom_vector(lanes, atom, dtype, value_of)
        if factor != 1:
            scale = ir.Constant(element, factor)
            value = builder.mul(value, lanes.wide(scale), flags=("nsw",))
        total = builder.add(total, value, flags=("nsw",))
    return total


def _atom_vector(
    lanes: Lanes, atom: Expr, dtype: dtypes.DType, value_of: ValueOf
) -> ir.Value:
    builder, ranges = lanes.builder, lanes.scope.ranges
    match atom:
        case Call("floordiv" | "mod", (_, right)):
            divisor = affine(right, ranges)
            if not divisor.terms and divisor.constant > 0:
                return _divide(lanes, atom, divisor.constant, dtype, value_of)
        case Cast(operand) if operand.dtype.is_int and operand.dtype.bits <= 32:
            value, isa = value_of(lanes, operand), lanes.scope.target.isa
            return emit_cast(builder, value, operand.dtype, dtype, isa)
    if isinstance(atom, Call) and all(a.dtype == dtypes.I64 for a in atom.arguments):
        forms = [affine(argument, ranges) for argument in atom.arguments]
        values = [index_vector(lanes, form, dtype, value_of) for form in forms]
        return emit_call(builder, atom.function, values, dtype, lanes.scope.target)
    return value_of(lanes, atom)


def _divide(
    lanes: Lanes, atom: Call, divisor: int, dtype: dtypes.DType, value_of: ValueOf
) -> ir.Value:
    """Divide by a positive number: by shifts, unsigned, or with rounding down."""
    builder = lanes.builder
    form = affine(atom.arguments[0], lanes.scope.ranges)
    value = index_vector(lanes, form, dtype, value_of)
    is_quotient = atom.function == "floordiv"
    element = value.type.element

    def every(constant: int) -> ir.Value:
        return lanes.wide(ir.Constant(element, constant))

    if divisor & (divisor - 1) == 0:
        if is_quotient:
            return builder.ashr(value, every(divisor.bit_length() - 1))
        return builder.and_(value, every(divisor - 1))
    if bounds(form, lanes.scope.ranges)[0] >= 0:
        divide = builder.udiv if is_quotient else builder.urem
        return divide(value, every(divisor))
    arguments = [value, every(divisor)]
    target = lanes.scope.target
    return emit_call(builder, atom.function, arguments, dtype, target)


def widen(lanes: Lanes, narrow: ir.Value) -> ir.Value:
    """Return an i32 vector as i64."""
    return lanes.builder.sext(narrow, ir.VectorType(I64, lanes.count))


def at_lane(start: Affine, stride: int, lane: int) -> Affine:
    """Return a form whose lane 0 is *start*, at another lane."""
    return start + Affine(stride * lane)
