"""The choice of a `MatrixPlan`: the best schedule that the search finds, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import assert_never

from polydsl.base.providers import BUILT_IN
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.decision import Candidate, Decision, Rejected, lost_by
from polydsl.schedule.matrix_builder import build
from polydsl.schedule.matrix_family import family_of, refusals
from polydsl.schedule.matrix_model import cost_of
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.matrix_published import published
from polydsl.schedule.matrix_registers import with_registers
from polydsl.schedule.matrix_search import Found, search
from polydsl.schedule.refused import Refused
from polydsl.schedule.setting import Setting

EXPLAINED = 5
"""So many rejected candidates are explained."""


def choose_matrix_plan(
    setting: Setting, contraction: Contraction, initialize: str | None
) -> tuple[MatrixPlan, Decision] | None:
    """Return the best plan and the record of the choice, or None where the result has
    no index of stride one that could be the vector.

    The provider of microkernels is the one that the setting names; where it serves no
    candidate, the record says why and the built-in one is taken.
    """
    found = _found(setting, contraction, initialize)
    legal = list(_legal(setting, contraction, initialize, found))
    if not legal:
        return _without_library(setting, contraction, initialize)
    (plan, best), *others = legal
    rejected = tuple(
        Rejected(other.describe(), candidate.cost, lost_by(candidate.cost, best.cost))
        for other, candidate in others[:EXPLAINED]
    )
    alternatives = tuple(candidate for _, candidate in legal)
    decision = Decision(
        subject_of(setting),
        plan.describe(),
        _reason(setting, found),
        best.cost,
        rejected,
        alternatives,
    )
    return plan, decision


def _found(setting: Setting, contraction: Contraction, initialize: str | None) -> Found:
    """Return the best candidates by the setting's ranker."""
    match setting.ranker:
        case "reuse":
            return search(setting, contraction, initialize)
        case "polyrank" | "pairwise-net" as ranker:
            return published(ranker, setting, contraction, initialize)
        case _:
            assert_never(setting.ranker)


def _legal(
    setting: Setting, contraction: Contraction, initialize: str | None, found: Found
) -> Iterator[tuple[MatrixPlan, Candidate]]:
    """Yield the candidates of which a plan can be made."""
    for candidate in found.candidates:
        point = candidate.point
        assert isinstance(point, MatrixPoint)
        plan = build(setting, contraction, point, initialize)
        if isinstance(plan, MatrixPlan):
            cost = with_registers(candidate.cost, plan, setting.machine)
            yield plan, Candidate(point, cost)


def _without_library(
    setting: Setting, contraction: Contraction, initialize: str | None
) -> tuple[MatrixPlan, Decision] | None:
    """Choose for the built-in provider, where another one serves no candidate."""
    if setting.microkernel == BUILT_IN:
        return None
    own = replace(setting, microkernel=BUILT_IN)
    choice = choose_matrix_plan(own, contraction, initialize)
    if choice is None:
        return None
    plan, decision = choice
    reasons = "; ".join(refusals(setting, contraction, initialize))
    refused = Rejected(f"brgemm by {setting.microkernel}", None, reasons)
    return plan, replace(decision, rejected=(refused, *decision.rejected))


def forced_matrix_plan(
    setting: Setting,
    contraction: Contraction,
    initialize: str | None,
    point: MatrixPoint,
) -> tuple[MatrixPlan, Decision] | Refused:
    """Return the plan of a given point, or why there is none."""
    plan = build(setting, contraction, point, initialize)
    if isinstance(plan, Refused):
        return plan
    family = family_of(setting, contraction, point, initialize)
    assert family is not None
    cost = cost_of(setting, family, point)
    cost = with_registers(cost, plan, setting.machine)
    reason = "its schedule was given"
    alternatives = (Candidate(point, cost),)
    subject = subject_of(setting)
    decision = Decision(subject, plan.describe(), reason, cost, (), alternatives)
    return plan, decision


def subject_of(setting: Setting) -> str:
    """Return the name of a decision about a statement."""
    return f"{setting.statement.name} ({setting.statement.tensor})"


def _reason(setting: Setting, found: Found) -> str:
    by = setting.ranker
    best = "cheapest" if by == "reuse" else f"ranked first by {by}"
    reason = (
        "every index moves two of its three tensors: a product; "
        f"{best} of {found.priced} candidates"
    )
    if found.is_spent:
        reason += ", where the search ended because its budget was spent"
    return reason
