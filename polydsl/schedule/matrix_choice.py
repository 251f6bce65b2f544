"""The choice of a `MatrixPlan`: candidates, their predicted cycles, the best.

A plain cost in cycles ranks the candidates: multiply-adds at the register tile's
rate, calls, loads and stores of C, copies, and strides that the caches dislike.
"""

from __future__ import annotations

from dataclasses import replace

from polydsl.base.providers import BUILT_IN
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.decision import Cost, Decision, Rejected
from polydsl.schedule.matrix_candidates import matrix_candidates
from polydsl.schedule.matrix_cost import matrix_cost
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.provider_fit import refusal
from polydsl.schedule.setting import Setting


def choose_matrix_plan(
    setting: Setting, contraction: Contraction, initialize: str | None
) -> tuple[MatrixPlan, Decision] | None:
    """Return the best plan and the record of the choice, or None where the result has
    no index of stride one that could be the vector.

    The provider of microkernels is the one that the setting names; where it serves no
    candidate, the record says why and the built-in one is taken.
    """
    oriented = orient(setting, contraction)
    if oriented is None:
        return None
    candidates = [
        (plan, refusal(plan, setting.layout))
        for plan in matrix_candidates(setting, oriented, initialize)
    ]
    served = [plan for plan, why in candidates if not why]
    if not served and setting.microkernel != BUILT_IN:
        own = replace(setting, microkernel=BUILT_IN)
        choice = choose_matrix_plan(own, contraction, initialize)
        return choice and _refusing(setting, choice, [why for _, why in candidates])
    ranked = sorted(
        (
            (matrix_cost(plan, setting.machine, setting.layout), number, plan)
            for number, plan in enumerate(served)
        ),
        key=lambda entry: (entry[0].cycles, entry[1]),
    )
    cost, _, plan = ranked[0]
    rejected = tuple(
        Rejected(other.describe(), price, _why(price, cost))
        for price, _, other in ranked[1:6]
    )
    reason = (
        "every index moves two of its three tensors: a product; "
        f"cheapest of {len(ranked)} candidates"
    )
    subject = f"{setting.statement.name} ({setting.statement.tensor})"
    return plan, Decision(subject, plan.describe(), reason, cost, rejected)


def _refusing(
    setting: Setting, choice: tuple[MatrixPlan, Decision], reasons: list[str]
) -> tuple[MatrixPlan, Decision]:
    """Record that the provider asked for serves no candidate."""
    plan, decision = choice
    why = "; ".join(dict.fromkeys(reasons))
    refused = Rejected(f"brgemm by {setting.microkernel}", None, why)
    return plan, replace(decision, rejected=(refused, *decision.rejected))


def _why(price: Cost, best: Cost) -> str:
    """Return the part of a cost that makes it dearer than the best."""
    least = dict(best.parts)
    name, extra = max(
        ((n, c - least.get(n, 0.0)) for n, c in price.parts), key=lambda part: part[1]
    )
    if extra <= 0:
        return "it costs the same"
    return f"{price.cycles / max(best.cycles, 1.0):.2f} times the cycles, for {name}"


def orient(setting: Setting, contraction: Contraction) -> Contraction | None:
    """Make the side along which C is contiguous the columns."""
    offset = contraction.c.offset(setting.layout[contraction.c.tensor])
    sizes = contraction.sizes
    for candidate in (contraction, contraction.swapped()):
        moving = [d for d in candidate.columns if sizes[d] > 1]
        if any(offset.coefficient(d) == 1 for d in moving):
            return candidate
    return None
