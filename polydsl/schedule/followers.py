"""What follows on each step of a recurrence, in its loop: `followed(scop, machine)`.

    for t: h[t, :] = f(h[t - 1, :])              for t: h[t, :] = f(h[t - 1, :])
    for t, d: y[t] += c[t, d] * h[t, d]    ->           y[t] = sum of c[t, :] * h[t, :]

A group that reads what a recurrence computes at the step of its own index needs no
later step. If it runs in the recurrence's loop, and nothing else reads the state later
than in the next step, one step of the state is all that is in memory (`states.py`): it
stays in a near cache, which is what this is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from polydsl.base.machine import Machine
from polydsl.base.quantities import bytes_text
from polydsl.poly.scop import Group, Recurrence, Scop, Statement
from polydsl.poly.substitute import bounds
from polydsl.poly.terms import Linear
from polydsl.poly.times import Time, retimed
from polydsl.schedule.contraction import is_product
from polydsl.schedule.decision import Decision, pair_subject
from polydsl.schedule.epilogues import joined
from polydsl.schedule.item_order import Units, units_of
from polydsl.schedule.shared_indices import is_vector
from polydsl.schedule.states import Step, objection, step_of, tensors_of
from polydsl.semantics.program import Index, are_distinct

START = 40.0
"""The cycles that a group's loops take to begin and to end, once for each step."""


def followed(scop: Scop, machine: Machine) -> tuple[Scop, tuple[Decision, ...]]:
    """Return an ordered scop with groups in the loops of recurrences whose states they
    alone keep in memory, and for each pair of a state and a reader whether they are."""
    following = _Following(scop, machine, units_of(scop, scop.items), {}, {})
    for place in [*following.units.by_place]:
        following.recurrence(place)
    if not following.moved:
        return scop, tuple(following.decisions.values())
    renamed = (following.moved.get(s.name, s) for s in scop.statements)
    scop = replace(scop, statements=tuple(renamed))
    items = following.units.ordered()
    scop = replace(scop, items=items, statements=scop.statements_of(items))
    # What has come into the loop may follow right after elements there.
    scop, pairs = joined(scop)
    more = {d.subject: d for d in pairs if d.chosen != "not fused"}
    return scop, tuple({**following.decisions, **more}.values())


@dataclass(frozen=True, slots=True)
class _Following:
    """Moves groups into recurrences. `moved` are statements with other indices than
    before, `decisions` what was chosen for pairs of tensors."""

    scop: Scop
    machine: Machine
    units: Units
    moved: dict[str, Statement]
    decisions: dict[str, Decision]

    def recurrence(self, place: int) -> None:
        """Let follow on each state of a recurrence what reads it."""
        unit = self.units.by_place.get(place)
        if unit is None or not isinstance(unit.item, Recurrence):
            return
        for tensor in tensors_of(self.scop, unit.item):
            readers = tuple(self._readers(place, tensor))
            if readers and self.scop.tensor(tensor).role == "local":
                self._follow(place, tensor, readers)

    def _readers(self, place: int, tensor: str) -> Iterator[int]:
        """Yield the places of the other items that read a tensor."""
        for other, unit in sorted(self.units.by_place.items()):
            statements = self.scop.statements_of((unit.item,))
            read = {r.access.tensor for s in statements for r in s.reads}
            if other != place and tensor in read:
                yield other

    def _follow(self, place: int, tensor: str, readers: Sequence[int]) -> None:
        """Put the readers of a state into its recurrence, where none is left out and
        one step of it is enough then."""
        item = self.units.by_place[place].item
        assert isinstance(item, Recurrence)
        found: list[tuple[Statement, ...]] = []
        reason = ""
        for reader in readers:
            moved = self._moved(item, place, reader)
            if isinstance(moved, str):
                reason = moved
                break
            found.append(moved)
        groups = [self.units.by_place[r].item for r in readers]
        if not reason:
            longer = replace(item, body=(*item.body, *groups))
            reason = objection(self._with(found), longer, tensor)
        reason = reason or self._loss(item, tensor, len(readers))
        if reason:
            self._note(tensor, groups, "not fused", reason)
            return
        size = bytes_text(self.scop.tensor(tensor).bytes / _steps(item))
        why = f"one step of {tensor}, {size}, is all that is in memory then"
        self._note(tensor, groups, f"fused, in the loop over {item.index}", why)
        self.moved.update({s.name: s for group in found for s in group})
        self.units.merge(place, readers, longer)

    def _with(self, moved: Sequence[tuple[Statement, ...]]) -> Scop:
        """Return the scop with statements as they have been moved, and some more."""
        names = {**self.moved, **{s.name: s for group in moved for s in group}}
        statements = tuple(names.get(s.name, s) for s in self.scop.statements)
        return replace(self.scop, statements=statements)

    def _note(
        self, tensor: str, groups: Sequence[object], chosen: str, reason: str
    ) -> None:
        for group in groups:
            if isinstance(group, Group):
                subject = pair_subject(tensor, group.tensor)
                self.decisions[subject] = Decision(subject, chosen, reason)

    def _moved(
        self, item: Recurrence, place: int, reader: int
    ) -> tuple[Statement, ...] | str:
        """Return the statements of a group with the recurrence's index, or why they
        cannot run in its loop."""
        group = self.units.by_place[reader].item
        if not isinstance(group, Group):
            return "another recurrence reads it"
        statements = self.scop.statements_of((group,))
        if any(is_product(self.scop, s) for s in statements):
            return f"{group.tensor} is a product, of all steps at once"
        if reason := self.units.between({place}, reader):
            return reason
        index = self._index(item, statements)
        if index is None:
            return f"{group.tensor} reads it at other steps than its own"
        form = self._form(item, statements, index)
        if form is None:
            return f"{group.tensor} has other steps"
        if is_vector([(s, index) for s in statements]):
            return f"{group.tensor} has its vectors along {index}"
        time = Time(item.index, {s.name: form for s in statements}, (item.lo, item.hi))
        return retimed(self.scop, statements, time)

    def _index(self, item: Recurrence, statements: Sequence[Statement]) -> str | None:
        """Return the index at which statements read what a recurrence computes along
        the axes that tell its steps; None if there are several, or none."""
        found: set[str] = set()
        for step, _, subscript in self._read(item, statements):
            if step is None or not isinstance(subscript, Index):
                return None
            found.add(subscript.name)
        return found.pop() if len(found) == 1 else None

    def _read(
        self, item: Recurrence, statements: Sequence[Statement]
    ) -> Iterator[tuple[Step | None, Statement, object]]:
        """Yield what each read of the recurrence's tensors tells of its step."""
        inside = tensors_of(self.scop, item)
        for statement in statements:
            for read in statement.reads:
                if read.access.tensor in inside:
                    step = step_of(self._with([]), item, read.access.tensor)
                    axis = 0 if step is None else step.axis
                    yield step, statement, read.access.subscripts[axis]

    def _form(
        self, item: Recurrence, statements: Sequence[Statement], index: str
    ) -> Linear | None:
        """Return the recurrence's index in terms of that of its readers, None where
        these have not just its steps."""
        steps = {step for step, _, _ in self._read(item, statements)}
        if len({(s.sign, s.constant) for s in steps if s is not None}) != 1:
            return None
        step = steps.pop()
        assert step is not None
        form = Linear(((index, step.sign),), -step.sign * step.constant)
        for s in statements:
            is_plain = are_distinct(s.subscripts) and index in s.left
            # The index may be called like another one of the statement.
            clashes = item.index in s.dims and (
                item.index != index or form != Linear(((index, 1),), 0)
            )
            if not is_plain or clashes or s.conditions:
                return None
            if bounds(form, s.ranges) != (item.lo, item.hi):
                return None
        return form

    # Profit

    def _loss(self, item: Recurrence, tensor: str, readers: int) -> str:
        """Return why it does not pay to keep one step of a tensor near, or nothing."""
        size = self.scop.tensor(tensor).bytes
        near, far = self._load(size / _steps(item)), self._load(size)
        saved = size * (1 + readers) * (1 / far - 1 / near)
        if saved <= START * _steps(item) * readers:
            return f"all steps of {tensor} take {bytes_text(size)}, which stay near"
        return ""

    def _load(self, size: float) -> float:
        """Return the bytes in a cycle of the nearest cache that holds so many, beside
        as much of something else."""
        held = (c.load for c in self.machine.caches if c.capacity / 2 >= size)
        return next(held, self.machine.memory.load)


def _steps(item: Recurrence) -> int:
    return item.hi - item.lo + 1
