"""What a register tile moves between L1 and registers, and what bounds its speed.

The traffic of loops around register tiles ends at L1 (`vector_memory`); what the core
loads is part of the tile's cycles. Here it is counted for a candidate that is shown.
"""

from __future__ import annotations

from math import prod

import numpy as np

from polydsl.base.machine import Machine
from polydsl.schedule.decision import Cost, LevelCost, slowest
from polydsl.schedule.vector_model import Family, limits

_OF_OTHERS = ("loads and arithmetic", "latency", "caches")
"""Causes of cycles that the levels and the limits of a tile are the reasons of."""


def with_registers(
    cost: Cost, family: Family, size: tuple[int, ...], machine: Machine
) -> Cost:
    """Return the cost of a tile of some size with what comes from L1, and with what
    bounds it."""
    counts = np.array([size], np.int64).reshape(1, len(size))
    bound, stored = limits(family, counts, machine), _stored_bytes(family)
    nearest = machine.caches[0]
    moved = float(bound.loaded[0]) + stored
    cycles = float(bound.loads[0]) + stored / nearest.store
    levels = (
        LevelCost(nearest.name, moved, machine.seconds(cycles)),
        *cost.levels,
    )
    work = {
        name: machine.seconds(cycles)
        for name, cycles in cost.parts
        if name not in _OF_OTHERS
    }
    for name, taken in (
        ("arithmetic", bound.arithmetic),
        ("instructions", bound.instructions),
        ("latency", bound.latency),
    ):
        work[name] = machine.seconds(float(taken[0]))
    return Cost(cost.parts, levels, slowest(work, levels))


def _stored_bytes(family: Family) -> float:
    """Return the bytes of a reduction's results; what an assignment stores is among the
    operands of its tile."""
    if not family.is_reduction:
        return 0.0
    extents = family.walk.extents
    result = next(r for r in family.walk.references if r.is_written)
    points = prod(n for d, n in extents.items() if d not in family.reduced)
    return float(points * result.element)
