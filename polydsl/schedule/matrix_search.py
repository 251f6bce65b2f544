"""The search for the best schedule of a product: a first look, then its neighbours.

Every family is looked at on a coarse grid; then what differs in one respect from the
best candidates is tried, again and again, until nothing is better. All of it is priced
by the model, nothing is run, and the result depends on nothing but the product, the
layout and the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from polydsl.schedule.contraction import Contraction
from polydsl.schedule.decision import Candidate
from polydsl.schedule.matrix_batch import Batch
from polydsl.schedule.matrix_family import families
from polydsl.schedule.matrix_model import Prediction, predict
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.matrix_reuse import Reuse
from polydsl.schedule.matrix_space import DEPTH, TAPS, Space
from polydsl.schedule.reuse.footprint import Counts
from polydsl.schedule.setting import Setting

BUDGET = 60_000
"""So many candidates are priced at most."""
SHORT = 1 << 21
"""A product of fewer multiply-adds takes microseconds: fewer candidates are priced."""
KEPT = 6
"""The candidates whose neighbours are tried."""
TRIED = 100
"""So many of a batch are looked at for different ones among them."""
SHOWN = 16
"""The candidates that a search returns."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best candidates, best first; how many were priced; whether the budget was
    spent before nothing better was found."""

    candidates: tuple[Candidate, ...]
    priced: int
    is_spent: bool


def search(setting: Setting, contraction: Contraction, initialize: str | None) -> Found:
    """Return the best schedules of a product by the reuse model; none where the result
    has no index of stride one."""
    spaces = [Space(setting, f) for f in families(setting, contraction, initialize)]
    state = _State(setting)
    is_short = prod(contraction.sizes.values()) < SHORT
    for space in spaces:
        if state.priced < BUDGET:
            state.add(space, space.coarse(is_short=is_short))
    tried: set[MatrixPoint] = set()
    while state.priced < BUDGET:
        kept = state.best(1 if is_short else KEPT)
        fresh = [s for s in kept if s.point not in tried]
        if not fresh:
            break
        for scored in fresh:
            tried.add(scored.point)
            near = scored.space.neighbours(scored.batch, scored.number)
            state.add(scored.space, near)
    candidates = tuple(s.candidate(setting) for s in state.best(SHOWN))
    return Found(candidates, state.priced, state.priced >= BUDGET)


@dataclass(frozen=True, slots=True)
class _Scored:
    """One candidate with its price, in cycles of one core."""

    price: float
    space: Space
    batch: Batch
    prediction: Prediction
    number: int
    point: MatrixPoint

    def candidate(self, setting: Setting) -> Candidate:
        return Candidate(self.point, self.prediction.cost(self.number, setting.machine))


class _State:
    """What was found so far."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._scored: dict[MatrixPoint, _Scored] = {}
        self.priced = 0

    def add(self, space: Space, batch: Batch) -> None:
        """Price candidates and remember the best of them."""
        reuse = Reuse(batch, self._setting)
        prediction = predict(reuse)
        slots, price = shared(reuse, prediction.cycles)
        self.priced += len(batch)
        found: dict[MatrixPoint, _Scored] = {}
        for number in np.argsort(price, kind="stable")[:TRIED].tolist():
            point = batch.point(number, int(slots[number]))
            scored = _Scored(
                float(price[number]), space, batch, prediction, number, point
            )
            found.setdefault(point, scored)
            if len(found) == SHOWN:
                break
        self._scored = {**found, **self._scored}

    def best(self, count: int) -> list[_Scored]:
        """Return the cheapest candidates; the first one found breaks ties."""
        ranked = sorted(self._scored.values(), key=lambda s: s.price)
        return ranked[:count]


def shared(reuse: Reuse, cycles: Counts) -> tuple[Counts, Counts]:
    """Return the loop that threads share, -1 for none, and the price of a candidate:
    the mean of its time on one core and of what it costs all cores together.

    A loop over part of a sum is not shared. Starting threads takes its time, every time
    that the loops outside run; and the slowest thread has the most iterations.
    """
    machine = reuse.setting.machine
    best, slot = cycles * machine.cores, np.full(len(cycles), -1)
    forks = np.ones(len(cycles))
    fork = machine.fork_seconds * machine.frequency
    for d, axis in enumerate(reuse.batch.axis):
        trips = reuse.trips[d]
        rounds = np.ceil(trips / machine.cores) / trips
        together = machine.cores * (cycles * rounds + forks * fork)
        may = (axis != TAPS) & (axis != DEPTH) & (trips > 1)
        better = may & (together < best)
        best, slot = np.where(better, together, best), np.where(better, d, slot)
        forks = forks * trips
    return slot, (cycles + best) / 2
