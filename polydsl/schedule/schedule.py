"""The schedule of a scop: a plan for each tensor's statements, with its reasons, and
the tree that the plans make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from polydsl.base.diagnostics import ArgumentError
from polydsl.base.dtypes import widen
from polydsl.base.functions import identity
from polydsl.base.machine import Machine
from polydsl.base.providers import BUILT_IN
from polydsl.poly.dependences import Dependences
from polydsl.poly.loop_bounds import fits
from polydsl.poly.scop import Group, Item, Recurrence, Scop, Statement
from polydsl.poly.terms import Interval
from polydsl.schedule.contraction import NoContraction, match
from polydsl.schedule.decision import Decision, Rejected
from polydsl.schedule.legality import Precedence, precedences
from polydsl.schedule.matrix_choice import (
    choose_matrix_plan,
    forced_matrix_plan,
    subject_of,
)
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.operand import Layout
from polydsl.schedule.plan_tree import Plan, Repeat, Step, plan_tree, plans_of
from polydsl.schedule.preference import PLAIN, Preference
from polydsl.schedule.refused import Refused
from polydsl.schedule.setting import Setting
from polydsl.schedule.share import Share, choose_share
from polydsl.schedule.split import split
from polydsl.schedule.tree import Tree
from polydsl.schedule.vector_builder import VectorSetting
from polydsl.schedule.vector_choice import choose_vector_plan, forced_vector_plan
from polydsl.schedule.vector_choice import subject_of as loops_subject
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.schedule.vector_point import VectorPoint
from polydsl.semantics.program import Literal

PLAIN_MARGIN = 2.0
"""A product leaves the microkernel for loops that are so many times cheaper: the two
are priced by different models."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Plans in order of execution, loops around some of them, the decisions that led to
    them, and the checked tree of loops that they stand for."""

    steps: tuple[Step, ...]
    decisions: tuple[Decision, ...]
    tree: Tree

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
    elements are known before the first call, so that copies of them are made once;
    `preference` is what the user asks for.
    """
    known = precedences(dependences)
    planning = _Planning(scop, layout, machine, bound, preference, known)
    steps, decisions = planning.items(scop.items, (), None)
    _check_subjects(preference, decisions)
    tree = plan_tree(scop, steps, known)
    return Schedule(steps, decisions, tree)


Choice: TypeAlias = tuple[Plan, Decision]


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
        self, items: tuple[Item, ...], fixed: tuple[str, ...], share: Share | None
    ) -> tuple[tuple[Step, ...], tuple[Decision, ...]]:
        """Plan items, inside of loops over the indices that are *fixed* and, maybe, of
        one that threads share."""
        steps: list[Step] = []
        decisions: list[Decision] = []
        for item in items:
            match item:
                case Group():
                    chosen = self._group(item, fixed, share)
                    steps += [plan for plan, _ in chosen]
                    decisions += [decision for _, decision in chosen]
                case Recurrence(index, lo, hi, body):
                    own = self._share(item) if not fixed else None
                    within = (*fixed, index)
                    inside, made = self.items(body, within, own or share)
                    parts = self._parts(item, inside)
                    steps.append(Repeat(index, parts, inside, own))
                    count = max(hi - lo + 1, 0)
                    decisions += [replace(d, times=d.times * count) for d in made]
                case _:
                    assert_never(item)
        return tuple(steps), tuple(decisions)

    def _parts(
        self, item: Recurrence, inside: tuple[Step, ...]
    ) -> tuple[Interval, ...]:
        """Return the parts of a recurrence's loop: several where it is innermost."""
        if not all(isinstance(s, VectorPlan) and s.is_flat for s in inside):
            return ((item.lo, item.hi),)
        statements = self.scop.statements_of(item.body)
        return split(self.scop, statements, item.index, item.lo, item.hi)

    def _share(self, item: Recurrence) -> Share | None:
        return choose_share(self.scop, item, self.known, self.machine)

    def _group(
        self, item: Group, fixed: tuple[str, ...], share: Share | None
    ) -> list[Choice]:
        statements = tuple(self.scop.statement(name) for name in item.statements)
        return _Group(
            self.scop,
            self.layout,
            self.machine,
            self.bound,
            self.preference,
            item.tensor,
            statements,
            fixed,
            share,
        ).choose()


@dataclass(frozen=True, slots=True)
class _Group:
    """The statements that define one tensor."""

    scop: Scop
    layout: Layout
    machine: Machine
    bound: frozenset[str]
    preference: Preference
    tensor: str
    statements: tuple[Statement, ...]
    fixed: tuple[str, ...]
    share: Share | None

    def choose(self) -> list[Choice]:
        """Plan products first: the first one may set the tensor to zero itself."""
        first = [s for s in self.statements if s.combine is None]
        updates = [s for s in self.statements if s.combine is not None]
        if not updates:
            return [self._vector(s, (), ()) for s in first]
        initialize: Statement | None = first[0] if first else None
        choices: list[Choice] = []
        others: list[tuple[Statement, str]] = []
        for update in updates:
            absorbed = self._absorbed(initialize, update)
            if absorbed is not None and not _is_identity(absorbed, update):
                absorbed = None
            choice = self._matrix(update, absorbed)
            if isinstance(choice, NoContraction):
                others.append((update, choice.reason))
                continue
            if absorbed is None and initialize is not None:
                choices.append(self._vector(initialize, (), ()))
            initialize = None
            choices.append(choice)
        return choices + self._reductions(initialize, others)

    def _absorbed(
        self, initialize: Statement | None, update: Statement
    ) -> Statement | None:
        """Return the initialisation, if it runs over the same left-hand side."""
        if initialize is None or initialize.subscripts != update.subscripts:
            return None
        return initialize if fits(initialize, update) else None

    def _matrix(
        self, update: Statement, initialize: Statement | None
    ) -> Choice | NoContraction:
        if self.fixed:
            return NoContraction("it runs inside a recurrence")
        matched = match(self.scop, update)
        if isinstance(matched, NoContraction):
            return matched
        loops = loops_subject(self._loops(initialize, (update,)))
        if isinstance(self.preference.point(loops), VectorPoint):
            return NoContraction("loops are given for it")
        setting = Setting(
            self.scop,
            update,
            self.layout,
            self.machine,
            self.bound,
            self.preference.microkernel or BUILT_IN,
            self.preference.ranker,
        )
        name = None if initialize is None else initialize.name
        point = self.preference.point(subject_of(setting))
        if isinstance(point, MatrixPoint):
            forced = forced_matrix_plan(setting, matched, name, point)
            return _possible(subject_of(setting), forced)
        choice = choose_matrix_plan(setting, matched, name)
        if choice is None:
            return NoContraction("no row or column index has step 1 in the result")
        if choice[0].microkernel != BUILT_IN:
            # Asked for by name: not to be compared with what does without it.
            return choice
        packed = choice[1].cost
        assert packed is not None
        limit = packed.cycles / PLAIN_MARGIN
        if self._fewest_cycles(update) > limit:
            return choice
        plain = self._vector(initialize, (update,), ())[1].cost
        if plain is not None and plain.cycles < limit:
            return NoContraction(
                f"plain loops cost less than its {packed.text(self.machine)}"
            )
        return choice

    def _fewest_cycles(self, update: Statement) -> float:
        """Return the cycles of a product's multiply-adds alone."""
        lanes = self.machine.lanes(widen(update.value.dtype))
        return update.points / lanes / self.machine.fma_per_cycle

    def _reductions(
        self, initialize: Statement | None, others: list[tuple[Statement, str]]
    ) -> list[Choice]:
        """Plan the other updates: together where they share their left-hand side."""
        choices: list[Choice] = []
        pending = others
        while pending:
            left = pending[0][0].subscripts
            same = [entry for entry in pending if entry[0].subscripts == left]
            same = self._alike(initialize, same)
            pending = [entry for entry in pending if entry not in same]
            absorbed = self._absorbed(initialize, same[0][0])
            if absorbed is None and initialize is not None:
                choices.append(self._vector(initialize, (), ()))
            initialize = None
            updates = tuple(update for update, _ in same)
            reasons = tuple(dict.fromkeys(reason for _, reason in same))
            choices.append(self._vector(absorbed, updates, reasons))
        if initialize is not None:
            choices.append(self._vector(initialize, (), ()))
        return choices

    def _alike(
        self, initialize: Statement | None, found: list[tuple[Statement, str]]
    ) -> list[tuple[Statement, str]]:
        """Return the updates whose points the loops of one plan run over: those of the
        initialisation, or else of the last update."""
        shaping = self._absorbed(initialize, found[0][0])
        if shaping is not None:
            return [e for e in found if fits(shaping, e[0])]
        first = found[0][0]
        others = (e for e in found[1:] if fits(first, e[0]) and fits(e[0], first))
        return [found[0], *others]

    def _vector(
        self,
        initialize: Statement | None,
        updates: tuple[Statement, ...],
        reasons: tuple[str, ...],
    ) -> Choice:
        setting = self._loops(initialize, updates)
        subject = loops_subject(setting)
        point = self.preference.point(subject)
        if isinstance(point, VectorPoint):
            return _possible(subject, forced_vector_plan(setting, point))
        plan, decision = choose_vector_plan(setting)
        refused = tuple(Rejected("brgemm", None, reason) for reason in reasons)
        return plan, replace(decision, rejected=refused + decision.rejected)

    def _loops(
        self, initialize: Statement | None, updates: tuple[Statement, ...]
    ) -> VectorSetting:
        return VectorSetting(
            self.scop,
            self.layout,
            self.machine,
            self.tensor,
            initialize,
            updates,
            self.fixed,
            self.share,
        )


def _possible(subject: str, choice: Choice | Refused) -> Choice:
    """Return a schedule that was given. Raises `ArgumentError` where there is none."""
    if isinstance(choice, Refused):
        raise ArgumentError(
            f"the schedule given for {subject} is not possible: {choice.reason}; "
            "without a given one, the model chooses one that is"
        )
    return choice


def _check_subjects(preference: Preference, decisions: Sequence[Decision]) -> None:
    """Raise `ArgumentError` where a point is given for no decision."""
    known = [decision.subject for decision in decisions]
    for subject, _ in preference.chosen:
        if subject not in known:
            raise ArgumentError(
                f"a schedule is given for {subject}, which is not decided about; "
                f"the decisions are about {', '.join(known)}"
            )


def _is_identity(initialize: Statement, update: Statement) -> bool:
    """Whether an initialisation gives the value that an update's combination starts
    from, so that a product may begin with it in registers."""
    value = initialize.value
    if update.combine is None or not isinstance(value, Literal):
        return False
    return bool(value.value == identity(update.combine, value.dtype))
