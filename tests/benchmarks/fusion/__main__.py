"""Layers written as several lines, fused and unfused, beside what their data alone take
and beside PyTorch and JAX.

f32, interleaved in one process, minima over many rounds; results are compared before
they are timed. PyTorch eager is there in its best form, or in several; `torch.compile`
needs a compiler of C++, and JAX the extra `jax`: where that is missing, so are its
times.

    python -m tests.benchmarks.fusion [--threads N] [words of the names]

Each side runs on so many threads, 1 unless more are asked for (`case.limit_threads`).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from polydsl.base.quantities import seconds_text
from tests.benchmarks.fusion import (
    attention,
    copied,
    factored,
    layers,
    scans,
    windows,
)
from tests.benchmarks.fusion.case import Array, Case, Run, limit_threads
from tests.benchmarks.timing import interleave

COLUMNS = (
    "layer",
    "fused",
    "unfused",
    "at least",
    "others",
    "best / fused",
    "asked",
    "touched",
    "unfused",
    "scratch",
    "unfused",
)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Fused layers beside others.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    limit_threads(asked.threads)
    print(f"| {' | '.join(COLUMNS)} |")
    print(f"|{' --- |' * len(COLUMNS)}")
    for case in _cases():
        if all(word in case.name for word in asked.words):
            print(f"| {' | '.join(_row(case, asked.threads))} |", flush=True)


def _cases() -> Iterator[Case]:
    parts = layers, windows, attention, scans, factored, copied
    return chain.from_iterable(part.cases() for part in parts)


def _row(case: Case, threads: int) -> tuple[str, ...]:
    free = {n: a for n, a in case.arguments.items() if n not in case.bound}
    bound = {n: case.arguments[n] for n in case.bound}
    kernels = [case.kernel, case.kernel.configure(fuse="none")]
    ready = [k.bind(**bound) if bound else k for k in kernels]
    ours = [partial(k, **free, **case.constants, threads=threads) for k in ready]
    theirs = {name: run for name, run in case.theirs.items() if run is not None}
    expected = ours[1]()
    for name, run in {"fused": ours[0], **theirs}.items():
        _check(f"{case.name}, {name}", run(), expected)
    least = [] if case.least is None else [partial(case.least, threads)]
    runs: list[Run] = [*ours, *theirs.values(), *least]
    taken = interleave(runs, seconds=4.0, rounds=5)
    times = dict(zip(theirs, taken[2:]))
    memory = [_memory(k, {**free, **case.constants}) for k in ready]
    return (
        case.name,
        seconds_text(taken[0]),
        seconds_text(taken[1]),
        seconds_text(taken[-1]) if least else "",
        ", ".join(f"{name} {seconds_text(time)}" for name, time in times.items()),
        f"{min(times.values()) / taken[0]:.2f}" if times else "",
        case.asked,
        memory[0][0],
        memory[1][0],
        memory[0][1],
        memory[1][1],
    )


def _check(name: str, result: Any, expected: Array) -> None:
    """Raise where a result is not about what is expected."""
    found = np.asarray(result).reshape(expected.shape)
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference < 1e-4:
        raise SystemExit(f"{name} differs by {difference} of the greatest value")


def _memory(kernel: Any, arguments: dict[str, Any]) -> tuple[str, str]:
    """Return what the steps of a call touch, and its scratch memory."""
    text = kernel.explain(**arguments)
    touched = re.search(r"its steps touch (.*)", text)
    scratch = re.search(r"scratch: (.*)", text)
    assert touched and scratch
    return touched[1], scratch[1]


if __name__ == "__main__":
    main()
