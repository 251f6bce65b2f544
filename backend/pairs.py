"""Pairs of floats: the unevaluated sum of a number and its rounding error.

The error-free sum and product (Møller, Knuth, Dekker; see Muller et al., *Handbook of
Floating-Point Arithmetic*, ch. 4) carry twice the precision through the few places of
a formula where it matters. With a fused multiply-add the error of a product is one
instruction; without one, the factors are split in halves.
"""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.backend.formats import format_of
from polydsl.backend.lanes import Real


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The number `hi + lo`, with `lo` at most about an ulp of `hi`."""

    hi: Real
    lo: Real

    def times(self, factor: Real) -> Pair:
        """Return the product with a number."""
        product = two_product(self.hi, factor)
        return Pair(product.hi, self.lo.fma(factor, product.lo))

    def times_pair(self, other: Pair) -> Pair:
        """Return the product with another pair."""
        product = two_product(self.hi, other.hi)
        cross = self.hi.fma(other.lo, self.lo * other.hi)
        return Pair(product.hi, product.lo + cross)

    def plus_low(self, term: Real) -> Pair:
        """Return the sum with a number as small as `lo`."""
        return Pair(self.hi, self.lo + term)

    def rounded(self) -> Real:
        """Return the nearest single number."""
        return self.hi + self.lo


def two_sum(a: Real, b: Real) -> Pair:
    """Return `a + b` exactly."""
    total = a + b
    part = total - a
    return Pair(total, (a - (total - part)) + (b - part))


def fast_two_sum(a: Real, b: Real) -> Pair:
    """Return `a + b` exactly, where a is 0 or has at least b's magnitude."""
    total = a + b
    return Pair(total, b - (total - a))


def two_product(a: Real, b: Real) -> Pair:
    """Return `a * b` exactly, unless something over- or underflows."""
    product = a * b
    if a.context.has_fma:
        return Pair(product, a.fma(b, -product))
    a_hi, a_lo = _split(a)
    b_hi, b_lo = _split(b)
    error = ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo
    return Pair(product, error)


def quotient(numerator: Pair, denominator: Pair) -> Real:
    """Return the quotient of two pairs, nearly correctly rounded.

    One division: what it leaves corrects it.
    """
    inverse = 1.0 / denominator.hi
    first = numerator.hi * inverse
    if first.context.has_fma:
        # What the inverse leaves of 1 is known while `first` is still computed.
        left = inverse.fma(-denominator.lo, inverse.fma(-denominator.hi, 1.0))
        rest = first.fma(left, numerator.lo * inverse)
        return numerator.hi.fma(inverse, rest)
    product = two_product(first, denominator.hi)
    residual = (numerator.hi - product.hi) - product.lo
    residual = residual + (numerator.lo - first * denominator.lo)
    return residual.fma(inverse, first)


def polynomial(x: Real, coefficients: tuple[float, ...]) -> Real:
    """Return the polynomial with *coefficients*, lowest power first.

    By Horner's rule, where each step waits for the one before. So of a long one, the
    even and the odd powers are apart but for the lowest two, whose rounding counts.
    """
    if len(coefficients) < 8:
        return _horner(x, coefficients)
    lowest, others = coefficients[:2], coefficients[2:]
    square = x * x
    odd = _horner(square, others[1::2])
    value = odd.fma(x, _horner(square, others[::2]))
    for coefficient in reversed(lowest):
        value = value.fma(x, coefficient)
    return value


def _horner(x: Real, coefficients: tuple[float, ...]) -> Real:
    value = x.constant(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value.fma(x, coefficient)
    return value


def _split(x: Real) -> tuple[Real, Real]:
    """Return two numbers of half the precision with the sum *x*."""
    spread = x * format_of(x).splitter
    hi = spread - (spread - x)
    return hi, x - hi
