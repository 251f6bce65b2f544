"""Element-wise consumers in the loops of what they read: `joined(scop) -> Scop`.

    h[i, j] += x[i, k] * w[k, j]           h[i, j] += x[i, k] * w[k, j]
    y[i, j] = max(h[i, j] + b[j], 0)  ->     then y[i, j] = max(h[i, j] + b[j], 0)

An assignment that reads a tensor at the element that its own point stands for may run
as soon as that element is finished: it joins the *epilogue* of the tensor's group. If
nobody else reads the tensor, its elements never leave the registers. What the
assignment needs besides must not need the tensor itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from polydsl.poly.scop import Group, Item, Recurrence, Scop, Statement
from polydsl.poly.statements import rebuilt
from polydsl.schedule.decision import Decision, pair_subject
from polydsl.schedule.elements import has_points_of, is_alike, is_each, renaming
from polydsl.schedule.item_order import Units, units_of
from polydsl.semantics.program import Index, accesses, reads


def joined(scop: Scop) -> tuple[Scop, tuple[Decision, ...]]:
    """Return an ordered scop with assignments in epilogues, and for each pair of a
    computed tensor and one that reads it whether they are joined, and why.

    An assignment in an epilogue has the indices of the statements before it.
    """
    joining = _Joining(scop, {s.name: s for s in scop.statements}, {})
    items = joining.level(scop.items, ())
    found = replace(scop, statements=tuple(joining.statements.values()))
    ordered = found.statements_of(items)
    decisions = (joining.about(*pair) for pair in _pairs(scop))
    return replace(scop, items=items, statements=ordered), tuple(decisions)


def is_read_outside(scop: Scop, group: Group) -> bool:
    """Whether anything but the epilogue of a group needs the group's tensor."""
    if scop.tensor(group.tensor).role != "local":
        return True
    if any(reads(check.value, group.tensor) for check in scop.checks):
        return True
    if any(check.tensor == group.tensor for check in scop.checks):
        return True
    return any(
        read.access.tensor == group.tensor
        for s in scop.statements
        for read in s.reads
        if s.name not in group.names or s.name in group.names_before
    )


def _pairs(scop: Scop) -> Iterator[tuple[str, str]]:
    """Yield each computed tensor with each of those that read it."""
    computed = {s.tensor for s in scop.statements}
    found = (
        (read.access.tensor, s.tensor)
        for s in scop.statements
        for read in s.reads
        if read.access.tensor in computed - {s.tensor}
    )
    yield from dict.fromkeys(found)


@dataclass(frozen=True, slots=True)
class _Joining:
    """Joins groups, body by body. `statements` are those found so far, `reasons` why a
    pair of tensors is not joined; nothing, where it is."""

    scop: Scop
    statements: dict[str, Statement]
    reasons: dict[tuple[str, str], str]

    def about(self, tensor: str, reader: str) -> Decision:
        """Return what was decided about a pair."""
        reason = self.reasons.get((tensor, reader), "they run in different loops")
        chosen = "not fused"
        if not reason:
            chosen = f"fused, right after each element of {tensor}"
            reason = "it reads that element, and nothing that comes later"
        return Decision(pair_subject(tensor, reader), chosen, reason)

    def level(
        self, items: tuple[Item, ...], fixed: tuple[str, ...]
    ) -> tuple[Item, ...]:
        """Return the items of one body, in order, inside of loops over the indices
        that are fixed."""
        units = units_of(self.scop, items, fixed)
        for place, unit in [*units.by_place.items()]:
            if isinstance(unit.item, Recurrence):
                body = self.level(unit.item.body, (*fixed, unit.item.index))
                unit.item = replace(unit.item, body=body)
            elif isinstance(unit.item, Group):
                self._join(units, place, unit.item)
        return units.ordered()

    def _join(self, units: Units, place: int, group: Group) -> None:
        """Let a group follow one of those that it reads, the last one that it can."""
        *_, reader = self._all(group)
        for other in sorted(units.by_place[place].needs, reverse=True):
            root = units.by_place[other].item
            if not isinstance(root, Group):
                continue
            read = [s.tensor for s in self._all(root) if reads(reader.value, s.tensor)]
            reason = self._objection(root, group) or units.between({other}, place)
            self.reasons.update({(t, reader.tensor): reason for t in read})
            if not reason:
                self._follow(root, reader)
                joint = replace(root, epilogue=(*root.epilogue, reader.name))
                units.merge(other, [place], joint)
                return

    def _all(self, group: Group) -> list[Statement]:
        """Return the statements of a group, in order."""
        return [self.statements[name] for name in group.names]

    def _objection(self, root: Group, group: Group) -> str:
        """Return why what defines a tensor cannot follow each element of another one,
        or nothing."""
        first, *updates = (self.statements[name] for name in root.statements)
        *others, reader = self._all(group)
        if others or reader.combine is not None:
            return f"{reader.tensor} is a reduction"
        if not is_each(reader):
            return f"{reader.tensor} is not defined element by element"
        if not is_each(first) or not all(is_alike(first, u) for u in updates):
            return f"{root.tensor} is not finished element by element"
        terms = self._terms(root, reader)
        if terms is None:
            return f"{reader.tensor} reads it at other elements than its own"
        if not has_points_of(reader, first, terms):
            return f"{reader.tensor} has other points"
        if _last(reader, terms) != _last(first, {}):
            return f"{reader.tensor} is stored in another order"
        return ""

    def _terms(self, root: Group, reader: Statement) -> dict[str, str] | None:
        """Return the indices of a reader in those of a group, None if it reads what
        the group defines at another element than its own."""
        found: dict[str, str] | None = None
        for writer in self._all(root):
            for access in accesses(reader.value):
                if any(reads(s, writer.tensor) for s in access.subscripts):
                    return None
                if access.tensor != writer.tensor:
                    continue
                terms = renaming(access, writer)
                if terms is None or terms.keys() != {*reader.dims}:
                    return None
                if found not in (None, terms):
                    return None
                found = terms
        return found

    def _follow(self, root: Group, reader: Statement) -> None:
        """Give a statement the indices of the group that it follows."""
        terms = self._terms(root, reader)
        assert terms is not None
        self.statements[reader.name] = rebuilt(
            self.scop,
            reader,
            {d: Index(e, reader.span) for d, e in terms.items()},
            self.statements[root.statements[0]].ranges,
            self.statements[root.statements[0]].conditions,
        )


def _last(statement: Statement, terms: Mapping[str, str]) -> str:
    """Return the index along which a statement's results are contiguous, renamed."""
    if not statement.subscripts:
        return ""
    last = statement.subscripts[-1]
    assert isinstance(last, Index)
    return terms.get(last.name, last.name)
