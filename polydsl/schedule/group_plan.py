"""The plans of one group: `GroupPlanning.plan(group)`.

Each product gets a `MatrixPlan`; what is none, or is cheaper in plain loops, is put in
as few `VectorPlan`s as possible. The epilogue follows in the loops of the last plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

from polydsl.base.diagnostics import ArgumentError
from polydsl.base.dtypes import widen
from polydsl.base.machine import Machine
from polydsl.base.providers import BUILT_IN
from polydsl.base.quantities import seconds_text
from polydsl.poly.loop_bounds import fits
from polydsl.poly.scop import Group, Scop, Statement
from polydsl.schedule.contraction import (
    Contraction,
    NoContraction,
    match_stored,
    matches,
)
from polydsl.schedule.decision import Decision, Rejected, pair_subject
from polydsl.schedule.elements import is_neutral
from polydsl.schedule.epilogues import is_read_outside
from polydsl.schedule.matrix_choice import (
    choose_matrix_plan,
    forced_matrix_plan,
    subject_of,
)
from polydsl.schedule.matrix_fixed import inside_loops, one_iteration, whole_product
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.operand import Layout
from polydsl.schedule.plan_tree import (
    Plan,
    statements_of,
)
from polydsl.schedule.preference import Preference
from polydsl.schedule.prologues import prologue_subject
from polydsl.schedule.refused import Refused
from polydsl.schedule.setting import Setting
from polydsl.schedule.share import Share
from polydsl.schedule.vector_builder import VectorSetting
from polydsl.schedule.vector_choice import choose_vector_plan, forced_vector_plan
from polydsl.schedule.vector_choice import subject_of as loops_subject
from polydsl.schedule.vector_operands import value_instructions
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.schedule.vector_point import VectorPoint

PLAIN_MARGIN = 2.0
"""A product leaves the microkernel for loops that are so many times cheaper: the two
are priced by different models."""

SINGLE = 16.0
"""An epilogue of more instructions is better computed in vectors, whatever these cost
to store and to load, than one element after the other."""

Choice: TypeAlias = tuple[Plan, Decision]


@dataclass(frozen=True, slots=True)
class Around:
    """What is around some items: loops over the indices that are `fixed`, and one that
    threads `share`. Inside of a loop over shared indices (`is_fused`), threads share
    that over the index `threads`, or nothing. `made_inside` are the tensors that the
    loops compute."""

    fixed: tuple[str, ...] = ()
    share: Share | None = None
    threads: str = ""
    is_fused: bool = False
    made_inside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GroupPlanning:
    """The statements that define one tensor."""

    scop: Scop
    layout: Layout
    machine: Machine
    bound: frozenset[str]
    preference: Preference
    tensor: str
    statements: tuple[Statement, ...]
    around: Around

    def plan(self, item: Group) -> tuple[tuple[Plan, ...], tuple[Decision, ...]]:
        """Return the plans of a group, its epilogue in the loops of the last of them if
        that is possible and good, and else in loops of its own; the same for its
        prologue; and all decisions."""
        choices, decisions = self._planned(item)
        decisions += [decision for _, decision in choices]
        return tuple(plan for plan, _ in choices), tuple(decisions)

    def _planned(self, item: Group) -> tuple[list[Choice], list[Decision]]:
        """Return the choices for a group, and decisions about pairs of tensors."""
        choices, pairs = self._preceded(item)
        *before, (plan, decision) = choices
        reason = self._apart(plan, item) if item.epilogue else ""
        others: list[Choice] = []
        if reason:
            for statement in map(self.scop.statement, item.epilogue):
                subject = pair_subject(self.tensor, statement.tensor)
                pairs.append(Decision(subject, "not fused", reason))
                alone = replace(self, tensor=statement.tensor, statements=(statement,))
                others += alone._choose()
        elif item.epilogue:
            is_stored = is_read_outside(self.scop, item)
            plan = replace(plan, epilogue=item.epilogue, is_stored=is_stored)
            decision = replace(decision, chosen=plan.describe())
        return [*before, (plan, decision), *others], pairs

    def _preceded(self, item: Group) -> tuple[list[Choice], list[Decision]]:
        """Return the choices for a group and its prologue, without the epilogue, and
        where each assignment of the prologue is made."""
        if not item.prologue:
            return self._choose(), []
        apart = self._choose()
        pairs: list[Decision] = []
        for group in reversed(item.prologue):
            statements = tuple(self.scop.statement(n) for n in group.statements)
            alone = replace(self, tensor=group.tensor, statements=statements)
            choices, more = alone._planned(group)
            apart, pairs = [*choices, *apart], [*more, *pairs]
        together = self._summing(item)
        reason, is_better = self._comparison(together, apart)
        where = "computed where it is summed" if is_better else "not fused"
        tensors = (self.scop.statement(name).tensor for name in item.names_before)
        subjects = (prologue_subject(tensor, self.tensor) for tensor in tensors)
        made = [Decision(subject, where, reason) for subject in subjects]
        return (together, made) if is_better else (apart, [*made, *pairs])

    def _comparison(
        self, together: list[Choice], apart: list[Choice]
    ) -> tuple[str, bool]:
        """Return whether a prologue is better computed where it is summed, and why: a
        schedule is given for it, or it takes less time."""
        for choices, is_better in ((apart, False), (together, True)):
            subjects = {d.subject for _, d in choices}
            others = {d.subject for _, d in (together if choices is apart else apart)}
            if any(self.preference.point(s) for s in subjects - others):
                return "a schedule is given for its loops", is_better
        costs = [sum(d.cycles for _, d in choices) for choices in (together, apart)]
        texts = [seconds_text(self.machine.seconds(cycles)) for cycles in costs]
        has_product = not all(isinstance(plan, VectorPlan) for plan, _ in apart)
        margin = PLAIN_MARGIN if has_product else 1.0
        return (
            f"a pass of its own and the sum take {texts[1]}, one pass {texts[0]}",
            costs[0] * margin < costs[1],
        )

    def _apart(self, plan: Plan, item: Group) -> str:
        """Return why an epilogue has loops of its own, or nothing."""
        *_, last = (self.scop.statement(name) for name in statements_of(plan))
        if plan.initialize is None and last.conditions:
            return "not all elements are finished in the same loops"
        if not isinstance(plan, VectorPlan) or plan.point.vector not in last.reduced:
            return ""
        lanes = self.machine.lanes(widen(last.value.dtype))
        left = (last.ranges[d] for d in last.left if d not in self.around.fixed)
        if not any(hi - lo + 1 >= lanes for lo, hi in left):
            return ""
        values = (self.scop.statement(name).value for name in item.epilogue)
        work = sum(value_instructions(value, None) for value in values)
        if work <= SINGLE:
            return ""
        return "the lanes are partial sums, so that it would be computed one by one"

    def _summing(self, item: Group) -> list[Choice]:
        """Return the choices for the one update with its prologue."""
        *first, update = self.statements
        initialize = self._absorbed(first[0] if first else None, update)
        before = [self._vector(s, (), ()) for s in first if s is not initialize]
        setting = replace(
            self._loops(initialize, (update,)),
            prologue=tuple(map(self.scop.statement, item.names_before)),
        )
        return [*before, self._in_loops(setting, ())]

    def _choose(self) -> list[Choice]:
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
            if absorbed is not None and not is_neutral(absorbed, update):
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
        if self.around.share is not None:
            return NoContraction("threads share blocks of an index around it")
        matched = self._contractions(update)
        if isinstance(matched, NoContraction):
            return matched
        setting = self._setting(update)
        choices = [self._product(setting, initialize, found) for found in matched]
        plans = [c for c in choices if not isinstance(c, NoContraction | Refused)]
        if plans:
            return min(plans, key=_cycles)
        first = choices[0]
        if isinstance(first, Refused):
            return _possible(subject_of(setting), first)
        return first

    def _contractions(
        self, update: Statement
    ) -> tuple[Contraction, ...] | NoContraction:
        """Return the products that an update is. To compute a factor while it is copied
        is to fuse."""
        fixed = self.around.fixed
        if self.preference.fuse != "none":
            return matches(self.scop, update, fixed)
        found = match_stored(self.scop, update, fixed)
        return found if isinstance(found, NoContraction) else (found,)

    def _setting(self, update: Statement) -> Setting:
        return Setting(
            self.scop,
            update,
            self.layout,
            self.machine,
            self.bound,
            self.preference.microkernel or BUILT_IN,
            self.preference.ranker,
            self.around.fixed,
        )

    def _product(
        self, setting: Setting, initialize: Statement | None, found: Contraction
    ) -> Choice | NoContraction | Refused:
        """Return the schedule of a product, the one that is given if there is one."""
        update, fixed = setting.statement, self.around.fixed
        whole = whole_product(found, fixed)
        if isinstance(whole, NoContraction):
            return whole
        matched = one_iteration(whole, fixed)
        loops = loops_subject(self._loops(initialize, (update,)))
        if isinstance(self.preference.point(loops), VectorPoint):
            return NoContraction("loops are given for it")
        name = None if initialize is None else initialize.name
        point = self.preference.point(subject_of(setting))
        if isinstance(point, MatrixPoint):
            given = forced_matrix_plan(setting, matched, name, point)
            if isinstance(given, Refused):
                return given
            return self._inside(setting, whole, name, given)
        choice = choose_matrix_plan(setting, matched, name)
        if choice is None:
            return NoContraction("no row or column index has step 1 in the result")
        inside = self._inside(setting, whole, name, choice)
        if isinstance(inside, NoContraction) or choice[0].microkernel != BUILT_IN:
            # Asked for by name: not to be compared with what does without it.
            return inside
        packed = inside[1].cost
        assert packed is not None
        limit = packed.cycles / PLAIN_MARGIN
        if self._fewest_cycles(update) > limit:
            return inside
        plain = self._vector(initialize, (update,), ())[1].cost
        if plain is not None and plain.cycles < limit:
            return NoContraction(
                f"plain loops cost less than its {packed.text(self.machine)}"
            )
        return inside

    def _inside(
        self, setting: Setting, whole: Contraction, name: str | None, choice: Choice
    ) -> Choice | NoContraction:
        """Return a choice for one iteration of the loops around the group inside of
        them."""
        if not self.around.fixed:
            return choice
        threads, fixed = self.around.threads, self.around.fixed
        place = fixed.index(threads) if threads in fixed else -1
        return inside_loops(
            setting, whole, name, choice[1], self.around.made_inside, place
        )

    def _fewest_cycles(self, update: Statement) -> float:
        """Return the cycles of a product's multiply-adds alone."""
        lanes = self.machine.lanes(widen(update.value.dtype))
        ranges = (update.ranges[d] for d in self.around.fixed if d in update.dims)
        points = update.points / prod(max(hi - lo + 1, 1) for lo, hi in ranges)
        return points / lanes / self.machine.fma_per_cycle

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
        return self._in_loops(self._loops(initialize, updates), reasons)

    def _in_loops(self, setting: VectorSetting, reasons: tuple[str, ...]) -> Choice:
        """Return the plan of some statements in loops."""
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
            self.around.fixed,
            self.around.share,
            self.around.is_fused,
        )


def _cycles(choice: Choice) -> float:
    cost = choice[1].cost
    return 0.0 if cost is None else cost.cycles


def _possible(subject: str, choice: Choice | Refused) -> Choice:
    """Return a schedule that was given. Raises `ArgumentError` where there is none."""
    if isinstance(choice, Refused):
        raise ArgumentError(
            f"the schedule given for {subject} is not possible: {choice.reason}; "
            "without a given one, the model chooses one that is"
        )
    return choice
