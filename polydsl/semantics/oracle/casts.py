"""Conversions between types, and what storing in a tensor does to a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polydsl.base.dtypes import BOOL, DType
from polydsl.base.rounding import round_to
from polydsl.semantics.oracle.discrete import saturate, truncate, wrap
from polydsl.semantics.oracle.numbers import (
    EXACT,
    NO,
    Array,
    Bools,
    Floats,
    Num,
)


@dataclass(frozen=True, slots=True)
class StoredNum:
    """An element of a tensor, as a result (`final`) and as others read it (`read`).

    A float local may be kept wider than its type: what reads it may see it with or
    without the rounding, while a result always has it.
    """

    final: Num
    read: Num


def convert(num: Num, source: DType, target: DType, *, explicit: bool) -> Num:
    """Convert from one type to another, as `Cast` does."""
    if source == target:
        return num
    if target == BOOL:
        return _to_bool(num)
    if target.is_float:
        if not source.is_float:
            return _to_float(num, target, explicit=explicit)
        if target.bits > source.bits:
            return num
        stored = _narrow(num, target)
        return stored.final if explicit else stored.read
    if source.is_float:
        return _to_integer(num, target)
    value = wrap(num.value, target) if explicit else saturate(num.value, target)
    return Num(value, EXACT, num.undecided, missing=num.missing)


def store(num: Num, source: DType, target: DType) -> StoredNum:
    """Convert a value to the type of the tensor that it is stored in."""
    if source.is_float and target.is_float:
        return _narrow(num, target)
    if source.is_float and target.is_int:
        # Only `round` gets here without a cast: an integral float.
        rounded = _to_integer(num, target, integral=True)
        return StoredNum(rounded, rounded)
    plain = convert(num, source, target, explicit=False)
    return StoredNum(plain, plain)


def _narrow(num: Num, target: DType) -> StoredNum:
    """Round to a float type of any width."""
    value = num.value
    rounded = round_to(target, value)
    missed = np.where(rounded == value, 0.0, np.abs(rounded - value))
    infinite = np.isinf(rounded) & np.isfinite(value)
    if num.is_exact:
        final_error, unsure = EXACT, NO
        read_error = missed if missed.any() else EXACT
    else:
        final_error, unsure = _rounded_error(num, rounded, target)
        read_error = np.maximum(final_error, num.error + missed)
        read_error = np.where(infinite, num.error, read_error)
    unsure = unsure | (num.overflow & ~np.isinf(rounded))
    undecided = num.undecided | unsure
    final = Num(rounded, final_error, undecided, missing=num.missing)
    if not infinite.any():
        return StoredNum(final, Num(rounded, read_error, undecided, NO, num.missing))
    read_error = np.where(infinite, num.error, read_error)
    kept = np.where(infinite, value, rounded)
    return StoredNum(final, Num(kept, read_error, undecided, infinite, num.missing))


def _rounded_error(num: Num, rounded: Floats, target: DType) -> tuple[Floats, Bools]:
    """How far the rounded value moves within the bound; where it may overflow."""
    low = round_to(target, num.value - num.error)
    high = round_to(target, num.value + num.error)
    error = np.maximum(high - rounded, rounded - low)
    same = (low == high) | np.isnan(rounded) | (num.error == 0.0)
    error = np.where(same, 0.0, error)
    unsure = ~np.isfinite(error)
    return np.where(unsure, 0.0, error), unsure


def _to_bool(num: Num) -> Num:
    undecided = num.undecided
    if not num.is_exact:
        undecided = undecided | ((np.abs(num.value) <= num.error) & (num.error > 0))
    value: Array = np.asarray(num.value != 0)
    return Num(value, EXACT, undecided, missing=num.missing)


def _to_float(num: Num, target: DType, *, explicit: bool) -> Num:
    exact = num.value.astype(np.float64)
    error = EXACT
    if num.value.dtype == np.int64 and np.any(np.abs(exact) >= 2.0**53):
        # Already the conversion to float64 may round here.
        error = np.where(np.abs(exact) >= 2.0**53, np.spacing(np.abs(exact)), 0.0)
    source = Num(exact, error, num.undecided, missing=num.missing)
    stored = _narrow(source, target)
    return stored.final if explicit else stored.read


def _to_integer(num: Num, target: DType, *, integral: bool = False) -> Num:
    whole = np.rint if integral else np.trunc
    value = truncate(whole(num.value), target)
    undecided = num.undecided
    if not num.is_exact:
        low = truncate(whole(num.value - num.error), target)
        high = truncate(whole(num.value + num.error), target)
        undecided = undecided | (low != high)
    if num.overflow.any():
        infinite = truncate(np.copysign(np.inf, num.value), target)
        undecided = undecided | (num.overflow & (value != infinite))
    return Num(value, EXACT, undecided, missing=num.missing)
