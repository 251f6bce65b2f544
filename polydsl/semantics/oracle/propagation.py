"""What the errors of operands make of a result, whatever the operation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from polydsl.base.dtypes import F64, DType
from polydsl.base.rounding import round_to
from polydsl.semantics.oracle.numbers import (
    EXACT,
    Bools,
    Floats,
    Num,
    rounded,
    undecided_in,
)


def finish(
    value: Floats,
    error: Floats,
    dtype: DType,
    operands: tuple[Num, ...],
    exactly: Callable[[], Bools],
    ulp: float = 0.5,
) -> Num:
    """Round, except where exact operands give a number that the type can hold."""
    result = rounded(value, error, dtype, operands, ulp)
    if not all(operand.is_exact for operand in operands):
        return result
    sure = exact_integers(value, operands) if dtype == F64 else exactly()
    exact = sure & (round_to(dtype, value) == value)
    known = undecided_in(operands)
    if exact.all():
        return Num(value, EXACT, known, result.overflow, result.missing)
    error = np.where(exact, 0.0, result.error)
    undecided = result.undecided
    if undecided is not known and undecided.any():
        # A number that the type can hold is not near an overflow.
        undecided = np.where(exact, known, undecided)
    return Num(value, error, undecided, result.overflow, result.missing)


def exact_integers(value: Floats, operands: tuple[Num, ...]) -> Bools:
    """Where operands and result are integers that float64 holds exactly."""
    exact = (np.rint(value) == value) & (np.abs(value) < 2.0**53)
    for operand in operands:
        exact = exact & (np.rint(operand.value) == operand.value)
    return np.asarray(exact)


def infinite_times_zero(a: Num, b: Num) -> Bools:
    """Where an infinite *a* meets a *b* that may be zero or of either sign."""
    around_zero = (b.error > 0) & (np.abs(b.value) <= b.error)
    return np.asarray(np.isinf(a.value) & around_zero)


def product_error(a: Num, b: Num) -> Floats:
    """Return what the errors of two factors do to their product."""
    if a.is_exact and b.is_exact:
        return EXACT
    if a.is_exact:
        return times(np.abs(a.value), b.error)
    if b.is_exact:
        return times(np.abs(b.value), a.error)
    return times(np.abs(a.value), b.error) + times(np.abs(b.value) + b.error, a.error)


def times(size: Floats, error: Floats) -> Floats:
    """Multiply where infinity times no error is no error."""
    product = size * error
    return np.where(error == 0.0, 0.0, product) if np.isnan(product).any() else product


def undecide(num: Num, mask: Bools) -> Num:
    """Return *num*, undecided where the mask holds too."""
    if not mask.any():
        return num
    undecided = num.undecided | mask
    return Num(num.value, num.error, undecided, num.overflow, num.missing)


def apart(left: Floats, right: Floats) -> Floats:
    """Return |left - right|, where equal infinities and two NaN are not apart."""
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    distance = np.nan_to_num(np.abs(left - right), nan=np.inf, posinf=np.inf)
    return np.where(same, 0.0, distance)
