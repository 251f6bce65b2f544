"""Times of the published variants on this machine, to train the pairwise net on.

    python -m tests.benchmarks.published.measure times.csv [--variants 24]
                                 [--space 2020] [--minutes 60] [--network resnet ...]

For each layer of `conv_layers.csv`: the four untiled orders and a sample of the tiled
ones of which all tiles are whole. The space of 2020 tiles the image's lines alone, so
that all variants of a layer have the same microkernel; that of 2021 tiles channels and
columns too. One image, f32, one thread, least times over interleaved rounds. A line for
each variant is appended when its layer is done; layers that the file has are skipped,
so that a run can be stopped and taken up again.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polydsl
from polydsl.backend.arrays import layout_of
from polydsl.base.diagnostics import PolydslError
from polydsl.base.machine import Machine
from polydsl.driver.compiler import begin
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import Toolchain, toolchain
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.preference import Preference
from polydsl.schedule.published.variants import TILED, ConvVariant, conv_variants
from tests.benchmarks.published.runnable import (
    SUBJECT,
    Array,
    convolution_arrays,
    convolution_point,
    convolution_sizes,
    convolution_text,
    is_even,
)
from tests.benchmarks.timing import interleave
from tests.published_layers import TableRow, table

CACHES = ("L1", "L2", "L3")
COLUMNS = ("network", "layer", "order", *TILED, *CACHES, "seconds", "gflops")
SECONDS_PER_VARIANT = 0.2
ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Runnable:
    """A compiled variant with its arguments."""

    variant: ConvVariant
    kernel: Specialization
    x: Array
    w: Array

    def __call__(self) -> object:
        """Run once on one thread."""
        return self.kernel(self.x, self.w, threads=1)


SPACES: Mapping[str, tuple[str, ...]] = {"2020": ("oj",), "2021": TILED}
"""The loops that are tiled in each published space."""


def chosen_variants(
    row: TableRow, count: int, tiled: tuple[str, ...] = TILED
) -> tuple[ConvVariant, ...]:
    """Return the untiled variants of a layer and a sample of the tiled ones, without
    those of which the loops are the same, `count` together."""
    found: dict[object, ConvVariant] = {}
    for variant in conv_variants(row.layer, tiled=tiled):
        if is_even(variant):
            running = tuple(loop for loop in variant.loops if loop.trips > 1)
            found.setdefault(running, variant)
    plain = [v for v in found.values() if not v.tiles]
    others = [v for v in found.values() if v.tiles]
    random.Random(row.name).shuffle(others)
    return tuple(plain + others[: max(0, count - len(plain))])


def compile_variant(variant: ConvVariant, tools: Toolchain) -> Runnable:
    """Return a variant as native code with random arguments."""
    x, w = convolution_arrays(variant)
    _, constants = convolution_sizes(variant)
    kernel = polydsl.loads(convolution_text(variant)).convolution
    point = convolution_point(variant, tools.machine)
    request = Request(
        kernel.library,
        kernel.name,
        {"x": layout_of(x), "w": layout_of(w)},
        constants,
        preference=Preference(chosen=((SUBJECT, point),)),
    )
    check_taken(request, point, tools)
    return Runnable(variant, Specialization(request, tools, {}), x, w)


def check_taken(request: Request, point: MatrixPoint, tools: Toolchain) -> None:
    """Raise unless a request is scheduled as its point says: the time of another
    schedule under a variant's name would spoil the data."""
    found = compile_until(begin(request, tools), "tree").schedule
    plans = [] if found is None else found.plans
    if not any(isinstance(plan, MatrixPlan) and _is_of(plan, point) for plan in plans):
        raise PolydslError(
            f"the scheduler did not take {point} for {SUBJECT}; nothing is measured"
        )


def _is_of(plan: MatrixPlan, point: MatrixPoint) -> bool:
    # A plan leaves out loops of one iteration, also the second of two equal ones.
    asked = list(dict.fromkeys(loop for loop in point.loops if loop in plan.loops))
    tiles = (plan.row_tile, plan.column_tile, plan.depth_block)
    return asked == [*plan.loops] and tiles == (
        point.row_tile,
        point.column_tile,
        point.depth_block,
    )


def operations(row: TableRow) -> float:
    """Return the floating-point operations of a layer, its padded channels included."""
    return 2.0 * math.prod(row.layer.trips.values())


def measure_layer(
    row: TableRow, variants: Sequence[ConvVariant], tools: Toolchain
) -> list[dict[str, object]]:
    """Return a line of the table for each variant."""
    runs = [compile_variant(variant, tools) for variant in variants]
    seconds = interleave(runs, seconds=SECONDS_PER_VARIANT * len(runs), rounds=ROUNDS)
    return [
        line(row, run.variant, least, tools.machine)
        for run, least in zip(runs, seconds)
    ]


def line(
    row: TableRow, variant: ConvVariant, seconds: float, machine: Machine
) -> dict[str, object]:
    """Return what is written about a variant; tiles are 0 where there are none."""
    tiles = dict(variant.tiles)
    return {
        "network": row.network,
        "layer": row.name,
        "order": variant.order,
        **{name: tiles.get(name, 0) for name in TILED},
        **{name: machine.cache(name).capacity for name in CACHES},
        "seconds": f"{seconds:.6g}",
        "gflops": f"{operations(row) / seconds / 1e9:.2f}",
    }


def measured_layers(path: Path) -> set[str]:
    """Return the names of the layers that a file has."""
    if not path.exists():
        return set()
    with path.open() as file:
        return {numbers["layer"] for numbers in csv.DictReader(file)}


def append(path: Path, lines: Sequence[dict[str, object]]) -> None:
    """Add lines to a file, which begins with the names of the columns."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if is_new:
            writer.writeheader()
        writer.writerows(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure until all layers are done or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--variants", type=int, default=24, help="of each layer")
    parser.add_argument("--space", choices=sorted(SPACES), default="2020")
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--network", action="append", help="only layers of these")
    parser.add_argument("--layers", type=int, default=None, help="at most so many")
    options = parser.parse_args(arguments)
    tools = toolchain()
    done = measured_layers(options.file)
    rows = [r for r in table() if r.name not in done]
    rows = [r for r in rows if not options.network or r.network in options.network]
    # A part of the table that was measured is then spread over all networks.
    random.Random(0).shuffle(rows)
    start = time.perf_counter()
    for number, row in enumerate(rows[: options.layers], 1):
        spent = (time.perf_counter() - start) / 60
        if spent > options.minutes:
            print(f"time is over: {len(rows) - number + 1} layers are left")
            break
        variants = chosen_variants(row, options.variants, SPACES[options.space])
        lines = measure_layer(row, variants, tools)
        append(options.file, lines)
        speeds = sorted(float(str(entry["gflops"])) for entry in lines)
        print(
            f"{number}/{len(rows)} {row.name}: {len(lines)} variants, "
            f"{speeds[0]:.0f} to {speeds[-1]:.0f} GFLOP/s, {spent:.1f} minutes",
            flush=True,
        )


if __name__ == "__main__":
    main()
