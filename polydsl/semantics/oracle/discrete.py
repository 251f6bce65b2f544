"""Operations whose results are integers or truth values: they have no error bound.

An element is right, or it is undecided: where an operand is, or where a float operand
is nearer to a jump of the operation than its error.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import DType
from polydsl.base.functions import Function
from polydsl.semantics.oracle.numbers import (
    EXACT,
    NO,
    Array,
    Bools,
    Ints,
    Num,
    either,
    missing_in,
    undecided_in,
)


def wrap(value: Array, dtype: DType) -> Ints:
    """Reduce int64 numbers (computed modulo 2**64) to the width of *dtype*."""
    numbers = np.asarray(value, dtype=np.int64)
    if dtype.bits == 64:
        return numbers
    return numbers.astype(dtype.numpy).astype(np.int64)


def saturate(value: Array, dtype: DType) -> Ints:
    """Bring int64 numbers into the range of *dtype*."""
    return np.clip(np.asarray(value, dtype=np.int64), dtype.least, dtype.greatest)


def truncate(value: Array, dtype: DType) -> Ints:
    """Convert floats toward zero into the range of *dtype*; NaN gives 0."""
    whole = np.nan_to_num(np.trunc(value), nan=0.0, posinf=np.inf, neginf=-np.inf)
    # float64 cannot hold the greatest i64: what reaches it is set apart.
    high = whole >= float(dtype.greatest)
    low = whole <= float(dtype.least)
    middle = np.where(high | low, 0.0, whole).astype(np.int64)
    limited = np.where(low, np.int64(dtype.least), middle)
    return np.where(high, np.int64(dtype.greatest), limited)


def apply_integer(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """Apply a row to integers; the result wraps around at the width of *dtype*."""
    meaning = row.integer or row.numpy
    first, *rest = (np.asarray(operand.value, np.int64) for operand in operands)
    if row.variadic:
        value = first
        for other in rest:
            value = meaning(value, other)
    else:
        value = meaning(first, *rest)
    return Num(
        wrap(value, dtype),
        EXACT,
        undecided_in(operands),
        missing=missing_in(operands),
    )


def compare(row: Function, operands: tuple[Num, ...]) -> Num:
    """Apply a comparison."""
    a, b = operands
    undecided = undecided_in(operands)
    if not (a.is_exact and b.is_exact):
        error = a.error + b.error
        close = (np.abs(a.value - b.value) <= error) & (error > 0)
        undecided = undecided | close
    if a.overflow.any() or b.overflow.any():
        undecided = undecided | (a.overflow & _beside(b)) | (b.overflow & _beside(a))
    return Num(
        row.numpy(a.value, b.value), EXACT, undecided, missing=missing_in(operands)
    )


def _beside(num: Num) -> Bools:
    """Where a number cannot be told from one that overflowed."""
    return num.overflow | np.isinf(num.value)


def test(row: Function, operands: tuple[Num, ...]) -> Num:
    """Apply `isnan`."""
    (x,) = operands
    return Num(row.numpy(x.value), EXACT, x.undecided, missing=x.missing)


def logical(row: Function, operands: tuple[Num, ...]) -> Num:
    """Apply `and`, `or`, `not`: a sure False (True) decides an `and` (`or`)."""
    value = row.numpy(*(operand.value for operand in operands))
    undecided = undecided_in(operands)
    if undecided.any() and row.name != "not":
        decisive = row.name == "or"
        settled = either([(x.value == decisive) & ~x.undecided for x in operands])
        undecided = undecided & ~settled
    return Num(value, EXACT, undecided, missing=missing_in(operands))


def apply_discrete(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """Apply a row whose result is not a float."""
    match row.rule:
        case "compare":
            return compare(row, operands)
        case "logical":
            return logical(row, operands)
        case "test":
            return test(row, operands)
        case "keep" if dtype.kind == "bool":
            value, undecided = operands[0].value, undecided_in(operands)
            for operand in operands[1:]:
                value = row.numpy(value, operand.value)
            return Num(value, EXACT, undecided, missing=missing_in(operands))
        case "arithmetic" | "keep":
            return apply_integer(row, operands, dtype)
        case "float":
            bug(f"{row.name} of integers has no float type")
        case _:
            assert_never(row.rule)


def select(condition: Num, then: Num, otherwise: Num, *, is_float: bool) -> Num:
    """Choose between two values element by element.

    Where the condition is undecided the result is so too, unless the arms agree: two
    floats that differ by no more than a few times their own errors (as at the kink of
    a piecewise function) count as one with a wider bound.
    """
    taken = condition.value
    value = np.where(taken, then.value, otherwise.value)
    error = EXACT
    if not (then.is_exact and otherwise.is_exact):
        error = np.where(taken, then.error, otherwise.error)
    undecided = _pick(taken, then.undecided, otherwise.undecided)
    overflow = _pick(taken, then.overflow, otherwise.overflow)
    if condition.undecided.any():
        apart = np.abs(then.value - otherwise.value) if is_float else 0.0
        allowed = 4 * (then.error + otherwise.error)
        agree = (then.value == otherwise.value) | (apart <= allowed)
        agree = agree & ~(then.undecided | otherwise.undecided)
        undecided = np.where(condition.undecided, ~agree, undecided)
        wide = np.maximum(then.error, otherwise.error) + apart
        error = np.where(condition.undecided & agree, wide, error)
        error = np.where(np.isfinite(error), error, 0.0)
    missing = missing_in((condition, then, otherwise))
    return Num(value, error, undecided, overflow, missing)


def _pick(taken: Bools, then: Bools, otherwise: Bools) -> Bools:
    if not (then.any() or otherwise.any()):
        return NO
    return np.where(taken, then, otherwise)
