"""Powers of floats, with their error bounds."""

from __future__ import annotations

import numpy as np

from polydsl.base.dtypes import DType
from polydsl.base.functions import Function
from polydsl.semantics.oracle.numbers import (
    EXACT,
    Bools,
    Floats,
    Num,
    format_of,
    rounded,
)
from polydsl.semantics.oracle.propagation import apart, undecide


def power(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """Apply `**` or `pow`."""
    x, y = operands
    value = row.numpy(x.value, y.value)
    whole = (np.rint(y.value) == y.value) & (y.error == 0.0)
    # Small integer powers may be compiled as products, one rounding each.
    products = np.where(whole & (np.abs(y.value) <= 64), np.abs(y.value), 0.0)
    own = (np.maximum(2 * row.ulp, products) + 1) * format_of(dtype).unit
    if x.is_exact and y.is_exact:
        error, unsure = EXACT, np.asarray(False)
    else:
        error, unsure = _power_error(x, y, value, whole)
    error = error + own * (np.abs(value) + error)
    return undecide(rounded(value, error, dtype, operands, ulp=0.0), unsure)


def _power_error(x: Num, y: Num, value: Floats, whole: Bools) -> tuple[Floats, Bools]:
    size = np.abs(x.value)
    low, high = np.maximum(size - x.error, 0.0), size + x.error
    least, most = y.value - y.error, y.value + y.error
    # One to any power and any base to the power zero are 1, even of NaN.
    corners = [
        np.power(base, exponent)
        for base in (low, high, np.clip(1.0, low, high))
        for exponent in (least, most, np.clip(0.0, least, most))
    ]
    span = np.maximum.reduce([apart(corner, np.abs(value)) for corner in corners])
    crosses = size <= x.error
    # Across zero x**n of an odd n changes sign; a negative power has its pole there.
    span = np.where(crosses & whole & (y.value > 0), np.power(high, y.value) * 2, span)
    exact = (x.error == 0.0) & (y.error == 0.0)
    pole = crosses & (y.value - y.error <= 0) & (y.value != 0)
    negative = x.value - x.error < 0
    unsure: Bools = ~exact & (pole | (~whole & negative) | ~np.isfinite(span))
    return np.where(exact, 0.0, span), unsure
