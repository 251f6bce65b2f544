"""Float operations of the function table, each with its error bound.

Every rule takes the operands and returns the exact value of the operation in float64
together with a bound on what rounding, here and in the operands, may have done to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from polydsl.base.dtypes import F64, DType
from polydsl.base.functions import Function
from polydsl.semantics.oracle.numbers import (
    EXACT,
    Bools,
    Floats,
    Num,
    either,
    format_of,
    missing_in,
    round_to,
    rounded,
    rounding_limit,
    settle,
    undecided_in,
)

Rule = Callable[[Function, tuple[Num, ...], DType], Num]


def apply_float(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """Apply a row of the function table to float operands; the result is a float."""
    if row.name in _CHOICES:
        return _CHOICES[row.name](row, operands, dtype)
    result = _RULES.get(row.name, _unary)(row, operands, dtype)
    if any(operand.overflow.any() for operand in operands):
        return _after_overflow(row, operands, dtype, result)
    return result


def _finish(
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
    sure = _whole(value, operands) if dtype == F64 else exactly()
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


def _whole(value: Floats, operands: tuple[Num, ...]) -> Bools:
    """Where operands and result are integers that float64 holds exactly."""
    exact = (np.rint(value) == value) & (np.abs(value) < 2.0**53)
    for operand in operands:
        exact = exact & (np.rint(operand.value) == operand.value)
    return np.asarray(exact)


def _add(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    a, b = operands
    value = row.numpy(a.value, b.value)
    second = value - a.value

    def exactly() -> Bools:
        back = value - second
        sign = 1.0 if row.name == "add" else -1.0
        return np.asarray((back == a.value) & (second == sign * b.value))

    return _finish(value, a.error + b.error, dtype, operands, exactly)


def _mul(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    a, b = operands
    value = row.numpy(a.value, b.value)
    error = _product_error(a, b)

    def exactly() -> Bools:
        # Two numbers of 24 bits: their product is exact in float64.
        return np.asarray(True)

    result = _finish(value, error, dtype, operands, exactly)
    if np.isfinite(value).all():
        return result
    return _undecide(result, _infinite_times_zero(a, b) | _infinite_times_zero(b, a))


def _infinite_times_zero(a: Num, b: Num) -> Bools:
    """Where an infinite *a* meets a *b* that may be zero or of either sign."""
    around_zero = (b.error > 0) & (np.abs(b.value) <= b.error)
    return np.asarray(np.isinf(a.value) & around_zero)


def _product_error(a: Num, b: Num) -> Floats:
    if a.is_exact and b.is_exact:
        return EXACT
    if a.is_exact:
        return _times(np.abs(a.value), b.error)
    if b.is_exact:
        return _times(np.abs(b.value), a.error)
    return _times(np.abs(a.value), b.error) + _times(np.abs(b.value) + b.error, a.error)


def _times(size: Floats, error: Floats) -> Floats:
    """Multiply where infinity times no error is no error."""
    product = size * error
    return np.where(error == 0.0, 0.0, product) if np.isnan(product).any() else product


def _div(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    a, b = operands
    value = row.numpy(a.value, b.value)

    def exactly() -> Bools:
        return np.asarray(value * b.value == a.value)

    if b.is_exact and a.is_exact:
        return _finish(value, EXACT, dtype, operands, exactly)
    size = np.abs(b.value)
    room = np.maximum(size - b.error, 0.0)
    error = (a.error + _times(np.abs(value), b.error)) / room
    # An exact zero below makes a sure infinity only of what is surely not zero.
    exact_zero = (b.value == 0.0) & (b.error == 0.0)
    error = np.where(exact_zero & (np.abs(a.value) > a.error), 0.0, error)
    result = _finish(value, error, dtype, operands, exactly)
    unsure = (b.error > 0.0) & (room == 0.0)
    unsure = unsure | exact_zero & (a.error > 0.0) & (np.abs(a.value) <= a.error)
    return _undecide(result, unsure)


def _undecide(num: Num, mask: Bools) -> Num:
    if not mask.any():
        return num
    undecided = num.undecided | mask
    return Num(num.value, num.error, undecided, num.overflow, num.missing)


def _fma(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    a, b, c = operands
    product = a.value * b.value
    # Compiled with or without a fused instruction: the product may be rounded too.
    error = _product_error(a, b)
    unit = format_of(dtype).unit
    error = error + unit * (np.abs(product) + error) + c.error
    value = row.numpy(a.value, b.value, c.value)
    result = rounded(value, error, dtype, operands)
    return _undecide(result, _infinite_times_zero(a, b) | _infinite_times_zero(b, a))


def _floordiv(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    a, b = operands
    value = row.numpy(a.value, b.value)
    form = format_of(dtype)
    # A floor is exact, unless it has more digits than the type.
    large = np.abs(value) >= 2.0**form.digits
    error = EXACT
    if large.any():
        error = np.where(large, 2 * row.ulp * form.unit * np.abs(value), 0.0)
    result = settle(value, error, dtype, operands)
    return _undecide(result, _quotient_jumps(a, b, dtype))


def _mod(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    a, b = operands
    value = row.numpy(a.value, b.value)
    quotient = np.abs(np.floor_divide(a.value, b.value))
    error = a.error + _times(quotient, b.error)
    size = np.abs(a.value) + quotient * np.abs(b.value)
    # Compiled as x - floor(x / y) * y, with two roundings of numbers of this size;
    # of an infinite y nothing is subtracted.
    size = np.where(np.isfinite(size), size, np.abs(a.value))
    error = error + 2 * format_of(dtype).unit * size

    def exactly() -> Bools:
        return _whole(value, operands)

    result = _finish(value, error, dtype, operands, exactly)
    return _undecide(result, _quotient_jumps(a, b, dtype))


def _quotient_jumps(a: Num, b: Num, dtype: DType) -> Bools:
    """Where the floor of a/b may come out on either side of an integer."""
    quotient = a.value / b.value
    room = np.maximum(np.abs(b.value) - b.error, 0.0)
    error = (a.error + _times(np.abs(quotient), b.error)) / room
    error = error + 2 * format_of(dtype).unit * np.abs(quotient)
    split = np.floor(quotient - error) != np.floor(quotient + error)
    exact = (a.error == 0.0) & (b.error == 0.0)
    divides = exact & (np.rint(quotient) * b.value == a.value)
    finite = np.isfinite(quotient)
    # Of a number and an infinity the quotient's sign decides between 0 and -1.
    sign = np.isinf(b.value) & (np.abs(a.value) <= a.error) & (a.error > 0)
    return np.asarray(np.where(finite, (split & ~divides) | sign, ~exact))


def _power(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
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
    return _undecide(rounded(value, error, dtype, operands, ulp=0.0), unsure)


def _power_error(x: Num, y: Num, value: Floats, whole: Bools) -> tuple[Floats, Bools]:
    size = np.abs(x.value)
    low, high = np.maximum(size - x.error, 0.0), size + x.error
    corners = [
        np.power(base, y.value + step)
        for base in (low, high)
        for step in (-y.error, y.error)
    ]
    span = np.maximum.reduce([np.abs(corner - np.abs(value)) for corner in corners])
    crosses = size <= x.error
    # Across zero x**n of an odd n changes sign; a negative power has its pole there.
    span = np.where(crosses & whole & (y.value > 0), np.power(high, y.value) * 2, span)
    exact = (x.error == 0.0) & (y.error == 0.0)
    pole = crosses & (y.value - y.error <= 0) & (y.value != 0)
    unsure: Bools = ~exact & (pole | (~whole & (x.value - x.error < 0)))
    return np.where(exact, 0.0, span), unsure


def _unary(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """A continuous function of one operand: its slope or its values at the ends."""
    (x,) = operands
    value = row.numpy(x.value)
    if x.is_exact:
        return rounded(value, EXACT, dtype, operands, row.ulp)
    if row.slope is not None:
        error = _times(row.slope(x.value, x.error), x.error)
    else:
        low, high = x.value - x.error, x.value + x.error
        error = np.maximum(
            _apart(row.numpy(low), value), _apart(row.numpy(high), value)
        )
        for turn in row.turns:
            inside = (low < turn) & (turn < high)
            error = np.where(
                inside, np.maximum(error, np.abs(row.numpy(turn) - value)), error
            )
    error = np.where(x.error == 0.0, 0.0, error)
    result = rounded(value, error, dtype, operands, row.ulp)
    return _undecide(result, ~np.isfinite(error))


def _apart(left: Floats, right: Floats) -> Floats:
    """Return |left - right|, where equal infinities and two NaN are not apart."""
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    return np.where(same, 0.0, np.nan_to_num(np.abs(left - right), nan=np.inf))


def _jump(row: Function, operands: tuple[Num, ...], dtype: DType) -> Num:
    """floor, ceil, round, sign: exact, unless the operand is within reach of a jump."""
    (x,) = operands
    value = row.numpy(x.value)
    result = Num(value, EXACT, x.undecided, x.overflow, x.missing)
    if x.is_exact:
        return result
    low, high = row.numpy(x.value - x.error), row.numpy(x.value + x.error)
    return _undecide(result, (low != high) & ~np.isnan(value))


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
        ends = _apart(row.numpy(np.copysign(np.inf, x)), value)
        unsure = over & ~np.isfinite(ends)
        error = np.where(over & ~unsure, error + ends, error)
    else:
        stays = np.abs(value) - error >= rounding_limit(dtype)
        unsure = over & ~stays
        if row.name in ("add", "sub"):
            infinite = [np.isinf(x.value) | x.overflow for x in operands]
            unsure = unsure | (over & infinite[0] & infinite[1])
        if row.name == "div":
            unsure = over & (operands[0].overflow | ~np.isfinite(operands[0].value))
            error = np.where(operands[1].overflow, error + np.abs(value), error)
    return Num(value, error, result.undecided | unsure, result.overflow, result.missing)


_RULES: dict[str, Rule] = {
    "add": _add,
    "sub": _add,
    "mul": _mul,
    "div": _div,
    "fma": _fma,
    "floordiv": _floordiv,
    "mod": _mod,
    "power": _power,
    "pow": _power,
}
_CHOICES: dict[str, Rule] = {
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
