"""What loops move between a cache and what lies beyond it, in closed form.

The cache keeps what was used last (LRU). A loop finds again what neighbouring
iterations share of an array if what is touched between two uses fits: the loops inside
it, from the first one that moves the array. It then moves the footprint of the whole
loop; otherwise every iteration moves what it moves alone. This is the working set of
the reuse that the loop carries (Tavarageri et al., PolyDL, 2021), times its trips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
Flags = NDArray[np.bool_]


SOFTNESS = 1.0
"""How much more than a real cache holds must be touched until nothing of it is left."""


@dataclass(frozen=True, slots=True)
class Nest:
    """Loops around references, for many candidates at once, outermost first.

    `trips[d, a]` counts the iterations of loop d, as reference a sees them: a shorter
    last one is part of one. Of D loops and A references, `footprint[d, a]` is what the
    loops from d on touch of reference a in lines, for d from 0 (everything) to D (one
    iteration of all loops); `spread[d, a]` the share of the cache's sets that it may
    lie in. `moves[d, a]` says whether loop d moves it.
    Shapes: (D, A, n), (D + 1, A, n), (D + 1, A, n), (D, A, n).

    `place[a]` is the number of loops around the accesses to reference a, shape (A, n):
    D for what is used in the innermost loop, less for what is packed or stored outside.
    """

    trips: Table
    footprint: Table
    spread: Table
    moves: Flags
    place: NDArray[np.int64]


def traffic(nest: Nest, capacity: Table | float, softness: float = 0.0) -> Table:
    """Return the lines of each reference that enter a cache of `capacity` lines while
    the loops run, from an empty cache; shape (A, n). Of many caches, with capacities of
    shape (levels, 1, 1), it is (levels, A, n).

    With `softness` 0 the cache drops what was used longest ago, so that what is a
    little too large is lost altogether. Caches of real machines lose a part of it: all
    at (1 + softness) times the capacity, in proportion between.
    """
    depth = len(nest.trips)
    moved: Table = nest.footprint[depth]
    # Between two uses of a reference lies all that the loops touch from the first one
    # on that moves it, at or inside a loop (of all loops inside, where it is used
    # outside of these): `inner`; and anew what only the loop itself moves of all that
    # those loops keep touching: of `fixed`.
    inner = crowd(moved, nest.spread[depth])
    fixed = np.broadcast_to(moved, (len(moved), *moved.shape))
    for d in reversed(range(depth)):
        is_moving = nest.moves[d] & (nest.trips[d] > 1)
        fresh = nest.footprint[d] - nest.footprint[d + 1]
        fresh = np.where(is_moving, fresh / np.maximum(nest.trips[d] - 1, 1), 0.0)
        between = inner + np.minimum(fixed, fresh).sum(axis=1)
        kept = _kept(between, capacity, softness)
        again = nest.trips[d] * moved
        moved = again + kept * (np.minimum(nest.footprint[d], again) - again)
        is_outside = nest.place <= d
        touched = nest.footprint[d]
        moved = np.where(is_outside, touched, moved)
        begins = is_moving | is_outside
        inner = np.where(begins, crowd(touched, nest.spread[d]), inner)
        still = np.where(nest.moves[d] & ~is_outside[:, None], 0.0, touched)
        fixed = np.where(begins[:, None], still, fixed)
    return moved


def steady_traffic(nest: Nest, capacity: Table | float) -> Table:
    """Return the lines of each reference that enter a real cache while the loops run
    again and again. What fits altogether is still there. For shapes see `traffic`."""
    stays = nest.footprint[0].sum(axis=0) <= capacity
    if stays.all():
        return np.zeros(np.broadcast_shapes(stays.shape, nest.footprint[0].shape))
    return np.where(stays, 0.0, traffic(nest, capacity, SOFTNESS))


def crowd(lines: Table, spread: Table) -> Table:
    """Return for each reference how many lines compete with its own: as if the cache
    had no other sets than those it may lie in. Shapes (A, n).

    What several references leave out of a cache is taken to be the same: the sets that
    they share with the one that lies in fewer.
    """
    if (spread == 1.0).all():
        return np.broadcast_to(lines.sum(axis=0), lines.shape)
    together = np.maximum(spread[:, None], spread[None])
    return np.asarray((lines[None] / together).sum(axis=1))


def _kept(used: Table, room: Table | float, softness: float) -> Table:
    """Return the share of what was used before that is still in a cache, where *used*
    lines were touched since and *room* are there."""
    if softness == 0.0:
        return (used <= room).astype(np.float64)
    return np.clip(1.0 - (used / room - 1.0) / softness, 0.0, 1.0)
