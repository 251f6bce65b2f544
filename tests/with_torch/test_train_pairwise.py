"""Training the pairwise net: it learns what there is to learn, and NumPy agrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from machines import machine

from polydsl.schedule.published.pairwise_net import (
    first_is_faster,
    net_from_json,
    pair_inputs,
    tournament,
)
from polydsl.schedule.published.variants import Layer
from tests.benchmarks.published.data import Measured, pair_accuracy
from tests.benchmarks.published.measure import append, chosen_variants, line
from tests.benchmarks.published.train import (
    by_polyrank,
    main,
    make_model,
    net_of,
    pairwise_accuracy,
    train,
)
from tests.published_layers import table

pytestmark = pytest.mark.torch


def made_up(network: str, seed: int) -> Measured:
    """Layers whose variants are the slower the more they have in L3 and memory."""
    rng = np.random.default_rng(seed)
    level_bytes = rng.integers(1, 1 << 22, (10, 4))
    seconds = level_bytes[:, 2] * 1.0 + level_bytes[:, 3] * 8.0
    layer = Layer(1, 16, 16, (1, 1), 1, (seed + 1, 1), 16)
    return Measured(network, f"{network}{seed}", layer, level_bytes, seconds)


def test_the_net_learns_what_decides() -> None:
    seen = [made_up("a", seed) for seed in range(30)]
    unseen = [made_up("b", seed) for seed in range(100, 110)]
    net = train(seen, "made up", 6)
    accuracy, pairs = pairwise_accuracy(unseen, net)
    assert pairs > 400 and accuracy > 0.8
    by_wins, _ = pair_accuracy(unseen, lambda m: -tournament(net, m.level_bytes))
    assert by_wins > 0.8
    assert net.description == "made up"


def test_numpy_and_pytorch_agree() -> None:
    seen = [made_up("a", seed) for seed in range(3)]
    torch.manual_seed(0)
    model = make_model()
    net = net_of(model, "")
    a, b = seen[0].level_bytes, seen[1].level_bytes
    both = pair_inputs(a, b), pair_inputs(b, a)
    with torch.no_grad():
        forward, backward = (
            torch.softmax(model(torch.tensor(x, dtype=torch.float32)), 1) for x in both
        )
    expected = (forward[:, 0] + backward[:, 1]) / 2
    assert first_is_faster(net, a, b) == pytest.approx(expected.numpy(), abs=1e-5)


def test_a_file_of_times_becomes_a_file_of_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times, weights = tmp_path / "times.csv", tmp_path / "net.json"
    rng = np.random.default_rng(0)
    for row in table()[:24:4]:
        variants = chosen_variants(row, 6)
        seconds = rng.random(len(variants)) + 0.1
        append(times, [line(row, v, s, machine()) for v, s in zip(variants, seconds)])
    main([str(times), "--out", str(weights), "--epochs", "2", "--machine", "none"])
    net = net_from_json(weights.read_text(encoding="utf-8"))
    assert "of 6 convolution layers, N = 1, f32, one thread, none" in net.description
    assert "unseen networks: pair accuracy" in capsys.readouterr().out


def test_polyrank_knows_what_lies_in_memory() -> None:
    layers = [made_up("a", seed) for seed in range(5)]
    accuracy, _ = pair_accuracy(layers, by_polyrank)
    assert accuracy > 0.6
