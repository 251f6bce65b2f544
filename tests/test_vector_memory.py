"""What loops around register tiles bring from caches and memory, on cases that can be
counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from machines import machine

from polydsl.schedule.reuse.footprint import Axis, Reference
from polydsl.schedule.vector_memory import Moved, Walk, moved

KIB = 1024
ROWS, COLUMNS = 64, 32 * KIB
X = Reference("x", 4, (Axis(4, COLUMNS, (("j", 1),)),))
A = Reference(
    "a", 4, (Axis(4 * COLUMNS, ROWS, (("i", 1),)), Axis(4, COLUMNS, (("j", 1),)))
)
Y = Reference("y", 4, (Axis(4, ROWS, (("i", 1),)),), is_written=True)


def walk(*references: Reference) -> Walk:
    """Return `for i: for j`, with the result stored in between."""
    return Walk(references, ("i", "j"), {"i": ROWS, "j": COLUMNS}, 1)


def bytes_of(found: tuple[Moved, ...]) -> dict[str, list[float]]:
    return {level.level: np.round(level.bytes, 3).tolist() for level in found}


def tile(*rows: int) -> dict[str, np.ndarray]:
    return {"i": np.array(rows, float), "j": np.full(len(rows), 16.0)}


def test_a_vector_that_fits_l2_comes_from_there_for_every_tile() -> None:
    found = moved(walk(X, Y), tile(1, 4), machine())
    assert [level.level for level in found] == ["L2", "L3", "memory"]
    size = 4 * COLUMNS
    total = bytes_of(found)
    assert total["L2"] == pytest.approx([ROWS * size, ROWS / 4 * size], rel=1e-3)
    assert total["L3"] == total["memory"] == [0.0, 0.0]


def test_what_is_larger_than_every_cache_comes_from_memory_once() -> None:
    small = replace(
        machine(),
        caches=tuple(replace(c, capacity=c.capacity // 16) for c in machine().caches),
    )
    total = bytes_of(moved(walk(A, Y), tile(1), small))
    size = 4 * ROWS * COLUMNS
    assert size > small.caches[-1].capacity
    assert all(size <= bytes_[0] <= size + ROWS * 64 for bytes_ in total.values())


def test_a_level_takes_its_bytes_at_its_rate() -> None:
    numbers = machine()
    rates = [c.load for c in numbers.caches[1:]] + [numbers.memory.load]
    for level, rate in zip(moved(walk(A, X, Y), tile(2), numbers), rates):
        assert level.cycles == level.bytes / rate
