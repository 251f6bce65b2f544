"""The choice of a `VectorPlan`: candidates by price, and the record of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.schedule.decision import Cost, Decision, Rejected
from polydsl.schedule.vector_builder import VectorSetting, build
from polydsl.schedule.vector_candidates import counts_of, families, point_of
from polydsl.schedule.vector_model import price
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.schedule.vector_point import VectorPoint

SHOWN = 5
"""So many of the best candidates that were not taken are kept in the record."""


def choose_vector_plan(setting: VectorSetting) -> tuple[VectorPlan, Decision]:
    """Return the plan of one tensor's statements and the record of the choice."""
    found: list[tuple[VectorPlan, Cost]] = []
    for point, cost in ranked(setting):
        plan = build(setting, point)
        if isinstance(plan, VectorPlan):
            found.append((plan, cost))
        if len(found) > SHOWN:
            break
    if not found:
        bug(f"{setting.tensor} has no schedule")
    (plan, cost), *others = found
    rejected = tuple(Rejected(p.describe(), c, _why(c, cost)) for p, c in others)
    names = ", ".join(s.name for s in setting.statements)
    reason = "its register tile takes the least time"
    if plan.point.vector is None:
        reason = plan.scalar_reason or "it has no loop"
    subject = f"{names} ({setting.tensor})"
    return plan, Decision(subject, plan.describe(), reason, cost, rejected)


def _why(cost: Cost, best: Cost) -> str:
    """Return the cause by which a candidate loses most."""
    taken = dict(best.parts)
    lost = {name: cycles - taken[name] for name, cycles in cost.parts}
    name = max(lost, key=lambda part: lost[part])
    return f"more time goes to {name}" if lost[name] > 0 else "it came later"


def ranked(setting: VectorSetting) -> Iterator[tuple[VectorPoint, Cost]]:
    """Yield the candidates whose registers suffice, the cheapest first."""
    groups = [(f, counts_of(setting, f)) for f in families(setting)]
    prices = [price(f, counts, setting.machine) for f, counts in groups]
    cycles = np.concatenate([p.cycles for p in prices])
    # A tile of one vector always fits: what it cannot hold is loaded again.
    fits = [p.fits | (c.prod(axis=1) == 1) for (_, c), p in zip(groups, prices)]
    family = np.repeat(np.arange(len(groups)), [len(c) for _, c in groups])
    row = np.concatenate([np.arange(len(c)) for _, c in groups])
    order = np.argsort(cycles, kind="stable")
    for place in order[np.concatenate(fits)[order]]:
        number, at = int(family[place]), int(row[place])
        form, counts = groups[number]
        parts = tuple((n, float(c[at])) for n, c in prices[number].parts)
        size = tuple(int(n) for n in counts[at])
        yield point_of(setting, form, size), Cost(parts)
