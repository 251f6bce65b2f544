"""Whether maps from loop points to a set of points hit each of them exactly once.

A `Target` is a box with conditions, the points to be hit; a `Visit` maps a piece of a
loop domain to coordinates. Coordinates that share no loop counter are independent: the
range of a visit is a product over *groups* of dimensions, and so are the targets. In
each group a range is an interval of row-major positions, known in closed form where the
position is a mixed-radix number of the counters, or the set of positions found by
looking at every point. Visits are then injective, disjoint, and as many as the targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.loops.verify_conditions import (
    All,
    Condition,
    condition_variables,
    mask,
)
from polydsl.loops.verify_cuts import Piece
from polydsl.loops.verify_forms import (
    ENUMERATION_LIMIT,
    ZERO,
    Array,
    Form,
    Point,
    Space,
    Unproved,
    combine,
    evaluate,
    expanded,
    grid,
    interval,
    point_at,
    shifted,
    variables,
)
from polydsl.loops.verify_isl import Image, hits_each_once
from polydsl.loops.verify_points import Leaf
from polydsl.loops.verify_positions import (
    Positions,
    as_mask,
    count,
    mixed_radix,
    shared_position,
)
from polydsl.loops.verify_search import FEW
from polydsl.poly.isl import BudgetExceeded


@dataclass(frozen=True, slots=True)
class Target:
    """The points that are to be hit: `name` is for messages, `dims` are variables of
    `space`, `conditions` are over them."""

    name: str
    dims: tuple[str, ...]
    space: Space
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """Coordinates of a target in the counters of one piece of a leaf."""

    leaf: Leaf
    piece: Piece
    coordinates: tuple[Form, ...]


def check_cover(target: Target, visits: Sequence[Visit]) -> None:
    """Raise unless every point of the target is hit by exactly one point of one visit,
    and nothing else is hit."""
    _check_counters(target, visits)
    groups = tuple(
        _Group(target, dims, conditions)
        for dims, conditions in _independent(target, visits)
    )
    # Where every visit takes all points of a group, it tells none of them apart.
    groups = tuple(g for g in groups if not (visits and g.is_whole(visits)))
    parted = [g for g in groups if not g.takes_all(visits)]
    if len(parted) == 1 and _exists(target) and parted[0].is_parted(visits):
        return
    wanted = [group.wanted() for group in groups]
    ranges = [[group.positions(visit) for group in groups] for visit in visits]
    for number, visit in enumerate(visits):
        for other in range(number):
            _check_disjoint(groups, visit, ranges[number], ranges[other])
    total = prod(count(positions) for positions in wanted) if _exists(target) else 0
    hit = sum(prod(count(p) for p in positions) for positions in ranges)
    if hit > total:
        bug(f"{target.name} is executed, but its domain is empty")
    if hit < total:
        point = _missing(groups, wanted, ranges)
        bug(f"{target.name} is never executed at {_text(point)}")


def _exists(target: Target) -> bool:
    """Whether the conditions without any dimension hold: `1 < 2`, or `not True`."""
    fixed = tuple(c for c in target.conditions if not condition_variables(c))
    return bool(np.all(mask(All(fixed), target.space, {})))


def _check_counters(target: Target, visits: Sequence[Visit]) -> None:
    """Raise where a loop runs several times over the same points."""
    for visit in visits:
        used = frozenset().union(*(variables(c) for c in visit.coordinates))
        for condition in visit.piece.conditions:
            used |= condition_variables(condition)
        for name, (lo, hi) in visit.piece.space.box.items():
            if name not in used and hi > lo:
                where = visit.leaf.place({name: lo + 1})
                bug(f"{target.name} is executed again {where}")


def _independent(
    target: Target, visits: Sequence[Visit]
) -> Iterator[tuple[tuple[str, ...], tuple[Condition, ...]]]:
    """Yield the groups of dimensions, each with its conditions."""
    links: list[frozenset[str]] = [
        condition_variables(c) & set(target.dims) for c in target.conditions
    ]
    for visit in visits:
        owners: dict[str, set[str]] = {}
        for dim, form in zip(target.dims, visit.coordinates):
            for name in variables(form):
                owners.setdefault(name, set()).add(dim)
        links += [frozenset(dims) for dims in owners.values()]
        for condition in visit.piece.conditions:
            names = condition_variables(condition)
            links.append(frozenset(d for n in names for d in owners.get(n, ())))
    for dims in _joined(target.dims, links):
        chosen = (c for c in target.conditions if condition_variables(c) & {*dims})
        yield dims, tuple(chosen)


def _joined(
    dims: tuple[str, ...], links: list[frozenset[str]]
) -> list[tuple[str, ...]]:
    groups: list[frozenset[str]] = [frozenset((d,)) for d in dims]
    for link in set(links):
        touched = [g for g in groups if g & link]
        if len(touched) > 1:
            groups = [g for g in groups if not g & link]
            groups.append(frozenset().union(*touched))
    return [tuple(d for d in dims if d in group) for group in groups]


@dataclass(frozen=True, slots=True)
class _Group:
    """Some dimensions of a target that no loop counter ties to the others."""

    target: Target
    dims: tuple[str, ...]
    conditions: tuple[Condition, ...]

    @property
    def extents(self) -> tuple[int, ...]:
        return tuple(max(self.target.space.extent(d), 0) for d in self.dims)

    def wanted(self) -> Positions:
        """Return the positions that are to be hit."""
        if not self.conditions:
            return (0, prod(self.extents) - 1)
        if 0 in self.extents:
            return (0, -1)
        space = self.target.space
        holds = mask(All(self.conditions), space, grid(self.dims, space))
        return np.broadcast_to(holds, self.extents).ravel()

    def positions(self, visit: Visit) -> Positions:
        """Return the positions that a visit hits, each of them once."""
        forms = self._forms(visit)
        conditions = self._conditions(visit, forms)
        if not conditions and not self.conditions:
            found = self._closed(visit.piece.space, forms)
            if found is not None:
                return found
        return self._enumerated(visit, forms, All(conditions))

    def takes_all(self, visits: Sequence[Visit]) -> bool:
        """Whether it is plain to see that every visit hits all positions, each once."""
        return not self.conditions and all(
            not self._conditions(visit, forms)
            and self._closed(visit.piece.space, forms) == (0, prod(self.extents) - 1)
            for visit in visits
            for forms in [self._forms(visit)]
        )

    def _forms(self, visit: Visit) -> list[Form]:
        """Return the coordinates of a visit, counted from 0."""
        return [
            shifted(form, -self.target.space.box[dim][0])
            for dim, form in zip(self.target.dims, visit.coordinates)
            if dim in self.dims
        ]

    def is_whole(self, visits: Sequence[Visit]) -> bool:
        """Whether isl knows that every visit hits all the wanted positions, each once;
        asked only where looking at all of them takes long."""
        return self._ask(
            visits,
            lambda images: all(
                hits_each_once(
                    (image,), self._texts(), self.conditions, self.target.space
                )
                for image in images
            ),
        )

    def is_parted(self, visits: Sequence[Visit]) -> bool:
        """Whether isl knows that visits hit each of the wanted positions exactly once
        together; asked only where looking at all of them takes long."""
        return self._ask(
            visits,
            lambda images: hits_each_once(
                images, self._texts(), self.conditions, self.target.space
            ),
        )

    def _ask(
        self, visits: Sequence[Visit], question: Callable[[tuple[Image, ...]], bool]
    ) -> bool:
        if not self.conditions or prod(self.extents) <= FEW:
            return False
        try:
            return question(tuple(self._image(visit) for visit in visits))
        except BudgetExceeded:
            return False

    def _texts(self) -> list[str]:
        chosen = {*self.dims}
        return [d for d in self.target.dims if d in chosen]

    def _image(self, visit: Visit) -> Image:
        """Return the coordinates of a visit in the dimensions of the group."""
        chosen = {*self.dims}
        forms = [
            form
            for dim, form in zip(self.target.dims, visit.coordinates)
            if dim in chosen
        ]
        conditions = self._conditions(visit, forms)
        names = frozenset().union(
            *map(variables, forms), *map(condition_variables, conditions)
        )
        space = visit.piece.space
        inner = Space({n: space.box[n] for n in sorted(names)}, space.tables)
        return Image(tuple(forms), conditions, inner)

    def _conditions(self, visit: Visit, forms: list[Form]) -> tuple[Condition, ...]:
        names = frozenset().union(*(variables(f) for f in forms))
        return tuple(
            c for c in visit.piece.conditions if condition_variables(c) & names
        )

    def _closed(self, space: Space, forms: list[Form]) -> Positions | None:
        """Return an interval, if the row-major position is a mixed-radix number of the
        counters and every coordinate is in its range."""
        for form, extent in zip(forms, self.extents):
            lo, hi = interval(form, space)
            if lo < 0 or hi >= extent:
                return None
        position = ZERO
        for form, extent in zip(forms, self.extents):
            position = combine((position, extent), (form, 1))
        return mixed_radix(expanded(position, space), space)

    def _enumerated(
        self, visit: Visit, forms: list[Form], condition: Condition
    ) -> Array:
        """Return the positions found at every point, each of which must be new."""
        space = visit.piece.space
        names = sorted(
            frozenset().union(condition_variables(condition), *map(variables, forms))
        )
        size = prod(self.extents)
        if size > ENUMERATION_LIMIT:
            raise Unproved(f"{self.target.name}: {size} points are too many to look at")
        values = grid(names, space)
        shape = tuple(space.extent(n) for n in names)
        runs = np.broadcast_to(mask(condition, space, values), shape)
        position: Array = np.zeros((), np.int64)
        inside: Array = np.ones((), np.bool_)
        for form, extent in zip(forms, self.extents):
            at = evaluate(form, space, values)
            inside = inside & (at >= 0) & (at < extent)
            position = position * extent + at
        self._check_inside(visit, names, runs & ~inside)
        hits = np.broadcast_to(position, shape)[runs]
        times = np.bincount(hits, minlength=size)
        found: Array = times > 0
        if self.conditions:
            outside = np.broadcast_to(found & ~self._mask(), (size,))
            if outside.any():
                point = self.point(int(np.flatnonzero(outside)[0]))
                name = self.target.name
                bug(f"{name} is executed outside its domain at {_text(point)}")
        if times.size and int(times.max()) > 1:
            point = self.point(int(np.argmax(times > 1)))
            bug(f"{self.target.name} is executed more than once at {_text(point)}")
        return found

    def _mask(self) -> Array:
        wanted = self.wanted()
        return wanted if isinstance(wanted, np.ndarray) else np.ones(1, np.bool_)

    def _check_inside(self, visit: Visit, names: list[str], wrong: Array) -> None:
        if wrong.any():
            place = np.argwhere(wrong)[0].tolist()
            point = dict(point_at(place, names, visit.piece.space))
            where = visit.leaf.place(point)
            bug(f"{self.target.name} is executed outside its domain {where}")

    def point(self, position: int) -> Point:
        """Return the coordinates at a position."""
        space, found = self.target.space, {}
        for dim, extent in reversed(tuple(zip(self.dims, self.extents))):
            position, digit = divmod(position, max(extent, 1))
            found[dim] = space.box[dim][0] + digit
        return dict(reversed(found.items()))


def _check_disjoint(
    groups: Sequence[_Group],
    visit: Visit,
    ours: Sequence[Positions],
    theirs: Sequence[Positions],
) -> None:
    point: Point = {}
    for group, left, right in zip(groups, ours, theirs):
        shared = shared_position(left, right)
        if shared is None:
            return
        point.update(group.point(shared))
    name = visit.leaf.place({})
    bug(
        f"{groups[0].target.name if groups else 'a statement'} is executed more than "
        f"once at {_text(point)}; the second time {name}"
    )


def _missing(
    groups: Sequence[_Group],
    wanted: Sequence[Positions],
    ranges: Sequence[Sequence[Positions]],
) -> Point:
    """Return a wanted point that no visit hits, group after group."""
    point = _uncovered(groups, wanted, ranges, 0, tuple(range(len(ranges))))
    return point or {}


def _uncovered(
    groups: Sequence[_Group],
    wanted: Sequence[Positions],
    ranges: Sequence[Sequence[Positions]],
    depth: int,
    alive: tuple[int, ...],
) -> Point | None:
    if depth == len(groups):
        return None if alive else {}
    size = prod(groups[depth].extents)
    target = as_mask(wanted[depth], size)
    masks = [as_mask(ranges[v][depth], size) for v in alive]
    seen: set[tuple[bool, ...]] = set()
    for position in _representatives(target, masks):
        signature = tuple(bool(m[position]) for m in masks)
        if signature in seen:
            continue
        seen.add(signature)
        rest = tuple(v for v, hit in zip(alive, signature) if hit)
        found = _uncovered(groups, wanted, ranges, depth + 1, rest)
        if found is not None:
            return {**groups[depth].point(position), **found}
    return None


def _representatives(target: Array, masks: list[Array]) -> list[int]:
    """Return a wanted position for each combination of masks."""
    code = np.zeros(target.size, np.int64)
    for m in masks[:60]:
        code = code * 2 + m
    places = np.flatnonzero(target)
    _, first = np.unique(code[places], return_index=True)
    return [int(p) for p in places[np.sort(first)]]


def _text(point: Mapping[str, int]) -> str:
    return ", ".join(f"{n} = {v}" for n, v in point.items()) or "its one point"
