"""The search for the best schedule of a product: a first look, then its neighbours.

Every family is looked at on a coarse grid; then what differs in one respect from the
best candidates is tried, again and again, until nothing is better. All of it is priced
by the model, nothing is run, and the result depends on nothing but the product, the
layout and the machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

import numpy as np

from polydsl.schedule.contraction import Contraction
from polydsl.schedule.decision import Candidate
from polydsl.schedule.matrix_batch import Batch, Numbers, joined
from polydsl.schedule.matrix_family import Family, families
from polydsl.schedule.matrix_model import Prediction, predict
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import AXES, MatrixPoint
from polydsl.schedule.matrix_reuse import Reuse
from polydsl.schedule.matrix_space import COLUMNS, DEPTH, ROWS, TAPS, Column, Space
from polydsl.schedule.reuse.footprint import Counts
from polydsl.schedule.setting import Setting

BUDGET = 60_000
"""So many candidates are priced at most."""
SHORT = 1 << 21
"""A product of fewer multiply-adds takes microseconds: fewer candidates are priced."""
KEPT = 10
"""The candidates whose neighbours are tried."""
PART = 2048
"""So many are priced at once: their numbers stay in caches."""
SHOWN = 16
"""The candidates that a search returns."""
ALIKE = 6
"""So many of them are the best of all; the others have different register tiles."""


Tile: TypeAlias = tuple[int, int, int, int]
"""The group of families, the family in it, and the rows and columns of a tile."""


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
    groups = _groups(setting, families(setting, contraction, initialize))
    state = _State(setting)
    is_short = prod(contraction.sizes.values()) < SHORT
    for group in groups:
        first = joined([space.coarse(is_short=is_short) for space in group.spaces])
        state.add(group, first)
    tried: set[MatrixPoint] = set()
    while state.priced < BUDGET:
        kept = state.best[: 1 if is_short else KEPT]
        fresh = [s for s in kept if s.point not in tried]
        if not fresh:
            break
        tried.update(s.point for s in fresh)
        for group in groups:
            here = [s for s in fresh if s.group is group]
            if here:
                state.add(group, _neighbours(group, here))
    candidates = tuple(s.candidate(setting) for s in state.found())
    return Found(candidates, state.priced, state.priced >= BUDGET)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """The spaces of families that flatten the same dimensions, and are priced together,
    with the keys of the candidates that were looked at."""

    number: int
    spaces: tuple[Space, ...]
    keys: set[bytes] = field(default_factory=set)

    def new(self, batch: Batch) -> Batch:
        """Return each candidate that was not seen before, once."""
        first: dict[bytes, int] = {}
        for number, key in enumerate(batch.keys()):
            first.setdefault(key, number)
        numbers = [number for key, number in first.items() if key not in self.keys]
        self.keys.update(first)
        return batch.take(numbers)


def _groups(setting: Setting, found: Iterable[Family]) -> tuple[_Group, ...]:
    spaces: dict[object, list[Space]] = {}
    for family in found:
        plan = family.plan
        dims = (family.is_swapped, plan.rows, plan.columns, plan.depth)
        spaces.setdefault(dims, []).append(Space(setting, family))
    return tuple(_Group(n, tuple(group)) for n, group in enumerate(spaces.values()))


def _neighbours(group: _Group, scored: Iterable[_Scored]) -> Batch:
    """Return the neighbours of candidates, in the space of each one's family."""
    columns: list[list[Column]] = [[] for _ in group.spaces]
    for one in scored:
        member = int(one.batch.member[one.number])
        columns[member].append(group.spaces[member].column(one.batch, one.number))
    return joined([s.neighbours(c) for s, c in zip(group.spaces, columns)])


@dataclass(frozen=True, slots=True)
class Prices:
    """What n candidates cost: the prediction for one core, the loop that threads share
    (-1 for none), and the mean of the cycles of one core and of all; shapes (n,)."""

    prediction: Prediction
    slots: Numbers
    cycles: Counts


def price(setting: Setting, batch: Batch) -> Prices:
    """Return what candidates cost."""
    reuse = Reuse(batch, setting)
    prediction = predict(reuse)
    memory = prediction.moved[prediction.level_names.index("memory")]
    return Prices(prediction, *shared(reuse, prediction.cycles, memory))


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """One candidate of a batch with its price, in cycles of one core."""

    price: float
    group: _Group
    batch: Batch
    prices: Prices
    number: int

    @property
    def tile(self) -> Tile:
        """The register tile, and the family that it is of."""
        batch, n = self.batch, self.number
        member, rows, columns = batch.member[n], batch.row_tile[n], batch.column_tile[n]
        return self.group.number, int(member), int(rows), int(columns)

    @property
    def point(self) -> MatrixPoint:
        return self.batch.point(self.number, int(self.prices.slots[self.number]))

    def candidate(self, setting: Setting) -> Candidate:
        cost = self.prices.prediction.cost(self.number, setting.machine)
        return Candidate(self.point, cost)


class _State:
    """What was found so far: the cheapest candidates, the first one found before those
    of one price with it; and the cheapest with each register tile of a family."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.best: list[_Scored] = []
        self._of_tile: dict[Tile, _Scored] = {}
        self.priced = 0

    def add(self, group: _Group, batch: Batch) -> None:
        """Price the candidates that are new, as far as the budget allows, and remember
        the best of them."""
        new = group.new(batch).take(slice(BUDGET - self.priced))
        self.priced += len(new)
        for start in range(0, len(new), PART):
            part = new.take(slice(start, start + PART))
            prices = price(self._setting, part)
            order = np.argsort(prices.cycles, kind="stable")
            shown = (*order[:SHOWN].tolist(), *_first_of_tiles(part, order).tolist())
            found = [
                _Scored(float(prices.cycles[number]), group, part, prices, number)
                for number in dict.fromkeys(shown)
            ]
            self.best = sorted([*self.best, *found], key=_price)[:SHOWN]
            for scored in found:
                known = self._of_tile.setdefault(scored.tile, scored)
                if scored.price < known.price:
                    self._of_tile[scored.tile] = scored

    def found(self) -> list[_Scored]:
        """Return the best candidates, and the best ones with other register tiles."""
        alike, rest = self.best[:ALIKE], self.best[ALIKE:]
        tiles = {scored.tile for scored in alike}
        others = (s for tile, s in self._of_tile.items() if tile not in tiles)
        every = dict.fromkeys((*alike, *sorted(others, key=_price), *rest))
        return sorted([*every][:SHOWN], key=_price)


def _price(scored: _Scored) -> float:
    return scored.price


def _first_of_tiles(batch: Batch, order: Numbers) -> Numbers:
    """Return of each register tile of each family the candidate that is first in an
    order."""
    tiles = np.stack([batch.member, batch.row_tile, batch.column_tile])[:, order]
    _, first = np.unique(tiles, axis=1, return_index=True)
    return order[np.sort(first)]


def _clashing_axes(plan: MatrixPlan) -> tuple[tuple[int, int], ...]:
    """Return the pairs of axes over indices that clash, both ways."""
    numbers = dict.fromkeys(plan.rows, ROWS) | dict.fromkeys(plan.columns, COLUMNS)
    numbers |= {d: len(AXES) + n for n, d in enumerate(plan.outer)}
    pairs = ((numbers[d], numbers[e]) for d, e in plan.contraction.clashes)
    return tuple(dict.fromkeys(p for pair in pairs for p in (pair, pair[::-1])))


def shared(reuse: Reuse, cycles: Counts, from_memory: Counts) -> tuple[Numbers, Counts]:
    """Return the loop that threads share, -1 for none, and the price of a candidate:
    the mean of its time on one core and of what it costs all cores together.

    A loop over part of a sum is not shared, nor one over an index that clashes with
    another one, unless that has its loop outside. Starting threads takes its time,
    every time that the loops outside run; the slowest thread has the most iterations;
    and all of them share what memory delivers: *from_memory* are the bytes that come
    from there.
    """
    machine = reuse.setting.machine
    best, slot = cycles * machine.cores, np.full(len(cycles), -1)
    forks = np.ones(len(cycles))
    fork = machine.fork_seconds * machine.frequency
    delivered = from_memory / machine.memory.total
    clashes = _clashing_axes(reuse.batch.families[0].plan)
    open_ = {axis: np.ones(len(cycles), bool) for pair in clashes for axis in pair}
    for d, axis in enumerate(reuse.axis):
        trips = reuse.trips[d]
        rounds = np.ceil(trips / machine.cores) / trips
        slowest = np.maximum(cycles * rounds, delivered)
        together = machine.cores * (slowest + forks * fork)
        may = (axis != TAPS) & (axis != DEPTH) & (trips > 1)
        for first, second in clashes:
            may &= (axis != first) | ~open_[second]
        for other in open_:
            # The points of an outer index are told by its loop; tiles hold several.
            open_[other] &= (axis != other) | (other < len(AXES))
        better = may & (together < best)
        best, slot = np.where(better, together, best), np.where(better, d, slot)
        forks = forks * trips
    return slot, (cycles + best) / 2
