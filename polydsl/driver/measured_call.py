"""A request compiled and made ready to be timed, on random arrays of its layouts.

Tuning compares schedules of one request with it, in this process or, as a `Job` of
plain values, in another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.driver.measure import measure
from polydsl.driver.random_arrays import random_arguments
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.toolchain import Toolchain, toolchain
from polydsl.semantics.specialize import specialize

Array = np.ndarray[Any, Any]

_SEED = 0


@dataclass(frozen=True, slots=True)
class MeasuredCall:
    """A specialisation with arrays to call it on, and its results. All calls write
    into the same memory: fresh pages would take a time that is no schedule's."""

    special: Specialization
    arrays: tuple[Array, ...]
    results: tuple[Array, ...]
    threads: int

    def __call__(self) -> None:
        """Run once."""
        self.special.run_into(self.arrays, self.results, self.threads)


@dataclass(frozen=True, slots=True)
class Job:
    """One schedule to be measured, as a value that can be sent to another process:
    what to compile (with the points of the schedule in its preference), on how many
    threads to run it, and for how many seconds."""

    request: Request
    threads: int
    seconds: float


def measure_job(job: Job) -> float:
    """Compile and run a job here and return the seconds of its fastest call."""
    call = prepare(job.request, toolchain(), job.threads)
    return measure(call, None, seconds=job.seconds).seconds


def prepare(request: Request, tools: Toolchain, threads: int) -> MeasuredCall:
    """Compile a request, make arrays for it, and run it once: the same elements in
    memory that is aligned alike for all its schedules."""
    generator = np.random.default_rng(_SEED)
    program = specialize(
        request.library, request.kernel, request.shapes, request.constants
    )
    arrays = random_arguments(program, request.arguments, generator)
    bound = {name: arrays[name] for name in request.bound}
    special = Specialization(request, tools, bound)
    passed = tuple(arrays[n] for n in special.tensors)
    results = special.run(passed, threads)
    if results is None:
        bug(f"{request.kernel} does not take arrays of the layouts that it is made for")
    return MeasuredCall(special, passed, results, threads)


def agree(results: Sequence[Array], others: Sequence[Array]) -> bool:
    """Whether two schedules gave the same results, but for the rounding of sums taken
    in another order. A wrong schedule is wrong by far more than this."""
    return all(_near(a, b) for a, b in zip(results, others, strict=True))


def _near(first: Array, second: Array) -> bool:
    if first.dtype.kind in "biu":
        return bool(np.array_equal(first, second))
    a, b = first.astype(np.float64), second.astype(np.float64)
    finite = np.isfinite(a)
    scale = float(np.max(np.abs(a), initial=0.0, where=finite))
    digits = 8 * first.dtype.itemsize
    tolerance = scale * {64: 1e-9, 32: 1e-4}.get(digits, 2e-2)
    return bool(np.allclose(a, b, rtol=0.0, atol=tolerance, equal_nan=True))
