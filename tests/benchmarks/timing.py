"""Interleaved timing: every side runs once a round, and minima are compared."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

Run = Callable[[], object]


def interleave(
    sides: Sequence[Run], *, seconds: float = 1.0, rounds: int = 10
) -> tuple[float, ...]:
    """Return the least time of each side in seconds.

    The sides run in turn, for at least *rounds* rounds and about *seconds*, so that
    what else happens on the machine meets all of them.
    """
    best = [math.inf] * len(sides)
    for run in sides:
        run()
    end = time.perf_counter() + seconds
    done = 0
    while done < rounds or time.perf_counter() < end:
        for number, run in enumerate(sides):
            start = time.perf_counter()
            run()
            best[number] = min(best[number], time.perf_counter() - start)
        done += 1
    return tuple(best)


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return math.exp(sum(math.log(v) for v in values) / len(values))
