"""The first axes of arrays on a grid, over which reductions run."""

from __future__ import annotations

import numpy as np

from polydsl.semantics.oracle.numbers import (
    AVAILABLE_KEY,
    NO,
    Array,
    Bools,
    Ints,
    Num,
)


def spread(array: Array, shape: tuple[int, ...], axes: int) -> Array:
    """Broadcast so that the first *axes* dimensions are really there."""
    inner = array.shape[max(0, array.ndim - (len(shape) - axes)) :]
    lead = (1,) * (len(shape) - axes - len(inner))
    return np.broadcast_to(array, (*shape[:axes], *lead, *inner))


def masked(num: Num, active: Bools, neutral: float | int | bool) -> Num:
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


def reduce_mask(mask: Bools, shape: tuple[int, ...], axes: int) -> Bools:
    """Return where the mask holds anywhere along the first axes."""
    if not mask.any():
        return NO
    full = spread(mask, shape, axes)
    return np.asarray(np.logical_or.reduce(full, axis=tuple(range(axes))))


def nearest(missing: Ints, shape: tuple[int, ...], axes: int) -> Ints:
    """Return the nearest missing element along the first axes."""
    if missing.ndim == 0:
        return missing
    full = spread(missing, shape, axes)
    over = tuple(range(axes))
    return np.asarray(np.minimum.reduce(full, axis=over, initial=AVAILABLE_KEY))
