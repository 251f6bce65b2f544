"""`polydsl.tuning`: schedules measured instead of predicted, and kept."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from polydsl.driver.kernel import Kernel
from polydsl.driver.measured_call import Job, measure_job
from polydsl.driver.toolchain import toolchain
from polydsl.driver.tuner import Progress, Tuned, Unit, ignore
from polydsl.driver.tuner import tune as tune_request
from polydsl.driver.tuning_store import TuningWarning

__all__ = [
    "Job",
    "Tuned",
    "TuningWarning",
    "export_results",
    "import_results",
    "measure_job",
    "tune",
]


def tune(
    kernel: Kernel,
    *args: Any,
    seconds: float = 5.0,
    threads: int | None = None,
    executor: Executor | None = None,
    unit: Unit = measure_job,
    progress: Progress = ignore,
    **kwargs: Any,
) -> Tuned:
    """Measure the best schedules of a kernel for arguments, or specs such as
    "f32[64,32]", for about *seconds*, and keep the fastest for later compilations.

    `threads` is the number of threads that is tuned for. With an executor the schedules
    are compiled and measured by it: *unit* is called with each `Job`, a picklable
    value, and returns seconds. *progress* is told how many candidates of how many were
    measured. Raises `ArgumentError`.
    """
    tools = toolchain()
    request = kernel.specialize(*args, **kwargs).request
    tuned = tune_request(
        request,
        tools,
        seconds=seconds,
        threads=threads or tools.threads,
        executor=executor,
        unit=unit,
        progress=progress,
    )
    tools.tuning.put(tuned.entry)
    kernel.forget()
    return tuned


def export_results(path: str | Path) -> int:
    """Write all kept results into one file and return how many there are."""
    return toolchain().tuning.export_to(Path(path))


def import_results(path: str | Path) -> int:
    """Keep the results of a file, from this or another machine with the same CPU, and
    return how many there are. Raises `PolydslError` for a file that is damaged."""
    return toolchain().tuning.import_from(Path(path))
