"""What a product moves between L1 and registers, and what bounds its speed.

The model of traffic ends at L1: what the core loads and stores is part of the
microkernel's cycles there. Here it is counted for a plan that is shown: every register
tile loads its rows and its columns once in every step of the reduction, its result goes
back once for every block of the reduction, and copies are loaded and stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, prod

from polydsl.base.machine import Machine
from polydsl.base.providers import provider_named
from polydsl.schedule.decision import Cost, LevelCost, slowest
from polydsl.schedule.matrix_plan import Factor, MatrixPlan, Side
from polydsl.schedule.matrix_point import AXES, Axis
from polydsl.schedule.provider_cost import register_tiles
from polydsl.schedule.register_tile import LOADS_PER_CYCLE, step_limits

_OF_OTHERS = ("multiply-adds", "loads and stores of the result", "waiting for data")
"""Causes of cycles that the levels and the arithmetic are the reasons of."""

_OTHER: dict[Axis, Axis] = {"rows": "columns", "columns": "rows"}
"""The axis that a factor does not move along."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What all register tiles of a product do: the elements that they load and in how
    many instructions, the cycles of their arithmetic, and of waiting for its results.
    """

    elements: float
    loads: float
    arithmetic: float
    latency: float


def with_registers(cost: Cost, plan: MatrixPlan, machine: Machine) -> Cost:
    """Return the cost of a plan with what comes from L1, and with what bounds it."""
    inside = inside_tiles(plan, machine)
    levels = (_from_l1(inside, plan, machine), *cost.levels)
    work = {
        name: machine.seconds(cycles)
        for name, cycles in cost.parts
        if name not in _OF_OTHERS
    }
    work["arithmetic"] = machine.seconds(inside.arithmetic)
    work["latency"] = machine.seconds(inside.latency)
    return replace(cost, levels=levels, bound_by=slowest(work, levels))


def _from_l1(inside: Inside, plan: MatrixPlan, machine: Machine) -> LevelCost:
    element = plan.contraction.dtype.bytes
    nearest = machine.caches[0]
    loaded, stored = result_elements(plan)
    copied = copied_elements(plan, "rows", plan.a)
    copied += copied_elements(plan, "columns", plan.b)
    moved = inside.elements + loaded + stored + 2 * copied
    cycles = inside.loads / LOADS_PER_CYCLE
    cycles += (loaded + copied) * element / nearest.load
    cycles += (stored + copied) * element / nearest.store
    return LevelCost(nearest.name, moved * element, machine.seconds(cycles))


def inside_tiles(plan: MatrixPlan, machine: Machine) -> Inside:
    """Return what the register tiles of a plan load and compute."""
    found, dtype = plan.contraction, plan.contraction.dtype
    provider = provider_named(plan.microkernel)
    lanes = machine.lanes(dtype)
    steps = _outer(plan) * plan.extent(plan.depth) * plan.extent(plan.taps)
    elements = loads = arithmetic = latency = 0.0
    for rows, columns, times in _blocks(plan):
        for tall, wide in register_tiles(
            provider, machine, dtype, rows=rows, columns=columns
        ):
            vectors = ceil(wide / lanes)
            limits = step_limits(machine, tall, vectors, found.inner)
            elements += steps * times * (tall + wide)
            loads += steps * times * (tall + vectors)
            arithmetic += steps * times * limits.arithmetic
            latency += steps * times * limits.latency
    return Inside(elements, loads, arithmetic, latency)


def result_elements(plan: MatrixPlan) -> tuple[int, int]:
    """Return the elements of the result that are loaded and stored: once for each block
    of the reduction; for each position of the batch by a library that rereads it."""
    points = _outer(plan) * plan.extent(plan.rows) * plan.extent(plan.columns)
    taps, depth = plan.side("taps"), plan.side("depth")
    times = depth.tiles * taps.tiles
    if provider_named(plan.microkernel).rereads_result:
        times = depth.tiles * taps.extent
    first = 0 if plan.initialize is None else 1
    return points * (times - first), points * times


def copied_elements(plan: MatrixPlan, axis: Axis, factor: Factor) -> int:
    """Return how many elements of a factor, which moves along an axis, every call
    copies. The last tile of a packed copy is as large as the others."""
    padded, pack = factor.padded, factor.pack
    total = 0
    if padded is not None and not padded.prepared:
        total += prod(padded.extents)
    if pack is not None and not pack.prepared:
        sizes, other = plan.contraction.sizes, _OTHER[axis]
        times = _executions(plan, other, pack.loops)
        for place, loop in enumerate(plan.loops):
            if loop.axis in AXES:
                continue
            if loop.dimension in factor.operand.dims or place < pack.loops:
                times *= sizes[loop.dimension]
        own = plan.side(axis)
        times *= plan.extent(plan.taps) * plan.extent(plan.depth)
        total += times * own.tiles * own.tile
    return total


def _blocks(plan: MatrixPlan) -> Iterator[tuple[int, int, int]]:
    """Yield the blocks of the result: rows, columns, and how many are like that."""
    for rows, tall in _lengths(plan.side("rows")):
        for columns, wide in _lengths(plan.side("columns")):
            yield rows, columns, tall * wide


def _lengths(side: Side) -> Iterator[tuple[int, int]]:
    """Yield the lengths of an axis' tiles with their number."""
    if side.full:
        yield side.tile, side.full
    if side.rest:
        yield side.rest, 1


def _outer(plan: MatrixPlan) -> int:
    return prod(plan.contraction.sizes[d] for d in plan.outer)


def _executions(plan: MatrixPlan, axis: Axis, loops: int) -> int:
    """Return how often the first so many loops run because of an axis."""
    place = plan.around(axis, loops)
    tiles = plan.side(axis).tiles
    return 1 if place is None else ceil(tiles / plan.loops[place].tiles)
