"""log, log2, log1p and softplus.

All split `x = 2**k (1 + f)` with f from sqrt(1/2) - 1 to sqrt(2) - 1 and use one curve
for `log(1 + f) - f`: a polynomial in f32, the series of atanh in f64.
"""

from __future__ import annotations

import math

from polydsl.backend.exponential import clamped, natural_power
from polydsl.backend.formats import (
    format_of,
    power_of_two,
    scaled,
    small_whole_to_real,
    split_exponent,
)
from polydsl.backend.lanes import Real, Whole, choose, choose_whole
from polydsl.backend.pairs import Pair, fast_two_sum, polynomial, two_product, two_sum
from polydsl.backend.polynomials import LOG_ATANH, LOG_CUBIC


def log_rest(f: Real) -> Real:
    """Return `log(1 + f) - f`."""
    half_square = f * f * 0.5
    if f.bits == 32:
        cubic = polynomial(f, LOG_CUBIC["f32"])
        return (f * f * f).fma(cubic, -half_square)
    s = f / (f + 2.0)
    z = s * s
    curve = z * polynomial(z, LOG_ATANH["f64"])
    return s * (half_square + curve) - half_square


def log(x: Real) -> Real:
    """Return the natural logarithm.

    Measured: 0.86 ulp (f32), 0.90 ulp (f64).
    """
    k, mantissa = split_exponent(x)
    result = _assembled(k, Pair(mantissa - 1.0, mantissa.constant(0.0)))
    return _with_limits(x, result.rounded())


def log2(x: Real) -> Real:
    """Return the logarithm to base 2, exact for powers of 2.

    Measured: 1.17 ulp (f32), 1.16 ulp (f64).
    """
    format_ = format_of(x)
    k, mantissa = split_exponent(x)
    f = mantissa - 1.0
    product = two_product(f, f.constant(format_.log2e[0]))
    rest = f.fma(format_.log2e[1], product.lo)
    rest = log_rest(f).fma(format_.log2e[0], rest)
    total = fast_two_sum(small_whole_to_real(k, x), product.hi)
    return _with_limits(x, total.hi + (total.lo + rest))


def log1p(x: Real) -> Real:
    """Return log(1 + x), accurate near 0.

    Measured: 0.85 ulp (f32), 0.88 ulp (f64).
    """
    result = _log_of_sum(two_sum(x.constant(1.0), x)).rounded().with_sign_of(x)
    result = choose(x < math.inf, result, x)
    result = choose(x.equals(-1.0), -math.inf, result)
    return choose(x < -1.0, math.nan, result)


def softplus(x: Real) -> Real:
    """Return log(1 + e**x), as max(x, 0) + log1p(e**-|x|).

    Measured: 1.00 ulp (f32), 0.98 ulp (f64).
    """
    far = 120.0 if x.bits == 32 else 760.0
    power = natural_power(clamped(-x.abs(), -far, 0.0))
    mantissa = power.mantissa()
    total = fast_two_sum(x.constant(1.0), scaled(mantissa.hi, power.exponent))
    rest = scaled(mantissa.lo, power.exponent)
    logarithm = _log_of_sum(Pair(total.hi, total.lo + rest))
    result = two_sum(choose(x > 0.0, x, 0.0), logarithm.hi)
    return choose(x > far, x, result.hi + (result.lo + logarithm.lo))


def _log_of_sum(total: Pair) -> Pair:
    """Return the logarithm of a positive pair whose value is about 1 or far from it."""
    k, mantissa = split_exponent(total.hi)
    # Where the exponent is large, the rest is nothing.
    scale = power_of_two(-choose_whole(k > 64, 64, k))
    return _assembled(k, fast_two_sum(mantissa - 1.0, total.lo * scale))


def _assembled(k: Whole, f: Pair) -> Pair:
    """Return `k log(2) + log(1 + f)`."""
    format_ = format_of(f.hi)
    k_real = small_whole_to_real(k, f.hi)
    total = fast_two_sum(k_real * format_.ln2_hi, f.hi)
    # The derivative of log(1 + f), to first order, times the rest of f.
    slope = f.lo - f.lo * f.hi
    rest = k_real.fma(format_.ln2_lo, log_rest(f.hi) + slope)
    return Pair(total.hi, total.lo + rest)


def _with_limits(x: Real, result: Real) -> Real:
    """Return a logarithm with its values at 0, infinity, NaN and below 0."""
    result = choose(x < math.inf, result, x)
    result = choose(x.equals(0.0), -math.inf, result)
    return choose(x < 0.0, math.nan, result)
