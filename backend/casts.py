"""Conversions between element types with the rules of the language.

Float to integer truncates and saturates, NaN gives 0; integers saturate where the
target is narrower; everything but zero is true; floats round to nearest even, once.
"""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.half_precision import (
    rounded_to,
    rounded_to_odd,
    with_sticky_bit,
)
from polydsl.backend.isa import VectorISA
from polydsl.backend.lanes import Context, Real, Whole
from polydsl.backend.llvm_types import (
    constant,
    intrinsic,
    lanes_of,
    register_type,
    suffix,
)
from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import F32, F64, DType


def emit_cast(
    builder: ir.IRBuilder,
    value: ir.Value,
    source: DType,
    target: DType,
    isa: VectorISA,
) -> ir.Value:
    """Return *value* of type *source* as *target*; scalars and vectors alike."""
    if source == target:
        return value
    wanted = register_type(target, lanes_of(value.type))
    match source.kind, target.kind:
        case _, "bool":
            return _is_not_zero(builder, value, source)
        case "bool", "int":
            return builder.zext(value, wanted)
        case "bool", "float":
            return builder.uitofp(value, wanted)
        case "int", "int":
            return _resized(builder, value, source, target)
        case "int" | "float", "float" if target.is_narrow:
            return _narrowed(builder, value, source, target, isa)
        case "int", "float":
            convert = builder.sitofp if source.signed else builder.uitofp
            return convert(value, wanted)
        case "float", "int":
            return _truncated(builder, value, target)
        case "float", "float":
            if value.type == wanted:
                return value
            narrow = source.bits > target.bits
            return (builder.fptrunc if narrow else builder.fpext)(value, wanted)
        case _:
            bug(f"there is no cast from {source} to {target}")


def _narrowed(
    builder: ir.IRBuilder,
    value: ir.Value,
    source: DType,
    target: DType,
    isa: VectorISA,
) -> ir.Value:
    """Round to a 16-bit float once: what f32 cannot hold comes with a sticky bit."""
    context = Context(builder, isa.has_fma)
    if source.is_int:
        wide = F32 if source.bits <= 32 else F64
        if source.bits >= 32:
            digits = 24 if wide == F32 else 53
            value = with_sticky_bit(Whole(context, value), digits).value
        value = emit_cast(builder, value, source, wide, isa)
        source = wide
    if source == F64:
        value = rounded_to_odd(Real(context, value)).value
    return rounded_to(builder, value, target, isa)


def _is_not_zero(builder: ir.IRBuilder, value: ir.Value, source: DType) -> ir.Value:
    zero = constant(value.type, 0)
    if source.is_float:
        return builder.fcmp_unordered("!=", value, zero)
    return builder.icmp_unsigned("!=", value, zero)


def _resized(
    builder: ir.IRBuilder, value: ir.Value, source: DType, target: DType
) -> ir.Value:
    """Clamp to what both types hold, in the wider one, and change the width."""
    wanted = register_type(target, lanes_of(value.type))
    if target.bits > source.bits:
        extend = builder.sext if source.signed else builder.zext
        value = extend(value, wanted)
        if source.signed and not target.signed:
            value = _bounded(builder, "smax", value, 0)
        return value
    if source.least < target.least:
        value = _bounded(builder, "smax", value, target.least)
    if source.greatest > target.greatest:
        least_upper = "smin" if source.signed else "umin"
        value = _bounded(builder, least_upper, value, target.greatest)
    return value if target.bits == source.bits else builder.trunc(value, wanted)


def _bounded(
    builder: ir.IRBuilder, operation: str, value: ir.Value, bound: int
) -> ir.Value:
    name = f"llvm.{operation}.{suffix(value.type)}"
    return intrinsic(builder, name, value.type, (value, constant(value.type, bound)))


def _truncated(builder: ir.IRBuilder, value: ir.Value, target: DType) -> ir.Value:
    wanted = register_type(target, lanes_of(value.type))
    kind = "fptosi" if target.signed else "fptoui"
    name = f"llvm.{kind}.sat.{suffix(wanted)}.{suffix(value.type)}"
    return intrinsic(builder, name, wanted, (value,))
