"""From plans to a schedule tree: `plan_tree(scop, plans, dependences) -> Tree`.

The tree is made from the scop's initial tree by transformations, as the plans say, and
every step is checked: a plan that would change the meaning of the kernel does not get
through. Loops of one iteration are left out. Where a loop's trip count is no multiple
of a tile, the loop nest cuts off the rest; the tree does not show it.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

from polydsl.poly.dependences import Dependences
from polydsl.poly.scop import Scop
from polydsl.schedule.legality import Precedence, check_order, precedences, verify
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_tree import matrix_tree
from polydsl.schedule.transform import gather, initial_tree, reorder
from polydsl.schedule.tree import Sequence, Tree
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.schedule.vector_tree import vector_tree

Plan: TypeAlias = MatrixPlan | VectorPlan


def plan_tree(scop: Scop, plans: tuple[Plan, ...], dependences: Dependences) -> Tree:
    """Return the checked schedule tree of an ordered scop's plans."""
    known = precedences(dependences)
    initial = initial_tree(scop)
    places = {s.name: place for place, s in enumerate(scop.statements)}
    groups = tuple(statements_of(plan) for plan in plans)
    ordered = reorder(initial, tuple(places[s] for names in groups for s in names))
    check_order(ordered, known)
    parts = gather(ordered, tuple(len(names) for names in groups)).children
    made = tuple(_planned(plan, part, known) for plan, part in zip(plans, parts))
    tree = made[0] if len(made) == 1 else Sequence(made)
    check_order(tree, known)
    verify(tree, scop)
    return tree


def statements_of(plan: Plan) -> tuple[str, ...]:
    """Return the statements that a plan computes, in order."""
    first = () if plan.initialize is None else (plan.initialize,)
    match plan:
        case MatrixPlan():
            return (*first, plan.contraction.statement)
        case VectorPlan():
            return (*first, *plan.updates)
        case _:
            assert_never(plan)


def _planned(plan: Plan, part: Tree, known: tuple[Precedence, ...]) -> Tree:
    names = {*statements_of(plan)}
    inside = tuple(
        k for k in known if {k.dependence.source, k.dependence.target} <= names
    )
    match plan:
        case MatrixPlan():
            return matrix_tree(plan, part, inside)
        case VectorPlan():
            return vector_tree(plan, part, inside)
        case _:
            assert_never(plan)
