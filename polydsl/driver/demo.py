"""`make demo`: layers of ResNet-50, and one that no library has, on a real picture.

The picture goes through the first layers of ResNet-50 and then through an involution,
each read from the standard library's `.pdl` files, compiled from nothing, timed and
compared with the oracle. What a layer gets is what the layer before it made of the
picture; the weights are random, since trained ones would not change the speed.

The picture is Matplotlib's sample `grace_hopper.jpg`, a photograph of the U.S. Navy in
the public domain, which comes with the packages of the `demo` extra.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import Progress
from rich.table import Table

from polydsl.base.options import Options
from polydsl.base.quantities import seconds_text
from polydsl.driver.cli_output import Screen
from polydsl.driver.cli_run import operations_of, probe_of
from polydsl.driver.compiler import begin
from polydsl.driver.kernel import Kernel
from polydsl.driver.loading import load_standard
from polydsl.driver.measure import Timing, measure
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.semantics.oracle.compare import Margins

Array = np.ndarray[Any, Any]

SIDE = 224
SECONDS = 0.5
"""How long each layer is timed."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A kernel of the standard library with its weights' shapes and its constants."""

    title: str
    module: str
    kernel: str
    weights: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one layer."""

    layer: Layer
    special: Specialization
    compile_seconds: float
    timing: Timing
    margins: Margins


def _conv(title: str, inputs: int, outputs: int, window: int, stride: int = 1) -> Layer:
    weights = {"weight": (window, window, inputs, outputs), "bias": (outputs,)}
    constants = {"stride": stride, "padding": window // 2}
    return Layer(title, "conv", "conv2d_nhwc_bias_relu", weights, constants)


LAYERS: tuple[Layer, ...] = (
    _conv("conv1 7x7/2, 3 to 64", 3, 64, 7, 2),
    Layer(
        "max-pool 3x3/2",
        "pooling",
        "max_pool2d_nhwc",
        {},
        {"window": 3, "stride": 2, "padding": 1},
    ),
    _conv("conv2 1x1, 64 to 64", 64, 64, 1),
    _conv("conv2 3x3, 64 to 64", 64, 64, 3),
    _conv("conv2 1x1, 64 to 256", 64, 256, 1),
    _conv("conv3 1x1/2, 256 to 512", 256, 512, 1, 2),
    _conv("conv3 1x1, 512 to 128", 512, 128, 1),
    _conv("conv3 3x3, 128 to 128", 128, 128, 3),
    Layer(
        "involution 7x7, 8 groups",
        "novel",
        "involution_layer",
        {
            "w_reduce": (32, 128),
            "b_reduce": (32,),
            "w_span": (7 * 7 * 8, 32),
            "b_span": (7 * 7 * 8,),
        },
        {"window": 7, "groups": 8},
    ),
)


def picture() -> Array:
    """Return the picture as f32[1, 224, 224, 3], centred and scaled per channel."""
    sample = files("matplotlib") / "mpl-data" / "sample_data" / "grace_hopper.jpg"
    with as_file(sample) as path, Image.open(path) as image:
        width, height = image.size
        # A square from the top: a portrait has its face there.
        side = min(width, height)
        square = image.convert("RGB").crop((0, 0, side, side)).resize((SIDE, SIDE))
        pixels = np.asarray(square, np.float32)
    pixels = (pixels - pixels.mean((0, 1))) / pixels.std((0, 1))
    result: Array = pixels[np.newaxis]
    return result


def run_layers(image: Array, threads: int) -> Iterator[Row]:
    """Compile, run, time and check each layer on what the one before it gave."""
    generator = np.random.default_rng(0)
    activation = image
    for layer in LAYERS:
        kernel = _bound(layer, generator)
        start = time.perf_counter()
        special = kernel.specialize(activation)
        seconds = time.perf_counter() - start
        margins = kernel.verify(activation)
        timing = _timed(kernel, special, activation, threads)
        yield Row(layer, special, seconds, timing, margins)
        activation = kernel(activation, threads=threads)


def _timed(
    kernel: Kernel, special: Specialization, activation: Array, threads: int
) -> Timing:
    def call() -> object:
        return kernel(activation, threads=threads)

    return measure(call, probe_of(special), seconds=SECONDS)


def _bound(layer: Layer, generator: np.random.Generator) -> Kernel:
    """Return the kernel with random weights that keep the size of activations."""
    kernel: Kernel = getattr(load_standard(layer.module), layer.kernel)
    weights = {}
    for name, shape in layer.weights.items():
        inputs = shape[-1] if layer.module == "novel" else int(np.prod(shape[:-1]))
        scale = np.sqrt(2 / max(inputs, 1)) if len(shape) > 1 else 0.1
        values = generator.standard_normal(shape, np.float32)
        weights[name] = (values * scale).astype(np.float32)
    return kernel.bind(**weights, **layer.constants)


def _schedule_line(special: Specialization) -> str:
    """Return what was decided about the dearest statement, but for its outer loops."""
    state = compile_until(begin(special.request, toolchain()), "tree")
    decisions = state.schedule.decisions if state.schedule is not None else ()
    dearest = max(decisions, key=lambda d: d.cycles)
    clauses = dearest.chosen.split("; ")
    return "; ".join(c for c in clauses if not c.startswith(("loops ", "parallel ")))


def _cells(row: Row, threads: int) -> tuple[str, ...]:
    operations = operations_of(row.special)
    used = threads if row.special.compiled.interface.is_parallel else 1
    shape = row.special.result_layouts[0].shape
    count = sum(margin.checked for margin in row.margins.results)
    sampled = "sampled " if row.margins.sampled is not None else ""
    return (
        row.layer.title,
        "x".join(map(str, shape)),
        seconds_text(row.timing.seconds),
        f"{row.timing.gigaflops(operations):.1f}",
        f"{row.timing.share_of_peak(operations, used):.0%}",
        seconds_text(row.compile_seconds),
        f"{count:,} {sampled}ok",
        _schedule_line(row.special),
    )


_COLUMNS = (
    ("layer", "left"),
    ("result", "left"),
    ("time", "right"),
    ("GFLOP/s", "right"),
    ("of peak", "right"),
    ("compiled in", "right"),
    ("checked", "right"),
    ("schedule", "left"),
)


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for name, side in _COLUMNS:
        is_left = side == "left"
        is_text = name == "schedule"
        table.add_column(
            name,
            justify="left" if is_left else "right",
            no_wrap=not is_text,
            overflow="fold" if is_text else "ellipsis",
        )
    return table


def show(screen: Screen, threads: int = 1) -> None:
    """Run all layers and print the table. Raises `VerificationError` if one is off."""
    rows = []
    with Progress(
        console=screen.err, disable=not screen.err.is_terminal, transient=True
    ) as bar:
        task = bar.add_task("compiling and checking layers", total=len(LAYERS))
        for row in run_layers(picture(), threads):
            rows.append(row)
            bar.advance(task)
    peak = max(row.timing.peak for row in rows)
    cores = "one thread" if threads == 1 else f"{threads} threads"
    title = (
        f"f32 on {toolchain().machine.isa}, {cores}; measured peak "
        f"{peak:.0f} GFLOP/s a core; picture {SIDE}x{SIDE}"
    )
    table = _table(title)
    for row in rows:
        table.add_row(*_cells(row, threads))
    screen.out.print(table, soft_wrap=False)
    screen.line("Every layer agrees with the oracle within its error bound.")


def main() -> int:
    """Run the demo with a cache of its own, so that every layer is compiled."""
    options = Options.from_environment(os.environ)
    with tempfile.TemporaryDirectory(prefix="polydsl-demo-") as folder:
        os.environ["POLYDSL_CACHE_DIR"] = folder
        show(Screen.of_process(color=options.color))
    return 0


if __name__ == "__main__":
    sys.exit(main())
