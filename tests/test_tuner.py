"""The contest of schedules with made-up times: who is measured, who wins, what is told.

`unit` and `timer` stand for the clock, so that every outcome is known beforehand.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

import numpy as np
import pytest
from crash_process import crash_process
from point_samples import POINT

import polydsl
from polydsl.base.diagnostics import ArgumentError
from polydsl.driver import tuner
from polydsl.driver.measured_call import Job
from polydsl.driver.request import Request
from polydsl.driver.toolchain import toolchain
from polydsl.driver.tuner import Tuned, tune
from polydsl.schedule.decision import Candidate, Cost, Decision
from polydsl.schedule.point import Point

REFUSED, WRONG = 98, 99
"""Row tiles of points that cannot be built, and whose results are wrong."""


def point(rows: int) -> Point:
    return replace(POINT, row_tile=rows)


def decision(subject: str, cycles: float, *rows: int) -> Decision:
    candidates = tuple(Candidate(point(r), Cost((("work", cycles),))) for r in rows)
    return Decision(subject, "", "", candidates[0].cost, (), candidates)


def rows_of(request: Request) -> dict[str, int]:
    return {s: p.row_tile for s, p in request.preference.chosen}


def seconds_of(request: Request) -> float:
    """8 s, and a second less for every row of the tiles that were chosen."""
    return 8.0 - sum(rows_of(request).values())


@dataclass(frozen=True)
class Call:
    request: Request

    @property
    def results(self) -> tuple[np.ndarray]:
        is_wrong = WRONG in rows_of(self.request).values()
        return (np.full(3, 2.0 if is_wrong else 1.0, np.float32),)


def prepared(request: Request, tools: object, threads: int) -> Call:
    if REFUSED in rows_of(request).values():
        raise ArgumentError("no such schedule")
    return Call(request)


def timer(calls: Sequence[Call], seconds: float) -> list[float]:
    return [seconds_of(call.request) for call in calls]


def unit(job: Job) -> float:
    if REFUSED in rows_of(job.request).values():
        raise ArgumentError("no such schedule")
    return seconds_of(job.request)


@pytest.fixture
def contest(monkeypatch: pytest.MonkeyPatch):
    """Tune a request whose schedule has these decisions."""
    request = polydsl.stdlib.linalg.dot.specialize("f32[8]", "f32[8]").request
    monkeypatch.setattr(tuner, "prepare", prepared)

    def run(*decisions: Decision, seconds: float = 60.0, **options) -> Tuned:
        ordered = sorted(decisions, key=lambda d: -d.alternatives[0].cost.cycles)
        monkeypatch.setattr(tuner, "_decisions", lambda *_: tuple(ordered))
        given = {"timer": timer, "unit": unit, **options}
        return tune(request, toolchain(), seconds=seconds, threads=1, **given)

    return run


def test_the_fastest_alternative_wins(contest) -> None:
    tuned = contest(decision("S (y)", 1.0, 0, 1, 3, 2))
    assert tuned.entry.points == (("S (y)", point(3)),)
    assert (tuned.entry.before, tuned.entry.after) == (8.0, 5.0)
    assert (tuned.measured, tuned.candidates, tuned.is_spent) == (3, 3, False)
    assert tuned.describe() == (
        "measured 3 of 3 alternatives; 1.60 times as fast with other schedules of S (y)"
    )


def test_the_choice_of_the_model_stays_unless_clearly_beaten(contest) -> None:
    tuned = contest(decision("S (y)", 1.0, 0, -1, -2))
    assert tuned.entry.points == ()
    assert tuned.describe().endswith("none is faster than the model's choice")
    almost = contest(
        decision("S (y)", 1.0, 0, 1),
        timer=lambda calls, seconds: [
            1.0 - 0.01 * (8 - seconds_of(c.request)) for c in calls
        ],
    )
    assert almost.entry.points == ()


def test_later_decisions_build_on_earlier_ones(contest) -> None:
    seen: list[dict[str, int]] = []

    def watched(calls: Sequence[Call], seconds: float) -> list[float]:
        seen.extend(rows_of(call.request) for call in calls)
        return timer(calls, seconds)

    tuned = contest(
        decision("cheap", 1.0, 0, 1), decision("dear", 9.0, 0, 2), timer=watched
    )
    assert dict(tuned.entry.points) == {"dear": point(2), "cheap": point(1)}
    assert tuned.entry.after == 5.0
    first, second = {"dear": 2, "cheap": 0}, {"dear": 2, "cheap": 1}
    assert seen.index(first) < seen.index(second)
    assert {"dear": 0, "cheap": 1} not in seen


@pytest.mark.parametrize("executor", [False, True])
def test_wrong_and_impossible_schedules_lose(contest, executor: bool) -> None:
    given = {"executor": Here()} if executor else {}
    tuned = contest(decision("S (y)", 1.0, 0, REFUSED, WRONG, 1), **given)
    assert tuned.entry.points == (("S (y)", point(1)),)
    assert tuned.measured == 3


def test_a_spent_budget_is_said(contest) -> None:
    tuned = contest(decision("S (y)", 1.0, 0, 1, 2), seconds=0.0)
    assert (tuned.measured, tuned.candidates, tuned.is_spent) == (0, 2, True)
    assert "the time was spent before all were measured" in tuned.describe()


def test_nothing_to_decide(contest) -> None:
    assert contest().describe() == "there are no alternatives to the model's choice"


def test_progress_is_told(contest) -> None:
    told: list[tuple[int, int]] = []
    contest(decision("S (y)", 1.0, 0, 1, 2), progress=lambda *done: told.append(done))
    assert told == [(0, 2), (1, 2), (2, 2)]


class Here(Executor):
    """Runs what is submitted at once."""

    def submit(self, function, /, *args, **kwargs):
        future: Future[float] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def test_another_process_measures(contest) -> None:
    with crash_process() as executor:
        tuned = contest(decision("S (y)", 1.0, 0, 1, 3, 2), executor=executor)
    assert tuned.entry.points == (("S (y)", point(3)),)
    assert tuned.measured == 3


def slow(job: Job) -> float:
    time.sleep(2.0)
    return 0.0


def test_a_slow_executor_is_not_waited_for(contest) -> None:
    with crash_process() as executor:
        tuned = contest(
            decision("S (y)", 1.0, 0, 1, 2), executor=executor, unit=slow, seconds=0.1
        )
    assert (tuned.measured, tuned.is_spent) == (0, True)


def broken(job: Job) -> float:
    raise ZeroDivisionError


def test_what_breaks_in_a_worker_is_not_hidden(contest) -> None:
    with pytest.raises(ZeroDivisionError):
        contest(decision("S (y)", 1.0, 0, 1), executor=Here(), unit=broken)
