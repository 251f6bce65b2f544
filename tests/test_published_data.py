"""Measured variants as data: pairs, folds, honest ties, and a file that goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from machines import machine

from polydsl.schedule.published.variants import TILED, Layer, conv_variants
from tests.benchmarks.published.data import (
    Measured,
    folds,
    pair_accuracy,
    read_times,
    regret,
)
from tests.benchmarks.published.measure import (
    append,
    chosen_variants,
    line,
    measured_layers,
)
from tests.benchmarks.published.runnable import is_even
from tests.published_layers import TableRow, table

LAYER = Layer(1, 64, 64, (1, 1), 1, (4, 4), 16)


def measured(
    network: str, name: str, seconds: list[float], layer: Layer = LAYER
) -> Measured:
    level_bytes = np.array([[i, 0, 0, 0] for i in range(len(seconds))], np.int64)
    return Measured(network, name, layer, level_bytes, np.array(seconds))


def by_place(layer: Measured) -> np.ndarray:
    return layer.level_bytes[:, 0].astype(float)


def all_equal(layer: Measured) -> np.ndarray:
    return np.zeros(len(layer.seconds))


def test_pairs_are_of_clearly_different_times() -> None:
    layer = measured("a", "a1", [1.0, 2.0, 1.01])
    assert sorted(layer.pairs().tolist()) == [[0, 1], [2, 1]]
    assert measured("a", "a2", [1.0]).pairs().shape == (0, 2)


def test_pair_accuracy_counts_a_tie_as_half() -> None:
    layers = [measured("a", "a1", [1.0, 2.0, 3.0]), measured("a", "a2", [2.0, 1.0])]
    assert pair_accuracy(layers, by_place) == (0.75, 4)
    assert pair_accuracy(layers, all_equal) == (0.5, 4)


def test_regret_is_the_share_of_the_best_speed_and_ties_are_chance() -> None:
    layers = [measured("a", "a1", [1.0, 2.0]), measured("a", "a2", [4.0, 1.0])]
    assert regret(layers, by_place) == pytest.approx((1.0 * 0.25) ** 0.5)
    even = (1.0 * 0.5) ** 0.5, (0.25 * 1.0) ** 0.5
    assert regret(layers, all_equal) == pytest.approx((even[0] * even[1]) ** 0.5)


def test_a_network_is_unseen_only_without_its_shapes() -> None:
    other = replace(LAYER, window=(3, 3))
    third = replace(LAYER, stride=2)
    data = [
        measured("a", "a1", [1.0], LAYER),
        measured("a", "a2", [1.0], other),
        measured("b", "b1", [1.0], LAYER),
        measured("b", "b2", [1.0], third),
    ]
    found = {
        network: ([m.name for m in seen], [m.name for m in held_out])
        for network, seen, held_out in folds(data)
    }
    assert found == {"a": (["b2"], ["a1", "a2"]), "b": (["a2"], ["b1", "b2"])}


def row_named(name: str) -> TableRow:
    return next(row for row in table() if row.name == name)


def test_a_file_of_times_goes_on_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "times.csv"
    assert measured_layers(path) == set()
    for name in ("resnet_02", "alexnet_02"):
        row = row_named(name)
        variants = chosen_variants(row, 6)
        lines = [
            line(row, variant, 0.001 * (place + 1), machine())
            for place, variant in enumerate(variants)
        ]
        append(path, lines)
    assert measured_layers(path) == {"resnet_02", "alexnet_02"}
    first, second = read_times(path)
    assert (first.network, first.name) == ("resnet", "resnet_02")
    assert second.layer == row_named("alexnet_02").layer
    assert first.seconds == pytest.approx([0.001 * n for n in range(1, 7)])
    assert first.level_bytes.shape == (6, 4) and (first.level_bytes[:, 0] > 0).all()


def test_chosen_variants_differ_run_whole_tiles_and_hold_the_untiled() -> None:
    row = row_named("googlenetv1_15")
    assert any(not is_even(v) for v in conv_variants(row.layer, tiled=TILED))
    chosen = chosen_variants(row, 12)
    assert len(set(chosen)) == 12 and all(is_even(v) for v in chosen)
    running = [tuple(loop for loop in v.loops if loop.trips > 1) for v in chosen]
    assert len(set(running)) == 12
    assert chosen == chosen_variants(row, 12)
    assert {v.order for v in chosen if not v.tiles} == {2, 3, 5}
