"""`polydsl doctor`: what this machine is, what polydsl uses of it, what is missing."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from rich.table import Table

from polydsl.backend.calibration.measure import calibrate
from polydsl.backend.calibration.numbers import numbers_of
from polydsl.backend.isa import ISAS
from polydsl.backend.openmp import find_openmp
from polydsl.backend.peak import measure_bandwidth, measure_peak
from polydsl.backend.target import host_target, machine_of, processor
from polydsl.base.dtypes import F32, F64
from polydsl.base.options import VARIABLES
from polydsl.base.providers import PROVIDERS
from polydsl.base.quantities import bytes_text
from polydsl.driver.calibration import (
    calibrated_machine,
    forget_numbers,
    keep_numbers,
)
from polydsl.driver.cli_output import Fact, Screen
from polydsl.driver.toolchain import Toolchain, toolchain

_PACKAGES = ("numpy", "llvmlite", "islpy", "lark", "ml-dtypes", "click", "rich")
_OPTIONAL = (("torch", "PyTorch tensors as arguments: pip install 'polydsl[torch]'"),)


def report(screen: Screen) -> None:
    """Print the report. Measuring the peak takes a second."""
    tools = toolchain()
    with screen.progress("measuring the peak of this machine"):
        measured = tuple(_measured(tools))
    missing = tuple(_missing(tools))
    facts = [*_versions(), *_machine(tools), *measured, *_settings(tools), *missing]
    screen.facts(facts)


def _versions() -> Iterator[Fact]:
    yield "polydsl", _version("polydsl")
    yield "python", f"{platform.python_version()} ({platform.platform()})"
    yield "packages", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _machine(tools: Toolchain) -> Iterator[Fact]:
    machine, best = tools.machine, host_target()
    yield "processor", processor()
    forced = "" if machine.isa == best.isa.name else f"; the CPU has {best.isa.name}"
    yield (
        "isa",
        f"{machine.isa}: {machine.vector_bytes * 8} bits, "
        f"{machine.vector_registers} registers{forced}",
    )
    yield "rows", ", ".join(isa.name for isa in ISAS[ISAS.index(best.isa) :])
    for cache in machine.caches:
        shared = f", shared by {cache.cores} cores" if cache.is_shared else ""
        yield cache.name, f"{bytes_text(cache.capacity)}{shared}"
    yield "speeds", calibrated_machine(tools.options.cache_folder, tools.target).note
    yield "cores", f"{machine.cores} may be used"
    yield "threads", f"{tools.threads} in a call that does not say"
    library = find_openmp()
    yield "parallel", library.path if library else "a pool of Python threads"
    for provider in PROVIDERS:
        found = tools.libraries.find(provider.name)
        if provider.is_general or found is not None:
            where = found.description if found is not None else "built in"
            yield "microkernels", f"{provider.name}: {where}"


def _measured(tools: Toolchain) -> Iterator[Fact]:
    peaks = [f"{measure_peak(tools.target, t):.4g} in {t}" for t in (F32, F64)]
    yield "peak", f"GFLOP/s of one core: {', '.join(peaks)}"
    yield "bandwidth", f"{measure_bandwidth(tools.target):.3g} GB/s, read by one core"


def _settings(tools: Toolchain) -> Iterator[Fact]:
    statistics = tools.cache.statistics()
    entries = "1 entry" if statistics.entries == 1 else f"{statistics.entries} entries"
    yield "cache", str(statistics.folder)
    yield (
        "",
        f"{entries}, {bytes_text(statistics.bytes)} of at most "
        f"{bytes_text(statistics.limit_bytes)}",
    )
    for variable in VARIABLES:
        value = os.environ.get(variable.name)
        if value is not None:
            yield "environment", f"{variable.name}={value}"


def _missing(tools: Toolchain) -> Iterator[Fact]:
    problem = tools.cache.statistics().problem
    if problem:
        yield "missing", f"a cache that can be written: {problem}"
    if find_openmp() is None:
        yield "missing", "OpenMP (libgomp): parallel kernels start some 20 µs slower"
    for provider in PROVIDERS:
        if not tools.libraries.has(provider.name):
            yield (
                "missing",
                f"{provider.name} (optional), for microkernel={provider.name!r}: "
                f"{provider.remedy}",
            )
    for package, use in _OPTIONAL:
        if _version(package) == "missing":
            yield "missing", f"{package} (optional), for {use}"


def measure_machine(screen: Screen, seconds: float) -> None:
    """Measure the numbers that schedules are chosen by, keep them and show them."""
    tools = toolchain()
    machine, folder = machine_of(tools.target), tools.options.cache_folder
    with screen.bar("measuring this machine") as advance:
        numbers = calibrate(
            tools.target,
            machine,
            tools.runtime.parallel,
            seconds=seconds,
            advance=advance,
        )
    path = keep_numbers(folder, tools.target, numbers)
    table = Table("number", "unit", box=None)
    for title in ("measured", "built in"):
        table.add_column(title, justify="right")
    for name, built_in in numbers_of(machine).items():
        unit, scale = _unit(name)
        values = (numbers[name] * scale, built_in * scale)
        table.add_row(name, unit, *(f"{value:.4g}" for value in values))
    screen.out.print(table)
    screen.line(f"kept in {path}: kernels compiled from now on are chosen by them")


def _unit(name: str) -> tuple[str, float]:
    """Return the unit in which a number is shown, and how many of it make one."""
    match name.rpartition(".")[2]:
        case "frequency":
            return "GHz", 1e-9
        case "fork_seconds":
            return "µs", 1e6
        case "fma_per_cycle":
            return "vectors/cycle", 1.0
        case "load" | "store" | "total":
            return "bytes/cycle", 1.0
        case _:
            return "cycles", 1.0


def forget_calibration(screen: Screen) -> None:
    """Remove the numbers that were measured."""
    folder = toolchain().options.cache_folder
    there = forget_numbers(folder)
    screen.line(f"{folder}: {'calibration removed' if there else 'no calibration'}")


def clear_cache(screen: Screen) -> None:
    """Remove all entries of the object cache."""
    cache = toolchain().cache
    count = cache.clear()
    entries = "1 entry" if count == 1 else f"{count} entries"
    screen.line(f"{cache.folder}: {entries} removed")
