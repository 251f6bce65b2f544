"""Working sets of the reuse that sliding windows carry, in closed form.

Loops p, outside, and r, inside, move one axis of an array by steps a and b. The
element of (p, r) is used again at (p + b/g, r - a/g), with g = gcd(a, b): at p's trip
b/g later. So sources have r >= a/g and p < n(p) - b/g; the first is p = 0, r = a/g. Its
nearest use is p = b/g, r = 0, before any source of that trip. The farthest differs from
that in the loops between p and r that do not move the array, which stand at their ends;
sources of trip b/g that lie before it are counted array by array.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polydsl.schedule.published.footprints import (
    Flags,
    Variants,
    array_elements,
    distinct,
    elements,
)
from polydsl.schedule.published.placement import Integers


def window_sets(variants: Variants) -> Integers:
    """Return the working sets that loops carry through sliding windows, zeros for none;
    shape (variants, sets, 2). There may be no sets at all."""
    found = [_one_set(variants, *where) for where in _windows(variants)]
    empty = np.zeros((len(variants.trips), 0, 2), np.int64)
    return np.stack(found, axis=1) if found else empty


Window = tuple[tuple[int, ...], int, int, int, Flags]
"""The array's axes, the sliding axis, the outer loop, the inner one, and in which
variants they make a window."""


def _windows(variants: Variants) -> Iterator[Window]:
    trips, loops = variants.trips, variants.trips.shape[1]
    for axes in variants.arrays:
        for axis in axes:
            steps = np.where(trips > 1, variants.steps[:, :, axis], 0)
            for outer in range(loops):
                taken = np.zeros(len(trips), bool)
                # The innermost loop that makes up for a trip of the outer one is the
                # lexicographically first way to do so.
                for inner in reversed(range(outer + 1, loops)):
                    jump, lead = _shifts(steps[:, outer], steps[:, inner])
                    slides = (jump > 0) & (jump < trips[:, outer])
                    slides &= (lead < trips[:, inner]) & ~taken
                    taken |= slides
                    if slides.any():
                        yield axes, axis, outer, inner, slides


def _shifts(outer: Integers, inner: Integers) -> tuple[Integers, Integers]:
    """Return after how many outer trips an element comes again, and so many inner trips
    earlier; zeros where the loops do not both move the axis."""
    both = (outer > 0) & (inner > 0)
    divisor = np.maximum(np.gcd(outer, inner), 1)
    return np.where(both, inner // divisor, 0), np.where(both, outer // divisor, 0)


def _one_set(
    variants: Variants,
    axes: tuple[int, ...],
    axis: int,
    outer: int,
    inner: int,
    slides: Flags,
) -> Integers:
    chosen = Variants(variants.arrays, variants.trips[slides], variants.steps[slides])
    steps = chosen.steps[:, :, axis]
    jump, lead = _shifts(steps[:, outer], steps[:, inner])
    trips = chosen.trips.copy()
    trips[:, :outer] = 1
    last = trips[:, outer] - jump
    trips[:, inner] -= lead
    trips[:, outer] = np.minimum(jump, last)
    least = elements(chosen, trips)
    more = _next_trip(chosen, trips, axes, axis, outer, inner)
    pairs = np.zeros((len(slides), 2), np.int64)
    pairs[slides] = np.stack((least, least + np.where(jump < last, more, 0)), axis=1)
    return pairs


def _next_trip(
    variants: Variants,
    trips: Integers,
    axes: tuple[int, ...],
    axis: int,
    outer: int,
    inner: int,
) -> Integers:
    """Return the elements that the outer loop's next trip adds, up to the farthest use.

    Loops between that move the array are at their first iteration, the others run up to
    their ends; the sources of the last of all those iterations come too late.
    """
    waits = ~variants.moves(axes)
    total = np.zeros(len(trips), np.int64)
    for other in variants.arrays:
        moves = variants.moves(other)
        added = np.zeros(len(trips), np.int64)
        for place in reversed(range(outer + 1, inner)):
            rest = trips.copy()
            rest[:, : place + 1] = 1
            full = array_elements(variants, other, rest)
            before = np.where(
                moves[:, place], (trips[:, place] - 1) * full + added, full
            )
            runs = waits[:, place] & (trips[:, place] > 1)
            added = np.where(runs, before, added)
        if other == axes:
            added = _times_new(variants, trips, added, axis, outer, inner)
        total += np.where(moves[:, outer], added, 0)
    return total


def _times_new(
    variants: Variants,
    trips: Integers,
    added: Integers,
    axis: int,
    outer: int,
    inner: int,
) -> Integers:
    """Return an array's added elements with, along the sliding axis, only the new ones
    of the window's values."""
    steps = variants.steps[:, :, axis]
    window = trips.copy()
    window[:, : outer + 1] = 1
    values = distinct(steps, window)
    window[:, outer] = trips[:, outer]
    before = distinct(steps, window)
    window[:, outer] += 1
    result: Integers = added // values * (distinct(steps, window) - before)
    return result
