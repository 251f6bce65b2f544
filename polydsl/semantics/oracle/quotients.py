"""Division, floor division and remainder of floats, with their error bounds."""

from __future__ import annotations

import numpy as np

from polydsl.base.dtypes import DType
from polydsl.base.functions import Function
from polydsl.semantics.oracle.numbers import EXACT, Bools, Num, format_of, settle
from polydsl.semantics.oracle.propagation import exact_integers, finish, times, undecide


def divide(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """Apply `/`; undecided where the divisor may be zero."""
    a, b = operands
    value = row.numpy(a.value, b.value)

    def exactly() -> Bools:
        return np.asarray(value * b.value == a.value)

    if b.is_exact and a.is_exact:
        return finish(value, EXACT, dtype, operands, exactly)
    size = np.abs(b.value)
    room = np.maximum(size - b.error, 0.0)
    error = (a.error + times(np.abs(value), b.error)) / room
    # An exact zero below makes a sure infinity only of what is surely not zero.
    exact_zero = (b.value == 0.0) & (b.error == 0.0)
    error = np.where(exact_zero & (np.abs(a.value) > a.error), 0.0, error)
    result = finish(value, error, dtype, operands, exactly)
    unsure = (b.error > 0.0) & (room == 0.0)
    unsure = unsure | exact_zero & (a.error > 0.0) & (np.abs(a.value) <= a.error)
    return undecide(result, unsure)


def floor_divide(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """Apply `//`; undecided where the quotient may pass an integer."""
    a, b = operands
    value = row.numpy(a.value, b.value)
    form = format_of(dtype)
    # A floor is exact, unless it has more digits than the type.
    large = np.abs(value) >= 2.0**form.digits
    error = EXACT
    if large.any():
        error = np.where(large, 2 * row.ulp * form.unit * np.abs(value), 0.0)
    result = settle(value, error, dtype, operands)
    return undecide(result, _quotient_jumps(a, b, dtype))


def remainder(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """Apply `%`; undecided where the quotient may pass an integer."""
    a, b = operands
    value = row.numpy(a.value, b.value)
    quotient = np.abs(np.floor_divide(a.value, b.value))
    error = a.error + times(quotient, b.error)
    size = np.abs(a.value) + quotient * np.abs(b.value)
    # Compiled as x - floor(x / y) * y, with two roundings of numbers of this size;
    # of an infinite y nothing is subtracted.
    size = np.where(np.isfinite(size), size, np.abs(a.value))
    error = error + 2 * format_of(dtype).unit * size

    def exactly() -> Bools:
        return exact_integers(value, operands)

    result = finish(value, error, dtype, operands, exactly)
    return undecide(result, _quotient_jumps(a, b, dtype))


def _quotient_jumps(a: Num, b: Num, dtype: DType) -> Bools:
    """Where the floor of a/b may come out on either side of an integer."""
    quotient = a.value / b.value
    room = np.maximum(np.abs(b.value) - b.error, 0.0)
    error = (a.error + times(np.abs(quotient), b.error)) / room
    error = error + 2 * format_of(dtype).unit * np.abs(quotient)
    split = np.floor(quotient - error) != np.floor(quotient + error)
    exact = (a.error == 0.0) & (b.error == 0.0)
    divides = exact & (np.rint(quotient) * b.value == a.value)
    finite = np.isfinite(quotient)
    # Of a number and an infinity the quotient's sign decides between 0 and -1.
    sign = np.isinf(b.value) & (np.abs(a.value) <= a.error) & (a.error > 0)
    return np.asarray(np.where(finite, (split & ~divides) | sign, ~exact))
