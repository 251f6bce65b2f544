"""Chosen schedules against many others, measured: f32, one thread.

    python -m tests.benchmarks.ranking [--tune SECONDS] [--log FILE] [name ...]

For every workload the schedule that is chosen without measuring, `DRAWN` schedules
drawn over the whole space and `NEAR` neighbours of the best one seen are timed. That
pass only selects: the chosen one and the five best seen are then measured again,
interleaved, and only that counts, because the best of eighty noisy times is biased. The
share is the speed of the chosen schedule over the best one's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from polydsl.backend.peak import measure_peak
from polydsl.backend.target import host_target
from polydsl.base.diagnostics import PolydslError
from polydsl.base.dtypes import F32
from polydsl.schedule.point import Point
from tests.benchmarks.ranking.measure import Subject, finally_, quick
from tests.benchmarks.ranking.space import DecisionSpace, spaces
from tests.benchmarks.ranking.workloads import Workload, workloads
from tests.benchmarks.timing import geometric_mean

DRAWN, NEAR, AGAIN = 60, 20, 5
SECONDS = 1.5
"""How long the last measurement of a workload lasts."""

Chosen = tuple[tuple[str, Point], ...]
"""A schedule: the point of every decision that is not left to the compiler."""


@dataclass(slots=True)
class Result:
    """What was measured of one workload; speeds are shares of the machine's peak."""

    name: str
    is_product: bool
    share: float
    chosen: float
    best: float
    tried: int
    failed: int
    predicted: float
    schedule: str
    better: str
    seen: list[tuple[str, float, float]] = field(default_factory=list)


def drawn(found: list[DecisionSpace], seed: int) -> Iterator[Chosen]:
    """Yield different schedules, drawn over the whole space."""
    rng = np.random.default_rng(seed)
    seen: set[Chosen] = set()
    for _ in range(100 * DRAWN):
        points = [(space.subject, space.draw(rng)) for space in found]
        chosen = tuple((s, p) for s, p in points if p is not None)
        if len(chosen) < len(found) or chosen in seen:
            continue
        seen.add(chosen)
        yield chosen
        if len(seen) == DRAWN:
            return


def near(found: list[DecisionSpace], best: Chosen, seed: int) -> Iterator[Chosen]:
    """Yield schedules that differ from one in a single respect."""
    rng = np.random.default_rng(seed)
    points = dict(best)
    around = [
        (space.subject, point)
        for space in found
        if space.subject in points
        for point in space.neighbours(points[space.subject])
    ]
    for number in rng.permutation(len(around))[:NEAR].tolist():
        subject, point = around[number]
        yield tuple({**points, subject: point}.items())


def rank(workload: Workload) -> Result:
    """Measure one workload."""
    subject = Subject.of(workload)
    found = list(spaces(subject.plain.request))
    times: dict[Chosen, float] = {(): quick(subject.run(), np.inf)}
    failed = 0
    for chosen in drawn(found, 0):
        failed += not _try(subject, chosen, times)
    for chosen in near(found, _best(times), 1):
        if chosen not in times:
            failed += not _try(subject, chosen, times)
    finalists = sorted((c for c in times if c), key=times.__getitem__)[:AGAIN]
    runs = [subject.run(), *(subject.run(dict(c)) for c in finalists)]
    seconds = finally_(runs, SECONDS)
    peak = measure_peak(host_target(), F32) * 1e9 / 2
    speed = [workload.multiply_adds / s / peak for s in seconds]
    best = int(np.argmax(speed))
    predicted = subject.predicted()
    return Result(
        workload.name,
        workload.is_product,
        speed[0] / speed[best],
        speed[0],
        speed[best],
        len(times),
        failed,
        predicted / seconds[0],
        subject.describe(),
        "" if best == 0 else repr(finalists[best - 1]),
        [(repr(c), t, subject.predicted(dict(c))) for c, t in times.items()],
    )


def _best(times: dict[Chosen, float]) -> Chosen:
    """Return the best schedule that was seen; the chosen one has no points."""
    return min((c for c in times if c), key=times.__getitem__, default=())


def _try(subject: Subject, chosen: Chosen, times: dict[Chosen, float]) -> bool:
    """Measure a schedule; return whether it could be compiled."""
    try:
        run = subject.run(dict(chosen))
    except PolydslError as error:
        print(f"    refused: {error}")
        return False
    times[chosen] = quick(run, min(times.values()))
    return True


def report(results: list[Result]) -> None:
    """Print what was reached."""
    for title, wanted in (("products", True), ("others", False)):
        some = [r for r in results if r.is_product == wanted]
        if some:
            shares = [r.share for r in some]
            print(
                f"{title}: chosen/best {geometric_mean(shares):.3f}, worst "
                f"{min(shares):.3f}; best of the space at least "
                f"{100 * min(r.best for r in some):.0f} % of peak"
            )
    shares = [r.share for r in results]
    errors = [abs(r.predicted - 1) for r in results]
    print(
        f"all: chosen/best {geometric_mean(shares):.3f}, worst {min(shares):.3f}; "
        f"median error of the predicted time {100 * float(np.median(errors)):.0f} %"
    )


def main() -> None:
    """Run the workloads that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--log", type=Path, help="append results as JSON lines")
    options = parser.parse_args()
    results = []
    for workload in workloads():
        if options.names and not any(n in workload.name for n in options.names):
            continue
        result = rank(workload)
        results.append(result)
        print(
            f"{result.name:24} {result.share:5.3f}  {100 * result.chosen:5.1f} of "
            f"{100 * result.best:5.1f} %  predicted/measured {result.predicted:4.2f}  "
            f"{result.tried} tried, {result.failed} refused\n"
            f"    {result.schedule}\n    {result.better}",
            flush=True,
        )
        if options.log:
            with options.log.open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")
    report(results)


if __name__ == "__main__":
    main()
