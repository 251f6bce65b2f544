"""`polydsl run`: a kernel on files or random inputs, timed and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polydsl.backend.arrays import ArrayLayout
from polydsl.backend.peak import Probe, arithmetic_probe
from polydsl.base.diagnostics import ArgumentError, PolydslError
from polydsl.base.dtypes import F64, DType
from polydsl.base.quantities import seconds_text
from polydsl.driver.cli_input import Given, Plan, fill, plan
from polydsl.driver.cli_output import Fact, Screen
from polydsl.driver.compiler import begin
from polydsl.driver.kernel import Kernel
from polydsl.driver.measure import Timing, measure
from polydsl.driver.random_arrays import Distribution
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.poly.operations import count_operations
from polydsl.semantics.oracle.compare import Margins

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `polydsl run` was asked for besides the arguments of the kernel."""

    outputs: tuple[Path, ...]
    bound: tuple[str, ...]
    threads: int | None
    seconds: float
    distribution: Distribution
    is_checked: bool


def run_kernel(
    screen: Screen, kernel: Kernel, given: Given, options: RunOptions
) -> None:
    """Run a kernel and print its time, its speed, and how it compares to the oracle.

    Raises `VerificationError` where a result lies outside the oracle's bound.
    """
    wanted = plan(kernel, given)
    arrays = fill(kernel, wanted, options.distribution)
    for name in options.bound:
        if name not in arrays:
            raise ArgumentError(f"{kernel.name} has no tensor parameter {name} to bind")
    bound = kernel.bind(**{name: arrays[name] for name in options.bound})
    free = [array for name, array in arrays.items() if name not in options.bound]
    with screen.progress(f"compiling {kernel.name}"):
        special = bound.specialize(*free, **wanted.constants)
        results = bound(*free, threads=options.threads, **wanted.constants)
    given_results = results if isinstance(results, tuple) else (results,)
    _check_outputs(kernel, options.outputs, given_results)
    _save(options.outputs, given_results)
    threads = options.threads or toolchain().threads
    timing = _time(screen, bound, special, free, wanted, options, threads)
    facts = [*_about(kernel, wanted, special), *_speed(special, timing, threads)]
    screen.line(f"{kernel.name}")
    screen.facts(facts)
    if options.is_checked:
        with screen.progress("checking against the oracle"):
            margins = bound.verify(*free, **wanted.constants)
        screen.facts(_check(margins, facts))


def operations_of(special: Specialization) -> int:
    """Return how many operations one run of a specialisation has."""
    state = compile_until(begin(special.request, toolchain()), "scop")
    return count_operations(state.scop) if state.scop is not None else 0


def peak_dtype(special: Specialization) -> DType | None:
    """Return the dtype whose peak a kernel is measured by; None without floats."""
    layouts = [*special.request.arguments.values(), *special.result_layouts]
    floats = [layout.dtype for layout in layouts if layout.dtype.is_float]
    wide = [dtype for dtype in floats if dtype == F64]
    return next(iter([*wide, *floats]), None)


def probe_of(special: Specialization) -> Probe | None:
    """Return the loop that measures the peak that a kernel is compared with."""
    dtype = peak_dtype(special)
    if dtype is None or dtype.bits < 32:
        return None
    return arithmetic_probe(toolchain().target, dtype)


def _check_outputs(
    kernel: Kernel, outputs: Sequence[Path], results: Sequence[Array]
) -> None:
    if outputs and len(outputs) != len(results):
        raise ArgumentError(
            f"{kernel.name} has {len(results)} results, and -o names {len(outputs)} "
            "files; give one -o for each, in the order of return"
        )


def _save(outputs: Sequence[Path], results: Sequence[Array]) -> None:
    for path, result in zip(outputs, results):
        try:
            with open(path, "wb") as file:
                np.save(file, result, allow_pickle=False)
        except OSError as error:
            raise PolydslError(
                f"{path} cannot be written: {error.strerror or error}"
            ) from None


def _time(
    screen: Screen,
    kernel: Kernel,
    special: Specialization,
    arrays: Sequence[Array],
    wanted: Plan,
    options: RunOptions,
    threads: int,
) -> Timing:
    probe = probe_of(special)
    fixed = kernel.bind(**wanted.constants) if wanted.constants else kernel

    def call() -> object:
        return fixed(*arrays, threads=threads)

    with screen.progress(f"timing {kernel.name}"):
        return measure(call, probe, seconds=options.seconds)


def _about(kernel: Kernel, wanted: Plan, special: Specialization) -> Iterator[Fact]:
    layouts = [f"{name}: {layout}" for name, layout in wanted.layouts.items()]
    constants = [f"{name}={value}" for name, value in wanted.constants.items()]
    yield "arguments", ", ".join((*layouts, *constants))
    yield "results", ", ".join(_results(special))
    compiled = special.compiled
    origin = "loaded from the cache" if compiled.from_cache else "compiled"
    yield "code", f"{origin} in {seconds_text(compiled.seconds)}"
    for line in compiled.interface.summary:
        yield "schedule", line


def _results(special: Specialization) -> Iterator[str]:
    layouts: tuple[ArrayLayout, ...] = special.result_layouts
    for name, layout in zip(special.compiled.interface.results, layouts):
        yield f"{name}: {layout}"


def _speed(special: Specialization, timing: Timing, threads: int) -> Iterator[Fact]:
    used = threads if special.compiled.interface.is_parallel else 1
    cores = "1 thread" if used == 1 else f"{used} threads"
    yield "time", f"{seconds_text(timing.seconds)}, best of {timing.calls}, {cores}"
    operations = operations_of(special)
    dtype = peak_dtype(special)
    unit = "GOP/s" if dtype is None else "GFLOP/s"
    speed = f"{timing.gigaflops(operations):.4g} {unit}"
    yield "speed", f"{speed} ({operations:,} operations)"
    if timing.peak and dtype is not None:
        share = timing.share_of_peak(operations, used)
        peak = f"{timing.peak:.4g} GFLOP/s" + (f" x {used}" if used > 1 else "")
        yield "peak", f"{share:.1%} of this machine's {peak} in {dtype}"


def _check(margins: Margins, before: Sequence[Fact]) -> Iterator[Fact]:
    width = max(len(label) for label, _ in before)
    checked = sum(margin.checked for margin in margins.results)
    undecided = sum(margin.undecided for margin in margins.results)
    what = f"all {checked:,} elements"
    if margins.sampled is not None:
        what = f"a sample of {checked:,} elements"
    more = f"; {undecided:,} undecided" if undecided else ""
    yield (
        f"{'check':<{width}}",
        f"{what} within the oracle's error bound, at most {margins.ratio:.2g} "
        f"of it{more}",
    )
