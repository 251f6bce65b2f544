"""Measured times of published variants as pairs to learn from and to judge by.

Pairs are of variants of one layer of which one is clearly faster. Layers of one shape
belong together wherever they occur: networks share many, and a network counts as unseen
only if none of its shapes was in the training data.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from polydsl.schedule.published.closed_form import closed_working_sets
from polydsl.schedule.published.footprints import variants_of
from polydsl.schedule.published.placement import Integers, greedy_bytes
from polydsl.schedule.published.variants import TILED, ConvVariant, Layer, conv_nest
from tests.published_layers import TableRow, table

Floats = npt.NDArray[np.float64]

CLEARLY = 0.05
"""Two times that differ by less, as a share of the greater, are noise: no pair. Of the
pairs that differ by more than 2, 3, 5 and 10 percent, a second measurement had 84, 86,
91 and 93 percent in the same order."""

ELEMENT = 4
"""Bytes of an element; the times are of f32."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The measured variants of one layer: the bytes of each in L1, L2, L3 and memory,
    and the seconds."""

    network: str
    name: str
    layer: Layer
    level_bytes: Integers
    seconds: Floats

    def pairs(self) -> npt.NDArray[np.int64]:
        """Return the pairs (faster, slower) of variants, shape (pairs, 2)."""
        found = [
            (a, b) if self.seconds[a] < self.seconds[b] else (b, a)
            for a, b in combinations(range(len(self.seconds)), 2)
            if abs(self.seconds[a] - self.seconds[b])
            > CLEARLY * max(self.seconds[a], self.seconds[b])
        ]
        return np.array(found, np.int64).reshape(-1, 2)


def read_times(path: Path) -> tuple[Measured, ...]:
    """Return the layers of a file that `measure` wrote."""
    rows = {row.name: row for row in table()}
    groups: dict[str, list[dict[str, str]]] = {}
    with path.open() as file:
        for numbers in csv.DictReader(file):
            groups.setdefault(numbers["layer"], []).append(numbers)
    return tuple(_measured(rows[name], group) for name, group in groups.items())


def _measured(row: TableRow, group: Sequence[Mapping[str, str]]) -> Measured:
    nests = [conv_nest(_variant(row.layer, numbers)) for numbers in group]
    room = tuple(int(group[0][level]) for level in ("L1", "L2", "L3"))
    pairs = closed_working_sets(variants_of(nests))
    return Measured(
        row.network,
        row.name,
        row.layer,
        greedy_bytes(pairs, ELEMENT, room),
        np.array([float(numbers["seconds"]) for numbers in group]),
    )


def _variant(layer: Layer, numbers: Mapping[str, str]) -> ConvVariant:
    tiles = tuple((name, int(numbers[name])) for name in TILED if int(numbers[name]))
    return ConvVariant(layer, int(numbers["order"]), tiles)


def folds(
    measured: Sequence[Measured],
) -> Iterator[tuple[str, tuple[Measured, ...], tuple[Measured, ...]]]:
    """Yield each network with what may be trained on and what is held out: all other
    networks without the layers of a shape that it has, and its own layers."""
    for network in dict.fromkeys(m.network for m in measured):
        held_out = tuple(m for m in measured if m.network == network)
        shapes = {m.layer for m in held_out}
        seen = tuple(
            m for m in measured if m.network != network and m.layer not in shapes
        )
        yield network, seen, held_out


Scores = Callable[[Measured], Floats]
"""Lower is better, one number a variant."""


def pair_accuracy(measured: Sequence[Measured], scores: Scores) -> tuple[float, int]:
    """Return the share of pairs that scores order as the clock does, and how many
    pairs there are. Equal scores are a guess: half right."""
    right, total = 0.0, 0
    for layer in measured:
        pairs, score = layer.pairs(), scores(layer)
        faster, slower = score[pairs[:, 0]], score[pairs[:, 1]]
        right += float(np.sum(faster < slower) + 0.5 * np.sum(faster == slower))
        total += len(pairs)
    return right / max(total, 1), total


def regret(measured: Sequence[Measured], scores: Scores) -> float:
    """Return the geometric mean over layers of best time / time of the first choice.
    Among equal first choices one is taken by chance: their mean logarithm."""
    logs = []
    for layer in measured:
        score = scores(layer)
        first = score == score.min()
        logs.append(float(np.mean(np.log(layer.seconds.min() / layer.seconds[first]))))
    return float(np.exp(np.mean(logs)))
