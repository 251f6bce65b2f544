"""Tuning: the model's best schedules of a request measured against each other.

    for each decision, dearest first
      compile its alternatives one by one, check that the results agree, time each
      shortly beside the best so far                          (until the time is spent)
      time the fastest few in turns; keep the winner if it is clearly faster

Instead, an executor can measure alternatives in other processes, perhaps on other
machines; the winner is compiled and checked here all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass

from polydsl.base.diagnostics import PolydslError
from polydsl.driver.compiler import begin
from polydsl.driver.measure import Call, measure_together
from polydsl.driver.measured_call import Job, MeasuredCall, agree, measure_job, prepare
from polydsl.driver.request import Request
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import Toolchain
from polydsl.driver.tuning_store import Entry, tuning_key
from polydsl.schedule.decision import Decision
from polydsl.schedule.point import Point

Timer = Callable[[Sequence[Call], float], Sequence[float]]
"""Measures calls in turns for about so many seconds; returns the best time of each."""

Unit = Callable[[Job], float]
"""Compiles and measures one job, in whatever process; returns the best time."""

Progress = Callable[[int, int], None]
"""Is told how many candidates of how many were measured."""

FINALISTS = 4
"""So many of the fastest alternatives are measured again."""
CLEARLY = 0.985
"""The model's choice stays unless another one takes at most this share of its time."""
SCREENING = 0.7
"""The share of the time in which alternatives are tried once."""
SHORT_SECONDS = 0.02
"""How long an alternative is measured beside the best so far."""


def in_turns(calls: Sequence[Call], seconds: float) -> Sequence[float]:
    """Measure with the clock."""
    timings = measure_together(calls, None, seconds=seconds)
    return tuple(timing.seconds for timing in timings)


def ignore(measured: int, candidates: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """The outcome: the entry for the store, how many alternatives to the model's choice
    there were and how many were measured, and whether the time ran out before."""

    entry: Entry
    measured: int
    candidates: int
    is_spent: bool

    def describe(self) -> str:
        """Return the outcome in a sentence or two."""
        entry = self.entry
        if not self.candidates:
            return "there are no alternatives to the model's choice"
        text = f"measured {self.measured} of {self.candidates} alternatives"
        if self.is_spent:
            text += "; the time was spent before all were measured"
        if not entry.points:
            return f"{text}; none is faster than the model's choice"
        names = ", ".join(subject for subject, _ in entry.points)
        gain = entry.before / entry.after if entry.after else 1.0
        return f"{text}; {gain:.2f} times as fast with other schedules of {names}"


def tune(
    request: Request,
    tools: Toolchain,
    *,
    seconds: float,
    threads: int,
    executor: Executor | None = None,
    unit: Unit = measure_job,
    timer: Timer = in_turns,
    progress: Progress = ignore,
) -> Tuned:
    """Measure a request's alternatives for about *seconds* and return the best.

    With an executor *unit* runs there; else alternatives are compiled and measured by
    *timer* in this process. What was forced before is not taken into account.
    """
    plain = request.untuned()
    contest = _Contest(plain, tools, threads, executor, unit, timer, progress)
    return contest.run(seconds)


class _Contest:
    """The course of one tuning: the best schedule so far, and what was measured."""

    def __init__(
        self,
        request: Request,
        tools: Toolchain,
        threads: int,
        executor: Executor | None,
        unit: Unit,
        timer: Timer,
        progress: Progress,
    ) -> None:
        self._request = request
        self._tools = tools
        self._threads = threads
        self._executor = executor
        self._unit = unit
        self._timer = timer
        self._progress = progress
        self._points: dict[str, Point] = {}
        self._first = prepare(request, tools, threads)
        self._best = self._first
        self._expected = self._first.results
        self._measured = 0
        self._is_spent = False
        self._decisions = _decisions(request, tools)
        # What is not contested is given too: it need not be searched again each time.
        self._given = {d.subject: d.alternatives[0].point for d in self._decisions}
        self._candidates = sum(len(d.alternatives) - 1 for d in self._decisions)

    def run(self, seconds: float) -> Tuned:
        """Contest every decision and return the outcome."""
        end = time.perf_counter() + seconds
        left = sum(_cycles(d) for d in self._decisions)
        self._progress(0, self._candidates)
        for decision in self._decisions:
            rest = max(0.0, end - time.perf_counter())
            share = rest * _cycles(decision) / left if left > 0 else rest
            left -= _cycles(decision)
            self._decide(decision, share)
        before = after = self._timer((self._first,), 0.0)[0]
        if self._points:
            before, after = self._timer((self._first, self._best), 0.1)
        layouts = self._request.arguments
        entry = Entry(
            tuning_key(self._request, self._tools.target),
            self._request.kernel,
            ", ".join(f"{name}: {layout}" for name, layout in layouts.items()),
            str(self._tools.target),
            self._threads,
            before,
            after,
            tuple(sorted(self._points.items(), key=lambda entry: entry[0])),
        )
        return Tuned(entry, self._measured, self._candidates, self._is_spent)

    def _decide(self, decision: Decision, seconds: float) -> None:
        """Find the best alternative of one decision, the others being as they are."""
        points = [c.point for c in decision.alternatives[1:]]
        if self._executor is not None:
            fastest = self._spread(self._executor, decision.subject, points, seconds)
        else:
            fastest = self._screen(decision.subject, points, seconds * SCREENING)
        finalists = [(point, call) for point, call in fastest if call is not None]
        if not finalists:
            return
        calls = [self._best, *(call for _, call in finalists)]
        own, *others = self._timer(calls, seconds * (1 - SCREENING))
        least = min(others)
        if least <= CLEARLY * own:
            point, call = finalists[others.index(least)]
            self._points[decision.subject] = point
            self._best = call

    def _with(self, subject: str, point: Point) -> Request:
        return self._request.choosing({**self._given, **self._points, subject: point})

    def _screen(
        self, subject: str, points: Sequence[Point], seconds: float
    ) -> list[tuple[Point, MeasuredCall]]:
        """Measure alternatives here, one by one, and return the fastest few."""
        end = time.perf_counter() + seconds
        ranked: list[tuple[float, int, Point, MeasuredCall]] = []
        for number, point in enumerate(points):
            if time.perf_counter() >= end:
                self._is_spent = True
                break
            call = self._checked(subject, point)
            self._count()
            if call is not None:
                own, other = self._timer((self._best, call), SHORT_SECONDS)
                ranked.append((other / own, number, point, call))
        ranked.sort(key=lambda entry: entry[:2])
        return [(point, call) for _, _, point, call in ranked[:FINALISTS]]

    def _spread(
        self,
        executor: Executor,
        subject: str,
        points: Sequence[Point],
        seconds: float,
    ) -> list[tuple[Point, MeasuredCall]]:
        """Measure alternatives by the executor and return the fastest few."""
        share = seconds * SCREENING / max(len(points), 1)
        futures = [
            executor.submit(
                self._unit, Job(self._with(subject, p), self._threads, share)
            )
            for p in points
        ]
        done, pending = wait(futures, timeout=seconds)
        for future in pending:
            future.cancel()
            self._is_spent = True
        ranked: list[tuple[float, int]] = []
        for number, future in enumerate(futures):
            if future in done:
                self._count()
                ranked += [(taken, number) for taken in _outcome(future)]
        best = [points[number] for _, number in sorted(ranked)[:FINALISTS]]
        checked = ((point, self._checked(subject, point)) for point in best)
        return [(point, call) for point, call in checked if call is not None]

    def _checked(self, subject: str, point: Point) -> MeasuredCall | None:
        """Compile an alternative; None where it is not possible, or gives other results
        than the model's choice."""
        try:
            call = prepare(self._with(subject, point), self._tools, self._threads)
        except PolydslError:
            return None
        return call if agree(self._expected, call.results) else None

    def _count(self) -> None:
        self._measured += 1
        self._progress(self._measured, self._candidates)


def _outcome(future: Future[float]) -> Iterator[float]:
    """Yield the time that a worker measured; nothing where it could not."""
    try:
        yield future.result()
    except PolydslError:
        return


def _decisions(request: Request, tools: Toolchain) -> tuple[Decision, ...]:
    """Return the decisions that have alternatives, the dearest one first."""
    schedule = compile_until(begin(request, tools), "tree").schedule
    assert schedule is not None
    open_ones = [d for d in schedule.decisions if len(d.alternatives) > 1]
    return tuple(sorted(open_ones, key=_cycles, reverse=True))


def _cycles(decision: Decision) -> float:
    return decision.alternatives[0].cost.cycles * decision.times
