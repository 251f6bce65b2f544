"""What the loops of a `VectorPlan` move between caches, for many candidates at once.

The loops are those over tiles, then those of the reduction; inside of them is one
execution of the register tile. `schedule.reuse` counts the lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from polydsl.base.machine import Cache, Machine
from polydsl.schedule.reuse.footprint import (
    Counts,
    Progression,
    Reference,
    lines,
    progressions,
    runs,
    spread,
)
from polydsl.schedule.reuse.traffic import Nest, steady_traffic

SCATTERED_CYCLES = 1.5
"""Waiting for a line from beyond L2 that does not follow on the one before it."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Loops around references: `loops` are indices, outermost first, `extents` their
    points and those of what is written out whole; `outer` of the loops are around the
    stores of a reduction's results."""

    references: tuple[Reference, ...]
    loops: tuple[str, ...]
    extents: Mapping[str, int]
    outer: int


Touched: TypeAlias = Sequence[tuple[Progression, ...]]
"""What some loops touch of each reference, along each of its axes."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The bytes that come from one level of memory, and the cycles that they take."""

    level: str
    bytes: Counts
    cycles: Counts


def moved(
    walk: Walk, tile: Mapping[str, Counts], machine: Machine
) -> tuple[Moved, ...]:
    """Return what comes from every level beyond L1; *tile* holds the points of each
    index in one execution of the register tile, one number for each candidate."""
    beyond = [(c.name, c.load) for c in machine.caches[1:]]
    beyond.append(("memory", machine.memory.load))
    whole = _touched(walk, tile, 0)
    if _stays(walk, whole, machine.caches[0]):
        nothing = np.zeros(_candidates(tile))
        return tuple(Moved(name, nothing, nothing) for name, _ in beyond)
    inner = (_touched(walk, tile, d + 1) for d in range(len(walk.loops)))
    touched = (whole, *inner)
    found: list[Moved] = []
    scattered = _scattered(walk, touched[-1], tile, machine.caches[0].line)
    nests: dict[int, Nest] = {}
    for depth, (cache, (name, rate)) in enumerate(zip(machine.caches, beyond)):
        if cache.line not in nests:
            nests[cache.line] = _nest(walk, touched, tile, cache.line)
        capacity = float(cache.capacity // cache.line)
        entered = steady_traffic(nests[cache.line], capacity)
        total = entered.sum(axis=0) * cache.line
        late = (entered * scattered).sum(axis=0) * SCATTERED_CYCLES if depth else 0.0
        found.append(Moved(name, total, total / rate + late))
    return tuple(found)


def _stays(walk: Walk, whole: Touched, cache: Cache) -> bool:
    """Whether a cache holds the *whole* of what the loops touch, whatever the
    candidate: then it is still there when they run again."""
    used = sum(lines(a, r.element, cache.line) for r, a in zip(walk.references, whole))
    return bool(np.all(used <= cache.capacity // cache.line))


def _candidates(tile: Mapping[str, Counts]) -> int:
    return len(next(iter(tile.values()))) if tile else 1


def _touched(walk: Walk, tile: Mapping[str, Counts], depth: int) -> Touched:
    """Return what the loops from *depth* on touch of each reference."""
    inside = {*walk.loops[depth:]}
    extents = {
        d: np.full_like(tile[d], float(n)) if d in inside else tile[d]
        for d, n in walk.extents.items()
    }
    return [progressions(reference, extents) for reference in walk.references]


def _scattered(
    walk: Walk, inside: Touched, tile: Mapping[str, Counts], line: int
) -> NDArray[np.bool_]:
    """Return for each reference and candidate whether its lines do not follow on one
    another: the innermost loop that moves it leads past the end of what the register
    tile touches in one run, *inside* all loops. Hardware fetches only what follows.
    Shape (A, n)."""
    count = _candidates(tile)
    found = np.zeros((len(walk.references), count), np.bool_)
    for number, (reference, along) in enumerate(zip(walk.references, inside)):
        span = runs(along, reference.element, line).span
        is_innermost = np.ones(count, np.bool_)
        for name in reversed(walk.loops):
            step = abs(reference.step(name)) * tile[name]
            moves = is_innermost & (step > 0) & (tile[name] < walk.extents[name])
            found[number] |= moves & (step > np.maximum(span, line))
            is_innermost &= ~moves
    return found


def _nest(
    walk: Walk, touched: Sequence[Touched], tile: Mapping[str, Counts], line: int
) -> Nest:
    """Return the loops with what they touch."""
    count = _candidates(tile)
    depth, size = len(walk.loops), len(walk.references)
    footprint = np.empty((depth + 1, size, count))
    share = np.empty_like(footprint)
    for d, found in enumerate(touched):
        for a, along in enumerate(found):
            element = walk.references[a].element
            footprint[d, a] = lines(along, element, line)
            share[d, a] = spread(along, element, line)
    trips = np.empty((depth, size, count))
    moves = np.empty((depth, size, count), np.bool_)
    for d, name in enumerate(walk.loops):
        trips[d] = np.ceil(walk.extents[name] / tile[name])
        for a, reference in enumerate(walk.references):
            moves[d, a] = name in reference.indices
    place = np.array([walk.outer if r.is_written else depth for r in walk.references])
    places = np.broadcast_to(place.reshape(size, 1), (size, count))
    return Nest(trips, footprint, share, moves, places)
