"""The choice of a `VectorPlan`: candidates by price, and the record of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.base.machine import Machine
from polydsl.schedule.decision import (
    Candidate,
    Cost,
    Decision,
    LevelCost,
    Rejected,
    lost_by,
)
from polydsl.schedule.refused import Refused
from polydsl.schedule.vector_builder import VectorSetting, build
from polydsl.schedule.vector_candidates import (
    counts_of,
    families,
    is_short,
    point_of,
    reordered,
    with_loops,
)
from polydsl.schedule.vector_model import (
    Counts,
    Family,
    Prices,
    price,
    with_memory,
)
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.schedule.vector_point import VectorPoint
from polydsl.schedule.vector_registers import with_registers

SHOWN = 5
"""So many of the best candidates that were not taken are explained."""
ALTERNATIVES = 16
"""So many candidates are kept in the record: tuning measures them. What is short is not
worth it; only those that are explained are kept."""
ORDERS = 2
"""... and so many of them with the same register tile."""

PATIENCE = 1.02
"""Other orders of the loops are tried where caches take more than this of the time."""
KEPT = 1.25
"""Families whose cheapest member may not come within this of the best come last."""


def choose_vector_plan(setting: VectorSetting) -> tuple[VectorPlan, Decision]:
    """Return the plan of one tensor's statements and the record of the choice."""
    count = 1 + SHOWN if is_short(setting) else ALTERNATIVES
    found = list(islice(_different(setting), count))
    if not found:
        bug(f"{setting.tensor} has no schedule")
    (plan, cost), *others = found
    rejected = tuple(
        Rejected(p.describe(), c, lost_by(c, cost)) for p, c in others[:SHOWN]
    )
    reason = "its register tile takes the least time"
    if plan.point.vector is None:
        reason = plan.scalar_reason or "it has no loop"
    alternatives = tuple(Candidate(p.point, c) for p, c in found)
    return plan, Decision(
        subject_of(setting), plan.describe(), reason, cost, rejected, alternatives
    )


def _different(setting: VectorSetting) -> Iterator[tuple[VectorPlan, Cost]]:
    """Yield plans, the cheapest first, `ORDERS` with the same register tile at most."""
    orders: Counter[tuple[object, ...]] = Counter()
    seen: set[VectorPoint] = set()
    for point, cost in ranked(setting):
        tile = (point.vector, point.vectors, frozenset(point.unrolled), point.taps)
        # Orders of loops that run once are one point.
        if orders[tile] < ORDERS and point not in seen:
            seen.add(point)
            plan = build(setting, point)
            if isinstance(plan, VectorPlan):
                orders[tile] += 1
                yield plan, cost


def forced_vector_plan(
    setting: VectorSetting, point: VectorPoint
) -> tuple[VectorPlan, Decision] | Refused:
    """Return the plan of a given point, or why there is none."""
    plan = build(setting, point)
    if isinstance(plan, Refused):
        return plan
    subject, cost = subject_of(setting), price_of(setting, point)
    alternatives = () if cost is None else (Candidate(point, cost),)
    reason = "its schedule was given"
    return plan, Decision(subject, plan.describe(), reason, cost, (), alternatives)


def price_of(setting: VectorSetting, point: VectorPoint) -> Cost | None:
    """Return the predicted cost of a point; None where no family has its tile."""
    size = {u.index: u.count for u in point.unrolled}
    tile = (*size, *((point.vector,) if point.vector else ()))
    counts = np.array([[*size.values(), *((point.vectors,) if point.vector else ())]])
    for family in families(setting):
        wanted = (family.vector, family.taps, family.tile)
        if wanted == (point.vector, point.taps, tile):
            ordered = with_loops(family, point)
            prices = price(ordered, counts, setting.machine)
            whole = with_memory(prices, ordered, counts, setting.machine)
            return _cost_of(ordered, counts, whole, 0, setting.machine)
    return None


def subject_of(setting: VectorSetting) -> str:
    """Return the name of a decision about statements."""
    names = ", ".join(s.name for s in setting.statements)
    return f"{names} ({setting.tensor})"


def ranked(setting: VectorSetting) -> Iterator[tuple[VectorPoint, Cost]]:
    """Yield the candidates whose registers suffice, the cheapest first."""
    rest = _by_price(setting)
    found: list[tuple[Family, Counts, Prices]] = []
    limit = np.inf
    while rest and rest[0][2].cycles[0] <= limit:
        family, counts, prices = rest.pop(0)
        for ordered, whole in _orders(setting, family, counts, prices):
            limit = min(limit, whole.cycles.min() * KEPT)
            found.append((ordered, counts, whole))
    yield from _in_order(setting, found)
    for family, counts, prices in rest:
        whole = with_memory(prices, family, counts, setting.machine)
        yield from _in_order(setting, [(family, counts, whole)])


def _orders(
    setting: VectorSetting, family: Family, counts: Counts, prices: Prices
) -> Iterator[tuple[Family, Prices]]:
    """Yield a family with its whole prices, and with other orders of its loops where it
    waits for caches."""
    whole = with_memory(prices, family, counts, setting.machine)
    yield family, whole
    if whole.cycles.min() > PATIENCE * prices.cycles.min():
        for ordered in reordered(setting, family):
            prices = price(ordered, counts, setting.machine)
            yield ordered, with_memory(prices, ordered, counts, setting.machine)


def _in_order(
    setting: VectorSetting, found: Sequence[tuple[Family, Counts, Prices]]
) -> Iterator[tuple[VectorPoint, Cost]]:
    """Yield the members of some families, the cheapest first."""
    places = [(n, row) for n, (_, c, _) in enumerate(found) for row in range(len(c))]
    order = np.argsort(np.concatenate([p.cycles for _, _, p in found]), kind="stable")
    for place in order:
        number, row = places[place]
        family, counts, prices = found[number]
        size = tuple(int(n) for n in counts[row])
        cost = _cost_of(family, counts, prices, row, setting.machine)
        yield point_of(setting, family, size), cost


def _by_price(
    setting: VectorSetting,
) -> list[tuple[Family, Counts, Prices]]:
    """Return the families with the members whose registers suffice, the cheapest
    first, both by what is known without caches: a bound of the price."""
    found: list[tuple[Family, Counts, Prices]] = []
    for family in families(setting):
        counts = counts_of(setting, family)
        prices = price(family, counts, setting.machine)
        # A tile of one vector always fits: what it cannot hold is loaded again.
        fits = prices.fits | (counts.prod(axis=1) == 1)
        order = np.argsort(prices.cycles, kind="stable")
        chosen = order[fits[order]]
        if chosen.size:
            found.append((family, counts[chosen], prices.of(chosen)))
    return sorted(found, key=lambda entry: float(entry[2].cycles[0]))


def _cost_of(
    family: Family, counts: Counts, prices: Prices, row: int, machine: Machine
) -> Cost:
    levels = tuple(
        LevelCost(
            level.level,
            float(level.bytes[row]),
            machine.seconds(float(level.cycles[row])),
        )
        for level in prices.levels
    )
    parts = tuple((name, float(cycles[row])) for name, cycles in prices.parts)
    size = tuple(int(n) for n in counts[row])
    return with_registers(Cost(parts, levels), family, size, machine)
