"""The schedule of a scop: a plan for each tensor's statements, with its reasons, and
the tree that the plans make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from polydsl.base.diagnostics import ArgumentError
from polydsl.base.machine import Machine
from polydsl.poly.dependences import Dependences
from polydsl.poly.scop import Fused, Group, Item, Once, Recurrence, Scop
from polydsl.poly.terms import Interval
from polydsl.schedule.decision import Decision
from polydsl.schedule.group_plan import Around, GroupPlanning
from polydsl.schedule.legality import Precedence, precedences
from polydsl.schedule.once import computed_once
from polydsl.schedule.operand import Layout
from polydsl.schedule.plan_tree import (
    Before,
    Plan,
    Repeat,
    Step,
    plan_tree,
    plans_of,
)
from polydsl.schedule.preference import PLAIN, Preference
from polydsl.schedule.share import LEAST_POINTS, Share, choose_share, has_products
from polydsl.schedule.split import split
from polydsl.schedule.tree import Tree
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.semantics.program import Pad, Select, accesses, walk


@dataclass(frozen=True, slots=True)
class Schedule:
    """Plans in order of execution, loops around some of them, the decisions that led to
    them, and the checked tree of loops that they stand for. The elements of `bound`
    parameters are known before the first call."""

    steps: tuple[Step, ...]
    decisions: tuple[Decision, ...]
    tree: Tree
    bound: frozenset[str] = frozenset()

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Every plan, in order."""
        return tuple(plans_of(self.steps))


def schedule(
    scop: Scop,
    dependences: Dependences,
    layout: Layout,
    machine: Machine,
    bound: frozenset[str] = frozenset(),
    preference: Preference = PLAIN,
) -> Schedule:
    """Return a schedule of an ordered scop that keeps its dependences.

    `layout` gives the strides of every tensor; `bound` names the parameters whose
    elements are known before the first call, so that copies of them are made once, as
    those of what the scop computes once are;
    `preference` is what the user asks for.
    """
    known = precedences(dependences)
    lasting = bound | computed_once(scop)
    planning = _Planning(scop, layout, machine, lasting, preference, known)
    steps, decisions = planning.items(scop.items, Around())
    _check_subjects(preference, decisions)
    tree = plan_tree(scop, steps, known)
    return Schedule(steps, decisions, tree, bound)


@dataclass(frozen=True, slots=True)
class _Planning:
    """What all decisions of a scop are made from."""

    scop: Scop
    layout: Layout
    machine: Machine
    bound: frozenset[str]
    preference: Preference
    known: tuple[Precedence, ...]

    def items(
        self, items: tuple[Item, ...], around: Around
    ) -> tuple[tuple[Step, ...], tuple[Decision, ...]]:
        """Plan items, inside of what is around them."""
        steps: list[Step] = []
        decisions: list[Decision] = []
        for item in items:
            match item:
                case Group():
                    plans, made = self._group(item, around)
                    steps += plans
                    decisions += made
                case Once(body):
                    steps.append(Before(self._before(body)))
                case Recurrence() | Fused():
                    step, made = self._loop(item, around)
                    steps.append(step)
                    count = max(item.hi - item.lo + 1, 0)
                    decisions += [replace(d, times=d.times * count) for d in made]
                case _:
                    assert_never(item)
        return tuple(steps), tuple(decisions)

    def _before(self, body: tuple[Group, ...]) -> tuple[Plan, ...]:
        """Plan what is computed before the first call. Its time is nobody's concern, so
        that its decisions are not kept."""
        made = (self._group(group, Around()) for group in body)
        return tuple(plan for plans, _ in made for plan in plans)

    def _loop(
        self, item: Recurrence | Fused, around: Around
    ) -> tuple[Repeat, tuple[Decision, ...]]:
        """Plan what is inside of a loop over one index."""
        fixed = (*around.fixed, item.index)
        computed = self.scop.statements_of((item,))
        made = around.made_inside or frozenset(s.tensor for s in computed)
        whole = ((item.lo, item.hi),)
        if isinstance(item, Fused):
            threads = around.threads
            if not around.is_fused:
                threads = self._threads(item)
            within = Around(
                fixed, around.share, threads, is_fused=True, made_inside=made
            )
            inside, decisions = self.items(item.body, within)
            is_parallel = item.index == threads
            loop = Repeat(item.index, whole, inside, None, is_parallel, item.contracted)
            return loop, decisions
        own = None if around.fixed else self._share(item)
        within = Around(fixed, own or around.share, made_inside=made)
        inside, decisions = self.items(item.body, within)
        return Repeat(item.index, self._parts(item, inside), inside, own), decisions

    def _threads(self, item: Fused) -> str:
        """Return the outermost shared index with a value for each core, if the whole is
        worth it. Over what is summed, threads would meet."""
        cores, statements = self.machine.cores, self.scop.statements_of((item,))
        if cores < 2 or sum(s.points for s in statements) < LEAST_POINTS:
            return ""
        inner: Item = item
        while isinstance(inner, Fused):
            if any(inner.index in s.reduced for s in statements):
                return ""
            if inner.hi - inner.lo + 1 >= cores:
                return inner.index
            inner = inner.body[0]
        return ""

    def _parts(
        self, item: Recurrence, inside: tuple[Step, ...]
    ) -> tuple[Interval, ...]:
        """Return the parts of a recurrence's loop: several where it is innermost, or
        conditions are about a state that is so near that they would be felt."""
        statements = self.scop.statements_of(item.body)
        is_near = any(
            isinstance(e, Pad | Select)
            and any(a.tensor in item.contracted for a in accesses(e))
            for s in statements
            for e in walk(s.value)
        )
        for step in inside:
            if not isinstance(step, VectorPlan) or not (is_near or step.is_flat):
                return ((item.lo, item.hi),)
        return split(self.scop, statements, item.index, item.lo, item.hi)

    def _share(self, item: Recurrence) -> Share | None:
        """Return what threads share around a recurrence: nothing where each iteration
        has products that are worth a microkernel, which take whole indices, or loops
        over shared indices, which threads share inside."""
        if any(isinstance(inside, Fused) for inside in item.body):
            return None
        if has_products(self.scop, item):
            return None
        return choose_share(self.scop, item, self.known, self.machine)

    def _group(
        self, item: Group, around: Around
    ) -> tuple[tuple[Plan, ...], tuple[Decision, ...]]:
        found = map(self.scop.statement, item.statements)
        statements = tuple(statement.inside(around.fixed) for statement in found)
        planning = GroupPlanning(
            self.scop,
            self.layout,
            self.machine,
            self.bound,
            self.preference,
            item.tensor,
            statements,
            around,
        )
        return planning.plan(item)


def _check_subjects(preference: Preference, decisions: Sequence[Decision]) -> None:
    """Raise `ArgumentError` where a point is given for no decision."""
    known = [decision.subject for decision in decisions]
    for subject, _ in preference.chosen:
        if subject not in known:
            raise ArgumentError(
                f"a schedule is given for {subject}, which is not decided about; "
                f"the decisions are about {', '.join(known)}"
            )
