"""The published pairwise network: which of two variants runs faster, and a tournament.

The input are the bytes of two variants in L1, L2, L3 and memory; a small feed-forward
network (8-32-20-16-12-8-2) gives the probability that each is the faster one. Bytes
are normalised by the same rule in training and in use: by the greater of the two
variants' sums over the levels. On networks that were not trained on, in two
measurements, that orders 0.67 and 0.65 of the pairs rightly; bytes over the greater of
the two in each level 0.64 and 0.63, their logarithms 0.67 and 0.62. Both orders of a
pair are averaged: it does not matter which variant comes first, and equal inputs are
even, one half.

`pairwise_net.json` holds the weights and says on what they were trained.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from polydsl.schedule.published.placement import Integers

Floats = npt.NDArray[np.float64]

WIDTHS = (8, 32, 20, 16, 12, 8, 2)
"""Inputs, hidden units layer by layer, outputs."""

SOFTSIGN_LAYER = 4
"""The layer that ends in a softsign, the last hidden one; the others end in a ramp, and
the outputs in a softmax."""

LARGEST_TOURNAMENT = 512
"""Different inputs that meet each other: more pairs than that take over a second."""


@dataclass(frozen=True, slots=True, eq=False)
class PairwiseNet:
    """Weights (inputs, outputs) and biases of each layer. `description` says what they
    were trained on."""

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    description: str


def pair_inputs(first: Integers, second: Integers) -> Floats:
    """Return the network's inputs for pairs of variants, `first[pair]` and
    `second[pair]` being the bytes in each level; between -1 and 1."""
    sums = np.maximum(first.sum(axis=-1), second.sum(axis=-1))[..., None]
    both = np.concatenate((first, second), axis=-1)
    inputs: Floats = 2 * both / np.maximum(sums, 1) - 1
    return inputs


def first_is_faster(net: PairwiseNet, first: Integers, second: Integers) -> Floats:
    """Return the probability that the first of two variants is faster, for many pairs:
    `first[pair]` and `second[pair]` are the bytes in each level."""
    forward = _run(net, pair_inputs(first, second))
    backward = _run(net, pair_inputs(second, first))
    chance: Floats = (forward[..., 0] + backward[..., 1]) / 2
    return chance


def tournament(net: PairwiseNet, level_bytes: Integers) -> Floats:
    """Return for each variant the expected share of the others that it beats.

    Every variant meets every other one. Of equal ones none beats the other, so each is
    half a win. If there are more than `LARGEST_TOURNAMENT` different inputs, only so
    many evenly spread ones are opponents.
    """
    if not len(level_bytes):
        return np.zeros(0)
    kinds, kind, counts = np.unique(
        level_bytes, axis=0, return_inverse=True, return_counts=True
    )
    spread = np.linspace(0, len(kinds) - 1, min(len(kinds), LARGEST_TOURNAMENT))
    opponents = np.unique(np.round(spread).astype(np.int64))
    wins = np.array([_wins(net, one, kinds, opponents, counts) for one in kinds])
    return wins[kind.reshape(-1)]


def _wins(
    net: PairwiseNet, one: Integers, kinds: Integers, met: Integers, counts: Integers
) -> float:
    others = kinds[met]
    chances = first_is_faster(net, np.broadcast_to(one, others.shape), others)
    return float(np.average(chances, weights=counts[met]))


def _run(net: PairwiseNet, inputs: Floats) -> Floats:
    """Return the probabilities (first is faster, second is faster)."""
    values = inputs
    for layer, (weights, biases) in enumerate(zip(net.weights, net.biases)):
        values = values @ weights + biases
        if layer == SOFTSIGN_LAYER:
            values = values / (1 + np.abs(values))
        elif layer < len(net.weights) - 1:
            values = np.maximum(values, 0)
    values = np.exp(values - values.max(axis=-1, keepdims=True))
    probabilities: Floats = values / values.sum(axis=-1, keepdims=True)
    return probabilities


def net_from_json(text: str) -> PairwiseNet:
    """Return the network of a file's text."""
    data: dict[str, Any] = json.loads(text)
    return PairwiseNet(
        tuple(np.array(layer, float) for layer in data["weights"]),
        tuple(np.array(layer, float) for layer in data["biases"]),
        data["description"],
    )


def net_to_json(net: PairwiseNet) -> str:
    """Return the text of a network's file; numbers keep seven digits."""

    def rounded(values: Floats) -> Any:
        return np.array([float(f"{v:.7g}") for v in values.flat]).reshape(values.shape)

    data = {
        "description": net.description,
        "weights": [rounded(layer).tolist() for layer in net.weights],
        "biases": [rounded(layer).tolist() for layer in net.biases],
    }
    return json.dumps(data, indent=0).replace(",\n", ", ") + "\n"


def shipped_net() -> PairwiseNet:
    """Return the network that comes with the package."""
    place = files("polydsl.schedule.published") / "pairwise_net.json"
    return net_from_json(place.read_text(encoding="utf-8"))
