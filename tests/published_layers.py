"""The table of convolution layers as values of the published variant space."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from polydsl.schedule.published.variants import Layer, padded_channels

PATH = Path(__file__).parent / "benchmarks" / "conv_layers.csv"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the table: the layer with one image, its name and its network."""

    network: str
    name: str
    layer: Layer
    numbers: dict[str, str]


def table() -> tuple[TableRow, ...]:
    """Return all rows of `conv_layers.csv`."""
    with PATH.open() as file:
        return tuple(_row(numbers) for numbers in csv.DictReader(file))


def _row(numbers: dict[str, str]) -> TableRow:
    size = {k: int(numbers[k]) for k in ("C", "K", "R", "S", "stride", "P", "Q")}
    channels_in, channels_out, block = padded_channels(size["C"], size["K"])
    layer = Layer(
        1,
        channels_in,
        channels_out,
        (size["R"], size["S"]),
        size["stride"],
        (size["P"], size["Q"]),
        block,
    )
    return TableRow(numbers["source_network"], numbers["layer"], layer, numbers)
