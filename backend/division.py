"""Floor division and remainder as in Python, of integers and of floats.

Of integers, a zero divisor gives 0 and the least number over -1 wraps. The float
remainder is exact: the quotient is corrected where it fits the mantissa, and lanes
with larger quotients are reduced in integer arithmetic, one by one.
"""

from __future__ import annotations

import math

from llvmlite import ir

from polydsl.backend.formats import format_of
from polydsl.backend.lanes import Context, Real, Truth, Whole, choose, choose_whole
from polydsl.backend.llvm_types import constant_number, element_of, intrinsic, lanes_of
from polydsl.backend.pairs import two_product
from polydsl.backend.rounding import floor, truncate
from polydsl.backend.routines import guarded, lane_by_lane


def floor_divide_whole(a: Whole, b: Whole) -> Whole:
    """Return `a // b`, rounded down."""
    places = _power_of_two(b)
    if places is not None:
        return a >> places
    quotient, rest = _truncating(a, b)
    return quotient - _is_below(rest, b)


def modulo_whole(a: Whole, b: Whole) -> Whole:
    """Return `a % b`, with the sign of the divisor."""
    places = _power_of_two(b)
    if places is not None:
        return a & ((1 << places) - 1)
    _, rest = _truncating(a, b)
    crosses = (rest.differs(0)) & ((rest ^ b) < 0)
    return choose_whole(crosses, rest + b, rest)


def _power_of_two(b: Whole) -> int | None:
    """Return the exponent of a constant that is a power of two, else None."""
    divisor = int(constant_number(b.value) or 0)
    is_power = divisor > 0 and divisor & (divisor - 1) == 0
    return divisor.bit_length() - 1 if is_power else None


def _is_below(rest: Whole, b: Whole) -> Whole:
    crosses = (rest.differs(0)) & ((rest ^ b) < 0)
    return choose_whole(crosses, 1, rest.constant(0))


def _truncating(a: Whole, b: Whole) -> tuple[Whole, Whole]:
    """Return quotient and remainder rounded toward zero; both are 0 for b = 0."""
    builder = a.context.builder
    divisor = constant_number(b.value)
    if divisor not in (None, 0, -1):
        quotient = Whole(a.context, builder.sdiv(a.value, b.value))
        return quotient, a - quotient * b
    is_zero, is_minus_one = b.equals(0), b.equals(-1)
    safe = choose_whole(is_zero | is_minus_one, 1, b)
    quotient = _quotient(a, safe)
    quotient = choose_whole(is_minus_one, -a, quotient)
    quotient = choose_whole(is_zero, 0, quotient)
    rest = choose_whole(is_zero, 0, a - quotient * b)
    return quotient, rest


def _quotient(a: Whole, b: Whole) -> Whole:
    """Return `a / b` truncated, for divisors other than 0 and -1."""
    builder = a.context.builder
    if lanes_of(a.value.type) == 1 or a.bits == 64:
        return Whole(a.context, builder.sdiv(a.value, b.value))
    # No CPU has a vector division of integers. In f64 the quotient of two i32 differs
    # from a whole number by more than its rounding error, or is exact.
    double = ir.DoubleType()
    return (a.to_real(double) / b.to_real(double)).to_whole(a.bits)


# Floats


def floor_divide_real(a: Real, b: Real) -> Real:
    """Return the floor of `a / b` as NumPy does: computed from the exact remainder."""
    rest = _fmod(a, b)
    crosses = rest.differs(0.0) & ((b < 0.0) ^ (rest < 0.0))
    quotient = (a - rest) / b
    quotient = choose(crosses, quotient - 1.0, quotient)
    down = floor(quotient)
    down = choose(quotient - down > 0.5, down + 1.0, down)
    ratio = a / b
    down = choose(quotient.equals(0.0), ratio.constant(0.0).with_sign_of(ratio), down)
    return choose(b.equals(0.0), ratio, down)


def modulo_real(a: Real, b: Real) -> Real:
    """Return `a % b` with the sign of the divisor, as NumPy does."""
    rest = _fmod(a, b)
    crosses = (b < 0.0) ^ (rest < 0.0)
    moved = choose(crosses, rest + b, rest)
    return choose(rest.equals(0.0), rest.with_sign_of(b), moved)


def _fmod(a: Real, b: Real) -> Real:
    """Return the exact remainder with the sign of the dividend."""
    magnitude = guarded(
        a.context,
        "fmod",
        (a.abs(), b.abs()),
        lambda inputs: _fmod_near(*inputs),
        lambda inputs: lane_by_lane("fmod", inputs, lambda lane: _fmod_far(*lane)),
    )
    magnitude = choose(a.abs() < math.inf, magnitude, math.nan)
    magnitude = choose(b.equals(0.0) | b.is_nan(), math.nan, magnitude)
    return magnitude.with_sign_of(a)


def _fmod_near(a: Real, b: Real) -> tuple[Real, Truth]:
    """Return the remainder of magnitudes, and where the quotient is too large."""
    large = 2.0 ** (format_of(a).bias - 32)
    # Large numbers would overflow when their products are split.
    scale = choose(a > large, 2.0**-64, a.constant(1.0))
    x, y = a * scale, b * scale
    ratio = x / y
    whole = truncate(ratio)
    product = two_product(whole, y)
    rest = (x - product.hi) - product.lo
    rest = choose(rest < 0.0, rest + y, rest)
    rest = choose(rest >= y, rest - y, rest)
    rest = choose(a > large, rest * 2.0**64, rest)
    most = 2.0 ** (format_of(a).fraction - 2)
    is_far = (ratio >= most) & (a < math.inf) & (b > 0.0)
    return choose(a < b, a, rest), is_far


def _fmod_far(a: Real, b: Real) -> Real:
    """Return the remainder of two scalar magnitudes by long division of mantissas."""
    if a.bits == 32:
        return _fmod_far(a.widened(), b.widened()).narrowed()
    context = a.context
    is_far = (a >= b) & (a < math.inf) & (b > 0.0)
    x, y = choose(is_far, a, 1.0), choose(is_far, b, 1.0)
    (x_exponent, x_mantissa), (y_exponent, y_mantissa) = _parts(x), _parts(y)
    rest = _long_division(context, x_mantissa, y_mantissa, x_exponent - y_exponent)
    # The remainder is a multiple of the divisor's unit: its exponent is the result's.
    value = _from_parts(rest, y_exponent)
    return choose(is_far, value, choose(a < b, a, math.nan))


def _parts(x: Real) -> tuple[Whole, Whole]:
    """Return e >= 1 and a whole m with `x = m * 2**(e - 1075)`, also for denormals."""
    bits = x.as_whole()
    stored = bits >> 52
    is_normal = stored > 0
    hidden = choose_whole(is_normal, 1 << 52, bits.constant(0))
    exponent = choose_whole(is_normal, stored, bits.constant(1))
    return exponent, (bits & ((1 << 52) - 1)) | hidden


def _from_parts(mantissa: Whole, exponent: Whole) -> Real:
    """Return `m * 2**(e - 1075)` for m < 2**53 and e >= 1, which is exact."""
    context = mantissa.context
    # In units of the least number, whose exponent is 1; the top bit is the hidden one.
    zeros = intrinsic(
        context.builder,
        "llvm.ctlz.i64",
        mantissa.value.type,
        (mantissa.value, ir.Constant(ir.IntType(1), 0)),
    )
    free = Whole(context, zeros) - 11
    room = exponent - 1
    shift = choose_whole(free < room, free, room)
    shifted = mantissa << choose_whole(shift > 52, 52, shift)
    is_normal = (shifted >> 52).differs(0)
    stored = choose_whole(is_normal, exponent - shift, shifted.constant(0))
    return ((stored << 52) | (shifted & ((1 << 52) - 1))).as_real()


def _long_division(context: Context, x: Whole, y: Whole, places: Whole) -> Whole:
    """Return `x * 2**places` modulo y, eleven places at a time."""
    builder = context.builder
    type_ = element_of(x.value.type)
    start = builder.urem(x.value, y.value)
    entry = builder.block
    check = builder.append_basic_block("division")
    step = builder.append_basic_block("places")
    done = builder.append_basic_block("divided")
    builder.branch(check)
    builder.position_at_end(check)
    rest, left = builder.phi(type_), builder.phi(type_)
    more = builder.icmp_signed(">", left, ir.Constant(type_, 0))
    builder.cbranch(more, step, done)
    builder.position_at_end(step)
    count = choose_whole(Whole(context, left) > 11, 11, Whole(context, left))
    shifted = Whole(context, rest) << count
    following = builder.urem(shifted.value, y.value)
    remaining = builder.sub(left, count.value)
    builder.branch(check)
    for phi, first, later in (
        (rest, start, following),
        (left, places.value, remaining),
    ):
        phi.add_incoming(first, entry)
        phi.add_incoming(later, step)
    builder.position_at_end(done)
    return Whole(context, rest)
