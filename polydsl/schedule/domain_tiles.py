"""Products whose ranges depend on others, in tiles: `in_tiles(scop, group, ...)`.

    o[b, i, c] += e[b, i, j] * v[j, c]             0 <= j <= 64*b + i, a block b of rows
        ->  for j_tile < b:  o[b, i, c] += e[b, i, 64*j_tile + j] * v[64*j_tile + j, c]
            and              o[b, i, c] += e[b, i, j] * v[j, c]        64*b <= j

A tile that lies in the domain as a whole is a product without conditions but on the
loops around it, which a microkernel computes. What is left beside whole tiles stays as
it is. Where the tiles are elements of a result that nobody reads beside its domain, as
the scores of attention are, every tile that the domain touches is computed instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

from polydsl.base.machine import Machine
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.defined import defined_on
from polydsl.poly.isl import Set, count_points, domain_text, parse_set
from polydsl.poly.polyhedra import is_polyhedron, ordered_dimensions
from polydsl.poly.scop import Fused, Group, Item, Scop, Statement
from polydsl.poly.set_conditions import condition_of
from polydsl.poly.statements import rebuilt
from polydsl.poly.terms import interval, isl_name
from polydsl.poly.whole_tiles import TiledDomain, Tiling, tiled_domain
from polydsl.schedule.contraction import boxed, is_stored_product
from polydsl.schedule.strip_mining import Strip, strip_mined
from polydsl.schedule.tree import fresh

PLAIN_RATE = 0.45
"""The share of a core's multiply-adds that plain loops over a product reach."""

RESULT = 12.0
"""The cycles that each vector of a tile's result takes beside multiply-adds: it is
loaded and stored, and the microkernel is called for a few of them."""

MOST_PARTS = 4
"""Into so many parts at most the points beside whole tiles may come apart."""


@dataclass(frozen=True, slots=True)
class InTiles:
    """What a group has become: statements, and the items that they are in."""

    statements: tuple[Statement, ...]
    items: tuple[Item, ...]


def in_tiles(
    scop: Scop, group: Group, around: tuple[str, ...], size: int
) -> InTiles | None:
    """Return a group with tiles of so many values, inside of loops over the indices
    *around*; None where it is no product in them, or has no whole tile."""
    update = _bounded_product(scop, group)
    if update is None:
        return None
    tilings = _tilings(update, around, size)
    found = _domain(update, around, tilings)
    if not tilings or found.whole.is_empty():
        return None
    tiles = _Tiles(scop, group, update, around, tilings)
    if {*tilings} <= {*update.reduced}:
        return tiles.of_sum(found)
    return tiles.of_result() if {*tilings} <= {*update.left} else None


def gain_of_tiles(
    scop: Scop, machine: Machine, group: Group, index: str, size: int
) -> float:
    """Return the cycles that are won when a group is in tiles of so many values, and
    shared loops are around it over blocks of an index."""
    update = _bounded_product(scop, group)
    if update is None:
        return 0.0
    lo, hi = update.ranges[index]
    blocks = Tiling(index + "'", lo, size, (hi - lo + 1) // size)
    tilings = {index: blocks, **_tilings(update, (index,), size)}
    found = tiled_domain(update, (), tilings)
    sizes = {d: hi - lo + 1 for d, (lo, hi) in update.ranges.items()}
    sizes |= {d: tiling.size for d, tiling in tilings.items()}
    lanes = machine.lanes(update.value.dtype)
    each = prod(sizes.values()) / lanes / machine.fma_per_cycle
    plain = each / PLAIN_RATE
    tile = each + RESULT * prod(sizes[d] for d in update.left) / lanes
    whole, touched = (
        count_points(s.to_union_set()) for s in (found.whole, found.touched)
    )
    if {*tilings} <= {*update.left}:
        return (whole + touched) / 2 * plain - touched * tile
    return whole * (plain - tile)


def _bounded_product(scop: Scop, group: Group) -> Statement | None:
    """Return the statement of a group that would be a product if its domain were a
    box."""
    updates = [s for s in map(scop.statement, group.statements) if s.combine]
    if len(updates) != 1 or not updates[0].conditions:
        return None
    is_product = is_stored_product(scop, boxed(updates[0]))
    return updates[0] if is_product else None


def _tilings(
    update: Statement, around: tuple[str, ...], size: int
) -> dict[str, Tiling]:
    """Return the tiles of each index that a condition bounds and that is longer than a
    tile."""
    taken = {*update.dims, *around}
    found: dict[str, Tiling] = {}
    for d in ordered_indices(*update.conditions):
        lo, hi = update.ranges[d]
        if d not in around and hi - lo + 1 > size:
            count = (hi - lo + 1) // size
            found[d] = Tiling(fresh(f"{d}_tile", taken), lo, size, count)
    return found


def _domain(
    statement: Statement, around: tuple[str, ...], tilings: Mapping[str, Tiling]
) -> TiledDomain:
    bounded = ordered_indices(*statement.conditions)
    return tiled_domain(statement, [d for d in around if d in bounded], tilings)


@dataclass(frozen=True, slots=True)
class _Tiles:
    """A group, its product, and the tiles of indices that conditions bound."""

    scop: Scop
    group: Group
    update: Statement
    around: tuple[str, ...]
    tilings: dict[str, Tiling]

    def of_sum(self, found: TiledDomain) -> InTiles | None:
        """Return the group with whole tiles of what is summed, after the rest."""
        parts = self._parts(self.update, found)
        if parts is None:
            return None
        whole = self._tiled(self.update, self.tilings, found, found.whole)
        others = tuple(n for n in self.group.statements if n != self.update.name)
        first = Group(self.group.tensor, (*others, *(p.name for p in parts)))
        tiles = Group(self.group.tensor, (whole.name,))
        after = (
            Group(self.scop.statement(n).tensor, (n,)) for n in self.group.epilogue
        )
        items = (first, *_loops(self.tilings, tiles), *after)
        return InTiles((*parts, whole), items)

    def of_result(self) -> InTiles | None:
        """Return the group with tiles of its elements: all that are touched, if what is
        beside the domain may be computed, or whole ones and the rest."""
        if len(self.tilings) == 1 and self._may_be_larger():
            made = [self._in(self.tilings, touched=True)]
            ((d, tiling),) = self.tilings.items()
            _, hi = self.update.ranges[d]
            first = tiling.first + tiling.count * tiling.size
            last = {d: Tiling(tiling.tile, first, hi + 1 - first, 1)}
            left = first <= hi and _domain(self.update, self.around, last)
            if left and not left.touched.is_empty():
                made.append(self._in(last, touched=True, suffix="_rest"))
        else:
            rest = self._rest_groups()
            if rest is None:
                return None
            made = [self._in(self.tilings, touched=False), *rest]
        return InTiles(
            tuple(s for each in made for s in each.statements),
            tuple(item for each in made for item in each.items),
        )

    # Statements

    def _tiled(
        self,
        statement: Statement,
        tilings: Mapping[str, Tiling],
        found: TiledDomain,
        chosen: Set,
        suffix: str = "",
    ) -> Statement:
        """Return a statement in some of its tiles."""
        names = (*found.around, *(t.tile for t in tilings.values()))
        where = condition_of(chosen.gist(found.all_tiles), names, statement.span)
        made = replace(boxed(statement), name=f"{statement.name}_tiles{suffix}")
        for d, tiling in tilings.items():
            strip = Strip(tiling.tile, tiling.first, tiling.size, tiling.count)
            made = strip_mined(self.scop, made, d, strip, {})
        return rebuilt(self.scop, made, {}, made.ranges, (where,))

    def _parts(
        self, statement: Statement, found: TiledDomain
    ) -> tuple[Statement, ...] | None:
        """Return a statement at the points beside whole tiles, None where these are no
        few polyhedra."""
        rest = found.rest
        if len(rest) > MOST_PARTS or not all(map(is_polyhedron, rest)):
            return None
        names = [isl_name(d) for d in statement.dims]
        box = (
            f"{lo} <= {isl_name(d)} <= {hi}" for d, (lo, hi) in statement.ranges.items()
        )
        name = str(statement.domain.get_tuple_name())
        whole = parse_set(domain_text(name, names, [*box]))
        return tuple(
            rebuilt(
                self.scop,
                replace(statement, name=f"{statement.name}_part{n}"),
                {},
                statement.ranges,
                (condition_of(part.gist(whole), statement.dims, statement.span),),
            )
            for n, part in enumerate(rest)
        )

    def _in(
        self, tilings: Mapping[str, Tiling], *, touched: bool, suffix: str = ""
    ) -> InTiles:
        """Return the group in its tiles."""
        names: dict[str, str] = {}
        made: list[Statement] = []
        for statement in map(self.scop.statement, self.group.names):
            found = _domain(statement, self.around, tilings)
            chosen = found.touched if touched else found.whole
            made.append(self._tiled(statement, tilings, found, chosen, suffix))
            names[statement.name] = made[-1].name
        inside = self.group.renamed(names)
        return InTiles(tuple(made), _loops(tilings, inside))

    def _rest_groups(self) -> list[InTiles] | None:
        """Return the group at the points beside whole tiles, part by part."""
        found: dict[str, tuple[Statement, ...]] = {}
        for statement in map(self.scop.statement, self.group.names):
            parts = self._parts(
                statement, _domain(statement, self.around, self.tilings)
            )
            if parts is None:
                return None
            found[statement.name] = parts
        groups: list[InTiles] = []
        for part in next(iter(found.values())):
            alike = [_over(part, parts) for parts in found.values()]
            several = tuple(s for s in alike if s is not None)
            if len(several) < len(found) or any(
                len(parts) != len(found[self.group.names[0]])
                for parts in found.values()
            ):
                return None
            names = dict(zip(found, (s.name for s in several)))
            groups.append(InTiles(several, (self.group.renamed(names),)))
        return groups

    # What may be computed

    def _may_be_larger(self) -> bool:
        """Whether elements beside the domain may be computed: nothing asks where the
        group's tensors are defined, and its values can be had everywhere."""
        own = {s.tensor for s in map(self.scop.statement, self.group.names)}
        if any(self.scop.tensor(name).role != "local" for name in own):
            return False
        if any(
            read.is_padded and read.access.tensor in own
            for s in self.scop.statements
            for read in s.reads
        ):
            return False
        statements = map(self.scop.statement, self.group.names)
        return all(
            s.value.dtype.is_float and all(self._can_be_read(s, own))
            for s in statements
        )

    def _can_be_read(self, statement: Statement, own: set[str]) -> Iterator[bool]:
        for read in statement.reads:
            access = read.access
            tensor = self.scop.tensor(access.tensor)
            whole = [(0, n - 1) for n in tensor.shape]
            if access.tensor not in own:
                defined = defined_on(self.scop, access.tensor)
                yield not defined.conditions and [*defined.box] == whole
            places = zip(access.subscripts, tensor.shape)
            for subscript, extent in places:
                lo, hi = interval(subscript, self.scop.sizes, statement.ranges)
                yield lo >= 0 and hi < extent


def _over(part: Statement, others: tuple[Statement, ...]) -> Statement | None:
    """Return that of the parts of a statement which has the elements of a part of
    another one, None if there is none."""
    names = [isl_name(d) for d in part.dims]
    own = ordered_dimensions(part.domain, names)
    for other in others:
        if ordered_dimensions(other.domain, names).is_equal(own):
            return other
    return None


def _loops(tilings: Mapping[str, Tiling], inside: Group) -> tuple[Item, ...]:
    """Return a group inside of loops over its tiles."""
    body: tuple[Item, ...] = (inside,)
    for tiling in reversed([*tilings.values()]):
        body = (Fused(tiling.tile, 0, tiling.count - 1, body),)
    return body
