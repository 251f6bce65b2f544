"""Compiling and timing one kernel with given schedules."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polydsl.driver.compiler import begin
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.schedule.decision import Decision
from polydsl.schedule.point import Point
from tests.benchmarks.ranking.workloads import Workload
from tests.benchmarks.timing import interleave

Run = Callable[[], object]

QUICK_SECONDS = 0.05
"""How long a first look at one schedule lasts, at least one call beside the first."""
SLOW = 3.0
"""A schedule whose first call takes so many times the best one's is not run again."""


@dataclass(frozen=True)
class Subject:
    """A workload whose schedules are measured."""

    workload: Workload
    plain: Specialization

    @staticmethod
    def of(workload: Workload) -> Subject:
        """Return a workload compiled as it is by default."""
        known = {name: workload.arrays[name] for name in workload.bound}
        kernel = workload.kernel
        if known or workload.constants:
            kernel = kernel.bind(**known, **workload.constants)
        return Subject(workload, kernel.specialize(*_passed(workload)))

    def run(self, chosen: Mapping[str, Point] | None = None) -> Run:
        """Return a call of the kernel with some decisions made for it, one thread. The
        results are written into the same memory every time, so that what is measured
        is the schedule and not the allocation of fresh pages."""
        native = self.plain if chosen is None else self._compiled(chosen)
        arrays = _passed(self.workload)
        results = native.run(arrays, 1)
        assert results is not None
        return lambda: native.run_into(arrays, results, 1)

    def predicted(self, chosen: Mapping[str, Point] | None = None) -> float:
        """Return the predicted seconds of a call; 0 where a part has no prediction."""
        request = self.plain.request
        wanted = replace(request, preference=request.preference.choosing(chosen or {}))
        decisions = _decisions(wanted)
        costs = [d.cost for d in decisions if d.cost is not None]
        cycles = sum(cost.cycles for cost in costs)
        return toolchain().machine.seconds(cycles)

    def chosen_points(self) -> dict[str, Point]:
        """Return the point of every decision as it is by default."""
        decisions = _decisions(self.plain.request)
        return {d.subject: d.alternatives[0].point for d in decisions if d.alternatives}

    def result_bytes(self) -> int:
        """Return the size of the results."""
        results = self.plain.run(_passed(self.workload), 1)
        assert results is not None
        return sum(array.nbytes for array in results)

    def describe(self) -> str:
        """Return what was chosen."""
        return "; ".join(d.chosen for d in _decisions(self.plain.request))

    def _compiled(self, chosen: Mapping[str, Point]) -> Specialization:
        request = self.plain.request
        wanted = replace(request, preference=request.preference.choosing(chosen))
        known = {name: self.workload.arrays[name] for name in self.workload.bound}
        return Specialization(wanted, toolchain(), known)


def _decisions(request: Request) -> tuple[Decision, ...]:
    state = compile_until(begin(request, toolchain()), "tree")
    assert state.schedule is not None
    return state.schedule.decisions


def _passed(workload: Workload) -> list[np.ndarray[Any, Any]]:
    return [a for name, a in workload.arrays.items() if name not in workload.bound]


def quick(run: Run, best: float) -> float:
    """Return the least time of a few calls in seconds; of one if that is hopeless. The
    first call touches memory for the first time and does not count."""
    run()
    least, end = np.inf, time.perf_counter() + QUICK_SECONDS
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        least = min(least, now - start)
        if now >= end or least > SLOW * best:
            return least


def finally_(runs: list[Run], seconds: float) -> tuple[float, ...]:
    """Return the least time of each in seconds, measured in turns."""
    return interleave(runs, seconds=seconds, rounds=8)
