"""The predicted cycles of register tiles: a pure function over arrays of candidates.

A `Family` is all points that differ only in how many points of each index a register
tile holds; `price` takes those numbers as arrays. The tile is executed once for each
iteration of the loops that are not written out. Every execution loads each distinct
vector once: what a tile touches of an axis `p + r` is the sum of the extents less one.
Its time is the greatest of four: of the load units, of the arithmetic units, of the
latency of the chain through one accumulator, and of the instructions themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from polydsl.base.machine import Machine
from polydsl.schedule.reuse.times import overlapped
from polydsl.schedule.vector_memory import Moved, Walk, moved

Counts: TypeAlias = NDArray[np.int64]
Cycles: TypeAlias = NDArray[np.float64]
Amount: TypeAlias = Cycles | float
"""Something of each candidate, a number where all have as much: most indices are not of
the tile, and arrays of ones would take most of the time."""
Factors: TypeAlias = tuple[tuple[str, int], ...]
"""How much every index moves one subscript."""

LOADS_PER_CYCLE = 1.65
"""Vector loads that one core sustains in a cycle, those that feed arithmetic."""
CROSSING_LOADS = 1.75
"""A load that touches two lines of the cache, in loads."""
INSTRUCTIONS_PER_CYCLE = 5.0
"""Instructions that one core sustains in a cycle."""
LOOP_CYCLES = 1.0
"""The end of a loop's iteration."""
TILE_CYCLES = 4.0
"""Starting and ending a register tile: addresses, and a pipeline that runs empty."""
GATHER_LOADS = 4.0
"""A lane whose step in memory is no small number, in loads."""
DIVISION_INSTRUCTIONS = 10.0
"""A division or a square root of one vector, in instructions of the same time."""
FUNCTION_INSTRUCTIONS = 24.0
"""A transcendental function, for one vector."""
FUNCTION_REGISTERS = 2.0
"""The registers that it takes on its way for each vector of a tile that stores it."""


@dataclass(frozen=True, slots=True)
class Operand:
    """One access of a statement, as the model sees it.

    `axes` holds for each subscript the factor of every index that moves it; `step` is
    how far lanes are apart, None where they are apart irregularly; `is_aligned` says
    that no index but the vector's moves it by less than a vector. An element has
    `element` bytes. `border` is the share of points at which padding is asked for.
    """

    axes: tuple[Factors, ...]
    step: int | None
    vector_axis: int
    is_aligned: bool
    element: int
    border: float = 0.0


@dataclass(frozen=True, slots=True)
class Family:
    """Points of one form: the order of the indices in a register tile, outermost first,
    and what each statement's point needs.

    `extents` are those of every index in points, or in vectors; `tile` are the indices
    of the counts, in their order; `taps` are written out whole around them. Sums run
    longer where a tile has several points of an index in `spreads`, by a part for each
    of them, and take `mask` more instructions then. A vector of the tile has `passing`
    registers for values on their way.
    """

    extents: Mapping[str, int]
    taps: tuple[str, ...]
    tile: tuple[str, ...]
    vector: str | None
    lanes: int
    reduced: tuple[str, ...]
    operands: tuple[Operand, ...]
    instructions: float
    is_reduction: bool
    walk: Walk
    spreads: tuple[tuple[str, float], ...] = ()
    mask: float = 0.0
    passing: float = 0.0

    @property
    def order(self) -> tuple[str, ...]:
        """The indices that are written out, outermost first."""
        return (*self.taps, *self.tile)


@dataclass(frozen=True, slots=True)
class Prices:
    """Cycles of each candidate by cause; `fits` where its registers suffice."""

    parts: tuple[tuple[str, Cycles], ...]
    fits: NDArray[np.bool_]
    levels: tuple[Moved, ...] = ()

    @property
    def cycles(self) -> Cycles:
        """The sum of all parts."""
        total: Cycles = np.sum([cycles for _, cycles in self.parts], axis=0)
        return total

    def of(self, rows: NDArray[np.int64]) -> Prices:
        """Return the prices of some candidates."""
        parts = tuple((name, cycles[rows]) for name, cycles in self.parts)
        return Prices(parts, self.fits[rows], self.levels)


@dataclass(frozen=True, slots=True)
class Limits:
    """What all executions of a register tile take of each resource, in cycles, where
    they have all the others for nothing: load units, arithmetic units, instructions,
    and the chain through one accumulator.

    `loaded` are the bytes of the loads (and of the stores of an assignment), `needed`
    the registers of a tile.
    """

    loads: Cycles
    arithmetic: Cycles
    instructions: Cycles
    latency: Cycles
    loaded: Cycles
    needed: Cycles


def price(family: Family, counts: Counts, machine: Machine) -> Prices:
    """Return the prices of candidates: row i of *counts* is the tile of candidate i."""
    tiling = _tiling(family, counts)
    bound = _limits(family, tiling, machine)
    busy = overlapped(bound.arithmetic, (bound.loads, bound.instructions))
    return Prices(
        (
            ("loads and arithmetic", busy),
            ("latency", np.maximum(bound.latency - busy, 0.0)),
            ("loops", tiling.bodies * LOOP_CYCLES),
            (
                "results",
                tiling.tiles * (TILE_CYCLES + tiling.rows) * family.is_reduction,
            ),
        ),
        bound.needed <= machine.vector_registers,
    )


def limits(family: Family, counts: Counts, machine: Machine) -> Limits:
    """Return what limits each candidate while its data are in L1."""
    return _limits(family, _tiling(family, counts), machine)


def _limits(family: Family, tiling: _Tiling, machine: Machine) -> Limits:
    extents, size, rows = tiling.extents, tiling.size, tiling.rows
    tiles, bodies = tiling.tiles, tiling.bodies
    taps = float(prod(family.extents[d] for d in family.taps))
    kept = size if family.is_reduction else np.ones_like(size)
    # Partial sums that begin and end in one body are combined as they come.
    kept = np.where(bodies == tiles, 2.0 * rows, kept)
    live = [_live(o, family, extents) for o in family.operands]
    needed: Cycles = kept + 1.0 + size * family.passing
    for held in live:
        needed = needed + held
    loads = loaded = 0.0 * size
    for operand, held in zip(family.operands, live):
        distinct = _distinct(operand, extents)
        stays = distinct <= machine.vector_registers - needed + held
        executions = _executions(operand, family, tiling, stays)
        loads = loads + executions * distinct * _loads(operand, family, machine)
        width = operand.element * (1 if operand.step == 0 else family.lanes)
        loaded = loaded + executions * distinct * width
    instructions = family.instructions + _masks(family, extents)
    arithmetic = bodies * size * taps * instructions
    across = 0.0 * tiles
    if family.vector in family.reduced:
        # The vectors of a row are combined, then the halves of rows, two at a time.
        halvings = 3.0 * (rows - 1.0) + 2.0 * np.log2(family.lanes)
        across = tiles * (size - rows + halvings)
    chain = bodies * taps * machine.fma_latency
    return Limits(
        loads / LOADS_PER_CYCLE,
        (arithmetic + across) / machine.fma_per_cycle,
        (loads + arithmetic + across) / INSTRUCTIONS_PER_CYCLE,
        chain if family.is_reduction else 0.0 * chain,
        loaded,
        needed,
    )


@dataclass(frozen=True, slots=True)
class _Tiling:
    """What the loops make of the tiles of candidates: `extents` are the points (or
    vectors) of each index in a tile of `size`, `trips` how often tiles follow on one
    another along it. There are `tiles` register tiles, executed `bodies` times. A tile
    has `rows` vectors of results; where lanes are combined, single results."""

    extents: Mapping[str, Amount]
    trips: Mapping[str, Amount]
    size: Cycles
    tiles: Cycles
    bodies: Cycles
    rows: Cycles


def _tiling(family: Family, counts: Counts) -> _Tiling:
    extents = _extents(family, counts)
    trips = {d: _ceil(n / extents[d]) for d, n in family.extents.items()}
    tiles = bodies = np.ones(len(counts), np.float64)
    for d, n in trips.items():
        bodies = bodies * n
        if d not in family.reduced:
            tiles = tiles * n
    for d, part in family.spreads:
        bodies = bodies * (1.0 + part * (_points(family, extents, d) - 1.0))
    size: Cycles = counts.prod(axis=1).astype(np.float64)
    rows = size
    if family.vector in family.reduced:
        rows = size / extents[family.vector]
    return _Tiling(extents, trips, size, tiles, bodies, rows)


def _ceil(amount: Amount) -> Amount:
    return float(ceil(amount)) if isinstance(amount, float) else np.ceil(amount)


def _points(family: Family, extents: Mapping[str, Amount], d: str) -> Amount:
    """Return the points of an index in a register tile."""
    points = extents[d]
    return points * family.lanes if d == family.vector else points


def _masks(family: Family, extents: Mapping[str, Amount]) -> Cycles:
    """Return the instructions that a vector needs to be masked."""
    total: Cycles = np.zeros(1, np.float64)
    for d, _ in family.spreads:
        several = _points(family, extents, d) > 1.0
        total = np.maximum(total, np.where(several, family.mask, 0.0))
    return total


def _executions(
    operand: Operand, family: Family, tiling: _Tiling, stays: NDArray[np.bool_] | bool
) -> Cycles:
    """Return how often an access is loaded: once for the innermost loop that runs, if
    it does not move with it and *stays* in registers."""
    names = {d for factors in operand.axes for d, _ in factors}
    bodies = tiling.bodies
    is_innermost = stays
    for d in reversed(family.walk.loops):
        trips = tiling.trips[d]
        if isinstance(trips, float):
            if trips > 1:
                if d not in names:
                    bodies = np.where(is_innermost, bodies / trips, bodies)
                break
            continue
        runs = trips > 1
        if not runs.any():
            continue
        if d not in names:
            bodies = np.where(is_innermost & runs, bodies / trips, bodies)
        is_innermost = is_innermost & ~runs
        if not is_innermost.any():
            break
    return bodies


def with_memory(
    prices: Prices, family: Family, counts: Counts, machine: Machine
) -> Prices:
    """Return the prices with what waiting for caches and memory adds: they work at the
    same time as the core, as far as hardware fetches ahead."""
    one: Cycles = np.ones(len(counts))
    tile = {d: one * e for d, e in _extents(family, counts).items()}
    if family.vector is not None:
        most = float(max(family.walk.extents[family.vector], 1))
        tile[family.vector] = np.minimum(tile[family.vector] * family.lanes, most)
    levels = moved(family.walk, tile, machine)
    waiting = overlapped(prices.cycles, [level.cycles for level in levels])
    waiting -= prices.cycles
    return Prices((*prices.parts, ("caches", waiting)), prices.fits, levels)


def _extents(family: Family, counts: Counts) -> dict[str, Amount]:
    """Return how many points (or vectors) of each index the tile holds."""
    found: dict[str, Amount] = dict.fromkeys(family.extents, 1.0)
    found |= {d: float(family.extents[d]) for d in family.taps}
    sides = counts.T.astype(np.float64)
    if len(counts) == 1:
        return found | dict(zip(family.tile, sides[:, 0].tolist()))
    return found | dict(zip(family.tile, sides))


def _distinct(operand: Operand, extents: Mapping[str, Amount]) -> Amount:
    """Return how many vectors (or scalars) of an access the tile touches, which holds
    one point of the indices without *extents*."""
    total: Amount = 1.0
    for axis, factors in enumerate(operand.axes):
        every: Amount = 1.0
        reach: Amount = 1.0
        for d, factor in factors:
            if d in extents:
                every = every * extents[d]
                reach = reach + abs(factor) * (extents[d] - 1.0)
        # Shifted by less than a vector, every shift is a vector of its own.
        if axis == operand.vector_axis:
            total = total * every
        elif isinstance(every, float) and isinstance(reach, float):
            total = total * min(every, reach)
        else:
            total = total * np.minimum(every, reach)
    return total


def _loads(operand: Operand, family: Family, machine: Machine) -> float:
    """Return the loads of a vector of an access, one that crosses a line being two."""
    each = 1.0
    if operand.step is None or abs(operand.step) > 4:
        each = GATHER_LOADS * family.lanes
    elif abs(operand.step) > 1:
        each = 1.0 + 2.0 * abs(operand.step)
    elif operand.step and not operand.is_aligned:
        each = 1.0 + (CROSSING_LOADS - 1.0) * machine.vector_bytes / 64.0
    return each + operand.border


def _live(operand: Operand, family: Family, extents: Mapping[str, Amount]) -> Amount:
    """Return the registers that hold what an access has loaded for later.

    That is what the loops inside of the outermost one that carries reuse touch: one
    that the access does not move with, or that moves an axis which another one inside
    of it moves, too.
    """
    live: Amount = 1.0
    inner: dict[str, Amount] = {}
    for d in reversed(family.order):
        side = extents[d]
        if not isinstance(side, float) or side > 1.0:
            moved_by = [f for f in operand.axes if any(name == d for name, _ in f)]
            if not moved_by or any(name in inner for f in moved_by for name, _ in f):
                inside = _distinct(operand, inner)
                if isinstance(side, float):
                    live = inside
                else:
                    live = np.where(side > 1.0, inside, live)
        inner[d] = side
    return live
