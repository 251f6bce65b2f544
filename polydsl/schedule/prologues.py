"""Element-wise values in the loops of the sums that read them: `preceded(scop)`.

    p[i, j] = exp(x[i, j] - m[i])          for i, j: p[i, j] = exp(x[i, j] - m[i])
    l[i] += p[i, j]                  ->              l[i] += p[i, j]

An assignment whose element is read by one point of a reduction, and by no other one of
it, may be computed at that point: it joins the *prologue* of the reduction's group. Its
elements are stored, for others need them too, but the reduction finds them in registers
and the loops that load them again are gone. It is the mirror image of `epilogues`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from polydsl.poly.scatters import is_plain
from polydsl.poly.scop import Group, Item, Once, Recurrence, Scop, Statement, groups_of
from polydsl.poly.statements import rebuilt
from polydsl.schedule.decision import Decision
from polydsl.schedule.elements import has_points_of, is_each, renaming
from polydsl.schedule.item_order import Units, units_of
from polydsl.schedule.states import objection as state_objection
from polydsl.semantics.program import Index, accesses, reads


def preceded(scop: Scop) -> tuple[Scop, tuple[Decision, ...]]:
    """Return an ordered scop with assignments in prologues, and for each pair of a
    tensor and a reduction that could have it there why it has not.

    An assignment in a prologue has the indices of the update that it precedes.
    """
    preceding = _Preceding(scop, {s.name: s for s in scop.statements}, {})
    items = preceding.level(scop.items, ())
    if items == scop.items:
        return scop, tuple(preceding.decisions.values())
    found = preceding.scop_now()
    ordered = found.statements_of(items)
    found = replace(scop, items=items, statements=ordered)
    return found, tuple(preceding.decisions.values())


def prologue_subject(tensor: str, reader: str) -> str:
    """Return the name of a decision: whether a tensor is made where it is summed."""
    return f"{tensor} in the loops of {reader}"


@dataclass(frozen=True, slots=True)
class _Preceding:
    """Puts groups together, body by body. `statements` are those found so far."""

    scop: Scop
    statements: dict[str, Statement]
    decisions: dict[str, Decision]

    def scop_now(self) -> Scop:
        """Return the scop with the statements as they are by now."""
        return replace(self.scop, statements=tuple(self.statements.values()))

    def level(
        self, items: tuple[Item, ...], fixed: tuple[str, ...]
    ) -> tuple[Item, ...]:
        """Return the items of one body, in order, inside of loops over the indices
        that are fixed."""
        inner = tuple(self._inside(item, fixed) for item in items)
        if not any(self._candidates(inner, fixed)):
            return inner
        units = units_of(self.scop, inner, fixed)
        for place in range(len(inner)):
            if place in units.by_place:
                self._join(units, place, fixed)
        return units.ordered()

    def _inside(self, item: Item, fixed: tuple[str, ...]) -> Item:
        """Return an item with what is possible inside of it, as long as one step of its
        states remains enough."""
        if isinstance(item, Group | Once):
            return item
        before = dict(self.statements)
        found = replace(item, body=self.level(item.body, (*fixed, item.index)))
        if isinstance(found, Recurrence) and found != item:
            scop = self.scop_now()
            reasons = (state_objection(scop, found, t) for t in found.contracted)
            if reason := next(filter(None, reasons), ""):
                for group in groups_of(found.body):
                    self._note(group.names_before, group.tensor, reason)
                self.statements.update(before)
                return item
        return found

    def _candidates(
        self, items: tuple[Item, ...], fixed: tuple[str, ...]
    ) -> Iterator[tuple[Group, Group]]:
        """Yield pairs of which the first could be computed in the loops of the second,
        if nothing came in between."""
        groups = [item for item in items if isinstance(item, Group)]
        for group in groups:
            for other in groups:
                if self._terms(other, group, fixed) is not None:
                    yield other, group

    def _join(self, units: Units, place: int, fixed: tuple[str, ...]) -> None:
        """Let groups precede a reduction that reads them, the last ones first."""
        tried: set[int] = set()
        while left := units.by_place[place].needs - tried:
            other = max(left)
            tried.add(other)
            root, group = units.by_place[other].item, units.by_place[place].item
            if not (isinstance(root, Group) and isinstance(group, Group)):
                continue
            terms = self._terms(root, group, fixed)
            if terms is None:
                continue
            if reason := units.between({other}, place):
                self._note(root.names, group.tensor, reason)
                continue
            self._precede(root, group, terms)
            joint = replace(group, prologue=(root, *group.prologue))
            units.merge(other, [place], joint)
            place = other

    def _note(self, names: tuple[str, ...], reader: str, reason: str) -> None:
        """Note why assignments do not precede a reduction."""
        for statement in self._all(names):
            subject = prologue_subject(statement.tensor, reader)
            self.decisions[subject] = Decision(subject, "not fused", reason)

    def _all(self, names: tuple[str, ...]) -> list[Statement]:
        return [self.statements[name] for name in names]

    def _update(self, group: Group) -> Statement | None:
        """Return the one update of a group; None if there are several, or if it runs in
        an order of its own."""
        updates = [s for s in self._all(group.statements) if s.combine is not None]
        if len(updates) != 1 or not is_plain(updates[0]):
            return None
        return updates[0]

    def _terms(
        self, root: Group, group: Group, fixed: tuple[str, ...]
    ) -> dict[str, str] | None:
        """Return the indices of what one group assigns in those of another one's update
        that reads it and sums in loops of its own; None where that has not just one
        point for each element, or something else there reads it."""
        update, producers = self._update(group), self._all(root.names)
        if root is group or update is None or not {*update.reduced} - {*fixed}:
            return None
        makers = [*self._all(group.names_before), update]
        read = {r.access.tensor for s in makers for r in s.reads}
        if not read & {p.tensor for p in producers} or not all(map(is_each, producers)):
            return None
        own = {s.name for s in makers}
        found: dict[str, str] = {}
        for producer in producers:
            for reader in self._all(group.names):
                terms = self._read(producer, reader)
                if terms is None or (terms and reader.name not in own):
                    return None
                if found and terms and found != terms:
                    return None
                found = found or terms
        is_same = all(found.get(d, d) == d for d in fixed)
        if not is_same or found.keys() != {*update.dims}:
            return None
        if not all(has_points_of(update, p, found) for p in producers):
            return None
        return {e: d for d, e in found.items()}

    def _read(self, producer: Statement, reader: Statement) -> dict[str, str] | None:
        """Return the index of an assignment that each index of a reader is, where this
        reads its tensor: none where it does not, None where it reads several elements
        of it or others than its own."""
        found: dict[str, str] = {}
        if any(reads(s, producer.tensor) for s in reader.subscripts):
            return None
        for access in accesses(reader.value):
            if any(reads(s, producer.tensor) for s in access.subscripts):
                return None
            if access.tensor != producer.tensor:
                continue
            terms = renaming(access, producer)
            if not terms or (found and found != terms):
                return None
            found = terms
        return found

    def _precede(self, root: Group, group: Group, terms: dict[str, str]) -> None:
        """Give assignments the indices of the update that they precede."""
        update = self._update(group)
        assert update is not None
        for producer in self._all(root.names):
            self.statements[producer.name] = rebuilt(
                self.scop,
                producer,
                {e: Index(d, producer.span) for e, d in terms.items()},
                update.ranges,
                update.conditions,
            )
