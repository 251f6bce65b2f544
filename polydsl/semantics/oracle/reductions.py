"""Reductions: over the first axes of a grid, in any order, with their error bound.

A `Partial` is what is known after some of the terms; partials of the same elements
merge, so that a long reduction can be computed in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from polydsl.base.dtypes import DType, widen
from polydsl.base.functions import FUNCTIONS, Reduction
from polydsl.semantics.oracle.arithmetic import apply_float
from polydsl.semantics.oracle.axes import masked, nearest, reduce_mask, spread
from polydsl.semantics.oracle.discrete import logical, wrap
from polydsl.semantics.oracle.extrema import (
    extremum,
    kleene,
    neutral_element,
    position,
)
from polydsl.semantics.oracle.numbers import (
    AVAILABLE,
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
from polydsl.semantics.oracle.propagation import undecide


@dataclass(frozen=True, slots=True)
class Partial:
    """The sum (or product) of some terms.

    For a sum, `size` is the sum of the finite terms' magnitudes and `error` that of
    their errors; `rest` is the sum of the finite terms themselves. For a product,
    `size` is the product of the magnitudes that are above 1, `error` the greatest
    product that the terms' errors allow and `rest` the least one of the magnitudes
    that are below 1, without exact zeros. `whole` says that all terms are exact
    integers.
    """

    value: Array
    size: Floats
    error: Floats
    rest: Floats
    count: Ints
    undecided: Bools = field(default_factory=lambda: NO)
    missing: Ints = field(default_factory=lambda: AVAILABLE)
    whole: bool = True


Outcome: TypeAlias = Partial | Num
"""What a reduction has found so far: sums and products need more than a `Num`."""


def _limit(dtype: DType) -> float:
    return rounding_limit(widen(dtype))


def reduce_terms(
    op: Reduction,
    num: Num,
    dtype: DType,
    shape: tuple[int, ...],
    axes: int,
    active: Bools,
) -> Outcome:
    """Reduce the first *axes* axes of terms of type *dtype* on a grid of *shape*."""
    terms = masked(num, active, neutral_element(op, dtype))
    over = tuple(range(axes))
    undecided = reduce_mask(terms.undecided, shape, axes)
    missing = nearest(terms.missing, shape, axes)
    value = spread(terms.value, shape, axes)
    match op:
        case "sum" | "mean" | "prod":
            full = spread(active, shape, axes)
            count = np.add.reduce(full, axis=over, dtype=np.int64)
            sums = _sum if op != "prod" else _prod
            return sums(terms, value, shape, axes, count, undecided, missing, dtype)
        case "any" | "all":
            return kleene(op, value, terms, shape, axes, undecided, missing)
        case "max" | "min" | "argmax" | "argmin":
            if op in ("argmax", "argmin"):
                return position(
                    op, value, terms, shape, axes, undecided, missing, active
                )
            neutral = neutral_element(op, dtype)
            return extremum(op, value, terms, shape, axes, undecided, missing, neutral)


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
        return Partial(total, EXACT, EXACT, EXACT, count, undecided, missing)
    whole = terms.is_exact and bool(np.all(np.rint(terms.value) == terms.value))
    total = np.add.reduce(value, axis=over)
    finite = finite_part(terms.value)
    size = np.add.reduce(spread(np.abs(finite), shape, axes), axis=over)
    rest = total
    if finite is not terms.value:
        rest = np.add.reduce(spread(finite, shape, axes), axis=over)
    error = EXACT
    if not terms.is_exact:
        error = np.add.reduce(spread(terms.error, shape, axes), axis=over)
    if terms.overflow.any():
        # `_finish_sum` looks at the sums that are beyond the limit themselves.
        against = np.sign(terms.value) * np.sign(total) < 0
        lost = terms.overflow & (against | (np.abs(total) < _limit(dtype)))
        undecided = undecided | reduce_mask(lost, shape, axes)
    return Partial(total, size, error, rest, count, undecided, missing, whole)


def finite_part(values: Floats) -> Floats:
    """Return zeros instead of infinities and NaN."""
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, 0.0)


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
        return Partial(total, EXACT, EXACT, EXACT, count, undecided, missing)
    whole = terms.is_exact and bool(np.all(np.rint(terms.value) == terms.value))
    reach = np.abs(terms.value) + terms.error
    total = np.multiply.reduce(value, axis=over)
    error = np.multiply.reduce(spread(reach, shape, axes), axis=over)
    large = np.maximum(reach, 1.0)
    size = np.multiply.reduce(spread(large, shape, axes), axis=over)
    small = np.clip(np.abs(terms.value) - terms.error, 0.0, 1.0)
    small = np.where((terms.value == 0.0) & (terms.error == 0.0), 1.0, small)
    rest = np.multiply.reduce(spread(small, shape, axes), axis=over)
    if terms.overflow.any():
        undecided = undecided | reduce_mask(terms.overflow, shape, axes)
    return Partial(total, size, error, rest, count, undecided, missing, whole)


def merge(op: Reduction, left: Outcome, right: Outcome, dtype: DType) -> Outcome:
    """Combine what was found in two sets of terms."""
    if isinstance(left, Partial) and isinstance(right, Partial):
        join = np.multiply if op == "prod" else np.add
        return Partial(
            join(left.value, right.value),
            join(left.size, right.size),
            join(left.error, right.error),
            join(left.rest, right.rest),
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
        value,
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
    return undecide(
        settle(partial.value, error, dtype, (source,)), _may_overflow(partial, dtype)
    )


def _may_overflow(partial: Partial, dtype: DType) -> Bools:
    """Where some orders of the terms overflow and others do not.

    What is beyond the limit in every order, or infinite, has finite terms of the other
    sign that stay far below it.
    """
    limit, value = _limit(dtype), partial.value
    reach = partial.size + partial.error
    minority = (reach - np.sign(value) * partial.rest) / 2 + 1e-12 * reach
    sure = (np.abs(value) >= limit) & (minority < limit)
    return (reach >= limit) & ~sure & ~np.isnan(value)


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
    # Some orders overflow, or come to zero before they meet an infinity.
    finite = np.isfinite(partial.value)
    risky = np.where(finite, partial.size >= _limit(dtype), partial.rest < form.tiny)
    return undecide(result, risky & (partial.count > 1))


def _divide(total: Num, count: Ints, dtype: DType) -> Num:
    """Divide by the number of terms, or multiply by its rounded inverse."""
    value = np.asarray(total.value / count)
    unit = format_of(dtype).unit
    exact = np.asarray(count & (count - 1) == 0)
    own = np.where(exact, 0.0, 3 * unit * (np.abs(value) + total.error))
    error = np.where(count > 0, total.error / np.maximum(count, 1) + own, 0.0)
    result = settle(value, error, dtype, (total,))
    # The sum may be infinite and the mean within the range of the type.
    return undecide(result, total.overflow & ~result.overflow)
