"""What comes from L1: counted in closed form, against the accesses of the loop nest."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from machines import machine
from matrix_points import random_plan
from tree_harness import scop_of

from polydsl.base.dtypes import F32
from polydsl.base.providers import provider_named
from polydsl.loops.evaluate import Access
from polydsl.loops.generate import default_layout, generate
from polydsl.loops.interpret import interpret
from polydsl.poly.dependences import analyze
from polydsl.schedule.contraction import Contraction, match
from polydsl.schedule.decision import Cost, LevelCost
from polydsl.schedule.matrix_plan import Factor, MatrixPlan
from polydsl.schedule.matrix_registers import (
    copied_elements,
    inside_tiles,
    result_elements,
    with_registers,
)
from polydsl.schedule.provider_cost import register_tiles
from polydsl.schedule.register_tile import fits_registers
from polydsl.schedule.schedule import Schedule, schedule
from polydsl.schedule.setting import Setting
from polydsl.schedule.tree import Sequence

MACHINE = replace(machine(), vector_bytes=16)

PRODUCT = """
kernel product(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
"""
PADDED = """
kernel padded(x: f32[B, H, W, C], w: f32[R, S, C, K]) -> f32[B, H, W, K]:
    y[n, p, q, k] += pad(x[n, p + r - 1, q + s - 1, c]) * w[r, s, c, k]
    return y
"""
GROUPED = """
kernel grouped(a: f32[G, M, K], b: f32[G, K, N]) -> f32[G, M, N]:
    c[g, i, j] += a[g, i, k] * b[g, k, j]
    return c
"""
CASES = {
    "product": (PRODUCT, {"a": (13, 9), "b": (9, 21)}),
    "padded": (PADDED, {"x": (2, 4, 5, 3), "w": (3, 3, 3, 6)}),
    "grouped": (GROUPED, {"a": (3, 7, 5), "b": (3, 5, 11)}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(6))
def test_loads_and_stores_are_those_of_the_nest(case: str, seed: int) -> None:
    text, shapes = CASES[case]
    scop = scop_of(text, **shapes)
    first, update = scop.statements
    layout = default_layout(scop)
    found = match(scop, update)
    assert isinstance(found, Contraction)
    setting = Setting(scop, update, layout, MACHINE, frozenset())
    made = random_plan(setting, found, first.name, seed)
    assert made is not None
    _, plan = made
    nest = generate(scop, Schedule((plan,), (), Sequence(())), layout)
    arrays = {
        n: np.zeros(nest.buffer(n).shape, nest.buffer(n).dtype.numpy)
        for n in nest.arguments
    }
    trace: list[Access] = []
    interpret(nest, arrays, trace=trace)
    counts = Counter((name, is_write) for name, _, is_write in trace)
    result = plan.contraction.c.tensor
    assert (counts[result, False], counts[result, True]) == result_elements(plan)
    filled = {c.tensor for f in (plan.a, plan.b) for c in f.copies}
    copied = copied_elements(plan, "rows", plan.a)
    copied += copied_elements(plan, "columns", plan.b)
    assert sum(counts[name, True] for name in filled) == copied
    used = [
        f.copies[-1].tensor if f.copies else f.operand.tensor for f in factors(plan)
    ]
    loaded = sum(counts[name, False] for name in used)
    if plan.a.rows == "guarded":
        # What is outside of the tensor is read from a line of padding.
        assert loaded < inside_tiles(plan, MACHINE).elements
    else:
        assert loaded == inside_tiles(plan, MACHINE).elements


def factors(plan: MatrixPlan) -> tuple[Factor, Factor]:
    return plan.a, plan.b


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_a_library_cuts_its_block_into_tiles_that_fit(rows: int) -> None:
    tiles = register_tiles(
        provider_named("libxsmm"), machine(), F32, rows=rows, columns=70
    )
    assert sum(tall * wide for tall, wide in tiles) == rows * 70
    vectors = [(tall, -(-wide // 16)) for tall, wide in tiles]
    assert all(fits_registers(machine(), *shape) for shape in vectors)


LEVELS = (LevelCost("L2", 1.0, 1e-9),)


def plan_of(shape: tuple[int, int, int]) -> MatrixPlan:
    """Return the plan of a product of (rows, depth, columns)."""
    m, k, n = shape
    scop = scop_of(PRODUCT, a=(m, k), b=(k, n))
    made = schedule(scop, analyze(scop), default_layout(scop), machine())
    (plan,) = made.plans
    assert isinstance(plan, MatrixPlan)
    return plan


def test_what_takes_longest_bounds_a_product() -> None:
    plan = plan_of((60, 50, 64))
    assert (plan.row_tile, plan.column_tile) == (6, 64)
    plain = with_registers(Cost((("multiply-adds", 1.0),), LEVELS), plan, machine())
    assert plain.bound_by == "arithmetic"
    l1, l2 = plain.levels
    # Ten tiles of 6 rows and 4 vectors; the result is stored once.
    assert l1.bytes == (10 * 50 * (6 + 64) + 60 * 64) * 4
    stores = 60 * 64 * 4 / machine().caches[0].store
    assert l1.seconds == machine().seconds(10 * 50 * (6 + 4) / 2 + stores)
    assert l2 == LEVELS[0]
    dear = Cost((("multiply-adds", 1.0), ("copies", 1e9)), LEVELS)
    assert with_registers(dear, plan, machine()).bound_by == "copies"
    far = (LevelCost("memory", 1.0, 1.0),)
    assert with_registers(Cost((), far), plan, machine()).bound_by == "memory"


def test_few_accumulators_wait_for_each_other() -> None:
    plan = replace(plan_of((60, 50, 64)), row_tile=1, column_tile=16)
    slow = replace(machine(), fma_latency=40)
    assert with_registers(Cost((), LEVELS), plan, slow).bound_by == "latency"


ADD = """
kernel both(x: f32[N], z: f32[N]) -> f32[N]:
    y[i] = x[i] + z[i]
    return y
"""
EXP = """
kernel power(x: f32[N]) -> f32[N]:
    y[i] = exp(x[i])
    return y
"""
SUM = """
kernel rows(x: f32[M, N]) -> f32[M]:
    y[i] += x[i, j]
    return y
"""
SCALED = """
kernel scaled(x: f32[M, N], s: f32[M]) -> f32[M, N]:
    y[i, j] = x[i, j] * s[i]
    return y
"""


def cost_of(text: str, **shapes: tuple[int, ...]) -> Cost:
    """Return the cost of what is chosen for a kernel that is no product."""
    scop = scop_of(text, **shapes)
    made = schedule(scop, analyze(scop), default_layout(scop), machine())
    (decision,) = made.decisions
    assert decision.cost is not None
    return decision.cost


def test_vectors_of_an_assignment() -> None:
    cost = cost_of(ADD, x=(1024,), z=(1024,))
    assert cost.levels[0].bytes == 3 * 4096
    assert [level.name for level in cost.levels] == ["L1", "L2", "L3", "memory"]
    assert cost_of(ADD, x=(1 << 24,), z=(1 << 24,)).bound_by == "memory"
    assert cost_of(EXP, x=(1024,)).bound_by == "arithmetic"


def test_a_reduction_stores_its_results_once() -> None:
    cost = cost_of(SUM, x=(64, 256))
    assert cost.levels[0].bytes == 64 * 256 * 4 + 64 * 4


def test_one_element_for_all_lanes() -> None:
    """A factor of a row is loaded as one element for each register tile."""
    cost = cost_of(SCALED, x=(64, 16), s=(64,))
    assert cost.levels[0].bytes == 2 * 64 * 16 * 4 + 64 * 4
