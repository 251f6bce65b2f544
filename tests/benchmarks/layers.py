"""The 20 convolution layers of ResNet-50 and square matrix products, beside PyTorch.

f32, N = 1, one thread; weights are bound here and prepacked there. Both run interleaved
with a probe of the machine's multiply-add peak, in one process.

    python -m tests.benchmarks.layers [nhwc] [nchw] [matmul]
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import polydsl
from polydsl.backend.peak import measure_peak
from polydsl.backend.target import host_target
from polydsl.base.dtypes import F32
from tests.benchmarks.timing import geometric_mean, interleave

TEXT = """
kernel nhwc(x: f32[N, H, W, C], w: f32[R, S, C, K],
            *, stride: int, padding: int) -> f32[N, P, Q, K]:
    P = (H + 2*padding - R) // stride + 1
    Q = (W + 2*padding - S) // stride + 1
    y[n, p, q, k] += pad(x[n, p*stride + r - padding, q*stride + s - padding, c]) * (
        w[r, s, c, k])
    return y

kernel nchw(x: f32[N, C, H, W], w: f32[K, C, R, S],
            *, stride: int, padding: int) -> f32[N, K, P, Q]:
    P = (H + 2*padding - R) // stride + 1
    Q = (W + 2*padding - S) // stride + 1
    y[n, k, p, q] += pad(x[n, c, p*stride + r - padding, q*stride + s - padding]) * (
        w[k, c, r, s])
    return y

kernel matmul(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One layer: what to run here and there, and its floating-point operations."""

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    operations: float
    compile_seconds: float


def convolution_rows() -> list[dict[str, str]]:
    """Return the rows of ResNet-50 in the table of layers."""
    path = Path(__file__).with_name("conv_layers.csv")
    with path.open() as file:
        return [r for r in csv.DictReader(file) if r["source_network"] == "resnet"]


def convolutions(layout: str) -> Iterator[Case]:
    """Yield the convolutions in one layout."""
    rng = np.random.default_rng(0)
    kernel = getattr(polydsl.loads(TEXT), layout)
    for row in convolution_rows():
        size = {k: int(row[k]) for k in ("C", "K", "H", "W", "R", "S", "P", "Q")}
        stride, padding = int(row["stride"]), int(row["pad"])
        x = rng.standard_normal((1, size["C"], size["H"], size["W"]), dtype=np.float32)
        w = rng.standard_normal(
            (size["K"], size["C"], size["R"], size["S"]), dtype=np.float32
        )
        theirs = _theirs(x, w, stride, padding, channels_last=layout == "nhwc")
        if layout == "nhwc":
            x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
            w = np.ascontiguousarray(w.transpose(2, 3, 1, 0))
        start = time.perf_counter()
        bound = kernel.bind(w=w, stride=stride, padding=padding)
        bound(x, threads=1)
        seconds = time.perf_counter() - start
        work = 2.0 * size["K"] * size["C"] * size["P"] * size["Q"]
        work *= size["R"] * size["S"]
        yield Case(
            row["layer"],
            lambda k=bound, x=x: k(x, threads=1),
            theirs,
            work,
            seconds,
        )


def _theirs(
    x: np.ndarray, w: np.ndarray, stride: int, padding: int, *, channels_last: bool
) -> Callable[[], object]:
    """Return PyTorch's convolution with oneDNN's prepacked weights."""
    data, weight = torch.from_numpy(x), torch.from_numpy(w)
    form = torch.channels_last if channels_last else torch.contiguous_format
    data = data.to(memory_format=form)
    steps, pads, ones = [stride, stride], [padding, padding], [1, 1]
    packed = torch.ops.mkldnn._reorder_convolution_weight(
        weight, pads, steps, ones, 1, list(data.shape)
    )
    run = torch.ops.mkldnn._convolution_pointwise
    return lambda: run(data, packed, None, pads, steps, ones, 1, "none", [], "")


def products() -> Iterator[Case]:
    """Yield square matrix products."""
    rng = np.random.default_rng(0)
    kernel = polydsl.loads(TEXT).matmul
    for size in (64, 128, 256, 512, 1024, 2048):
        a = rng.standard_normal((size, size), dtype=np.float32)
        b = rng.standard_normal((size, size), dtype=np.float32)
        start = time.perf_counter()
        kernel(a, b, threads=1)
        seconds = time.perf_counter() - start
        left, right = torch.from_numpy(a), torch.from_numpy(b)
        yield Case(
            f"matmul {size}",
            lambda a=a, b=b: kernel(a, b, threads=1),
            lambda left=left, right=right: left @ right,
            2.0 * size**3,
            seconds,
        )


def report(title: str, cases: Iterator[Case]) -> None:
    """Measure cases and print a table."""
    target = host_target()
    print(f"\n{title}: f32, one thread, {target.isa.name}")
    print(f"{'layer':12} {'GFLOP/s':>8} {'% of peak':>9} {'PyTorch':>8} {'ratio':>6}")
    shares: list[float] = []
    ratios: list[float] = []
    for case in cases:
        ours, theirs = interleave((case.ours, case.theirs))
        peak = measure_peak(target, F32)
        shares.append(case.operations / ours / 1e9 / peak)
        ratios.append(theirs / ours)
        print(
            f"{case.name:12} {case.operations / ours / 1e9:8.1f} "
            f"{100 * shares[-1]:8.1f}% {case.operations / theirs / 1e9:8.1f} "
            f"{ratios[-1]:6.2f}   first call {case.compile_seconds * 1e3:.0f} ms",
            flush=True,
        )
    print(
        f"geometric mean: {100 * geometric_mean(shares):.1f} % of peak, "
        f"{geometric_mean(ratios):.2f} times PyTorch"
    )


def main(chosen: list[str]) -> None:
    """Run the tables that are named, or all."""
    torch.set_num_threads(1)
    tables = {
        "nhwc": lambda: convolutions("nhwc"),
        "nchw": lambda: convolutions("nchw"),
        "matmul": products,
    }
    for name in chosen or tables:
        report(name, tables[name]())


if __name__ == "__main__":
    main(sys.argv[1:])
