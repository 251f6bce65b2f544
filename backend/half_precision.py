"""The 16-bit floats: f16 and bf16 as patterns of bits, and as the f32 of a register.

A number of a narrow type is held as the equal f32. `rounded_to` makes such a number of
any f32, to nearest even; `encoded` and `decoded` change its form and lose nothing. Rows
of the ISA table with `has_f16` have instructions for f16. All else is arithmetic on
integers and f32, for LLVM would call functions of a run-time library that is not there.
(The bf16 instructions of AVX512-BF16 do not serve: they flush denormal numbers to 0.)
"""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.isa import VectorISA
from polydsl.backend.lanes import Context, Real, Whole, choose, choose_whole
from polydsl.backend.llvm_types import like
from polydsl.base.dtypes import BF16, DType

_SIGN, _QUIET = -(1 << 31), 1 << 22
_F16_SCALE = 2.0**112
"""Between an f32 and the f16 with the same bits, as far as these are there."""
_F16_INFINITE = 2.0**16
"""What is not below this is no f16: it rounds to infinity."""
_LEAST_QUANTUM = 127 - 14 << 23
"""The exponent of the least normal f16: below it numbers are equally far apart."""


def decoded(
    builder: ir.IRBuilder, value: ir.Value, dtype: DType, isa: VectorISA
) -> ir.Value:
    """Return the f32 that 16 bits of memory stand for."""
    context = Context(builder, isa.has_fma)
    if dtype == BF16:
        return (_extended(context, value) << 16).as_real().value
    if isa.has_f16:
        half = builder.bitcast(value, like(value.type, ir.HalfType()))
        return builder.fpext(half, like(value.type, ir.FloatType()))
    bits = _extended(context, value)
    magnitude = (bits & 0x7FFF) << 13
    scaled = (magnitude.as_real() * _F16_SCALE).as_whole()
    special = magnitude | (0xFF << 23)
    found = choose_whole((bits & 0x7FFF) >= 0x7C00, special, scaled)
    return (found | (bits << 16) & _SIGN).as_real().value


def encoded(
    builder: ir.IRBuilder, value: ir.Value, dtype: DType, isa: VectorISA
) -> ir.Value:
    """Return the 16 bits of a number of the type, given as f32."""
    x = Real(Context(builder, isa.has_fma), value)
    if dtype == BF16:
        return x.as_whole().logical_shift_right(16).resized(16).value
    if isa.has_f16:
        half = builder.fptrunc(value, like(value.type, ir.HalfType()))
        return builder.bitcast(half, like(value.type, ir.IntType(16)))
    # Infinity stays, and its exponent has too many bits; a NaN has one that stays.
    scaled = (x.abs() * (1 / _F16_SCALE)).as_whole()
    magnitude = scaled.logical_shift_right(13) & 0x7FFF
    sign = x.as_whole().logical_shift_right(16) & 0x8000
    return (magnitude | sign).resized(16).value


def rounded_to(
    builder: ir.IRBuilder, value: ir.Value, dtype: DType, isa: VectorISA
) -> ir.Value:
    """Return the nearest number of a narrow type, to even, for an f32."""
    x = Real(Context(builder, isa.has_fma), value)
    if dtype == BF16:
        return _rounded_to_bf16(x).value
    if isa.has_f16:
        half = builder.fptrunc(value, like(value.type, ir.HalfType()))
        return builder.fpext(half, value.type)
    return _rounded_to_f16(x).value


def _rounded_to_bf16(x: Real) -> Real:
    bits = x.as_whole()
    is_odd = bits.logical_shift_right(16) & 1
    near = bits + is_odd + 0x7FFF
    return (choose_whole(x.is_nan(), bits | _QUIET, near) & -(1 << 16)).as_real()


def _rounded_to_f16(x: Real) -> Real:
    """Round by adding a number so large that the sum has the digits of an f16."""
    magnitude = x.abs()
    exponent = magnitude.as_whole() & (0xFF << 23)
    least = choose_whole(exponent < _LEAST_QUANTUM, _LEAST_QUANTUM, exponent)
    large = (least + (13 << 23)).as_real()
    near = (magnitude + large) - large
    is_finite = (magnitude < _F16_INFINITE) & (near < _F16_INFINITE)
    near = choose(is_finite, near, float("inf")).with_sign_of(x)
    return choose(x.is_nan(), x, near)


def rounded_to_odd(x: Real) -> Real:
    """Return an f64 as f32: itself, or the odd one of the two that it lies between.

    Rounding the result to fewer digits is then like rounding the f64, once. (Boldo and
    Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
    rounding to odd", 2008.)
    """
    near = x.narrowed()
    back, bits = near.widened(), near.as_whole()
    below = choose_whole(back.abs() > x.abs(), bits - 1, bits)
    return choose_whole(back.differs(x), below | 1, below).as_real()


def with_sticky_bit(x: Whole, digits: int) -> Whole:
    """Return an integer that has at most so many digits, for rounding to fewer: where
    *x* has more, its last ones are one bit that tells whether any of them is set."""
    lost = x.bits - digits + 1
    rest = x & ((1 << lost) - 1)
    sticky = choose_whole(rest.differs(0), 1 << (lost - 1), x.constant(0))
    fits = (x < (1 << digits)) & (x > -(1 << digits))
    return choose_whole(fits, x, (x & -(1 << lost)) | sticky)


def _extended(context: Context, value: ir.Value) -> Whole:
    return Whole(context, context.builder.zext(value, like(value.type, ir.IntType(32))))
