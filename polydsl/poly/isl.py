"""The one door to isl: sets and maps by dimension name, and the questions we ask.

Every object of a thread lives in one isl context with a budget of operations: a
question that would run away raises `BudgetExceeded` and the context stays usable.
isl's own exceptions do not leave this module.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import islpy as _isl

Set = _isl.Set
Map = _isl.Map
UnionSet = _isl.UnionSet
UnionMap = _isl.UnionMap
IslError = _isl.Error

IN, OUT = _isl.dim_type.in_, _isl.dim_type.out
SET, DIV = _isl.dim_type.set, _isl.dim_type.div
"""The kinds of dimensions."""

DEFAULT_BUDGET = 200_000
"""Operations allowed for one question; 10^5 are about 0.8 s."""
KEPT_TEXTS = 1024
"""Sets and maps that each thread keeps by their texts."""

Answer = TypeVar("Answer")


class BudgetExceeded(Exception):
    """isl needed more operations than it was allowed."""


class _Local(threading.local):
    """isl contexts are not safe between threads: each thread has its own.

    Nothing changes a set or a map, so that a text is read once: passes that replace
    statements ask for most sets of the program again.
    """

    def __init__(self) -> None:
        self.context = _isl.Context()
        self.read_set = lru_cache(KEPT_TEXTS)(self._read_set)
        self.read_map = lru_cache(KEPT_TEXTS)(self._read_map)

    def _read_set(self, text: str) -> Set:
        return _isl.Set.read_from_str(self.context, text)

    def _read_map(self, text: str) -> Map:
        return _isl.Map.read_from_str(self.context, text)


_local = _Local()


def parse_set(text: str) -> Set:
    """Return the set that *text* describes in isl's notation."""
    return _local.read_set(text)


def parse_map(text: str) -> Map:
    """Return the map that *text* describes in isl's notation."""
    return _local.read_map(text)


def parse_union_map(text: str) -> UnionMap:
    """Return the maps between several spaces that *text* describes."""
    return _isl.UnionMap.read_from_str(_local.context, text)


@contextmanager
def budget(operations: int = DEFAULT_BUDGET) -> Iterator[None]:
    """Let the block use so many operations, then raise `BudgetExceeded`."""
    context = _local.context
    context.reset_operations()
    context.set_max_operations(operations)
    try:
        yield
    except IslError as error:
        if "maximal number of operations" in str(error):
            raise BudgetExceeded(str(error)) from None
        raise
    finally:
        context.set_max_operations(0)
        context.reset_operations()


def within_budget(question: Callable[[], Answer], default: Answer) -> Answer:
    """Return the answer to a question, or *default* where it costs too much."""
    try:
        with budget():
            return question()
    except BudgetExceeded:
        return default


def domain_text(name: str, dims: Sequence[str], conditions: Sequence[str]) -> str:
    """Return the text of `{ name[dims] : conditions }`."""
    body = " and ".join(f"({c})" for c in conditions)
    return f"{{ {name}[{', '.join(dims)}]" + (f" : {body} }}" if body else " }")


def map_text(
    name: str,
    dims: Sequence[str],
    to: str,
    values: Sequence[str],
    conditions: Sequence[str] = (),
) -> str:
    """Return the text of `{ name[dims] -> to[values] : conditions }`."""
    head = f"{name}[{', '.join(dims)}] -> {to}[{', '.join(values)}]"
    body = " and ".join(f"({c})" for c in conditions)
    return f"{{ {head}" + (f" : {body} }}" if body else " }")


def equal_dimensions(relation: Map) -> frozenset[str]:
    """Return the names of the dimensions that both sides of a relation have, and that
    have the same value in all of its pairs."""
    before = _side_names(relation, IN)
    after = _side_names(relation, OUT)
    return frozenset(
        name
        for name, place in before.items()
        if name in after
        and relation.is_subset(relation.equate(IN, place, OUT, after[name]))
    )


def with_value(relation: Map, name: str, value: int) -> Map:
    """Return the pairs of a relation in which a dimension has a value on both sides."""
    for side in (IN, OUT):
        relation = relation.fix_val(side, _side_names(relation, side)[name], value)
    return relation


def kept_dimensions(relation: Map, before: Sequence[int], after: Sequence[int]) -> Map:
    """Return a relation between some dimensions of each side, by their positions: the
    others may have any value."""
    for side, kept in ((IN, before), (OUT, after)):
        for place in reversed(range(relation.dim(side))):
            if place not in kept:
                relation = relation.project_out(side, place, 1)
    return relation


def has_dimension(relation: Map, name: str) -> bool:
    """Whether both sides of a relation have a dimension of a name."""
    sides = (IN, OUT)
    return all(name in _side_names(relation, side) for side in sides)


def equated(relation: Map, name: str) -> Map:
    """Return the pairs of a relation in which a dimension of both sides is equal."""
    sides = (IN, OUT)
    before, after = (_side_names(relation, side)[name] for side in sides)
    return relation.equate(IN, before, OUT, after)


def steps_of(relation: Map, first: Map, second: Map) -> frozenset[str]:
    """Return how the times of both ends compare in the pairs of a relation, which maps
    to single values give: before, same, after."""
    steps = relation.apply_domain(first).apply_range(second).deltas()
    found = {
        "before": steps.lower_bound_val(SET, 0, 1),
        "same": steps.fix_val(SET, 0, 0),
        "after": steps.upper_bound_val(SET, 0, -1),
    }
    return frozenset(n for n, points in found.items() if not points.is_empty())


def _side_names(relation: Map, side: Any) -> dict[str, int]:
    names = (relation.get_dim_name(side, i) for i in range(relation.dim(side)))
    return {name: place for place, name in enumerate(names) if name}


def dimension_names(subset: Set) -> tuple[str, ...]:
    """Return the names of a set's dimensions, in order."""
    count = subset.dim(SET)
    names = (subset.get_dim_name(SET, i) for i in range(count))
    return tuple(name or f"d{i}" for i, name in enumerate(names))


def lexicographically_before(space_of: Map) -> Map:
    """Return `{ a -> b : a is before b }` on the range of *space_of*."""
    return _isl.Map.lex_lt(space_of.get_space().range())


def is_bijection_onto(relation: Map, points: Set) -> bool:
    """Whether a map takes each of some points exactly once, and no other value."""
    return bool(relation.is_injective()) and bool(relation.range().is_equal(points))


def are_bijections_onto(relations: Sequence[Map], points: Set) -> bool:
    """Whether maps together take each of some points exactly once, and no other."""
    left = points
    for relation in relations:
        image = relation.range()
        if not relation.is_injective() or not image.is_subset(left):
            return False
        left = left.subtract(image)
    return bool(left.is_empty())


def may_dependences(sources: UnionMap, sinks: UnionMap, schedule: UnionMap) -> UnionMap:
    """Return `{ a -> b : a in sources and, later, b in sinks access one element }`.

    Nothing kills: an instance is related to every later one, one basic map for each
    loop that can carry the reuse (`isl_union_access_info_set_may_source`).
    """
    access = _isl.UnionAccessInfo.from_sink(sinks).set_may_source(sources)
    return access.set_schedule_map(schedule).compute_flow().get_may_dependence()


def basic_maps(relation: UnionMap) -> Iterator[Map]:
    """Yield the basic maps of which a union of maps consists, in isl's order."""
    maps = relation.get_map_list()
    for place in range(maps.n_map()):
        parts = maps.get_at(place).get_basic_map_list()
        for part in range(parts.n_basic_map()):
            yield parts.get_at(part).to_map()


def lexicographic_interval(
    points: Set, first: Sequence[int], last: Sequence[int]
) -> Set:
    """Return the points from *first* to *last* in lexicographic order, both included
    if they are among the points."""
    space = points.get_space()
    every = _isl.Set.universe(space)
    after = fixed(every, first).apply(_isl.Map.lex_le(space))
    before = fixed(every, last).apply(_isl.Map.lex_ge(space))
    return points.intersect(after).intersect(before)


def fixed(points: Set, values: Sequence[int]) -> Set:
    """Return the points whose first coordinates have the values given."""
    for place, value in enumerate(values):
        points = points.fix_val(SET, place, value)
    return points


def free_on_both_sides(relation: Map) -> tuple[bool, ...]:
    """Return for each dimension of a basic map from a space to itself whether it
    occurs in an inequality on the input side and in one on the output side, in the
    constraints as isl keeps them."""
    part = relation.get_basic_map_list().get_at(0)
    inequalities = [c for c in part.get_constraints() if not c.is_equality()]
    sides = (IN, OUT)
    return tuple(
        all(any(c.involves_dims(side, d, 1) for c in inequalities) for side in sides)
        for d in range(relation.dim(IN))
    )


Row = dict[str, tuple[tuple[int, ...], int]]
"""For the points of each set, by its name, factors of its dimensions and a constant."""


def schedule_rows(domains: Sequence[Set], before: Sequence[Map]) -> list[Row]:
    """Return linear times for points that must come before others, which isl's
    scheduler finds for the outermost loops: every one of them alone is legal, and at
    least one sets some of the pairs apart."""
    points = _union(_isl.UnionSet, domains)
    pairs = _union(_isl.UnionMap, before)
    constraints = _isl.ScheduleConstraints.on_domain(points).set_validity(pairs)
    node: Any = constraints.compute_schedule().get_root()
    band: Any = _isl.schedule_node_type.band
    while node.n_children() and node.get_type() != band:
        node = node.get_child(0)
    if node.get_type() != band:
        return []
    rows = node.band_get_partial_schedule()
    found = (rows.get_union_pw_aff(n) for n in range(node.band_n_member()))
    return [_row(times) for times in found if _sets_apart(times, pairs)]


def _union(kind: Any, parts: Sequence[Any]) -> Any:
    first, *others = parts
    total = kind.from_set(first) if kind is _isl.UnionSet else kind.from_map(first)
    for part in others:
        total = total.union(part)
    return total


def _sets_apart(times: Any, pairs: UnionMap) -> bool:
    """Whether some pair has two different times."""
    moves = _isl.UnionMap.from_union_pw_aff(times)
    apart = pairs.apply_domain(moves).apply_range(moves)
    same = _isl.UnionMap("{ [a] -> [a] }")
    return not bool(apart.is_subset(same))


def _row(times: Any) -> Row:
    parts = times.get_pw_aff_list()
    found: Row = {}
    for n in range(times.n_pw_aff()):
        term = parts.get_at(n).as_aff()
        name = term.get_domain_space().get_tuple_name(SET)
        count = term.dim(IN)
        factors = (term.get_coefficient_val(IN, d).to_python() for d in range(count))
        found[name] = (tuple(factors), term.get_constant_val().to_python())
    return found


def count_points(points: UnionSet) -> int:
    """Return the number of points of bounded sets."""
    total = 0
    sets = points.get_set_list()
    for place in range(sets.n_set()):
        parts = sets.get_at(place).make_disjoint().get_basic_set_list()
        for part in range(parts.n_basic_set()):
            total += _count_part(parts.get_at(part).to_set())
    return total


def _count_part(part: Set) -> int:
    """Count a box by its sides, anything else point by point."""
    box, size = _isl.Set.universe(part.get_space()), 1
    for d in range(part.dim(SET)):
        low, high = part.dim_min_val(d).to_python(), part.dim_max_val(d).to_python()
        box = box.lower_bound_val(SET, d, low)
        box = box.upper_bound_val(SET, d, high)
        size *= high - low + 1
    return size if box.is_subset(part) else part.count_val().to_python()
