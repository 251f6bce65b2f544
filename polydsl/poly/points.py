"""Points of sets and pairs of relations, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polydsl.poly.isl import (
    IN,
    OUT,
    SET,
    Map,
    Set,
    dimension_names,
    within_budget,
)


def sample(subset: Set) -> dict[str, int] | None:
    """Return one point of a set by dimension name, its lexicographic minimum where it
    has one, or None if the set is empty."""
    point = sample_point(subset)
    return None if point is None else dict(zip(dimension_names(subset), point))


def sample_point(subset: Set) -> tuple[int, ...] | None:
    """Return one point of a set, its lexicographic minimum where it has one, or None
    if the set is empty."""
    if subset.is_empty():
        return None
    point = subset.lexmin().sample_point() if subset.is_bounded() else None
    point = subset.sample_point() if point is None else point
    return tuple(
        point.get_coordinate_val(SET, i).to_python() for i in range(subset.dim(SET))
    )


def sample_pair(relation: Map) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return one pair of points of a relation, its lexicographic minimum where it has
    one, or None if the relation is empty."""
    pair = sample_point(relation.wrap())
    if pair is None:
        return None
    split = relation.dim(IN)
    return pair[:split], pair[split:]


Pair = tuple[tuple[int, ...], tuple[int, ...]]


def image_of(relation: Map, point: Sequence[int]) -> tuple[int, ...]:
    """Return what a map takes a point to."""
    for place, value in enumerate(point):
        relation = relation.fix_val(IN, place, value)
    found = sample_point(relation.range())
    assert found is not None
    return found


def pairs_of(relation: Map, limit: int) -> list[Pair] | None:
    """Return the pairs of a bounded relation; None if they are more than *limit*, or
    too hard to count."""
    split = relation.dim(IN)
    pairs: list[Pair] = []

    def visit(point: Any) -> None:
        count = split + relation.dim(OUT)
        values = tuple(
            point.get_coordinate_val(SET, i).to_python() for i in range(count)
        )
        pairs.append((values[:split], values[split:]))

    wrapped = relation.wrap()
    if within_budget(lambda: wrapped.count_val().to_python(), limit + 1) > limit:
        return None
    # Without a budget: an exception does not get through isl to here.
    wrapped.foreach_point(visit)
    return pairs


def sources_of(
    relation: Map, point: Sequence[int], limit: int
) -> list[tuple[int, ...]]:
    """Return what a relation takes to a point, one value alone where that is more than
    *limit*."""
    for place, value in enumerate(point):
        relation = relation.fix_val(OUT, place, value)
    pairs = pairs_of(relation, limit)
    if pairs is None:
        first = sample_pair(relation)
        pairs = [] if first is None else [first]
    return [before for before, _ in pairs]


def lexicographic_end(points: Set, *, is_last: bool) -> tuple[int, ...]:
    """Return the first or the last of bounded points in lexicographic order.

    isl's own `lexmax` of a set with integer divisions may return another point (seen
    with islpy 2026.2.2: a loop over tiles of tiles); bounds of single dimensions hold.
    """
    found: list[int] = []
    for place in range(points.dim(SET)):
        bound = points.dim_max_val(place) if is_last else points.dim_min_val(place)
        found.append(bound.to_python())
        points = points.fix_val(SET, place, bound)
    return tuple(found)
