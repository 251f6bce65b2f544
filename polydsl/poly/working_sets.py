"""Working sets of a loop nest, by isl: how much data lies between a use and a reuse.

In goes a perfect nest of loops with concrete sizes around one statement; out come the
distinct pairs (least, greatest) of numbers of elements that are touched between an
access and a later access of the same element, one pair for each way in which a loop
carries reuse. This is the analysis of Tavarageri et al., "PolyDL: Polyhedral
Optimizations for Creation of High Performance DL Primitives" (TACO 18(1), 2021),
including its approximations: it is kept as published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from polydsl.poly.isl import (
    Map,
    Set,
    UnionMap,
    UnionSet,
    basic_maps,
    count_points,
    domain_text,
    fixed,
    free_on_both_sides,
    lexicographic_interval,
    map_text,
    may_dependences,
    parse_map,
    parse_set,
    parse_union_map,
)
from polydsl.poly.points import lexicographic_end
from polydsl.poly.terms import Linear

STATEMENT = "S"
"""The name of the nest's statement in isl's sets."""

WorkingSet = tuple[int, int]
"""Elements touched up to the nearest and up to the farthest reuse, from the first
instance whose data are used again."""


@dataclass(frozen=True, slots=True)
class Loop:
    """`for name in range(start, min(start + extent, limit), step)`.

    `start` is the value of the loop `within`, 0 if that is empty: a tile loop and the
    loop over its tile iterate the same index, in global coordinates. `limit` is -1
    where the tiles come out even. The extent is a multiple of the step except where a
    limit cuts off the last tile.
    """

    name: str
    extent: int
    step: int = 1
    within: str = ""
    limit: int = -1

    @property
    def trips(self) -> int:
        """The number of iterations, the limit aside."""
        return -(-self.extent // self.step)


@dataclass(frozen=True, slots=True)
class Touch:
    """An access of the statement: subscripts linear in the loops' indices."""

    tensor: str
    subscripts: tuple[Linear, ...]


@dataclass(frozen=True, slots=True)
class PerfectNest:
    """Loops, outermost first, around one statement; `parallel` names the loop whose
    iterations are shared among processors, empty for none."""

    loops: tuple[Loop, ...]
    reads: tuple[Touch, ...]
    writes: tuple[Touch, ...]
    parallel: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the loops."""
        return tuple(loop.name for loop in self.loops)


def working_sets(nest: PerfectNest) -> tuple[WorkingSet, ...]:
    """Return the distinct working sets of a nest, in ascending order.

    A pair that holds 0 or 1 is dropped: there is nothing between use and reuse.
    """
    domain = parse_set(_domain_text(nest))
    reads = _accesses(nest, nest.reads, domain)
    writes = _accesses(nest, nest.writes, domain)
    found = {
        _working_set(nest, relation, reads.union(writes))
        for relation in basic_maps(_reuses(nest, reads, writes))
    }
    return tuple(sorted(pair for pair in found if min(pair) > 1))


def _reuses(nest: PerfectNest, reads: UnionMap, writes: UnionMap) -> UnionMap:
    """Return input, flow, anti and output dependences, with every source a *may*."""
    order = parse_map(map_text(STATEMENT, nest.names, "", nest.names)).to_union_map()
    pairs = ((reads, reads), (writes, reads), (reads, writes), (writes, writes))
    first, *others = (may_dependences(*pair, order) for pair in pairs)
    for relation in others:
        first = first.union(relation)
    return first


def _working_set(nest: PerfectNest, reuse: Map, accesses: UnionMap) -> WorkingSet:
    """Return what is touched from the first source to its nearest and farthest use."""
    sources = reuse.domain()
    first = lexicographic_end(sources, is_last=False)
    if nest.parallel and _crosses_processors(nest, reuse):
        shared = _shared_working_set(nest, sources, first, accesses)
        return shared, shared
    targets = fixed(sources, first).apply(reuse)

    def touched(*, up_to_last: bool) -> int:
        target = lexicographic_end(targets, is_last=up_to_last)
        points = lexicographic_interval(sources, first, target)
        return count_points(_touched(points, accesses))

    return touched(up_to_last=False), touched(up_to_last=True)


def _crosses_processors(nest: PerfectNest, reuse: Map) -> bool:
    """Whether the parallel loop, and none outside it, may differ between use and
    reuse; read off the constraints as published."""
    free = free_on_both_sides(reuse)
    place = nest.names.index(nest.parallel)
    return free[place] and not any(free[:place])


def _shared_working_set(
    nest: PerfectNest, sources: Set, first: tuple[int, ...], accesses: UnionMap
) -> int:
    """Return the data of the parallel loop's trips: what the first and the last have
    in common once, and of the rest half of both for each trip."""
    place = nest.names.index(nest.parallel)
    around = fixed(sources, first[:place])
    last = lexicographic_end(around, is_last=True)
    start, end = first[place], last[place]
    trips = (end - start) // nest.loops[place].step + 1
    one = _touched(fixed(around, first[: place + 1]), accesses)
    other = _touched(fixed(around, (*first[:place], end)), accesses)
    common = count_points(one.intersect(other))
    return (count_points(one.union(other)) - common) * trips // 2 + common


def _touched(points: Set, accesses: UnionMap) -> UnionSet:
    return points.to_union_set().apply(accesses)


def _accesses(nest: PerfectNest, touches: tuple[Touch, ...], domain: Set) -> UnionMap:
    """Return the map from instances to the elements that they access."""
    maps = (
        map_text(STATEMENT, nest.names, r.tensor, [_text(s) for s in r.subscripts])
        for r in touches
    )
    text = "; ".join(m.strip("{} ") for m in maps)
    return parse_union_map(f"{{ {text} }}").intersect_domain(domain.to_union_set())


def _domain_text(nest: PerfectNest) -> str:
    conditions = [c for loop in nest.loops for c in _conditions(loop)]
    return domain_text(STATEMENT, nest.names, conditions)


def _conditions(loop: Loop) -> Iterator[str]:
    start = loop.within or "0"
    yield f"{start} <= {loop.name} < {start} + {loop.extent}"
    if loop.limit >= 0:
        yield f"{loop.name} < {loop.limit}"
    if loop.step > 1:
        yield f"({loop.name} - {start}) mod {loop.step} = 0"


def _text(form: Linear) -> str:
    terms = [f"{c}*{name}" for name, c in form.coefficients]
    return " + ".join([*terms, str(form.constant)])
