"""The small functions: signs, extrema, rectifier, multiply-add."""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.lanes import Real, Whole, choose, choose_whole
from polydsl.backend.llvm_types import intrinsic, suffix
from polydsl.backend.pairs import two_product, two_sum


def sqrt(x: Real) -> Real:
    """Return the square root.

    Measured: 0.50 ulp (f32), 0.50 ulp (f64).
    """
    return x.sqrt()


def rsqrt(x: Real) -> Real:
    """Return one over the square root, rounded twice.

    Measured: 1.50 ulp (f32), 1.50 ulp (f64).
    """
    return 1.0 / x.sqrt()


def sign_real(x: Real) -> Real:
    """Return -1, 0 or 1, and NaN for NaN, as NumPy does."""
    result = choose(x > 0.0, 1.0, x.constant(0.0))
    result = choose(x < 0.0, -1.0, result)
    return choose(x.is_nan(), x, result)


def sign_whole(x: Whole) -> Whole:
    """Return -1, 0 or 1."""
    return choose_whole(x > 0, 1, x >> (x.bits - 1))


def absolute_whole(x: Whole) -> Whole:
    """Return the absolute value; that of the least number wraps."""
    return choose_whole(x < 0, -x, x)


def relu_real(x: Real) -> Real:
    """Return max(x, 0), and NaN for NaN."""
    zero = x.constant(0.0)
    # In this order x86's maximum gives the second operand where one is NaN.
    return choose(zero > x, zero, x)


def relu_whole(x: Whole) -> Whole:
    """Return max(x, 0)."""
    return choose_whole(x > 0, x, x.constant(0))


def least_real(x: Real, y: Real) -> Real:
    """Return the lesser; of NaN and a number, the second operand."""
    return choose(x < y, x, y)


def greatest_real(x: Real, y: Real) -> Real:
    """Return the greater; of NaN and a number, the second operand."""
    return choose(x > y, x, y)


def extremum(
    builder: ir.IRBuilder, name: str, operands: list[ir.Value], *, signed: bool
) -> ir.Value:
    """Return the least or greatest of integers or bools; *name* is min or max."""
    result = operands[0]
    full = f"llvm.{'s' if signed else 'u'}{name}.{suffix(result.type)}"
    for operand in operands[1:]:
        result = intrinsic(builder, full, result.type, (result, operand))
    return result


def multiply_add(x: Real, y: Real, z: Real) -> Real:
    """Return `x * y + z`, rounded once.

    Without the instruction, f32 is computed in f64, whose product is exact, and f64
    with the rounding errors of product and sum, where nothing overflows.
    """
    if x.context.has_fma:
        return x.fma(y, z)
    if x.bits == 32:
        return (x.widened() * y.widened() + z.widened()).narrowed()
    product = two_product(x, y)
    total = two_sum(product.hi, z)
    careful = total.hi + (total.lo + product.lo)
    most = 2.0**960
    is_safe = (x.abs() < most) & (y.abs() < most) & (product.hi.abs() < most)
    return choose(is_safe & (z.abs() < most), careful, x * y + z)
