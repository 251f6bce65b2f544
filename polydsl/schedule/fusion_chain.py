"""A chain of groups with the indices that they share, and what sharing them is worth.

An index is shared value by value; or, where products among the groups need it for their
tiles, in blocks of its values. Per iteration of the shared loops, rows of what several
groups touch come from afar for the first of them only, and contracted ones never; on
the other hand every group's loops begin and end once more, and a product loads again
what the loops do not move.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Literal, TypeAlias

from polydsl.base.machine import Cache, Machine, Memory
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scop import Group, Scop, Statement
from polydsl.poly.terms import Linear, linear
from polydsl.schedule.block_parts import parts_of
from polydsl.schedule.contraction import Contraction, boxed, is_product, match
from polydsl.schedule.domain_tiles import gain_of_tiles
from polydsl.schedule.epilogues import is_read_outside
from polydsl.schedule.shared_indices import Shared
from polydsl.schedule.vector_model import INSTRUCTIONS_PER_CYCLE, LOADS_PER_CYCLE
from polydsl.schedule.vector_operands import value_instructions
from polydsl.schedule.windows import OWN
from polydsl.semantics.program import Access, Index

START = 40.0
"""The cycles that a group's loops take to begin and to end, once for each iteration of
the shared loops."""

ROWS = (1, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""How many values of what is shared are tried in an iteration of the shared loops."""

LINES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""As `ROWS`, where something is read through a window: of these values each stands for
a line of an image, or several."""

SHORT_SIDE = 2.0
"""A product whose side has n points takes so many n-ths of its time longer."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Groups by their places, with what they share, outermost loop first, inside of
    loops `around` them over recurrences' indices, with the numbers of their steps."""

    groups: Mapping[int, Group]
    shared: tuple[Shared, ...] = ()
    around: tuple[tuple[str, int], ...] = ()

    def group_statements(self, scop: Scop) -> Iterator[tuple[int, Statement]]:
        """Yield the statements with the places of their groups."""
        for place, group in self.groups.items():
            yield from ((place, scop.statement(name)) for name in group.names)

    def pairs(self, scop: Scop) -> Iterator[tuple[str, str]]:
        """Yield the pairs of tensors of which the second reads the first, of different
        groups."""
        found = tuple(self.group_statements(scop))
        for place, writer in found:
            for other, reader in found:
                reads = (r.access.tensor for r in reader.reads if other != place)
                yield from ((t, reader.tensor) for t in reads if t == writer.tensor)

    def contracted(self, scop: Scop) -> tuple[str, ...]:
        """Return the tensors that nothing outside of the chain needs, or another step
        of the loops around it."""
        names = tuple(s.name for _, s in self.group_statements(scop))
        computed = dict.fromkeys(s.tensor for _, s in self.group_statements(scop))
        inside = (t for t in computed if not is_read_outside(scop, Group(t, names)))
        return tuple(t for t in inside if not self._is_state(scop, t))

    def _is_state(self, scop: Scop, tensor: str) -> bool:
        """Whether a tensor is read at another step than the one that computes it."""
        own = {name for name, _ in self.around}
        return any(
            read.access.tensor == tensor and not own <= {*_plain(read.access)}
            for _, statement in self.group_statements(scop)
            for read in statement.reads
        )

    def bytes_of(self, scop: Scop, tensor: str) -> float:
        """Return how much of a tensor one step of the loops around it touches."""
        uses = [
            {d for subscript in access.subscripts for d in ordered_indices(subscript)}
            for _, statement in self.group_statements(scop)
            for access in (*(r.access for r in statement.reads), statement.element)
            if access.tensor == tensor
        ]
        steps = prod(n for d, n in self.around if all(d in use for use in uses))
        return scop.tensor(tensor).bytes / steps

    def variants(self, scop: Scop) -> Iterator[Chain]:
        """Yield the chain with any sizes of blocks that leave rows to its products; as
        it is where these need none."""
        lines = [s.extent for s in self.shared if s.has_windows]
        found = {
            (*_values(self.shared), *_blocks(self.shared, rows)): None
            for rows in ([*LINES, *lines] if lines else ROWS)
        }
        may_overlap = not self._needed_twice(scop)
        for shared in filter(None, found):
            cut = [each for each in shared if each.has_windows]
            if not cut or (may_overlap and all(map(parts_of, cut))):
                yield replace(self, shared=shared)

    def objection(self, scop: Scop) -> str:
        """Return why an index is not shared, though all have it, or nothing: where its
        blocks overlap, nothing outside may need what is computed twice."""
        if needed := self._needed_twice(scop):
            return f"{min(needed)} is needed elsewhere, and blocks would overlap"
        cut = [shared for shared in self.shared if shared.has_windows]
        return "" if all(map(parts_of, cut)) else "no two blocks would be alike"

    def _needed_twice(self, scop: Scop) -> set[str]:
        """Return the tensors that overlapping blocks compute twice and something
        outside needs."""
        members = (m for shared in self.shared for m in shared.members)
        twice = {m.place for m in members if m.window != OWN}
        if not twice:
            return set()
        tensors = {s.tensor for p, s in self.group_statements(scop) if p in twice}
        return tensors - {*self.contracted(scop)}


def _values(shared: Sequence[Shared]) -> Iterator[Shared]:
    """Yield what is shared value by value, if there are several."""
    yield from (s for s in shared if not s.is_side and s.extent > 1)


def _blocks(shared: Sequence[Shared], rows: int) -> tuple[Shared, ...]:
    """Return what is shared in blocks that have about so many rows together: whole
    inner indices, which are not shared then, a part of one, and single values. What is
    inside of an index with windows is whole."""
    sides = [s for s in shared if s.is_side]
    last = next((n for n, s in enumerate(sides) if s.has_windows), len(sides) - 1)
    found: list[Shared] = []
    for each in reversed(sides[: last + 1]):
        size = block_size(each.extent, max(rows, 1))
        if size < each.extent:
            found.append(replace(each, size=size))
        rows = rows // each.extent if size == each.extent else 0
    return tuple(reversed(found))


def block_size(extent: int, most: int) -> int:
    """Return into how large blocks an extent is cut: about as large as may be, and all
    alike if possible, or else nearly so."""
    if extent <= most:
        return extent
    alike = (n for n in range(most, -(-most * 2 // 3) - 1, -1) if extent % n == 0)
    count = -(-extent // most)
    return next(alike, -(-extent // count))


@dataclass(frozen=True, slots=True)
class Profit:
    """What a chain in shared loops is about: bytes that each iteration touches, and
    cycles won and lost."""

    row: float
    saved: float
    lost: float

    @property
    def net(self) -> float:
        """The cycles that are won on the whole."""
        return self.saved - self.lost


def profit_of(scop: Scop, machine: Machine, chain: Chain) -> Profit:
    """Return what it means for a chain to share loops.

    A group finds what an earlier one has touched in the nearest cache that holds all
    that was touched since: the rows of one iteration, or without the loops everything.
    """
    touched = [_touched(scop, chain, place) for place in chain.groups]
    names = dict.fromkeys(name for group in touched for name in group)
    size = {name: chain.bytes_of(scop, name) for name in names}
    contracted = chain.contracted(scop)

    def gain(
        name: str, between: Sequence[Mapping[str, _Touched]], way: _Way = "load"
    ) -> float:
        trips = _trips(between)
        far = _each_byte(machine, sum(size[n] for n in trips), way)
        near = _each_byte(machine, sum(size[n] / trips[n] for n in trips), way)
        return size[name] * (far - near) if trips[name] > 1 else 0.0

    saved = sum(gain(name, touched, "store") for name in contracted)
    for name in size:
        uses = [n for n, group in enumerate(touched) if name in group]
        pairs = pairwise(uses)
        saved += sum(gain(name, touched[one : other + 1]) for one, other in pairs)
    saved += sum(
        gain_of_tiles(scop, machine, group, shared[place], shared.size)
        for shared in chain.shared
        for place, group in chain.groups.items()
        if shared.is_cut
    )
    row = sum(size[n] / trips for n, trips in _trips(touched).items())
    starts = prod(s.count for s in chain.shared)
    here = _each_byte(machine, row)
    anew = sum(
        size[name]
        * (starts / each.trips - 1)
        * max(here - _each_byte(machine, size[name]), 0.0)
        for group in touched
        for name, each in group.items()
        if each.is_factor
    )
    lost = START * starts * len(chain.groups) + anew
    lost += sum(_short(scop, machine, chain, place) for place in chain.groups)
    lost += sum(_twice(scop, machine, chain, place) for place in chain.groups)
    return Profit(row, saved, lost)


def again_of(chain: Chain, place: int) -> float:
    """Return which share of what a group computes is computed again, since blocks
    overlap."""
    times = 1.0
    for shared in chain.shared:
        member = shared.member(place)
        if member.window != OWN:
            strips = (part.strip(member, "") for part in parts_of(shared))
            values = sum(strip.size * strip.count for strip in strips)
            times *= values / (member.hi - member.lo + 1)
    return times - 1.0


def _twice(scop: Scop, machine: Machine, chain: Chain, place: int) -> float:
    """Return the cycles for what a group computes again."""
    again = again_of(chain, place) / prod(n for _, n in chain.around)
    if not again:
        return 0.0
    names = chain.groups[place].names
    return again * sum(_cycles(scop, machine, scop.statement(n)) for n in names)


def _cycles(scop: Scop, machine: Machine, statement: Statement) -> float:
    """Return about how long a statement takes whose data are near."""
    vectors = statement.points / machine.lanes(statement.value.dtype)
    if is_product(scop, boxed(statement)):
        return vectors / machine.fma_per_cycle
    instructions = value_instructions(statement.value, None) / INSTRUCTIONS_PER_CYCLE
    return vectors * max(len(statement.reads) / LOADS_PER_CYCLE, instructions)


def _short(scop: Scop, machine: Machine, chain: Chain, place: int) -> float:
    """Return the cycles that a group's product takes longer since its sides are cut."""
    cuts = {s[place]: s.values(place) for s in chain.shared if s.is_side}
    found = 0.0
    for statement in map(scop.statement, chain.groups[place].statements):
        product = match(scop, boxed(statement))
        if not cuts or not isinstance(product, Contraction):
            continue
        rate = machine.lanes(statement.value.dtype) * machine.fma_per_cycle
        for side in (product.rows, product.columns):
            if not cuts.keys() & {*side}:
                continue
            whole = prod(product.sizes[d] for d in side)
            left = prod(cuts.get(d, product.sizes[d]) for d in side)
            points = statement.points / prod(n for _, n in chain.around)
            found += SHORT_SIDE * (1 / left - 1 / whole) * points / rate
    return found


def _plain(access: Access) -> Iterator[str]:
    """Yield the indices that are subscripts of an access by themselves."""
    yield from (s.name for s in access.subscripts if isinstance(s, Index))


_Way: TypeAlias = Literal["load", "store"]


@dataclass(frozen=True, slots=True)
class _Touched:
    """In how many parts the shared indices cut a tensor that a group touches, and
    whether it is a factor of a product there."""

    trips: int
    is_factor: bool


def _trips(touched: Sequence[Mapping[str, _Touched]]) -> dict[str, int]:
    """Return the parts of each tensor that some groups touch."""
    found: dict[str, int] = {}
    for group in touched:
        for name, each in group.items():
            found[name] = min(found.get(name, each.trips), each.trips)
    return found


def _touched(scop: Scop, chain: Chain, place: int) -> dict[str, _Touched]:
    """Return what a group of a chain touches."""
    sizes = {s[place]: s.values(place) for s in chain.shared}
    is_side = any(s.is_side for s in chain.shared)
    found: dict[str, _Touched] = {}
    for statement in map(scop.statement, chain.groups[place].names):
        is_factor = is_side and is_product(scop, boxed(statement))
        reads = [read.access for read in statement.reads]
        places = [(a.tensor, a.subscripts, is_factor) for a in reads]
        places.append((statement.tensor, statement.subscripts, False))
        lengths = {d: hi - lo + 1 for d, (lo, hi) in statement.ranges.items()} | sizes
        for tensor, subscripts, own in places:
            axes = zip(scop.tensor(tensor).shape, subscripts)
            forms = ((extent, linear(s, scop.sizes)) for extent, s in axes)
            trips = prod(_cut(e, f, lengths, sizes) for e, f in forms if f)
            before = found.get(tensor, _Touched(trips, own))
            found[tensor] = _Touched(min(before.trips, trips), before.is_factor or own)
    return found


def _cut(
    extent: int, form: Linear, lengths: Mapping[str, int], cut: Container[str]
) -> int:
    """Return in how many parts an axis is cut where a subscript goes through it."""
    if not any(d in cut for d, _ in form.coefficients):
        return 1
    span = 1 + sum(abs(c) * (lengths[d] - 1) for d, c in form.coefficients)
    return max(-(-extent // max(span, 1)), 1)


def _each_byte(machine: Machine, size: float, way: _Way = "load") -> float:
    """Return the cycles that a byte takes from or to where so many bytes lie: in the
    nearest cache of which they fill half, beside something else; some of them farther
    away, where they fill up to all of it."""
    levels: tuple[Cache | Memory, ...] = (*machine.caches, machine.memory)
    near = [1 / (level.load if way == "load" else level.store) for level in levels]
    for cache, here, farther in zip(machine.caches, near, near[1:]):
        away = max(2 * size / cache.capacity - 1.0, 0.0)
        if away < 1.0:
            return (1.0 - away) * here + away * farther
    return near[-1]
