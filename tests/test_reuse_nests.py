"""Predicted traffic against an exact cache, fed by the trace of the loop nest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import pytest
from lru_simulation import misses
from product_settings import CASES, setting_of

from polydsl.loops.evaluate import Access
from polydsl.loops.generate import generate
from polydsl.loops.interpret import interpret
from polydsl.loops.nest import LoopNest
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.matrix_batch import Batch, single
from polydsl.schedule.matrix_builder import build
from polydsl.schedule.matrix_family import families, family_of
from polydsl.schedule.matrix_model import refilled
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_reuse import Reuse
from polydsl.schedule.matrix_search import search
from polydsl.schedule.matrix_space import Space
from polydsl.schedule.reuse.traffic import traffic
from polydsl.schedule.schedule import Schedule
from polydsl.schedule.setting import Setting
from polydsl.schedule.tree import Sequence

LINE = 64


def lines_of(nest: LoopNest) -> list[tuple[str, int]]:
    """Return the (buffer, line) pairs that a nest touches, tables left out."""
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.standard_normal(nest.buffer(name).shape).astype(np.float32)
        for name in nest.arguments
    }
    trace: list[Access] = []
    interpret(nest, arrays, trace=trace)
    tables = {b.name for b in nest.buffers if b.memory == "constant"}
    lines = ((name, at * 4 // LINE) for name, at, _ in trace if name not in tables)
    return [use for use, _ in groupby(lines)]


def predicted(batch: Batch, setting: Setting, capacity: float) -> float:
    """Return the lines that enter a cache of so many, by the model."""
    reuse = Reuse(batch, setting)
    nest = reuse.nest(LINE, conflicts=False)
    entering = traffic(nest, np.full(1, capacity)) + refilled(reuse, nest, capacity)
    return float(entering.sum())


@pytest.mark.parametrize("case", CASES)
def test_predicted_lines_are_those_of_an_exact_cache(case: str) -> None:
    """For the schedules that the search likes best: within a tenth."""
    setting, contraction, initialize = setting_of(case)
    for candidate in search(setting, contraction, initialize).candidates[:2]:
        family = family_of(setting, contraction, candidate.point, initialize)
        assert family is not None
        batch = single(family, candidate.point)
        for capacity, exact in simulated(batch, setting, contraction, initialize):
            assert predicted(batch, setting, capacity) == pytest.approx(exact, rel=0.1)


@pytest.mark.random
@pytest.mark.parametrize("case", CASES)
def test_predicted_lines_of_random_schedules(case: str) -> None:
    """Drawn over the whole space: half within 3 %, most within a tenth; copies of less
    than a line in a cache of a few lines make the rest."""
    setting, contraction, initialize = setting_of(case)
    rng = np.random.default_rng(1)
    errors: list[float] = []
    found = families(setting, contraction, initialize)
    while len(errors) < 14:
        space = Space(setting, found[int(rng.integers(len(found)))])
        batch = space.draw(rng, 1)
        for capacity, exact in simulated(batch, setting, contraction, initialize):
            errors.append(abs(predicted(batch, setting, capacity) / exact - 1))
    errors.sort()
    assert errors[len(errors) // 2] <= 0.03
    assert errors[len(errors) * 3 // 4] <= 0.1
    assert errors[-1] <= 0.6


def simulated(
    batch: Batch, setting: Setting, contraction: Contraction, initialize: str
) -> Iterator[tuple[int, int]]:
    """Yield capacities with the lines that enter an exact cache, where a prediction
    does not hinge on a few lines more or less; none where the point is not legal."""
    capacities = [
        c
        for c in (16, 32, 64, 128, 256)
        if predicted(batch, setting, 0.7 * c) == predicted(batch, setting, 1.4 * c)
    ]
    plan = build(setting, contraction, batch.point(0), initialize)
    if not isinstance(plan, MatrixPlan) or not capacities:
        return
    schedule = Schedule((plan,), (), Sequence(()))
    trace = lines_of(generate(setting.scop, schedule, setting.layout))
    for capacity in capacities:
        yield capacity, sum(misses(trace, capacity).values())
