"""In which order tensors are computed: `order_statements(scop) -> Scop`.

A tensor is computed before those that read it. Tensors that need each other, or
themselves, form a recurrence: a time is found for their instances along which nothing
runs backward, a loop over that time is put around them, and what is left inside of one
iteration is ordered in the same way (Allen and Kennedy, "Automatic translation of
Fortran programs to vector form", TOPLAS 1987; times by isl where no index will do).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from polydsl.poly.flows import Flow, flows
from polydsl.poly.scop import Group, Item, Recurrence, Scop, Statement
from polydsl.poly.times import NoTime, choose_time, retimed

Needs = Mapping[str, frozenset[str]]
"""The tensors that each tensor needs, or the statements that each statement does."""


class Cycle(Exception):
    """No time was found for some statements, whose instances may need each other."""

    def __init__(self, statements: tuple[Statement, ...]) -> None:
        self.statements = statements
        super().__init__(", ".join(dict.fromkeys(s.tensor for s in statements)))


def order_statements(scop: Scop) -> Scop:
    """Return the scop with its items, and its statements in their order.

    Tensors that are free to stay keep their order. The statements of a recurrence have
    its index, and may have other indices than before. Raises `Cycle`.
    """
    by_tensor: dict[str, list[Statement]] = {}
    for statement in scop.statements:
        by_tensor.setdefault(statement.tensor, []).append(statement)
    needs = {t: _needs(group) & by_tensor.keys() for t, group in by_tensor.items()}
    items: list[Item] = []
    statements: list[Statement] = []
    for component in _components(needs):
        group = tuple(s for tensor in component for s in by_tensor[tensor])
        arranged = _single(group)
        if len(component) > 1 or component[0] in needs[component[0]]:
            arranged = _Arranging(scop).arrange(group, ())
        items += arranged.items
        statements += arranged.statements
    return replace(scop, statements=tuple(statements), items=tuple(items))


def _needs(group: Iterable[Statement]) -> frozenset[str]:
    return frozenset(read.access.tensor for s in group for read in s.reads)


def _components(needs: Needs) -> list[tuple[str, ...]]:
    """Return what needs each other together, needed ones first; those that are free to
    stay keep their order."""
    reached = {tensor: _reached(tensor, needs) for tensor in needs}
    pending = list(needs)
    found: list[tuple[str, ...]] = []
    while pending:
        for tensor in pending:
            mutual = {t for t in reached[tensor] if tensor in reached[t]} | {tensor}
            if not (reached[tensor] - mutual) & {*pending}:
                break
        component = tuple(t for t in pending if t in mutual)
        found.append(component)
        pending = [t for t in pending if t not in mutual]
    return found


def _reached(tensor: str, needs: Needs) -> frozenset[str]:
    """Return what a tensor or statement needs, by way of others too."""
    reached: set[str] = set()
    pending = [*needs[tensor]]
    while pending:
        if (other := pending.pop()) not in reached:
            reached.add(other)
            pending += needs[other]
    return frozenset(reached)


@dataclass(frozen=True, slots=True)
class _Arranged:
    """Items, and their statements in order."""

    items: tuple[Item, ...]
    statements: tuple[Statement, ...]


def _single(group: tuple[Statement, ...]) -> _Arranged:
    names = tuple(s.name for s in group)
    return _Arranged((Group(group[0].tensor, names),), group)


@dataclass(frozen=True, slots=True)
class _Arranging:
    scop: Scop

    def arrange(
        self, statements: tuple[Statement, ...], fixed: tuple[str, ...]
    ) -> _Arranged:
        """Order statements in which the *fixed* indices are the same."""
        known = flows(statements, fixed)
        items: list[Item] = []
        ordered: list[Statement] = []
        for component in _components(_needs_of(statements, known)):
            group = tuple(s for t in component for s in statements if s.tensor == t)
            inside = _inside(known, group)
            found = _single(group)
            if any(f.is_read for f in inside):
                found = self._recurrence(group, inside, fixed)
            items += found.items
            ordered += found.statements
        return _Arranged(tuple(items), tuple(ordered))

    def _recurrence(
        self,
        group: tuple[Statement, ...],
        known: Sequence[Flow],
        fixed: tuple[str, ...],
    ) -> _Arranged:
        """Put a loop around statements that need each other."""
        try:
            time = choose_time(group, known, fixed)
        except NoTime:
            return self._apart(group, known, fixed)
        moved = retimed(self.scop, group, time)
        index, (lo, hi) = time.index, time.interval
        body = self.arrange(moved, (*fixed, index))
        item = Recurrence(index, lo, hi, body.items)
        return _Arranged((item,), body.statements)

    def _apart(
        self,
        group: tuple[Statement, ...],
        known: Sequence[Flow],
        fixed: tuple[str, ...],
    ) -> _Arranged:
        """Order statements one by one: first values, and what is added from elsewhere,
        need not run along the time of the others."""
        needs = {
            s.name: frozenset(f.source for f in known if f.target == s.name)
            for s in group
        }
        components = _components(needs)
        if len(components) == 1:
            raise Cycle(group)
        items: list[Item] = []
        statements: list[Statement] = []
        for names in components:
            part = tuple(s for s in group if s.name in names)
            inside = _inside(known, part)
            found = self._recurrence(part, inside, fixed) if inside else _single(part)
            items += found.items
            statements += found.statements
        return _Arranged(tuple(items), tuple(statements))


def _needs_of(statements: Sequence[Statement], known: Sequence[Flow]) -> Needs:
    tensors = {s.name: s.tensor for s in statements}
    needs: dict[str, frozenset[str]] = {s.tensor: frozenset() for s in statements}
    for flow in known:
        if flow.is_read:
            reader = tensors[flow.target]
            needs[reader] |= {tensors[flow.source]}
    return needs


def _inside(known: Sequence[Flow], group: Sequence[Statement]) -> list[Flow]:
    names = {s.name for s in group}
    return [f for f in known if {f.source, f.target} <= names]
