"""Reductions that pick: max, min, their positions, any and all."""

from __future__ import annotations

import math

import numpy as np

from polydsl.base.dtypes import BOOL, DType
from polydsl.base.functions import Reduction
from polydsl.semantics.oracle.axes import reduce_mask, spread
from polydsl.semantics.oracle.numbers import EXACT, Array, Bools, Ints, Num


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


def kleene(
    op: Reduction,
    value: Array,
    terms: Num,
    shape: tuple[int, ...],
    axes: int,
    undecided: Bools,
    missing: Ints,
) -> Num:
    """Reduce with `any` or `all`: one sure True (False) decides."""
    over = tuple(range(axes))
    join = np.logical_or if op == "any" else np.logical_and
    result = join.reduce(value, axis=over)
    if undecided.any():
        decisive = (terms.value == (op == "any")) & ~terms.undecided
        undecided = undecided & ~reduce_mask(decisive, shape, axes)
    return Num(result, EXACT, undecided, missing=missing)


def extremum(
    op: Reduction,
    value: Array,
    terms: Num,
    shape: tuple[int, ...],
    axes: int,
    undecided: Bools,
    missing: Ints,
    neutral: float | int | bool,
) -> Num:
    """Reduce with `max` or `min`; of a NaN, anything."""
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
    overflow = reduce_mask(terms.overflow & np.isfinite(terms.value), shape, axes)
    return Num(result, error, undecided, overflow, missing)


def position(
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
    flat = value.reshape((math.prod(value.shape[:axes]), *inner))
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
