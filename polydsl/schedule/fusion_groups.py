"""Chains of tensors computed in shared loops: `grouped(scop, machine) -> Scop`.

    for i: m[i] = max of x[i, :]                  for i:
    for i, j: e[i, j] = exp(x[i, j] - m[i])           m = max of x[i, :]
    for i: s[i] = sum of e[i, :]             ->       e[:] = exp(x[i, :] - m)
    for i, j: y[i, j] = e[i, j] / s[i]                s = sum of e
                                                      y[i, :] = e / s

An index is *shared* by groups where each reads what the others define at its own value
of it. A loop over it around all of them keeps one row of what goes from one to the next
in a near cache, and of what nobody else needs only that row exists at all. It pays
where more is saved on the way to a farther level than the shorter loops cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

from polydsl.base.machine import Machine
from polydsl.base.quantities import bytes_text
from polydsl.poly.scop import Fused, Group, Item, Scop, Statement
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import substitute
from polydsl.poly.terms import Linear
from polydsl.schedule.contraction import Contraction, match
from polydsl.schedule.decision import Decision, pair_subject
from polydsl.schedule.epilogues import is_read_outside
from polydsl.schedule.item_order import Units, units_of
from polydsl.schedule.shared_indices import Shared, shared_indices
from polydsl.schedule.tree import fresh
from polydsl.semantics.program import Index, are_distinct

START = 40.0
"""The cycles that a group's loops take to begin and to end, once for each value of the
shared indices."""


def grouped(scop: Scop, machine: Machine) -> tuple[Scop, tuple[Decision, ...]]:
    """Return an ordered scop with groups in shared loops where that pays, and for each
    pair of a tensor and a reader that was looked at whether they are, and why."""
    grouping = _Grouping(scop, machine, units_of(scop, scop.items), {}, {})
    for place in [*grouping.units.by_place]:
        if place in grouping.units.by_place:
            grouping.start(place)
    renamed = tuple(grouping.renamed.get(s.name, s) for s in scop.statements)
    items = grouping.units.ordered()
    statements = replace(scop, statements=renamed).statements_of(items)
    decisions = (
        Decision(pair_subject(*pair), chosen, reason)
        for pair, (chosen, reason) in grouping.decisions.items()
    )
    return replace(scop, items=items, statements=statements), tuple(decisions)


@dataclass(frozen=True, slots=True)
class _Chain:
    """Groups by their places, with what they share."""

    groups: Mapping[int, Group]
    shared: tuple[Shared, ...] = ()


@dataclass(frozen=True, slots=True)
class _Profit:
    """What a chain in shared loops is about: bytes that each value of the indices
    touches, and cycles won and lost."""

    row: float
    saved: float
    lost: float


@dataclass(frozen=True, slots=True)
class _Grouping:
    """Puts groups together. `renamed` are statements with other indices than before,
    `decisions` what was chosen for pairs of tensors, with the reasons."""

    scop: Scop
    machine: Machine
    units: Units
    renamed: dict[str, Statement]
    decisions: dict[tuple[str, str], tuple[str, str]]

    def start(self, place: int) -> None:
        """Let a group share loops with those that read it, as many as can."""
        first = self.units.by_place[place].item
        if not isinstance(first, Group) or self._misfit(first):
            return
        chain = _Chain({place: first})
        for other in sorted(self.units.by_place):
            item = self.units.by_place[other].item
            if other > place and isinstance(item, Group):
                chain = self._joined(chain, other, item)
        if chain.shared:
            self._decide(chain)

    def _joined(self, chain: _Chain, place: int, group: Group) -> _Chain:
        """Return a chain with one more group, or as it is where that cannot be."""
        pairs = tuple(self._pairs(chain.groups, {place: group}))
        if not pairs:
            return chain
        longer = {**chain.groups, place: group}
        reason = self._misfit(group) or self.units.between({*chain.groups}, place)
        if not reason:
            shared = tuple(self._shared(longer))
            if shared and len(shared) >= len(chain.shared):
                return _Chain(longer, shared)
            reason = "no index of a loop around them is the same for all"
        self._note(pairs, "not fused", reason)
        return chain

    def _shared(self, groups: Mapping[int, Group]) -> Iterator[Shared]:
        """Yield the indices that groups share, but for those that a product among them
        needs for its tiles: all that do not move both of its factors."""
        products = {
            place: found
            for place, group in groups.items()
            for found in (match(self.scop, s) for s in self._all(group))
            if isinstance(found, Contraction)
        }
        for shared in shared_indices(self.scop, tuple(groups.items())):
            if all(_is_batch(c, shared[place]) for place, c in products.items()):
                yield shared

    def _pairs(
        self, writers: Mapping[int, Group], readers: Mapping[int, Group]
    ) -> Iterator[tuple[str, str]]:
        """Yield the pairs of tensors of which the second reads the first, of different
        groups."""
        for place, group in writers.items():
            written = {s.tensor for s in self._all(group)}
            for other, reader in readers.items():
                for statement in self._all(reader) if other != place else ():
                    for read in statement.reads:
                        if read.access.tensor in written:
                            yield read.access.tensor, statement.tensor

    def _all(self, group: Group) -> tuple[Statement, ...]:
        return tuple(self.scop.statement(name) for name in group.names)

    def _note(
        self, pairs: tuple[tuple[str, str], ...], chosen: str, reason: str
    ) -> None:
        self.decisions.update(dict.fromkeys(pairs, (chosen, reason)))

    def _misfit(self, group: Group) -> str:
        """Return why a group shares no loops with others, or nothing."""
        statements = self._all(group)
        if any(check.tensor == group.tensor for check in self.scop.checks):
            return f"{group.tensor} is checked before all else"
        first = statements[0].subscripts
        own = (s for s in statements if s.name in group.statements)
        plain = all(s.subscripts == first for s in own) and are_distinct(first)
        several = sum(
            isinstance(unit.item, Group) and unit.item.tensor == group.tensor
            for unit in self.units.by_place.values()
        )
        if not plain or several > 1:
            return f"{group.tensor} is not finished element by element"
        return ""

    # Profit

    def _decide(self, chain: _Chain) -> None:
        """Put a chain in shared loops where that pays."""
        contracted = tuple(self._contracted(chain))
        profit = self._profit(chain, contracted)
        names = ", ".join(self._names(chain).values())
        pairs = tuple(self._pairs(chain.groups, chain.groups))
        if profit.row > self.machine.caches[-1].capacity / 2:
            reason = f"for one of {names} they touch {bytes_text(profit.row)}"
            self._note(pairs, "not fused", f"{reason}, too much for any cache")
            return
        if profit.saved <= profit.lost:
            reason = f"loops over {names} would cost more than they save"
            self._note(pairs, "not fused", reason)
            return
        reason = f"one of {names} touches {bytes_text(profit.row)}, which stay near"
        self._note(pairs, f"fused, in loops over {names}", reason)
        self._put(chain, contracted)

    def _contracted(self, chain: _Chain) -> Iterator[str]:
        """Yield the tensors that nothing outside of a chain needs."""
        names = tuple(n for group in chain.groups.values() for n in group.names)
        for group in chain.groups.values():
            for tensor in dict.fromkeys(s.tensor for s in self._all(group)):
                if not is_read_outside(self.scop, Group(tensor, names)):
                    yield tensor

    def _profit(self, chain: _Chain, contracted: tuple[str, ...]) -> _Profit:
        """Return what it means for a chain to share loops: rows of what several groups
        touch come from afar for the first of them only, contracted ones never."""
        touched = self._touched(chain)
        size = {name: self._bytes(name) for name in touched}
        row = sum(size[n] / trips for n, (_, trips) in touched.items())
        near, far = self._load(row), self._load(sum(size.values()))
        again = sum(
            size[n] * (times - (0 if n in contracted else 1))
            for n, (times, trips) in touched.items()
            if trips > 1
        )
        saved = again * (1 / far - 1 / near)
        place, group = next(iter(chain.groups.items()))
        ranges = self._all(group)[0].ranges
        starts = prod(_length(ranges[s[place]]) for s in chain.shared)
        return _Profit(row, saved, START * starts * len(chain.groups))

    def _load(self, size: float) -> float:
        """Return the bytes in a cycle of the nearest cache that holds so many, beside
        as much of something else."""
        held = (c.load for c in self.machine.caches if c.capacity / 2 >= size)
        return next(held, self.machine.memory.load)

    def _touched(self, chain: _Chain) -> dict[str, tuple[int, int]]:
        """Return for each tensor how many groups of a chain touch it, and in how many
        rows the shared indices cut it."""
        found: dict[str, tuple[int, int]] = {}
        for place, group in chain.groups.items():
            own = {s[place] for s in chain.shared}
            cuts: dict[str, int] = {}
            for statement in self._all(group):
                reads = [read.access for read in statement.reads]
                places = [(a.tensor, a.subscripts) for a in reads]
                places.append((statement.tensor, statement.subscripts))
                for tensor, subscripts in places:
                    names = {s.name for s in subscripts if isinstance(s, Index)} & own
                    trips = prod(_length(statement.ranges[d]) for d in names)
                    cuts[tensor] = min(cuts.get(tensor, trips), trips)
            for tensor, trips in cuts.items():
                times, before = found.get(tensor, (0, trips))
                found[tensor] = times + 1, min(before, trips)
        return found

    def _bytes(self, name: str) -> float:
        tensor = self.scop.tensor(name)
        return float(prod(tensor.shape) * tensor.dtype.bytes)

    # The loops

    def _names(self, chain: _Chain) -> dict[Shared, str]:
        """Return a name for each shared index that nothing else in its chain has; as
        the last group calls it, if possible."""
        last = [*chain.groups][-1]
        taken: set[str] = set()
        found: dict[Shared, str] = {}
        for shared in chain.shared:
            others = {
                d
                for place, group in chain.groups.items()
                for s in self._all(group)
                for d in s.dims
                if d != shared[place]
            }
            found[shared] = fresh(shared[last], others | taken)
            taken.add(found[shared])
        return found

    def _put(self, chain: _Chain, contracted: tuple[str, ...]) -> None:
        """Put a chain in loops over what it shares."""
        names = self._names(chain)
        for place, group in chain.groups.items():
            terms = {shared[place]: name for shared, name in names.items()}
            for statement in self._all(group):
                self.renamed[statement.name] = self._with_names(statement, terms)
        first, *_ = chain.groups
        ranges = self.renamed[chain.groups[first].names[0]].ranges
        places = Units({p: self.units.by_place[p] for p in chain.groups})
        body: tuple[Item, ...] = places.ordered()
        for name in reversed(names.values()):
            lo, hi = ranges[name]
            body = (Fused(name, lo, hi, body, contracted),)
        self.units.merge(first, chain.groups, body[0])

    def _with_names(self, statement: Statement, names: Mapping[str, str]) -> Statement:
        """Return a statement with other names of indices."""
        if all(old == new for old, new in names.items()):
            return statement
        terms = {old: Index(new, statement.span) for old, new in names.items()}
        box = {names.get(d, d): ends for d, ends in statement.ranges.items()}
        conditions = tuple(substitute(c, terms) for c in statement.conditions)
        return rebuilt(self.scop, statement, terms, box, conditions)


def _is_batch(product: Contraction, index: str) -> bool:
    """Whether a loop over an index may be around a product: it moves all of its
    tensors, and stands for itself."""
    plain = dict(product.coordinates).get(index) == Linear(((index, 1),), 0)
    return plain and index in product.batch


def _length(interval: tuple[int, int]) -> int:
    return max(interval[1] - interval[0] + 1, 1)
