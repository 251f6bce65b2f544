"""erf and gelu: the error function and the normal distribution.

Near 0, erf is an odd polynomial. Elsewhere both are a Gaussian times a slow curve, in
t = (x - K) / (x + K), over x + b (the form of Shepherd and Laframboise, 1981).
"""

from __future__ import annotations

import math

from polydsl.backend.exponential import clamped, exp, natural_power
from polydsl.backend.formats import format_of, scaled
from polydsl.backend.lanes import Real, choose
from polydsl.backend.pairs import (
    Pair,
    fast_two_sum,
    polynomial,
    quotient,
    two_product,
    two_sum,
)
from polydsl.backend.polynomials import ERF, ERFC, NORMAL_TAIL


def erf(x: Real) -> Real:
    """Return the error function."""
    magnitude = x.abs()
    result = choose(magnitude < 1.0, _erf_near(magnitude), _erf_far(magnitude))
    return result.with_sign_of(x)


def _erf_near(x: Real) -> Real:
    f = format_of(x)
    square = two_product(x, x)
    curve = polynomial(square.hi, ERF[f.name])
    lead, rest = f.two_over_sqrt_pi
    bend = square.times(curve)
    slope = fast_two_sum(x.constant(lead), bend.hi)
    product = Pair(slope.hi, slope.lo + (bend.lo + rest)).times(x)
    return product.rounded()


def _erf_far(x: Real) -> Real:
    """Return 1 - erfc(x) for x >= 1."""
    centre, most = (2.0, 4.1) if x.bits == 32 else (3.0, 6.1)
    x = clamped(x, 1.0, most)
    inverse = 1.0 / (x + centre)
    t = (x - centre) * inverse
    curve = polynomial(t, ERFC[format_of(x).name]) * inverse
    return 1.0 - exp(-(x * x)) * curve


def gelu(x: Real) -> Real:
    """Return x * Phi(x), with Phi the distribution function of the normal law."""
    most = 14.5 if x.bits == 32 else 39.5
    magnitude = clamped(x.abs(), 0.0, most)
    tail = _tail(magnitude)
    result = choose(x < 0.0, -tail, x - tail)
    # As NumPy: -inf * 0.
    return choose(x.equals(-math.inf), math.nan, result)


def _tail(x: Real) -> Real:
    """Return x * Phi(-x) for x >= 0.

    The curve is nearly constant, so that neither t nor the polynomial need care; the
    square in the exponent does, since its error is that of the result.
    """
    square = two_product(x, x)
    power = natural_power(square.hi * -0.5, square.lo * -0.5)
    centre = 4.0 if x.bits == 32 else 6.0
    t = (x - centre) / (x + centre)
    curve = polynomial(t, NORMAL_TAIL[format_of(x).name])
    numerator = power.mantissa().times(curve).times(x)
    return scaled(quotient(numerator, two_sum(x, x.constant(0.75))), power.exponent)
