"""What the price of a register tile depends on, each cause alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from machines import machine
from tree_harness import scop_of

from polydsl.base.machine import Machine
from polydsl.loops.generate import default_layout
from polydsl.schedule.vector_builder import VectorSetting
from polydsl.schedule.vector_candidates import families
from polydsl.schedule.vector_model import Family, price, with_memory
from polydsl.schedule.vector_operands import operands_of

LOCAL = """
kernel twice(x: f32[M, N]) -> f32[M, N]:
    t[i, j] = 2 * x[i, j]
    y[i, j] = t[i, j] + x[i, j]
    return y
"""
ROWS = """
kernel rows(a: f32[M, K], b: f32[N, K]) -> f32[M, N]:
    y[i, j] += a[i, k] * b[j, k]
    return y
"""
POOL = """
kernel pool(x: f32[H, W, C]) -> f32[H - 1, W - 1, C]:
    y[p, q, c] = max[r, s](x[p + r, q + s, c])
    r in range(2)
    s in range(2)
    return y
"""


def setting_of(
    text: str, tensor: str, shapes: dict[str, tuple[int, ...]], target: Machine
) -> VectorSetting:
    scop = scop_of(text, **shapes)
    group = [s for s in scop.statements if s.tensor == tensor]
    first = next(s for s in group if s.combine is None)
    updates = tuple(s for s in group if s.combine is not None)
    return VectorSetting(scop, default_layout(scop), target, tensor, first, updates)


def family_of(setting: VectorSetting, vector: str, *tile: str) -> Family:
    return next(
        family
        for family in families(setting)
        if family.vector == vector and family.tile == (*tile, vector)
    )


def test_only_arrays_of_the_compiler_begin_where_a_vector_does() -> None:
    setting = setting_of(LOCAL, "y", {"x": (64, 64)}, machine())
    statement = setting.model
    aligned = [o.is_aligned for o in operands_of(setting, statement, "j")]
    names = [read.access.tensor for read in statement.reads]
    assert dict(zip([*names, "y"], aligned)) == {"t": True, "x": False, "y": True}


def test_what_the_innermost_loop_does_not_move_is_loaded_once() -> None:
    """If the registers hold it: the rows of `a` while all rows of `b` pass."""
    few = replace(machine(), vector_registers=3)
    counts = np.array([[8]])
    many, less = (
        dict(price(family_of(setting_of(ROWS, "y", SHAPES, m), "k"), counts, m).parts)
        for m in (machine(), few)
    )
    name = "loads and arithmetic"
    assert many[name][0] < 0.9 * less[name][0]


SHAPES = {"a": (512, 128), "b": (512, 128)}


def test_lines_that_follow_on_one_another_are_cheaper() -> None:
    """Of an image that lies in L3, all channels of a pixel before the next pixel."""
    target = machine()
    setting = setting_of(POOL, "y_max", {"x": (400, 400, 64)}, target)
    family = family_of(setting, "c", "q")
    counts = np.array([[4, 1]])

    def cycles(*loops: str) -> float:
        inner = family.walk.loops[family.walk.outer :]
        ordered = replace(family, walk=replace(family.walk, loops=(*loops, *inner)))
        prices = price(ordered, counts, target)
        return float(with_memory(prices, ordered, counts, target).cycles[0])

    assert cycles("p", "q", "c") < cycles("c", "p", "q")
