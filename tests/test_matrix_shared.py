"""Which loop of a product threads share, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from machines import machine
from tree_harness import scop_of

from polydsl.loops.generate import default_layout
from polydsl.schedule.contraction import Contraction, match
from polydsl.schedule.matrix_batch import single
from polydsl.schedule.matrix_family import family_of
from polydsl.schedule.matrix_point import MatrixPoint, Reading, TileLoop
from polydsl.schedule.matrix_reuse import Reuse
from polydsl.schedule.matrix_search import shared
from polydsl.schedule.setting import Setting

PRODUCT = """
kernel product(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
"""
POINT = MatrixPoint(
    is_swapped=False,
    rows=("i",),
    columns=("j",),
    depth=("k",),
    row_tile=8,
    column_tile=64,
    depth_block=20,
    taps_block=1,
    loops=(TileLoop("depth"), TileLoop("rows"), TileLoop("columns")),
    a=Reading("in place"),
    b=Reading("in place"),
)
CORES = 4
FORK = machine().fork_seconds * machine().frequency


def shared_by(
    rows: int, cycles: float, *axes: str, from_memory: float = 0.0
) -> tuple[int, float]:
    """Return the shared loop and the price of a product of 60 x (rows, 64)."""
    scop = scop_of(PRODUCT, a=(rows, 60), b=(60, 64))
    first, update = scop.statements
    setting = Setting(
        scop, update, default_layout(scop), machine(cores=CORES), frozenset()
    )
    found = match(scop, update)
    assert isinstance(found, Contraction)
    point = replace(POINT, loops=tuple(TileLoop(axis) for axis in axes))
    family = family_of(setting, found, point, first.name)
    assert family is not None
    reuse = Reuse(single(family, point), setting)
    slots, price = shared(reuse, np.full(1, cycles), np.full(1, from_memory))
    return int(slots[0]), float(price[0])


AXES = ("rows", "columns", "depth")


def test_the_price_is_the_mean_of_one_core_and_all() -> None:
    """Eight tiles on four cores: nobody waits, threads are started once."""
    slot, price = shared_by(64, 1e9, *AXES)
    assert slot == 0
    assert price == pytest.approx((1e9 + 1e9 + CORES * FORK) / 2)


def test_the_slowest_thread_has_the_most_tiles() -> None:
    """Five tiles on four cores take as long as eight."""
    _, price = shared_by(40, 1e9, *AXES)
    assert price == pytest.approx((1e9 + 1.6e9 + CORES * FORK) / 2)


def test_a_loop_over_a_sum_is_not_shared() -> None:
    """The rows are, and threads are started in every iteration around them."""
    slot, price = shared_by(64, 1e9, "depth", "rows", "columns")
    assert slot == 1
    assert price == pytest.approx((1e9 + 1e9 + 3 * CORES * FORK) / 2)


def test_little_work_is_not_shared() -> None:
    slot, price = shared_by(64, FORK, *AXES)
    assert slot == -1
    assert price == pytest.approx((FORK + CORES * FORK) / 2)


def test_more_threads_get_no_more_from_memory_than_it_delivers() -> None:
    """Half of the time of one core is what memory takes for all of them."""
    memory = machine().memory.total * 0.5e9
    slot, price = shared_by(64, 1e9, *AXES, from_memory=memory)
    assert slot == 0
    assert price == pytest.approx((1e9 + CORES * (0.5e9 + FORK)) / 2)
    slot, _ = shared_by(64, 1e9, *AXES, from_memory=2 * memory)
    assert slot == -1
