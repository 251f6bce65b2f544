"""The reduction of large arguments modulo pi/2, in 192-bit integer arithmetic.

A double is `m * 2**e` with a 53-bit integer m. Of the bits of 2/pi, those before
position e - 1 only add multiples of 4 to `x * 2/pi`; the next 192 determine the
quadrant and the fraction to more than 130 bits, where 118 are enough for the double
nearest to a multiple of pi/2. For one number at a time.
"""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.lanes import Context, Real, Whole, choose, choose_whole
from polydsl.backend.llvm_types import intrinsic
from polydsl.backend.pairs import Pair, fast_two_sum, two_sum

_I64, _I128 = ir.IntType(64), ir.IntType(128)
_TABLE = "polydsl.two_over_pi"
# 2/pi in binary, after the point; 64 zeros stand before it in the table.
_WORDS = (
    0xA2F9836E4E441529,
    0xFC2757D1F534DDC0,
    0xDB6295993C439041,
    0xFE5163ABDEBBC561,
    0xB7246E3A424DD2E0,
    0x06492EEA09D1921C,
    0xFE1DEB1CB129A73E,
    0xE88235F52EBB4484,
    0xE99C7026B45F7E41,
    0x3991D639835339F4,
    0x9C845F8BBDF9283B,
    0x1FF897FFDE05980F,
    0xEF2F118B5A0A6D1F,
    0x6D367ECF27CB09B7,
    0x4F463F669E5FEA2D,
    0x7527BAC7EBE5F17B,
    0x3D0739F78A5292EA,
    0x6BFB5FB11F8D5D08,
    0x56033046FC7B6BAB,
    0xF0CFBC209AF4361D,
)
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17)


def reduce_any(x: Real) -> tuple[Whole, Pair]:
    """Return n mod 4 and r with `x = n pi/2 + r`, for a finite scalar |x| >= 2."""
    context = x.context
    bits = x.as_whole() & ((1 << 63) - 1)
    exponent = (bits >> 52) - 1075
    mantissa = (bits & ((1 << 52) - 1)) | (1 << 52)
    product = _product(mantissa, _window(context, exponent))
    high, middle, low = _shifted(context, product)
    # Rounding the fraction to the nearest quadrant: its sign bit carries.
    quadrant = product[0].logical_shift_right(62) + high.logical_shift_right(63)
    fraction = _as_pair(high, middle, low)
    rest = fraction.times_pair(Pair(*(fraction.hi.constant(part) for part in _HALF_PI)))
    rest = fast_two_sum(rest.hi, rest.lo)
    negative = x < 0.0
    signed = Pair(
        choose(negative, -rest.hi, rest.hi), choose(negative, -rest.lo, rest.lo)
    )
    return choose_whole(negative, -quadrant, quadrant), signed


Words = tuple[Whole, Whole, Whole]


def _window(context: Context, exponent: Whole) -> Words:
    """Return the 192 bits of 2/pi from position exponent - 1, highest word first."""
    # The first word of the table is for positions -63 to 0.
    position = exponent + 62
    word = position >> 6
    shift = position & 63
    words = [_table_entry(context, word + step) for step in range(4)]
    return (
        _funnel(words[0], words[1], shift),
        _funnel(words[1], words[2], shift),
        _funnel(words[2], words[3], shift),
    )


def _product(m: Whole, window: Words) -> Words:
    """Return `m * window` modulo 2**192."""
    high, middle, low = window
    first_high, first_low = _wide_product(m, low)
    second_high, second_low = _wide_product(m, middle)
    total = first_high + second_low
    carry = _is_below(total, first_high)
    return m * high + second_high + carry, total, first_low


def _shifted(context: Context, words: Words) -> Words:
    """Return the words without the two bits of the quadrant."""
    high, middle, low = words
    two = high.constant(2)
    return _funnel(high, middle, two), _funnel(middle, low, two), low << 2


def _as_pair(high: Whole, middle: Whole, low: Whole) -> Pair:
    """Return a signed fixed-point fraction as a pair of floats."""
    mask = (1 << 32) - 1
    double = ir.DoubleType()
    parts = [
        part.to_real(double) * 2.0 ** (-32 * place)
        for place, part in enumerate(
            (
                high >> 32,
                high & mask,
                middle.logical_shift_right(32),
                middle & mask,
                low.logical_shift_right(32),
            ),
            start=1,
        )
    ]
    upper, lower = fast_two_sum(parts[0], parts[1]), fast_two_sum(parts[2], parts[3])
    inner = two_sum(upper.lo, lower.hi)
    outer = two_sum(upper.hi, inner.hi)
    return fast_two_sum(outer.hi, outer.lo + (inner.lo + (lower.lo + parts[4])))


def _table_entry(context: Context, index: Whole) -> Whole:
    builder = context.builder
    table = _table(builder.module)
    place = builder.gep(
        table, [ir.Constant(_I64, 0), index.value], source_etype=table.value_type
    )
    return Whole(context, builder.load(place, typ=_I64))


def _table(module: ir.Module) -> ir.GlobalVariable:
    existing = module.globals.get(_TABLE)
    if existing is not None:
        return existing
    words = (0, *_WORDS)
    type_ = ir.ArrayType(_I64, len(words))
    table = ir.GlobalVariable(module, type_, _TABLE)
    table.linkage = "internal"
    table.global_constant = True
    table.initializer = ir.Constant(type_, list(words))
    return table


def _funnel(high: Whole, low: Whole, shift: Whole) -> Whole:
    """Return the upper word of two words shifted left."""
    operands = (high.value, low.value, shift.value)
    value = intrinsic(high.context.builder, "llvm.fshl.i64", _I64, operands)
    return Whole(high.context, value)


def _wide_product(a: Whole, b: Whole) -> tuple[Whole, Whole]:
    """Return the high and the low word of an unsigned product."""
    builder = a.context.builder
    wide = builder.mul(builder.zext(a.value, _I128), builder.zext(b.value, _I128))
    high = builder.lshr(wide, ir.Constant(_I128, 64))
    return (
        Whole(a.context, builder.trunc(high, _I64)),
        Whole(a.context, builder.trunc(wide, _I64)),
    )


def _is_below(a: Whole, b: Whole) -> Whole:
    """Return 1 where a < b as unsigned numbers, else 0."""
    builder = a.context.builder
    flag = builder.icmp_unsigned("<", a.value, b.value)
    return Whole(a.context, builder.zext(flag, _I64))
