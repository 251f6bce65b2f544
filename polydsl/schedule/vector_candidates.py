"""The candidates for a `VectorPlan`: families of points.

Every index may be the vector. Up to two left-hand indices lie side by side in a
register tile, in either order, and windows may be written out around them. Where there
is little to do, one index beside the vector is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, permutations
from math import prod

import numpy as np

from polydsl.poly.scop import Statement
from polydsl.schedule.vector_builder import VectorSetting, border
from polydsl.schedule.vector_masks import mask_instructions, spreads
from polydsl.schedule.vector_model import Counts, Family
from polydsl.schedule.vector_operands import (
    instructions_of,
    operands_of,
    passing_registers,
    step_of,
    units,
    walk_of,
    written,
)
from polydsl.schedule.vector_point import IndexLoop, Unrolled, VectorPoint
from polydsl.semantics.program import Index, walk

PARALLEL_POINTS = 32_768
"""Below so many points a second thread costs more than it saves."""
CHUNK = 8_192
"""Points of a one-dimensional statement that one thread takes at a time."""
LONGEST_SIDE = 16
"""A register tile has so many points of one index, at most."""
FEW_ROWS = 4
"""... where the rows of a tile are apart in memory and share nothing."""
MOST_VECTORS = 8
"""... and so many vectors."""
MOST_TAPS = 16
"""So many points of the reduced indices are written out, at most."""
SHORT = 1 << 14
"""A statement of fewer points takes microseconds: fewer forms are priced."""


def families(setting: VectorSetting) -> Iterator[Family]:
    """Yield every form of a register tile."""
    vectors = tuple(vector_candidates(setting)) or (None,)
    few = is_short(setting)
    for vector in vectors:
        is_row = vector in setting.model.reduced
        statement = setting.model if is_row else heaviest(setting)
        spread = spreads(setting, statement)
        plain = loop_order(setting)
        family = Family(
            {d: max(units(setting, vector, d), 1) for d in statement.dims},
            (),
            (),
            vector,
            setting.lanes if vector else 1,
            statement.reduced,
            tuple(operands_of(setting, statement, vector)),
            instructions_of(setting, statement, vector),
            bool(setting.updates),
            walk_of(setting, statement, vector, plain),
            tuple((d, part) for d, part in spread.items() if d in statement.dims),
            mask_instructions(statement),
            passing_registers(setting),
        )
        tiles = tuple(_tiles(setting, vector, 1 if few else 2))
        for taps in ((),) if few else _tap_sets(setting, statement, vector):
            loops = tuple(d for d in family.walk.loops if d not in taps)
            walk = replace(family.walk, loops=loops)
            for tile in tiles:
                yield replace(family, taps=taps, tile=tile, walk=walk)


def reordered(setting: VectorSetting, family: Family) -> Iterator[Family]:
    """Yield a family with one or two of its outer loops inside of the others."""
    walk = family.walk
    plain, inner = walk.loops[: walk.outer], walk.loops[walk.outer :]
    moving = [d for d in plain if setting.extent(d) > 1]
    lasts = (*((d,) for d in moving), *permutations(moving, 2))
    orders = ((*(d for d in plain if d not in last), *last) for last in lasts)
    for order in dict.fromkeys(orders):
        if order != plain:
            yield replace(family, walk=replace(walk, loops=(*order, *inner)))


def with_loops(family: Family, point: VectorPoint) -> Family:
    """Return the family of a point with its outer loops in the order of the point."""
    walk = family.walk
    plain, inner = walk.loops[: walk.outer], walk.loops[walk.outer :]
    order = dict.fromkeys((*(loop.index for loop in point.loops), *plain))
    return replace(family, walk=replace(walk, loops=(*order, *inner)))


def heaviest(setting: VectorSetting) -> Statement:
    """Return the statement with the most points, the one that is priced."""
    return max(setting.updates or setting.statements, key=lambda s: s.points)


def is_short(setting: VectorSetting) -> bool:
    """Whether there is so little to do that few forms are worth a look."""
    return heaviest(setting).points < SHORT


def vector_candidates(setting: VectorSetting) -> Iterator[str]:
    """Yield every index that may be the vector, innermost first."""
    model = setting.model
    one_update = sum(1 for s in setting.statements if s.reduced) == 1
    reduced = model.reduced if one_update else ()
    for d in (*reversed(setting.left), *reversed(reduced)):
        if setting.may_be_vector(d):
            yield d


def _tiles(
    setting: VectorSetting, vector: str | None, most: int
) -> Iterator[tuple[str, ...]]:
    """Yield the indices of a register tile, outermost first, the vector last: *most*
    others beside it."""
    last = () if vector is None else (vector,)
    yield last
    if vector is None:
        return
    fixed = setting.untiled
    free = [
        d
        for d in setting.left
        if d != vector and d not in fixed and setting.extent(d) > 1
    ]
    sides = most if setting.updates else 1
    if not setting.updates:
        free = [d for d in free if _is_shared(setting, d)]
    for count in range(1, sides + 1):
        for chosen in permutations(free, count):
            yield (*chosen, *last)


def _is_shared(setting: VectorSetting, d: str) -> bool:
    """Whether points of an index read the same elements."""
    for read in setting.model.reads:
        names = (
            n.name
            for s in read.access.subscripts
            for n in walk(s)
            if isinstance(n, Index)
        )
        if d not in names:
            return True
    return False


def _tap_sets(
    setting: VectorSetting, statement: Statement, vector: str | None
) -> Iterator[tuple[str, ...]]:
    yield ()
    if vector is None or vector in statement.reduced:
        return
    windows = [
        d
        for d in statement.reduced
        if d not in setting.conditioned and 1 < setting.extent(d) <= LONGEST_SIDE
    ]
    for count in range(1, len(windows) + 1):
        for taps in combinations(windows, count):
            if prod(setting.extent(d) for d in taps) <= MOST_TAPS:
                yield taps


def counts_of(setting: VectorSetting, family: Family) -> Counts:
    """Return how many points of each index of the tile its candidates hold."""
    sides = [_sizes(setting, family, d) for d in family.tile]
    if not sides:
        return np.ones((1, 0), np.int64)
    grid = np.meshgrid(*sides, indexing="ij")
    counts: Counts = np.stack([side.ravel() for side in grid], axis=1)
    fits = counts.prod(axis=1) <= setting.machine.vector_registers
    chosen: Counts = counts[fits]
    return chosen


def _sizes(setting: VectorSetting, family: Family, d: str) -> list[int]:
    """Return the sides of a tile, evened out over the extent of an index."""
    extent = family.extents[d]
    if d != family.vector:
        most, least = LONGEST_SIDE if family.is_reduction else FEW_ROWS, 2
        if family.vector in family.reduced and not _shares(family, d):
            most = FEW_ROWS
    elif not family.is_reduction:
        return [1]
    else:
        most, least = MOST_VECTORS, 1
    if d in family.reduced:
        return [n for n in (1, 2, 4, 8) if n <= extent]
    wanted = range(least, min(most, extent) + 1)
    return sorted({-(-extent // -(-extent // n)) for n in wanted})


def _shares(family: Family, d: str) -> bool:
    """Whether points of an index that lie side by side load something in common: what
    does not move with it, or slides along with another index of the tile."""
    others = {*family.tile} - {d, family.vector}
    for operand in family.operands:
        axes = [{name for name, _ in factors} for factors in operand.axes]
        moving = [names for names in axes if d in names]
        if not moving or any(names & others for names in moving):
            return True
    return False


# Points


def point_of(
    setting: VectorSetting, family: Family, counts: tuple[int, ...]
) -> VectorPoint:
    """Return one member of a family as a point."""
    size = dict(zip(family.tile, counts))
    vector = family.vector
    unrolled = tuple(Unrolled(d, size[d]) for d in family.tile if d != vector)
    in_tiles = bool(setting.updates or unrolled)
    order = family.walk.loops[: family.walk.outer]
    looped = [d for d in order if in_tiles or d != vector]
    if vector in looped and vector in setting.bounded:
        # Its bounds may depend on all others.
        looped = [*(d for d in looped if d != vector), vector]
    loops = tuple(IndexLoop(d) for d in looped)
    parallel = -1
    points = prod(setting.extent(d) for d in heaviest(setting).dims)
    is_inside = setting.share is not None or setting.is_inside_threads
    if points >= PARALLEL_POINTS and not is_inside:
        trips = [-(-units(setting, vector, d) // size.get(d, 1)) for d in looped]
        enough = (
            i
            for i, (d, n) in enumerate(zip(looped, trips))
            if n >= setting.machine.cores and d not in setting.colliding
        )
        parallel = next(enough, -1)
        if not looped and vector is not None and vector in setting.left:
            loops = (IndexLoop(vector, max(1, CHUNK // setting.lanes)),)
            parallel = 0
    uncut = setting.conditioned | {setting.share.index if setting.share else ""}
    reduced = dict.fromkeys(d for s in setting.updates for d in s.reduced)
    return VectorPoint(
        vector,
        size[vector] if vector else 1,
        unrolled,
        family.taps,
        tuple(d for d in reduced if d not in (*family.taps, vector)),
        loops,
        tuple(d for d in looped if border(setting, d) > 0.0 and d not in uncut),
        parallel,
    )


def loop_order(setting: VectorSetting) -> tuple[str, ...]:
    """Return the left-hand indices, that which moves the result farthest first."""
    store = written(setting, setting.model)
    steps = {d: step_of(setting, setting.model, store, d) for d in setting.left}
    return tuple(sorted(steps, key=lambda d: -abs(steps[d] or 0)))
