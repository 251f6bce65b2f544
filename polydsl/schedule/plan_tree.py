"""From plans to a schedule tree: `plan_tree(scop, steps, known) -> Tree`.

The tree is made from the scop's initial tree by transformations, as the plans say, and
every step is checked: a plan that would change the meaning of the kernel does not get
through. Loops of one iteration are left out. Where a loop's trip count is no multiple
of a tile, the loop nest cuts off the rest; the tree does not show it, nor the parts of
a recurrence's loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from polydsl.poly.scop import Scop
from polydsl.poly.terms import Interval
from polydsl.schedule.legality import (
    Precedence,
    check_order,
    verify,
    within,
)
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_tree import matrix_tree
from polydsl.schedule.share import Share
from polydsl.schedule.transform import statement_tree
from polydsl.schedule.tree import Band, Kind, Member, Sequence, Tree, whole
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.schedule.vector_tree import vector_tree

Plan: TypeAlias = MatrixPlan | VectorPlan


@dataclass(frozen=True, slots=True)
class Repeat:
    """A loop over a recurrence's index around some steps, inside of the loop that
    threads share, if there is one; or a loop over an index that some steps share, which
    may be that of the threads itself. It is written out in `parts` that follow on one
    another, the first and the last value of each. Of the `contracted` tensors, one
    value of the index is in memory at a time."""

    index: str
    parts: tuple[Interval, ...]
    steps: tuple[Step, ...]
    share: Share | None = None
    is_parallel: bool = False
    contracted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Before:
    """Steps that run once, before the first call."""

    steps: tuple[Plan, ...]


Step: TypeAlias = Plan | Repeat | Before


def plans_of(steps: Iterable[Step]) -> Iterator[Plan]:
    """Yield every plan of some steps, in order."""
    for step in steps:
        if isinstance(step, Repeat | Before):
            yield from plans_of(step.steps)
        else:
            yield step


def plan_tree(
    scop: Scop, steps: tuple[Step, ...], known: tuple[Precedence, ...]
) -> Tree:
    """Return the schedule tree of an ordered scop's plans, checked to keep what is
    *known* of its dependences."""
    tree = _Planned(scop).sequence(steps, known)
    check_order(tree, known)
    verify(tree, scop)
    return tree


def statements_of(plan: Plan) -> tuple[str, ...]:
    """Return the statements that a plan computes, in order."""
    first = () if plan.initialize is None else (plan.initialize,)
    match plan:
        case MatrixPlan():
            return (*first, plan.contraction.statement, *plan.epilogue)
        case VectorPlan():
            return (*first, *plan.prologue, *plan.updates, *plan.epilogue)
        case _:
            assert_never(plan)


@dataclass(frozen=True, slots=True)
class _Planned:
    scop: Scop

    def sequence(self, steps: tuple[Step, ...], known: tuple[Precedence, ...]) -> Tree:
        """Return the tree of steps, one after the other."""
        made = tuple(self._step(step, known) for step in steps)
        return made[0] if len(made) == 1 else Sequence(made)

    def _step(self, step: Step, known: tuple[Precedence, ...]) -> Tree:
        match step:
            case Repeat(index, parts, steps, share, is_parallel):
                lo, hi = parts[0][0], parts[-1][1]
                kind: Kind = "parallel" if is_parallel else "sequential"
                member = Member(index, (whole(index, lo, hi - lo + 1),), kind=kind)
                # Inside, only what must run in order in one iteration counts.
                body = self.sequence(steps, within(known, index))
                return Band((*_shared(share), member), body)
            case Before(steps):
                return self.sequence(steps, known)
            case MatrixPlan():
                part = self._initial(step, step.fixed)
                return matrix_tree(step, part, _about(step, known))
            case VectorPlan():
                part = self._initial(step, step.fixed)
                return vector_tree(step, part, _about(step, known))
            case _:
                assert_never(step)

    def _initial(self, plan: Plan, fixed: tuple[str, ...]) -> Tree:
        statements = (self.scop.statement(name) for name in statements_of(plan))
        made = tuple(statement_tree(s, fixed) for s in statements)
        return made[0] if len(made) == 1 else Sequence(made)


def _shared(share: Share | None) -> tuple[Member, ...]:
    """Return the loop that threads share."""
    if share is None:
        return ()
    axes = (whole(share.index, share.lo, share.hi - share.lo + 1),)
    return (Member(share.var, axes, share.size, "parallel"),)


def _about(plan: Plan, known: tuple[Precedence, ...]) -> tuple[Precedence, ...]:
    """Return the precedences between the statements of a plan."""
    names = {*statements_of(plan)}
    return tuple(
        k for k in known if {k.dependence.source, k.dependence.target} <= names
    )
