"""Candidates that are priced together cost what each of them costs alone."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from product_settings import CASES, setting_of

from polydsl.schedule.contraction import Contraction
from polydsl.schedule.matrix_batch import Batch, joined
from polydsl.schedule.matrix_family import Family, families
from polydsl.schedule.matrix_model import cost_of
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.matrix_reuse import Reuse
from polydsl.schedule.matrix_search import ALIKE, SHOWN, price, search
from polydsl.schedule.matrix_space import Space
from polydsl.schedule.reuse.traffic import SOFTNESS, steady_traffic, traffic
from polydsl.schedule.setting import Setting


def together(found: list[Family], setting: Setting) -> Batch:
    """Return candidates of families drawn at random, and the first look at one."""
    rng = np.random.default_rng(2)
    parts = [Space(setting, family).draw(rng, 40) for family in found]
    parts[0] = Space(setting, found[0]).coarse()
    return joined(parts)


def alike(setting: Setting, contraction: Contraction, first: str) -> list[Family]:
    """Return all families with the axes of the first one."""
    found = families(setting, contraction, first)

    def axes(family: Family) -> tuple[object, ...]:
        plan = family.plan
        return family.is_swapped, plan.rows, plan.columns, plan.depth

    return [family for family in found if axes(family) == axes(found[0])]


@pytest.mark.parametrize("case", CASES)
def test_candidates_cost_the_same_together_and_alone(case: str) -> None:
    setting, contraction, first = setting_of(case)
    found = alike(setting, contraction, first)
    batch = together(found, setting)
    cycles = price(setting, batch).prediction.cycles
    assert len({family.how_a + family.how_b for family in found}) > 1
    for number in range(0, len(batch), 17):
        family = batch.families[int(batch.member[number])]
        alone = cost_of(setting, family, batch.point(number))
        assert cycles[number] == pytest.approx(alone.cycles, rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_keys_are_equal_where_points_are(case: str) -> None:
    setting, contraction, first = setting_of(case)
    batch = together(alike(setting, contraction, first), setting)
    points = [batch.point(number) for number in range(len(batch))]
    pairs = set(zip(batch.keys(), points, strict=True))
    assert len(pairs) == len(set(points)) == len(set(batch.keys())) < len(batch)


def test_taken_candidates_are_the_same() -> None:
    setting, contraction, first = setting_of("convolution")
    batch = together(alike(setting, contraction, first), setting)
    numbers = [5, 3, len(batch) - 1]
    taken = batch.take(numbers)
    assert [taken.point(n) for n in range(3)] == [batch.point(n) for n in numbers]


@pytest.mark.parametrize("case", CASES)
def test_caches_together_are_caches_one_by_one(case: str) -> None:
    setting, contraction, first = setting_of(case)
    batch = together(alike(setting, contraction, first), setting)
    nest = Reuse(batch, setting).nest(64)
    sizes = [8.0, 20.0, 1e9]
    several = np.array(sizes)[:, None, None]
    for steady, size in zip(steady_traffic(nest, several), sizes, strict=True):
        np.testing.assert_array_equal(steady, steady_traffic(nest, size))
    for moved, size in zip(traffic(nest, several, SOFTNESS), sizes, strict=True):
        np.testing.assert_array_equal(moved, traffic(nest, size, SOFTNESS))
    assert not steady_traffic(nest, sizes[-1]).any()


def test_a_spent_budget_is_said() -> None:
    setting, contraction, first = setting_of("product")
    with (
        patch("polydsl.schedule.matrix_search.BUDGET", 70),
        patch("polydsl.schedule.matrix_search.SHORT", 0),
    ):
        found = search(setting, contraction, first)
    assert found.is_spent
    assert found.priced == 70
    assert len({candidate.point for candidate in found.candidates}) == 16
    whole = search(setting, contraction, first)
    assert not whole.is_spent
    assert whole.candidates[0].cost.cycles <= found.candidates[0].cost.cycles


def test_candidates_differ_in_their_register_tiles() -> None:
    """Tuning would learn little from sixteen orders of the loops around one tile."""
    setting, contraction, first = setting_of("product")
    with patch("polydsl.schedule.matrix_search.SHORT", 0):
        found = search(setting, contraction, first).candidates
    points = [c.point for c in found if isinstance(c.point, MatrixPoint)]
    tiles = {
        (p.is_swapped, p.row_tile, p.column_tile, p.a.how, p.b.how) for p in points
    }
    assert len(tiles) > SHOWN - ALIKE
    cycles = [candidate.cost.cycles for candidate in found]
    assert cycles[0] <= 1.02 * min(cycles)
