"""Rounding to the numbers of a float type, once and to nearest even."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polydsl.base.dtypes import BF16, F64, DType

_LARGEST_BF16 = 2.0**127 * (2 - 2.0**-7)
_LEAST_QUANTUM = -133
"""Denormal numbers of bf16 are multiples of 2 to this power."""
_DIGITS = 8


def round_to(dtype: DType, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round float64 numbers to the nearest of *dtype*, ties to even."""
    if dtype == F64:
        return value
    if dtype == BF16:
        return _round_to_bf16(value)
    with np.errstate(over="ignore", under="ignore"):
        return value.astype(dtype.numpy).astype(np.float64)


def round_number(dtype: DType, number: float) -> float:
    """Return the number of a float type that is nearest to *number*."""
    return float(round_to(dtype, np.array(float(number))))


def _round_to_bf16(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round in one step; a conversion through float32 would round twice."""
    _, exponent = np.frexp(value)
    unit = np.maximum(exponent - _DIGITS, _LEAST_QUANTUM)
    rounded = np.ldexp(np.rint(np.ldexp(value, -unit)), unit)
    return np.where(
        np.abs(rounded) > _LARGEST_BF16, np.copysign(np.inf, value), rounded
    )
