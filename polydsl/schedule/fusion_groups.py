"""Chains of tensors computed in shared loops: `grouped(scop, machine) -> Scop`.

    for i: m[i] = max of x[i, :]                  for i:
    for i, j: e[i, j] = exp(x[i, j] - m[i])           m = max of x[i, :]
    for i: s[i] = sum of e[i, :]             ->       e[:] = exp(x[i, :] - m)
    for i, j: y[i, j] = e[i, j] / s[i]                s = sum of e
                                                      y[i, :] = e / s

An index is *shared* by groups where each reads what the others define at its own value
of it. A loop over it around all of them keeps one row of what goes from one to the next
in a near cache, and of what nobody else needs only that row exists at all. Products
that need the index for their tiles leave the loop its blocks: then a block of rows goes
from one to the next. It pays where more is saved on the way to a farther level than the
shorter loops cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from polydsl.base.machine import Machine
from polydsl.base.quantities import bytes_text
from polydsl.poly.scop import Group, Recurrence, Scop, Statement
from polydsl.schedule.contraction import Contraction, boxed, match
from polydsl.schedule.decision import Decision, pair_subject
from polydsl.schedule.fusion_chain import Chain, Profit, again_of, profit_of
from polydsl.schedule.fusion_loops import Changed, loop_names
from polydsl.schedule.item_order import Units, units_of
from polydsl.schedule.share import has_products
from polydsl.schedule.shared_indices import Shared, divided, shared_indices
from polydsl.semantics.program import are_distinct

Sides = Literal["rows", "vectors", "none"]
"""Which sides of the tiles of products shared loops may cut: where both could be, that
of their vectors or the other one."""

SIDES: tuple[Sides, ...] = get_args(Sides)

Notes: TypeAlias = dict[tuple[str, str], tuple[str, str]]
"""What was chosen for pairs of tensors, with the reasons."""


def grouped(scop: Scop, machine: Machine) -> tuple[Scop, tuple[Decision, ...]]:
    """Return an ordered scop with groups in shared loops where that pays, and for each
    pair of a tensor and a reader that was looked at whether they are, and why."""
    units = units_of(scop, scop.items)
    grouping = _Grouping(scop, machine, units, Changed(scop), {})
    grouping.all()
    decisions = (
        Decision(pair_subject(*pair), chosen, reason)
        for pair, (chosen, reason) in grouping.notes.items()
    )
    return grouping.changed.ordered(units.ordered()), tuple(decisions)


def least_rows(
    scop: Scop, machine: Machine, units: Units, places: Set[int]
) -> float | None:
    """Return the fewest bytes that some groups, and others perhaps, touch in an
    iteration of shared loops, over blocks where products need rows; None where they
    cannot share any."""
    grouping = _Grouping(scop, machine, units, Changed(scop), {})
    first = units.by_place[min(places)].item
    assert isinstance(first, Group)
    found = grouping.tried(min(places), first)
    rows = (
        profit.row
        for profit, chain, _ in found
        if places <= chain.groups.keys()
        and not any(s.is_side and s.size == 1 for s in chain.shared)
    )
    return min(rows, default=None)


@dataclass(frozen=True, slots=True)
class _Found:
    """A chain, and why what reads from it is not in it."""

    chain: Chain
    refused: Notes


@dataclass(frozen=True, slots=True)
class _Grouping:
    """Puts groups together, one chain after the other."""

    scop: Scop
    machine: Machine
    units: Units
    changed: Changed
    notes: Notes
    around: tuple[tuple[str, int], ...] = ()

    def all(self) -> None:
        """Put groups together, and those inside of recurrences with products."""
        for place in [*self.units.by_place]:
            unit = self.units.by_place.get(place)
            if unit is None:
                continue
            if isinstance(unit.item, Group):
                self._start(place, unit.item)
            elif isinstance(unit.item, Recurrence):
                unit.item = self._inside(unit.item)

    def _inside(self, item: Recurrence) -> Recurrence:
        """Return a recurrence with groups of one step in shared loops, which threads
        share; where products are no reason for that, they share the recurrence."""
        if not has_products(self.scop, item):
            return item
        around = (*self.around, (item.index, item.hi - item.lo + 1))
        fixed = tuple(name for name, _ in around)
        units = units_of(self.scop, item.body, fixed)
        before = {*self.changed.tensors}
        replace(self, units=units, around=around).all()
        # What is left beside whole blocks is in memory for one step, too.
        known = {t.name for t in self.scop.tensors} | before
        own = (t for t in self.changed.tensors if t not in known)
        contracted = (*item.contracted, *own)
        return replace(item, body=units.ordered(), contracted=contracted)

    def _start(self, place: int, first: Group) -> None:
        """Let a group share loops with those that read it, as many as can: in blocks of
        rows, or one by one, whichever is better."""
        tried = self.tried(place, first)
        if tried:
            self._decide(*max(tried, key=lambda entry: self._net(entry[0])))

    def tried(self, place: int, first: Group) -> list[tuple[Profit, Chain, _Found]]:
        """Return the chains from a group on, with all sizes of blocks, and what they
        are worth."""
        if self._misfit(first):
            return []
        longest = [each for s in SIDES for each in self._chains(place, first, s)]
        for found in longest:
            self.notes.update(found.refused)
        for chain in (found.chain for found in longest):
            if reason := chain.objection(self.scop):
                self._note(chain.pairs(self.scop), "not fused", reason)
        return [
            (profit_of(self.scop, self.machine, chain), chain, found)
            for found in longest
            for chain in found.chain.variants(self.scop)
        ]

    def _net(self, profit: Profit) -> float:
        return profit.net if self._is_near(profit) else float("-inf")

    def _is_near(self, profit: Profit) -> bool:
        return profit.row <= self.machine.caches[-1].capacity / 2

    # Chains

    def _chains(self, place: int, first: Group, sides: Sides) -> tuple[_Found, ...]:
        """Return the longest chain from a group on; if something is read through a
        window there, then also the shorter ones, for each window adds to what is
        computed twice."""
        found = [_Found(Chain({place: first}, around=self.around), {})]
        for other in sorted(self.units.by_place):
            item = self.units.by_place[other].item
            if other > place and isinstance(item, Group):
                longer = self._joined(found[-1], other, item, sides)
                is_new = longer.chain is not found[-1].chain
                found = [*found, longer] if is_new else [*found[:-1], longer]
        last = found[-1]
        has_windows = any(s.has_windows for s in last.chain.shared)
        return tuple(found[1:]) if has_windows else (last,)

    def _joined(self, found: _Found, place: int, group: Group, sides: Sides) -> _Found:
        """Return a chain with one more group, or as it is where that cannot be."""
        longer = Chain({**found.chain.groups, place: group}, around=self.around)
        pairs = {*longer.pairs(self.scop)} - {*found.chain.pairs(self.scop)}
        if not pairs:
            return found
        reason = self._misfit(group)
        reason = reason or self.units.between({*found.chain.groups}, place)
        if not reason:
            shared = self._shared(longer.groups, sides)
            if shared and len(shared) >= len(found.chain.shared):
                return _Found(replace(longer, shared=shared), found.refused)
            reason = "no index of a loop around them is the same for all"
        refused = dict.fromkeys(sorted(pairs), ("not fused", reason))
        return _Found(found.chain, {**found.refused, **refused})

    def _shared(self, groups: Mapping[int, Group], sides: Sides) -> tuple[Shared, ...]:
        """Return the indices that groups share."""
        products = {
            place: found
            for place, group in groups.items()
            for s in self._all(group)
            for found in [match(self.scop, s if sides == "none" else boxed(s))]
            if isinstance(found, Contraction)
        }
        around = {name for name, _ in self.around}
        found = tuple(
            s
            for s in shared_indices(self.scop, tuple(groups.items()))
            if not around & {m.name for m in s.members}
        )
        for place, product in products.items():
            found = divided(found, place, product, vectors=sides == "vectors")
        return tuple(s for s in found if sides != "none" or not s.is_side)

    def _all(self, group: Group) -> Iterator[Statement]:
        return map(self.scop.statement, group.names)

    def _misfit(self, group: Group) -> str:
        """Return why a group shares no loops with others, or nothing."""
        if any(check.tensor == group.tensor for check in self.scop.checks):
            return f"{group.tensor} is checked before all else"
        own = [s.subscripts for s in self._all(group) if s.name in group.statements]
        plain = all(s == own[0] for s in own) and are_distinct(own[0])
        several = sum(
            isinstance(unit.item, Group) and unit.item.tensor == group.tensor
            for unit in self.units.by_place.values()
        )
        if not plain or several > 1:
            return f"{group.tensor} is not finished element by element"
        return ""

    # Decisions

    def _decide(self, profit: Profit, chain: Chain, found: _Found) -> None:
        """Put a chain in shared loops where that pays."""
        pairs = [*chain.pairs(self.scop)]
        names = ", ".join(
            f"{name} (of {shared.size})" if shared.is_cut else name
            for shared, name in loop_names(self.scop, chain).items()
        )
        if not self._is_near(profit):
            touched = f"for one of {names} they touch {bytes_text(profit.row)}"
            self._note(pairs, "not fused", f"{touched}, too much for any cache")
        elif profit.net <= 0:
            reason = f"loops over {names} would cost more than they save"
            self._note(pairs, "not fused", reason)
        else:
            reason = f"one of {names} touches {bytes_text(profit.row)}, which stay near"
            self.notes.update(found.refused)
            again = max(again_of(chain, place) for place in chain.groups)
            if again > 0:
                reason += f", and computes at most {again:.0%} of a tensor again"
            self._note(pairs, f"fused, in loops over {names}", reason)
            self.changed.put(chain, self.units)

    def _note(self, pairs: Iterable[tuple[str, str]], chosen: str, reason: str) -> None:
        self.notes.update(dict.fromkeys(pairs, (chosen, reason)))
