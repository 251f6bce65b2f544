"""Timing a call beside the machine's own peak.

Clocks change and others use the machine, so a call and the loop that measures the peak
take turns, and the best of each counts: their quotient is what "percent of peak" means.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from polydsl.backend.peak import Probe

_SHORTEST_SAMPLE = 50e-6
_LEAST_SAMPLES = 3
_MOST_SAMPLES = 2000

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timing:
    """The best time of one call in seconds, over `calls` of them.

    `peak` is the best GFLOP/s of one core seen in between; 0 where it was not asked.
    """

    seconds: float
    calls: int
    peak: float

    def gigaflops(self, operations: int) -> float:
        """Return billions of operations for each second, 0 where nothing is counted."""
        return operations / self.seconds / 1e9 if self.seconds > 0 else 0.0

    def share_of_peak(self, operations: int, threads: int) -> float:
        """Return the speed over the peak of so many cores; 0 without a peak."""
        return self.gigaflops(operations) / (self.peak * threads) if self.peak else 0.0


def measure(call: Call, probe: Probe | None, *, seconds: float = 1.0) -> Timing:
    """Return the best time of *call*, run for about *seconds* in turns with *probe*."""
    return measure_together((call,), probe, seconds=seconds)[0]


def measure_together(
    calls: Sequence[Call], probe: Probe | None, *, seconds: float = 1.0
) -> tuple[Timing, ...]:
    """Return the best time of each call. They take turns for about *seconds* in all, so
    that what else happens on the machine meets all of them."""
    for call in calls:
        call()
    counts = [_calls_per_sample(call) for call in calls]
    best = [float("inf")] * len(calls)
    peak, samples = 0.0, 0
    end = time.perf_counter() + seconds
    while samples < _LEAST_SAMPLES or (
        samples < _MOST_SAMPLES and time.perf_counter() < end
    ):
        if probe is not None:
            peak = max(peak, probe.round())
        for number, (call, count) in enumerate(zip(calls, counts)):
            best[number] = min(best[number], _sample(call, count))
        samples += 1
    return tuple(Timing(b, samples * n, peak) for b, n in zip(best, counts))


def _sample(call: Call, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def _calls_per_sample(call: Call) -> int:
    """Return how many calls make a sample that the clock can measure."""
    once = max(_sample(call, 1), 1e-9)
    return max(1, round(_SHORTEST_SAMPLE / once))
