"""`polydsl bench`: a kernel beside PyTorch and library microkernels, as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from polydsl.base.diagnostics import ArgumentError
from polydsl.base.quantities import seconds_text
from polydsl.driver.bench import Bench, Row, run_bench
from polydsl.driver.cli_input import Given, fill, plan
from polydsl.driver.cli_output import Screen
from polydsl.driver.cli_run import operations_of, peak_dtype, probe_of
from polydsl.driver.kernel import Kernel
from polydsl.driver.specialization import Specialization
from polydsl.driver.toolchain import toolchain


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What `polydsl bench` was asked for besides the arguments of the kernel."""

    against: tuple[str, ...]
    bound: tuple[str, ...]
    threads: int | None
    seconds: float
    is_json: bool


def bench_kernel(
    screen: Screen, kernel: Kernel, given: Given, options: BenchOptions
) -> None:
    """Time a kernel beside its peers and print a table, or JSON."""
    wanted = plan(kernel, given)
    arrays = fill(kernel, wanted)
    for name in options.bound:
        if name not in arrays:
            raise ArgumentError(f"{kernel.name} has no tensor parameter {name} to bind")
    threads = options.threads or toolchain().threads
    bench = Bench(kernel, arrays, wanted.constants, options.bound, threads)
    with screen.progress(f"compiling {kernel.name}"):
        special = bench.fixed(kernel).specialize(*bench.free)
    with screen.progress(f"timing {kernel.name}"):
        rows = run_bench(
            bench, options.against, probe_of(special), seconds=options.seconds
        )
    report = _Report(special, rows, threads)
    if options.is_json:
        screen.line(json.dumps(report.content(), indent=2))
        return
    layouts = [f"{name}: {layout}" for name, layout in wanted.layouts.items()]
    constants = [f"{name}={value}" for name, value in wanted.constants.items()]
    screen.line(f"{kernel.name}({', '.join((*layouts, *constants))})")
    for line in report.lines():
        screen.line(line)


@dataclass(frozen=True, slots=True)
class _Report:
    """Rows with what they are measured by."""

    special: Specialization
    rows: Sequence[Row]
    threads: int

    def lines(self) -> Iterator[str]:
        """Yield the table, and what is to be said about its rows."""
        peak = self._peak()
        dtype = peak_dtype(self.special)
        cores = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        measured = f", peak of one core {peak:.4g} GFLOP/s in {dtype}" if peak else ""
        yield f"{cores}{measured}"
        yield f"  {'':<10} {'time':>10} {'GFLOP/s':>9} {'of peak':>8} {'ratio':>6}"
        for row, entry in zip(self.rows, self.content()["sides"]):
            if row.timing is None:
                yield f"  {row.name:<10} {'not timed':>10}  {row.note}"
                continue
            share = entry["share_of_peak"]
            text = f"{share:8.1%}" if share is not None else f"{'':8}"
            yield (
                f"  {row.name:<10} {seconds_text(row.timing.seconds):>10} "
                f"{entry['gflops']:9.4g} {text} {entry['ratio']:6.2f}  {row.note}"
            ).rstrip()

    def _peak(self) -> float:
        return max((r.timing.peak for r in self.rows if r.timing), default=0.0)

    def content(self) -> dict[str, Any]:
        """Return the report as plain values. A ratio is a side's time over ours."""
        operations = operations_of(self.special)
        own = self.rows[0].timing
        sides: list[dict[str, Any]] = []
        for row in self.rows:
            timing = row.timing
            entry: dict[str, Any] = {"name": row.name, "note": row.note}
            if timing is not None and own is not None:
                entry["seconds"] = timing.seconds
                entry["calls"] = timing.calls
                entry["gflops"] = timing.gigaflops(operations)
                share = timing.share_of_peak(operations, self.threads)
                entry["share_of_peak"] = share if timing.peak else None
                entry["ratio"] = timing.seconds / own.seconds
            sides.append(entry)
        request = self.special.request
        return {
            "kernel": request.kernel,
            "arguments": {n: str(a) for n, a in request.arguments.items()},
            "constants": dict(request.constants),
            "threads": self.threads,
            "operations": operations,
            "peak_gflops": self._peak(),
            "sides": sides,
        }
