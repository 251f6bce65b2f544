"""In which order tensors are computed: `order_statements(scop) -> Scop`.

A tensor is computed before those that read it. Tensors that need each other, or
themselves, form a recurrence: a time is found for their instances along which nothing
runs backward, a loop over that time is put around them, and what is left inside of one
iteration is ordered in the same way (Allen and Kennedy, "Automatic translation of
Fortran programs to vector form", TOPLAS 1987; times by isl where no index will do).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TypeVar

from polydsl.poly.flows import Flow, flows
from polydsl.poly.levels import levelled
from polydsl.poly.pieces import pieces_of
from polydsl.poly.scop import Group, Item, Recurrence, Scop, Statement
from polydsl.poly.times import NoTime, choose_time, retimed

T = TypeVar("T", bound=Hashable)

Needs = Mapping[str, frozenset[str]]
"""What each tensor, or each statement, needs."""


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
            arranged = _Arranging(scop, {}).arrange(group, ())
        items += arranged.items
        statements += arranged.statements
    return replace(scop, statements=tuple(statements), items=tuple(items))


def _needs(group: Iterable[Statement]) -> frozenset[str]:
    return frozenset(read.access.tensor for s in group for read in s.reads)


def _components(needs: Needs) -> list[tuple[str, ...]]:
    """Return what needs each other together, needed ones first; those that are free to
    stay keep their order."""
    below = {tensor: reached(tensor, needs) for tensor in needs}
    pending = list(needs)
    found: list[tuple[str, ...]] = []
    while pending:
        for tensor in pending:
            mutual = {t for t in below[tensor] if tensor in below[t]} | {tensor}
            if not (below[tensor] - mutual) & {*pending}:
                break
        component = tuple(t for t in pending if t in mutual)
        found.append(component)
        pending = [t for t in pending if t not in mutual]
    return found


def reached(start: T, needs: Mapping[T, Set[T]]) -> frozenset[T]:
    """Return what a tensor, a statement or an item needs, by way of others too."""
    found: set[T] = set()
    pending = [*needs[start]]
    while pending:
        if (other := pending.pop()) not in found:
            found.add(other)
            pending += needs[other]
    return frozenset(found)


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
    """Orders statements by units: those of one tensor, or `pieces` of a statement by
    themselves, which are named."""

    scop: Scop
    pieces: Mapping[str, str]

    def _unit(self, statement: Statement) -> str:
        return self.pieces.get(statement.name, statement.tensor)

    def arrange(
        self, statements: tuple[Statement, ...], fixed: tuple[str, ...]
    ) -> _Arranged:
        """Order statements in which the *fixed* indices are the same."""
        known = flows(statements, fixed)
        items: list[Item] = []
        ordered: list[Statement] = []
        for component in _components(self._needs_of(statements, known)):
            group = tuple(
                s for u in component for s in statements if self._unit(s) == u
            )
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
            return self._in_pieces(group, known, fixed)
        items: list[Item] = []
        statements: list[Statement] = []
        for names in components:
            part = tuple(s for s in group if s.name in names)
            inside = _inside(known, part)
            found = self._recurrence(part, inside, fixed) if inside else _single(part)
            items += found.items
            statements += found.statements
        return _Arranged(tuple(items), tuple(statements))

    def _in_pieces(
        self,
        group: tuple[Statement, ...],
        known: Sequence[Flow],
        fixed: tuple[str, ...],
    ) -> _Arranged:
        """Order statements that have no time together in pieces: where conditions
        decide, or else by how much must run before. Raises `Cycle` where that is no
        help."""
        pieces = [
            (s,) if s.name in self.pieces else pieces_of(self.scop, s) for s in group
        ]
        if all(len(found) == 1 for found in pieces):
            levels = levelled(self.scop, group, known, fixed)
            if levels is None:
                raise Cycle(group)
            pieces = [levels]
        named = {s.name: s.name for found in pieces if len(found) > 1 for s in found}
        finer = _Arranging(self.scop, {**self.pieces, **named})
        try:
            return finer.arrange(tuple(s for found in pieces for s in found), fixed)
        except Cycle:
            raise Cycle(group) from None

    def _needs_of(
        self, statements: Sequence[Statement], known: Sequence[Flow]
    ) -> Needs:
        units = {s.name: self._unit(s) for s in statements}
        needs: dict[str, frozenset[str]] = {u: frozenset() for u in units.values()}
        for flow in known:
            if flow.is_read:
                needs[units[flow.target]] |= {units[flow.source]}
        return needs


def _inside(known: Sequence[Flow], group: Sequence[Statement]) -> list[Flow]:
    names = {s.name for s in group}
    return [f for f in known if {f.source, f.target} <= names]
