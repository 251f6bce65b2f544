"""`polydsl tune`: measure schedules, keep the fastest, carry results about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from polydsl.base.diagnostics import ArgumentError
from polydsl.base.quantities import count_text, seconds_text
from polydsl.driver import tuning
from polydsl.driver.cli_input import Given, fill, plan
from polydsl.driver.cli_output import Screen
from polydsl.driver.kernel import Kernel
from polydsl.driver.toolchain import toolchain
from polydsl.driver.tuning_store import write_entries


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What `polydsl tune` was asked for besides the arguments of the kernel."""

    bound: tuple[str, ...]
    threads: int | None
    seconds: float
    output: Path | None


def tune_kernel(
    screen: Screen, kernel: Kernel, given: Given, options: TuneOptions
) -> None:
    """Tune one specialisation and say what came of it."""
    wanted = plan(kernel, given)
    for name in options.bound:
        if name not in wanted.layouts:
            raise ArgumentError(f"{kernel.name} has no tensor parameter {name} to bind")
    arrays = fill(kernel, wanted)
    given_once = {name: arrays[name] for name in options.bound}
    bound = kernel.bind(**given_once, **wanted.constants)
    free = [array for name, array in arrays.items() if name not in options.bound]
    with screen.bar(f"tuning {kernel.name}") as show:
        tuned = tuning.tune(
            bound,
            *free,
            seconds=options.seconds,
            threads=options.threads,
            progress=lambda done, total: show(done / total if total else 1.0),
        )
    entry = tuned.entry
    facts = [
        ("arguments", entry.arguments),
        ("machine", f"{entry.machine}, {count_text(entry.threads, 'thread')}"),
        ("outcome", tuned.describe()),
        ("before", seconds_text(entry.before)),
        ("after", seconds_text(entry.after)),
    ]
    screen.line(kernel.name)
    screen.facts(facts)
    if options.output is not None:
        write_entries(options.output, (entry,))


def export_file(screen: Screen, path: Path) -> None:
    """Write all kept results into one file."""
    count = tuning.export_results(path)
    screen.line(f"{path}: {count_text(count, 'result')} written")


def import_file(screen: Screen, path: Path) -> None:
    """Keep the results of a file."""
    count = tuning.import_results(path)
    screen.line(f"{toolchain().tuning.folder}: {count_text(count, 'result')} added")
