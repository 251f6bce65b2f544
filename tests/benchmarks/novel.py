"""Layers that no library has, beside the PyTorch code that one would write for them.

f32, one thread, interleaved in one process; results are compared before they are timed.

    python -m tests.benchmarks.novel
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

import polydsl
from tests.benchmarks.timing import interleave

novel = polydsl.stdlib.novel


@dataclass(frozen=True, slots=True)
class Case:
    """One layer: what to run here and there, and its operations."""

    name: str
    ours: Callable[[], torch.Tensor]
    theirs: Callable[[], torch.Tensor]
    operations: float


def cases() -> Iterator[Case]:
    """Yield the layers."""
    torch.manual_seed(0)
    a, b = torch.randn(512, 512), torch.randn(512, 512)
    yield Case(
        "max-plus product 512",
        lambda: novel.max_plus(a, b, threads=1),
        lambda: torch.stack([(row[:, None] + b).amax(0) for row in a]),
        2.0 * 512**3,
    )
    yield Case(
        "L1 distance 512",
        lambda: novel.l1_distance(a, b, threads=1),
        lambda: torch.cdist(a, b.T.contiguous(), p=1),
        3.0 * 512**3,
    )
    x, z = torch.randn(1, 64, 48, 64), torch.randn(1, 64, 48, 64)
    yield Case(
        "correlation volume, radius 4",
        lambda: novel.correlation(x, z, radius=4, threads=1),
        lambda: _correlation(x, z, 4),
        2.0 * 81 * 64 * 48 * 64,
    )
    image, filters = torch.randn(1, 56, 56, 64), torch.randn(1, 56, 56, 7, 7, 4)
    yield Case(
        "involution 7x7, 64 channels, 4 groups",
        lambda: novel.involution(image, filters, padding=3, threads=1),
        lambda: _involution(image, filters),
        2.0 * 49 * 64 * 56 * 56,
    )


def _correlation(x: torch.Tensor, z: torch.Tensor, radius: int) -> torch.Tensor:
    height, width = x.shape[2:]
    padded = functional.pad(z, (radius,) * 4)
    steps = range(2 * radius + 1)
    rows = [
        torch.stack(
            [(x * padded[:, :, u : u + height, v : v + width]).mean(1) for v in steps],
            1,
        )
        for u in steps
    ]
    return torch.stack(rows, 1)


def _involution(image: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    batch, height, width, channels = image.shape
    groups = filters.shape[-1]
    windows = functional.unfold(image.permute(0, 3, 1, 2), 7, padding=3)
    windows = windows.view(batch, groups, channels // groups, 49, height, width)
    taps = filters.reshape(batch, height, width, 49, groups)
    summed = torch.einsum("bgckhw,bhwkg->bhwgc", windows, taps)
    return summed.reshape(batch, height, width, channels)


def main() -> None:
    """Measure every layer and print a table."""
    torch.set_num_threads(1)
    print(f"{'layer':40} {'GFLOP/s':>8} {'PyTorch':>8} {'ratio':>6}")
    for case in cases():
        difference = np.abs(case.ours().numpy() - case.theirs().numpy()).max()
        if difference > 1e-2:
            raise SystemExit(f"{case.name} differs from PyTorch by {difference}")
        ours, theirs = interleave((case.ours, case.theirs), seconds=2.0, rounds=5)
        print(
            f"{case.name:40} {case.operations / ours / 1e9:8.1f} "
            f"{case.operations / theirs / 1e9:8.1f} {theirs / ours:6.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
