"""floor, ceil and round, without the instructions that the baseline CPU lacks.

`llvm.floor` is one instruction on AVX rows and a call of the C library on SSE2, so the
row without FMA rounds by adding and subtracting 2**fraction.
"""

from __future__ import annotations

from polydsl.backend.formats import format_of
from polydsl.backend.lanes import Real, choose


def round_even(x: Real) -> Real:
    """Return the nearest integer, to even; keeps NaN, infinities and the sign of 0."""
    if _has_instruction(x):
        return x.rounded_by("roundeven")
    limit = 2.0 ** format_of(x).fraction
    magnitude = x.abs()
    rounded = ((magnitude + limit) - limit).with_sign_of(x)
    # Larger numbers are integers; NaN is not less than the limit.
    return choose(magnitude < limit, rounded, x)


def floor(x: Real) -> Real:
    """Return the greatest integer that is not above *x*."""
    if _has_instruction(x):
        return x.rounded_by("floor")
    near = round_even(x)
    return choose(near > x, near - 1.0, near).with_sign_of(x)


def ceil(x: Real) -> Real:
    """Return the least integer that is not below *x*."""
    if _has_instruction(x):
        return x.rounded_by("ceil")
    near = round_even(x)
    return choose(near < x, near + 1.0, near).with_sign_of(x)


def truncate(x: Real) -> Real:
    """Return the integer part."""
    if _has_instruction(x):
        return x.rounded_by("trunc")
    magnitude = x.abs()
    return floor(magnitude).with_sign_of(x)


def _has_instruction(x: Real) -> bool:
    # Every CPU with FMA has the rounding instructions of SSE4.1.
    return x.context.has_fma
