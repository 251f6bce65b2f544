"""Sets of row-major positions in a box: an interval, or a mask of every position."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from polydsl.loops.verify_forms import ENUMERATION_LIMIT, Array, Form, Space, Var
from polydsl.poly.terms import Interval

Positions: TypeAlias = Interval | Array
"""Row-major positions: from the first to the last, or where a mask is set."""


def mixed_radix(form: Form, space: Space) -> Interval | None:
    """Return the values of a form, if it takes each value of an interval exactly once:
    a mixed-radix number of its variables."""
    reach, least = 1, form.constant
    moving: list[tuple[int, str]] = []
    for a, factor in form.terms:
        if not isinstance(a, Var):
            return None
        lo, hi = space.box[a.name]
        least += min(factor * lo, factor * hi)
        if hi > lo:
            moving.append((abs(factor), a.name))
    for factor, name in sorted(moving):
        if factor != reach:
            return None
        reach *= space.extent(name)
    return least, least + reach - 1


def count(positions: Positions) -> int:
    """Return the number of positions."""
    if isinstance(positions, np.ndarray):
        return int(positions.sum())
    return max(positions[1] - positions[0] + 1, 0)


def shared_position(left: Positions, right: Positions) -> int | None:
    """Return a position that two ranges share, or None."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        both = np.flatnonzero(left & right)
        return int(both[0]) if both.size else None
    if isinstance(left, np.ndarray):
        left, right = right, left
    assert not isinstance(left, np.ndarray)
    lo, hi = left
    if isinstance(right, np.ndarray):
        inside = np.flatnonzero(right[lo : hi + 1])
        return lo + int(inside[0]) if inside.size else None
    lo, hi = max(lo, right[0]), min(hi, right[1])
    return lo if lo <= hi else None


def as_mask(positions: Positions, size: int) -> Array:
    """Return positions as a mask of so many places."""
    if isinstance(positions, np.ndarray):
        return positions
    if size > ENUMERATION_LIMIT:
        size = ENUMERATION_LIMIT
    result = np.zeros(size, np.bool_)
    result[positions[0] : positions[1] + 1] = True
    return result
