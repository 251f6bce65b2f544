"""Working sets of many variants at once, in closed form and without isl.

With loops outermost to innermost, of n(l) trips and step s(l) along their index, let
F(l, c) be the elements that c trips of loop l touch with all loops inside it: over all
arrays, the product of each axis's distinct subscripts. A loop carries reuse

* of every array that it does not move: up to `F(l, n-1)` elements, because the last
  trip is no source; at least `F(l, 1)` and, if n > 2, the next trip's first element of
  each array that the loop moves, where that is a new one;
* of an array with a sliding window, if the loop and one inside it move the same axis:
  `window_sets.py`.

`tests/test_closed_form.py` holds this against isl. Equal are all nests of rectangular
tiles in which an axis moved by several indices has no tiled one (a window and its
positions, two loops), for any strides and dilations, also those that leave gaps. What
differs: a sliding axis of three loops or more, whose sources are no box, and which is
taken as if the innermost loop that can make up for a trip did so alone; a last tile
that is partial, taken as a whole one; the parallel-loop rule, which is left to isl.
"""

from __future__ import annotations

import numpy as np

from polydsl.schedule.published.footprints import Flags, Variants, elements
from polydsl.schedule.published.placement import Integers
from polydsl.schedule.published.window_sets import window_sets


def closed_working_sets(variants: Variants) -> Integers:
    """Return the working sets of each variant in ascending order, shape (variants,
    sets, 2), in elements; sets that the method drops are zeros."""
    pairs = np.concatenate((_carried(variants), window_sets(variants)), axis=1)
    pairs[(pairs <= 1).any(axis=2)] = 0
    order = np.lexsort((pairs[:, :, 1], pairs[:, :, 0]))
    pairs = np.take_along_axis(pairs, order[:, :, None], axis=1)
    again = (pairs[:, 1:] == pairs[:, :-1]).all(axis=2)
    pairs[:, 1:][again] = 0
    return pairs


def _carried(variants: Variants) -> Integers:
    """Return for each loop the working set of the reuse of what it does not move, zeros
    if it carries none; shape (variants, loops, 2)."""
    pairs = np.zeros((*variants.trips.shape, 2), np.int64)
    keeps = np.any([~variants.moves(axes) for axes in variants.arrays], axis=0)
    for place in range(variants.trips.shape[1]):
        trips = variants.trips.copy()
        trips[:, :place] = 1
        count = trips[:, place].copy()
        trips[:, place] = np.maximum(count - 1, 1)
        greatest = elements(variants, trips)
        trips[:, place] = 1
        least = elements(variants, trips)
        least += np.where(count > 2, _new_arrays(variants, trips, place), 0)
        carries = keeps[:, place] & (count > 1)
        pairs[carries, place] = np.stack((least, greatest), axis=1)[carries]
    return pairs


def _new_arrays(variants: Variants, inside: Integers, place: int) -> Integers:
    """Return the number of arrays of which the next trip's first element was not
    touched by the trip before, whose inner loops run `inside` trips."""
    count = np.zeros(len(inside), np.int64)
    for axes in variants.arrays:
        is_new = np.zeros(len(inside), bool)
        for axis in axes:
            steps = variants.steps[:, :, axis]
            is_new |= ~_is_sum(steps[:, place], steps, inside)
        count += is_new
    return count


def _is_sum(value: Integers, steps: Integers, trips: Integers) -> Flags:
    """Return whether a value is a sum of steps, each taken less than `trips` times;
    greedily, from the greatest step on."""
    order = np.argsort(-steps, axis=1)
    rest = value.copy()
    for place in order.T:
        rows = np.arange(len(steps))
        step, most = steps[rows, place], trips[rows, place] - 1
        taken = np.minimum(rest // np.maximum(step, 1), most)
        rest -= np.where(step > 0, taken * step, 0)
    fits: Flags = rest == 0
    return fits
