"""Facts about the two float formats that the formulas of scalar functions need."""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.backend.lanes import Real, Whole, choose, choose_whole


@dataclass(frozen=True, slots=True)
class Format:
    """A binary float format.

    `magic` is 1.5 * 2**fraction: a number is rounded to an integer by adding it, and
    the integer then stands in the low bits. `ln2_hi` has trailing zeros, so that its
    product with an exponent is exact; pairs of constants are the number and the rest.
    `exp_most` and `exp_least` are where exp certainly overflows and underflows;
    `expm1_least` is where expm1 is -1.
    """

    name: str
    fraction: int
    bias: int
    magic: float
    ln2_hi: float
    ln2_lo: float
    ln2: tuple[float, float]
    log2e: tuple[float, float]
    two_over_sqrt_pi: tuple[float, float]
    least_normal: float
    rescale: int
    exp_most: float
    exp_least: float
    expm1_least: float
    splitter: float

    @property
    def magic_bits(self) -> int:
        """The bits of `magic`."""
        one_and_a_half = (1 << (self.fraction - 1)) + 2 * self.bias
        return ((self.fraction + self.bias) << self.fraction) + one_and_a_half

    @property
    def sqrt_half_bits(self) -> int:
        """The bits of a number near sqrt(1/2), where a mantissa range starts."""
        return 0x3F3504F3 if self.fraction == 23 else 0x3FE6A09E667F3BCD


_F32 = Format(
    name="f32",
    fraction=23,
    bias=127,
    magic=1.5 * 2.0**23 + 254,
    ln2_hi=0.69317626953125,
    ln2_lo=-2.9088971132296138e-05,
    ln2=(0.6931471824645996, -1.9046542121259336e-09),
    log2e=(1.4426950216293335, 1.925963033500011e-08),
    two_over_sqrt_pi=(1.128379225730896, -5.8635382771399236e-08),
    least_normal=2.0**-126,
    rescale=24,
    exp_most=89.0,
    exp_least=-105.0,
    expm1_least=-18.0,
    splitter=2.0**12 + 1,
)
_F64 = Format(
    name="f64",
    fraction=52,
    bias=1023,
    magic=1.5 * 2.0**52 + 2046,
    ln2_hi=0.6931471805598903,
    ln2_lo=5.497923018708371e-14,
    ln2=(0.6931471805599453, 2.3190468138462996e-17),
    log2e=(1.4426950408889634, 2.0355273740931033e-17),
    two_over_sqrt_pi=(1.1283791670955126, 1.533545961316588e-17),
    least_normal=2.0**-1022,
    rescale=54,
    exp_most=710.0,
    exp_least=-747.0,
    expm1_least=-38.0,
    splitter=2.0**27 + 1,
)


def format_of(x: Real) -> Format:
    """Return the format of the lanes of *x*."""
    return _F32 if x.bits == 32 else _F64


def nearest(x: Real) -> tuple[Real, Whole]:
    """Return *x* rounded to an integer, to even, as a float and as an integer.

    The magnitude of *x* must be below a quarter of `magic`.
    """
    return _integers(x + format_of(x).magic)


def nearest_multiple(x: Real, factor: float) -> tuple[Real, Whole]:
    """Return `x * factor` rounded to an integer, as `nearest` does.

    Just beside the middle of two integers it may be either.
    """
    return _integers(x.fma(factor, format_of(x).magic))


def _integers(shifted: Real) -> tuple[Real, Whole]:
    f = format_of(shifted)
    return shifted - f.magic, shifted.as_whole() - f.magic_bits


def small_whole_to_real(k: Whole, like: Real) -> Real:
    """Return a small integer as a float, without a conversion that AVX2 lacks."""
    f = format_of(like)
    return (k + f.magic_bits).as_real() - f.magic


def power_of_two(k: Whole) -> Real:
    """Return 2**k for an exponent of normal numbers."""
    fraction, bias = (23, 127) if k.bits == 32 else (52, 1023)
    return ((k + bias) << fraction).as_real()


def scaled(x: Real, k: Whole) -> Real:
    """Return `x * 2**k`, rounded once also where the result is denormal.

    In two steps, each by a normal number: the first is exact for x in 1/2 .. 2.
    """
    first, second = power_halves(k)
    return x * first * second


def power_halves(k: Whole) -> tuple[Real, Real]:
    """Return normal numbers with the product 2**k, for twice their exponents.

    Twice the bias is added to k, and what is above the last bit of the sum is the
    exponent field of 2**(k // 2). In sums of `nearest` it stands at the end already.
    """
    fraction, bias = (23, 127) if k.bits == 32 else (52, 1023)
    doubled = (k + 2 * bias) << (fraction - 1)
    upper = -(1 << fraction)
    rounded_up = doubled + (1 << (fraction - 1))
    return (doubled & upper).as_real(), (rounded_up & upper).as_real()


def split_exponent(x: Real) -> tuple[Whole, Real]:
    """Return k and m with `x = 2**k * m` and m from sqrt(1/2) to sqrt(2), for x > 0."""
    f = format_of(x)
    is_denormal = x < f.least_normal
    normal = choose(is_denormal, x * 2.0**f.rescale, x)
    offset = normal.as_whole() - f.sqrt_half_bits
    mantissa = (offset & ((1 << f.fraction) - 1)) + f.sqrt_half_bits
    exponent = offset >> f.fraction
    adjusted = choose_whole(is_denormal, exponent - f.rescale, exponent)
    return adjusted, mantissa.as_real()
