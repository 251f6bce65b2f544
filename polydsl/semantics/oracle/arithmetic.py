"""Float operations of the function table, each with its error bound.

Every rule takes the operands and returns the exact value of the operation in float64
together with a bound on what rounding, here and in the operands, may have done to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from polydsl.base.dtypes import DType
from polydsl.base.functions import FUNCTIONS, Function
from polydsl.semantics.oracle.numbers import (
    EXACT,
    NO,
    Bools,
    Num,
    either,
    missing_in,
    rounded,
    rounding_limit,
    undecided_in,
)
from polydsl.semantics.oracle.powers import power
from polydsl.semantics.oracle.propagation import (
    apart,
    finish,
    infinite_times_zero,
    product_error,
    times,
    undecide,
)
from polydsl.semantics.oracle.quotients import divide, floor_divide, remainder

Rule = Callable[[Function, tuple[Num, ...], DType], Num]


def apply_float(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """Apply a row of the function table to float operands; the result is a float."""
    if row.name in _CHOICES:
        return _CHOICES[row.name](row, operands, dtype)
    result = _RULES.get(row.name, _unary)(row, operands, dtype)
    if any(operand.overflow.any() for operand in operands):
        return _after_overflow(row, operands, dtype, result)
    return result


def _add(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    a, b = operands
    value = row.numpy(a.value, b.value)
    second = value - a.value

    def exactly() -> Bools:
        back = value - second
        sign = 1.0 if row.name == "add" else -1.0
        return np.asarray((back == a.value) & (second == sign * b.value))

    return finish(value, a.error + b.error, dtype, operands, exactly)


def _mul(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    a, b = operands
    value = row.numpy(a.value, b.value)
    error = product_error(a, b)

    def exactly() -> Bools:
        # Two numbers of 24 bits: their product is exact in float64.
        return np.asarray(True)

    result = finish(value, error, dtype, operands, exactly)
    if np.isfinite(value).all():
        return result
    return undecide(result, infinite_times_zero(a, b) | infinite_times_zero(b, a))


def _fma(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """Compiled with or without a fused instruction: the product may be rounded too,
    and be infinite by itself."""
    a, b, c = operands
    product = apply_float(FUNCTIONS["mul"], (a, b), dtype)
    return apply_float(FUNCTIONS["add"], (product, c), dtype)


def _unary(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """A continuous function of one operand: its slope or its values at the ends."""
    (x,) = operands
    value = row.numpy(x.value)
    if x.is_exact:
        return rounded(value, EXACT, dtype, operands, row.ulp)
    if row.slope is not None:
        error = times(row.slope(x.value, x.error), x.error)
    else:
        low, high = x.value - x.error, x.value + x.error
        error = np.maximum(apart(row.numpy(low), value), apart(row.numpy(high), value))
        for turn in row.turns:
            inside = (low < turn) & (turn < high)
            error = np.where(
                inside, np.maximum(error, np.abs(row.numpy(turn) - value)), error
            )
    error = np.where(x.error == 0.0, 0.0, error)
    result = rounded(value, error, dtype, operands, row.ulp)
    return undecide(result, ~np.isfinite(error))


def _jump(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """floor, ceil, round, sign: exact, unless the operand is within reach of a jump."""
    (x,) = operands
    value = row.numpy(x.value)
    result = Num(value, EXACT, x.undecided, x.overflow, x.missing)
    if x.is_exact:
        return result
    low, high = row.numpy(x.value - x.error), row.numpy(x.value + x.error)
    return undecide(result, (low != high) & ~np.isnan(value))


def _same(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """neg, pos, abs: exact, and as far off as the operand."""
    (x,) = operands
    return Num(row.numpy(x.value), x.error, x.undecided, x.overflow, x.missing)


def _choice(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """min, max, clamp, relu: one of the operands; of a NaN, anything."""
    value = row.numpy(*(x.value for x in operands))
    error = EXACT
    if not all(x.is_exact for x in operands):
        low = row.numpy(*(x.value - x.error for x in operands))
        high = row.numpy(*(x.value + x.error for x in operands))
        error = np.maximum(high - value, value - low)
        error = np.where(np.isfinite(value), error, 0.0)
    taken = [x.overflow & (value == x.value) for x in operands if x.overflow.any()]
    undecided = undecided_in(operands) | np.isnan(value)
    return Num(value, error, undecided, either(taken), missing_in(operands))


def _extremum(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    first, *rest = operands
    for other in rest:
        first = _choice(row, (first, other), dtype)
    return first


def _after_overflow(
    row: Function, operands: tuple[Num, ...], dtype: DType, result: Num
) -> Num:
    """Widen or give up what came from operands that may be infinite or finite."""
    over = either([operand.overflow for operand in operands])
    value, error = result.value, result.error
    if len(operands) == 1:
        x = operands[0].value
        ends = apart(row.numpy(np.copysign(np.inf, x)), value)
        unsure = over & ~np.isfinite(ends)
        error = np.where(over & ~unsure, error + ends, error)
    elif row.name == "div":
        unsure = over & (operands[0].overflow | ~np.isfinite(operands[0].value))
        error = np.where(operands[1].overflow, error + np.abs(value), error)
    else:
        stays = np.abs(value) - error >= rounding_limit(dtype)
        unsure = over & (~stays | _may_be_nan(row, operands))
    return Num(value, error, result.undecided | unsure, result.overflow, result.missing)


def _may_be_nan(row: Function, operands: tuple[Num, ...]) -> Bools:
    """Where a result is NaN if what overflowed is infinite, and only then."""
    a, b = operands
    if row.name in ("floordiv", "mod"):
        # Of an infinity there is neither a whole quotient nor a remainder.
        return a.overflow
    if row.name in ("add", "sub"):
        infinite = [np.isinf(x.value) | x.overflow for x in operands]
        cancels = row.numpy(np.sign(a.value), np.sign(b.value)) == 0
        return np.asarray(infinite[0] & infinite[1] & cancels)
    return NO


_RULES: dict[str, Rule] = {
    "add": _add,
    "sub": _add,
    "mul": _mul,
    "div": divide,
    "floordiv": floor_divide,
    "mod": remainder,
    "power": power,
    "pow": power,
}
_CHOICES: dict[str, Rule] = {
    "fma": _fma,
    "neg": _same,
    "pos": _same,
    "abs": _same,
    "floor": _jump,
    "ceil": _jump,
    "round": _jump,
    "sign": _jump,
    "relu": _choice,
    "clamp": _choice,
    "min": _extremum,
    "max": _extremum,
}
