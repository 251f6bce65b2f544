"""One workload: the chosen schedule, many others, and what rankers and tuning take.

The first pass only selects. Whatever counts is measured again at the end, interleaved:
the maximum of eighty noisy speeds is biased.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from polydsl.backend.peak import measure_peak
from polydsl.backend.target import host_target
from polydsl.base.diagnostics import PolydslError
from polydsl.base.dtypes import F32
from polydsl.driver.toolchain import toolchain
from polydsl.driver.tuner import tune
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.point import Point
from polydsl.schedule.published.rank import PublishedRanker
from polydsl.schedule.published.rank import rank as ranked_by
from tests.benchmarks.ranking.measure import Subject, finally_, quick
from tests.benchmarks.ranking.space import DecisionSpace, ProductSpace, spaces
from tests.benchmarks.ranking.workloads import Workload

DRAWN, NEAR, AGAIN = 60, 20, 5
SECONDS = 2.0
"""How long the last measurement of a workload lasts."""
PUBLISHED: tuple[PublishedRanker, ...] = ("polyrank", "pairwise-net")
MODEL, TUNED = "model", "tuned"

Chosen = tuple[tuple[str, Point], ...]
"""A schedule: the point of every decision that is not left to the compiler."""


@dataclass(slots=True)
class Result:
    """What was measured of one workload.

    `speeds` are shares of the machine's peak: of who chose a schedule, "model", a
    published ranker, or "tuned". `best` is that of the best schedule seen, `bound` that
    of the roofline. `predicted` is the predicted time of the model's choice over the
    measured one; `seen` holds every schedule of the first pass with its measured and
    its predicted seconds.
    """

    name: str
    is_product: bool
    speeds: dict[str, float]
    best: float
    bound: float
    tried: int
    failed: int
    predicted: float
    schedule: str
    better: str
    seen: list[tuple[str, float, float]] = field(default_factory=list)

    def share(self, ranker: str) -> float:
        """Return the speed of what a ranker chose over the best one's."""
        return self.speeds[ranker] / self.best


def contest(workload: Workload, tune_seconds: float) -> Result:
    """Measure one workload; with *tune_seconds* also what tuning makes of it."""
    subject = Subject.of(workload)
    found = list(spaces(subject.plain.request))
    times: dict[Chosen, float] = {(): quick(subject.run(), np.inf)}
    failed = sum(not _try(subject, chosen, times) for chosen in drawn(found, 0))
    for chosen in near(found, _fastest(subject, times), 1):
        if chosen not in times:
            failed += not _try(subject, chosen, times)
    entrants: dict[str, Chosen] = {MODEL: ()}
    entrants |= _published(subject, found, times)
    if tune_seconds:
        entrants[TUNED] = tuned(subject, tune_seconds)
    finalists = sorted((c for c in times if c), key=times.__getitem__)[:AGAIN]
    order = list(dict.fromkeys((*entrants.values(), *finalists)))
    runs = [subject.run(dict(c) if c else None) for c in order]
    seconds = dict(zip(order, finally_(runs, SECONDS)))
    peak = measure_peak(host_target(), F32) * 1e9 / 2
    best = min(order, key=seconds.__getitem__)
    return Result(
        workload.name,
        workload.is_product,
        {
            name: workload.multiply_adds / seconds[chosen] / peak
            for name, chosen in entrants.items()
        },
        workload.multiply_adds / seconds[best] / peak,
        workload.multiply_adds / _roofline(subject, peak) / peak,
        len(times),
        failed,
        subject.predicted() / seconds[()],
        subject.describe(),
        repr(best) if best else "",
        [(repr(c), t, subject.predicted(dict(c))) for c, t in times.items()],
    )


def drawn(found: Sequence[DecisionSpace], seed: int) -> Iterator[Chosen]:
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


def near(found: Sequence[DecisionSpace], best: Chosen, seed: int) -> Iterator[Chosen]:
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


def tuned(subject: Subject, seconds: float) -> Chosen:
    """Return the points that tuning prefers to the model's."""
    request = subject.plain.request
    outcome = tune(request, toolchain(), seconds=seconds, threads=1)
    return outcome.entry.points


def _published(
    subject: Subject, found: Sequence[DecisionSpace], times: dict[Chosen, float]
) -> dict[str, Chosen]:
    """Return the first choice of each published ranker among the schedules that were
    measured, the model's own with them; none for what is no single product."""
    if len(found) != 1 or not isinstance(found[0], ProductSpace):
        return {}
    (space,) = found
    own = subject.chosen_points()
    chosen = [c for c in times if c or own]
    points = [dict(c or own)[space.subject] for c in chosen]
    products = [p for p in points if isinstance(p, MatrixPoint)]
    assert len(products) == len(points)
    first = {}
    for name in PUBLISHED:
        scores = ranked_by(name, products, space.contraction, space.setting.machine)
        first[name] = chosen[int(np.argmin(scores))]
    return first


def _roofline(subject: Subject, peak: float) -> float:
    """Return the seconds that arithmetic at its peak takes at least, or all arguments
    and results once from the level of memory that holds them."""
    workload, machine = subject.workload, toolchain().machine
    total = workload.bytes + subject.result_bytes()
    rates = ((cache.capacity, cache.load) for cache in machine.caches)
    load = next((r for room, r in rates if total <= room), machine.memory.load)
    return max(workload.multiply_adds / peak, machine.seconds(total / load))


def _fastest(subject: Subject, times: dict[Chosen, float]) -> Chosen:
    """Return the best schedule so far, with the point of every decision."""
    best = min(times, key=times.__getitem__)
    return best or tuple(subject.chosen_points().items())


def _try(subject: Subject, chosen: Chosen, times: dict[Chosen, float]) -> bool:
    """Measure a schedule; return whether it could be compiled."""
    try:
        run = subject.run(dict(chosen))
    except PolydslError as error:
        print(f"    refused: {error}")
        return False
    times[chosen] = quick(run, min(times.values()))
    return True
