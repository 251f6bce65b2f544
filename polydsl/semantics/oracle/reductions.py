"""Reductions: over the first axes of a grid, in any order, with their error bound.

A `Partial` is what is known after some of the terms; partials of the same elements
merge, so that a long reduction can be computed in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from polydsl.base.dtypes import BOOL, DType, widen
from polydsl.base.functions import FUNCTIONS, Reduction
from polydsl.semantics.oracle.arithmetic import apply_float
from polydsl.semantics.oracle.discrete import logical, wrap
from polydsl.semantics.oracle.numbers import (
    AVAILABLE,
    AVAILABLE_KEY,
    EXACT,
    NO,
    Array,
    Bools,
    Floats,
    Ints,
    Num,
    format_of,
    rounding_limit,
    settle,
)


@dataclass(frozen=True, slots=True)
class Partial:
    """The sum (or product) of some terms.

    For a sum, `size` is the sum of the terms' magnitudes and `error` that of their
    errors. For a product, `size` is the product of the magnitudes that are above 1
    and `error` the greatest product that the terms' errors allow. `whole` says that
    all terms are exact integers.
    """

    value: Array
    size: Floats
    error: Floats
    count: Ints
    undecided: Bools = field(default_factory=lambda: NO)
    missing: Ints = field(default_factory=lambda: AVAILABLE)
    whole: bool = True


Outcome: TypeAlias = Partial | Num
"""What a reduction has found so far: sums and products need more than a `Num`."""


def spread(array: Array, shape: tuple[int, ...], axes: int) -> Array:
    """Broadcast so that the first *axes* dimensions are really there."""
    inner = array.shape[max(0, array.ndim - (len(shape) - axes)) :]
    lead = (1,) * (len(shape) - axes - len(inner))
    return np.broadcast_to(array, (*shape[:axes], *lead, *inner))


def _limit(dtype: DType) -> float:
    return rounding_limit(widen(dtype))


def _masked(num: Num, active: Bools, neutral: float | int | bool) -> Num:
    """Put the neutral element where there is no term."""
    if active.all():
        return num
    return Num(
        np.where(active, num.value, neutral),
        num.error if num.is_exact else np.where(active, num.error, 0.0),
        num.undecided & active,
        num.overflow & active,
        num.missing
        if num.missing.ndim == 0
        else np.where(active, num.missing, AVAILABLE_KEY),
    )


def neutral_element(op: Reduction, dtype: DType) -> float | int | bool:
    """Return what the reduction of nothing gives."""
    match op:
        case "sum" | "mean":
            return 0 if dtype.is_int else 0.0
        case "prod":
            return 1 if dtype.is_int else 1.0
        case "max" | "argmax":
            return _extreme(dtype, lowest=True)
        case "min" | "argmin":
            return _extreme(dtype, lowest=False)
        case "any":
            return False
        case "all":
            return True


def _extreme(dtype: DType, *, lowest: bool) -> float | int | bool:
    if dtype.is_float:
        return -np.inf if lowest else np.inf
    if dtype == BOOL:
        return not lowest
    return dtype.least if lowest else dtype.greatest


def reduce_terms(
    op: Reduction,
    num: Num,
    dtype: DType,
    shape: tuple[int, ...],
    axes: int,
    active: Bools,
) -> Outcome:
    """Reduce the first *axes* axes of terms of type *dtype* on a grid of *shape*."""
    terms = _masked(num, active, neutral_element(op, dtype))
    over = tuple(range(axes))
    undecided = _reduce_mask(terms.undecided, shape, axes)
    missing = _nearest(terms.missing, shape, axes)
    value = spread(terms.value, shape, axes)
    match op:
        case "sum" | "mean" | "prod":
            full = spread(active, shape, axes)
            count = np.add.reduce(full, axis=over, dtype=np.int64)
            sums = _sum if op != "prod" else _prod
            return sums(terms, value, shape, axes, count, undecided, missing, dtype)
        case "any" | "all":
            return _kleene(op, value, terms, shape, axes, undecided, missing)
        case "max" | "min" | "argmax" | "argmin":
            if op in ("argmax", "argmin"):
                return _position(
                    op, value, terms, shape, axes, undecided, missing, active
                )
            neutral = neutral_element(op, dtype)
            return _extremum(op, value, terms, shape, axes, undecided, missing, neutral)


def _reduce_mask(mask: Bools, shape: tuple[int, ...], axes: int) -> Bools:
    if not mask.any():
        return NO
    full = spread(mask, shape, axes)
    return np.asarray(np.logical_or.reduce(full, axis=tuple(range(axes))))


def _nearest(missing: Ints, shape: tuple[int, ...], axes: int) -> Ints:
    if missing.ndim == 0:
        return missing
    full = spread(missing, shape, axes)
    over = tuple(range(axes))
    return np.asarray(np.minimum.reduce(full, axis=over, initial=AVAILABLE_KEY))


def _sum(
    terms: Num,
    value: Array,
    shape: tuple[int, ...],
    axes: int,
    count: Ints,
    undecided: Bools,
    missing: Ints,
    dtype: DType,
) -> Partial:
    over = tuple(range(axes))
    if value.dtype != np.float64:
        total = np.add.reduce(value, axis=over, dtype=np.int64)
        return Partial(total, EXACT, EXACT, count, undecided, missing)
    whole = terms.is_exact and bool(np.all(np.rint(terms.value) == terms.value))
    total = np.add.reduce(value, axis=over)
    size = np.add.reduce(spread(np.abs(terms.value), shape, axes), axis=over)
    error = EXACT
    if not terms.is_exact:
        error = np.add.reduce(spread(terms.error, shape, axes), axis=over)
    if terms.overflow.any():
        # `_finish_sum` looks at the sums that are beyond the limit themselves.
        small = np.abs(total) < _limit(dtype)
        undecided = undecided | (_reduce_mask(terms.overflow, shape, axes) & small)
    return Partial(total, size, error, count, undecided, missing, whole)


def _prod(
    terms: Num,
    value: Array,
    shape: tuple[int, ...],
    axes: int,
    count: Ints,
    undecided: Bools,
    missing: Ints,
    dtype: DType,
) -> Partial:
    over = tuple(range(axes))
    if value.dtype != np.float64:
        total = np.multiply.reduce(value, axis=over, dtype=np.int64)
        return Partial(total, EXACT, EXACT, count, undecided, missing)
    whole = terms.is_exact and bool(np.all(np.rint(terms.value) == terms.value))
    reach = np.abs(terms.value) + terms.error
    total = np.multiply.reduce(value, axis=over)
    error = np.multiply.reduce(spread(reach, shape, axes), axis=over)
    large = np.maximum(reach, 1.0)
    size = np.multiply.reduce(spread(large, shape, axes), axis=over)
    if terms.overflow.any():
        undecided = undecided | _reduce_mask(terms.overflow, shape, axes)
    return Partial(total, size, error, count, undecided, missing, whole)


def _kleene(
    op: Reduction,
    value: Array,
    terms: Num,
    shape: tuple[int, ...],
    axes: int,
    undecided: Bools,
    missing: Ints,
) -> Num:
    over = tuple(range(axes))
    join = np.logical_or if op == "any" else np.logical_and
    result = join.reduce(value, axis=over)
    if undecided.any():
        decisive = (terms.value == (op == "any")) & ~terms.undecided
        undecided = undecided & ~_reduce_mask(decisive, shape, axes)
    return Num(result, EXACT, undecided, missing=missing)


def _extremum(
    op: Reduction,
    value: Array,
    terms: Num,
    shape: tuple[int, ...],
    axes: int,
    undecided: Bools,
    missing: Ints,
    neutral: float | int | bool,
) -> Num:
    over = tuple(range(axes))
    best = np.maximum if op == "max" else np.minimum
    result = best.reduce(value, axis=over, initial=neutral)
    error = EXACT
    if not terms.is_exact:
        reach = spread(terms.value + terms.error, shape, axes)
        high = best.reduce(reach, axis=over, initial=neutral)
        reach = spread(terms.value - terms.error, shape, axes)
        low = best.reduce(reach, axis=over, initial=neutral)
        error = np.maximum(high - result, result - low)
        error = np.where(np.isfinite(result), error, 0.0)
    if result.dtype == np.float64:
        undecided = undecided | np.isnan(result)
    overflow = _reduce_mask(terms.overflow & np.isfinite(terms.value), shape, axes)
    return Num(result, error, undecided, overflow, missing)


def _position(
    op: Reduction,
    value: Array,
    terms: Num,
    shape: tuple[int, ...],
    axes: int,
    undecided: Bools,
    missing: Ints,
    active: Bools,
) -> Num:
    """The first position (row-major in the reduced axes) of the best value."""
    inner = value.shape[axes:]
    flat = value.reshape((-1, *inner))
    if flat.shape[0] == 0:
        return Num(np.zeros(inner, np.int64), EXACT, undecided, missing=missing)
    place = flat.argmax(axis=0) if op == "argmax" else flat.argmin(axis=0)
    if not active.all():
        # Where the best value is the neutral element itself, the first real term.
        there = np.broadcast_to(spread(active, shape, axes), value.shape)
        there = there.reshape(flat.shape)
        real = np.take_along_axis(there, place[np.newaxis], axis=0)[0]
        place = np.where(real, place, there.argmax(axis=0))
    if not terms.is_exact:
        error = np.broadcast_to(spread(terms.error, shape, axes), value.shape)
        error = error.reshape(flat.shape)
        chosen = place[np.newaxis]
        best = np.take_along_axis(flat, chosen, axis=0)
        slack = error + np.take_along_axis(error, chosen, axis=0)
        close = (np.abs(flat - best) <= slack) & (slack > 0)
        np.put_along_axis(close, chosen, False, axis=0)
        undecided = undecided | close.any(axis=0)
    return Num(place.astype(np.int64), EXACT, undecided, missing=missing)


def merge(op: Reduction, left: Outcome, right: Outcome, dtype: DType) -> Outcome:
    """Combine what was found in two sets of terms."""
    if isinstance(left, Partial) and isinstance(right, Partial):
        join = np.multiply if op == "prod" else np.add
        return Partial(
            join(left.value, right.value),
            join(left.size, right.size),
            join(left.error, right.error),
            left.count + right.count,
            left.undecided | right.undecided,
            np.minimum(left.missing, right.missing),
            left.whole and right.whole,
        )
    assert isinstance(left, Num) and isinstance(right, Num)
    if op in ("any", "all"):
        return logical(FUNCTIONS["or" if op == "any" else "and"], (left, right))
    row = FUNCTIONS["max" if op == "max" else "min"]
    if dtype.is_float:
        return apply_float(row, (left, right), dtype)
    value = row.numpy(left.value, right.value)
    missing = np.minimum(left.missing, right.missing)
    return Num(value, EXACT, left.undecided | right.undecided, missing=missing)


def finish(op: Reduction, outcome: Outcome, dtype: DType) -> Num:
    """Return the result of a reduction, of type *dtype*."""
    if isinstance(outcome, Num):
        return outcome
    if not dtype.is_float:
        value = wrap(outcome.value, dtype)
        return Num(value, EXACT, outcome.undecided, missing=outcome.missing)
    if outcome.value.dtype != np.float64:
        outcome = _as_floats(outcome)
    if op == "prod":
        return _finish_prod(outcome, dtype)
    total = _finish_sum(outcome, dtype)
    return _divide(total, outcome.count, dtype) if op == "mean" else total


def _as_floats(outcome: Partial) -> Partial:
    value = outcome.value.astype(np.float64)
    size, error = np.abs(value), np.abs(value) * 2.0**-53
    return Partial(
        value,
        size,
        error,
        outcome.count,
        outcome.undecided,
        outcome.missing,
        whole=True,
    )


def _finish_sum(partial: Partial, dtype: DType) -> Num:
    """n terms make n - 1 additions, each rounding a partial sum, in any order."""
    form = format_of(dtype)
    rounds = np.maximum(partial.count - 1, 0) * form.unit
    growth = rounds / np.maximum(1 - rounds, 0.5)
    reach = partial.size + partial.error
    error = partial.error + growth * reach + (partial.count > 1) * form.tiny
    if partial.whole:
        error = np.where(partial.size <= 2.0**form.digits, 0.0, error)
    source = Num(partial.value, partial.error, partial.undecided, NO, partial.missing)
    if not error.any():
        return Num(partial.value, EXACT, partial.undecided, NO, partial.missing)
    return _undecide(
        settle(partial.value, error, dtype, (source,)), _may_overflow(partial, dtype)
    )


def _may_overflow(partial: Partial, dtype: DType) -> Bools:
    """Where some orders of the terms overflow and others do not.

    What is beyond the limit in every order has terms of the other sign that stay far
    below it.
    """
    limit, size = _limit(dtype), np.abs(partial.value)
    reach = partial.size + partial.error
    minority = (reach - size) / 2 + 1e-12 * reach
    sure = (size >= limit) & (minority < limit)
    return (reach >= limit) & ~sure & np.isfinite(partial.value)


def _undecide(num: Num, mask: Bools) -> Num:
    if not mask.any():
        return num
    undecided = num.undecided | mask
    return Num(num.value, num.error, undecided, num.overflow, num.missing)


def _finish_prod(partial: Partial, dtype: DType) -> Num:
    form = format_of(dtype)
    rounds = np.maximum(partial.count - 1, 0) * form.unit
    growth = rounds / np.maximum(1 - rounds, 0.5)
    spread_out = partial.error * (1 + growth) - np.abs(partial.value)
    small = (partial.count > 1) * form.tiny * partial.size * partial.count
    error = np.maximum(spread_out, 0.0) + growth * np.abs(partial.value) + small
    if partial.whole and np.all(partial.size <= 2.0**form.digits):
        error = EXACT
    error = np.where(partial.count <= 0, 0.0, error)
    source = Num(partial.value, EXACT, partial.undecided, NO, partial.missing)
    result = settle(partial.value, error, dtype, (source,))
    risky = (partial.size >= _limit(dtype)) & np.isfinite(partial.value)
    return _undecide(result, risky & (partial.count > 1))


def _divide(total: Num, count: Ints, dtype: DType) -> Num:
    """Divide by the number of terms, or multiply by its rounded inverse."""
    value = np.asarray(total.value / count)
    unit = format_of(dtype).unit
    exact = np.asarray(count & (count - 1) == 0)
    own = np.where(exact, 0.0, 3 * unit * (np.abs(value) + total.error))
    error = np.where(count > 0, total.error / np.maximum(count, 1) + own, 0.0)
    return settle(value, error, dtype, (total,))
