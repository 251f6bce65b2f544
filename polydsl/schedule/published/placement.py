"""From working sets to bytes in each cache level, as published.

Arrays hold many variants at once: `pairs[variant, set] = (least, greatest)` in
elements, ascending, with rows of zeros where a variant has fewer sets than another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from polydsl.poly.working_sets import WorkingSet

Integers = npt.NDArray[np.int64]

Capacities = tuple[int | Integers, ...]
"""The bytes of every cache level, the nearest first; one number or one a variant."""


def stack_working_sets(variants: Sequence[Sequence[WorkingSet]]) -> Integers:
    """Return the working sets of several variants as one array, padded by zeros."""
    longest = max((len(sets) for sets in variants), default=0)
    pairs = np.zeros((len(variants), longest, 2), np.int64)
    for row, sets in zip(pairs, variants):
        if sets:
            row[: len(sets)] = sets
    return pairs


def greedy_bytes(pairs: Integers, element: int, capacities: Capacities) -> Integers:
    """Return the bytes of every variant in each level and, last, in memory.

    Sets take the levels' capacity cumulatively, in ascending order: the greatest size
    goes to the first level that has room for it, the least to the first with room for
    that, unless the greatest was placed as near; what has no level goes to memory.
    """
    sizes = pairs * element
    used = np.zeros((len(pairs), len(capacities) + 1), np.int64)
    for least, greatest in sizes.transpose(1, 2, 0):
        placed_least = np.zeros(len(pairs), bool)
        placed_greatest = np.zeros(len(pairs), bool)
        for level, capacity in enumerate(capacities):
            fits = ~placed_greatest & (used[:, level] + greatest <= capacity)
            used[:, level] += np.where(fits, greatest, 0)
            placed_greatest |= fits
            placed_least |= fits
            fits = ~placed_least & (used[:, level] + least <= capacity)
            used[:, level] += np.where(fits, least, 0)
            placed_least |= fits
        used[:, -1] += np.where(placed_greatest, 0, greatest)
    return used


def optimistic_bytes(
    sets: Sequence[WorkingSet], element: int, capacities: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the bytes and the number of sizes in each level and, last, in memory, by
    the method's first form.

    Both sizes of every set are charged to the first level that could hold that size
    alone; nothing accumulates, and sizes that occur in several sets count each time.
    """
    total = [0] * (len(capacities) + 1)
    count = [0] * (len(capacities) + 1)
    for size in (value * element for pair in sets for value in pair):
        level = next(
            (place for place, room in enumerate(capacities) if size <= room),
            len(capacities),
        )
        total[level] += size
        count[level] += 1
    return tuple(total), tuple(count)
