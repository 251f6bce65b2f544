"""Families of product schedules: what many candidates share.

A family fixes which dimensions are flattened into rows, columns and depth, and how each
factor is read. What is left are numbers: tiles, blocks, the order of the loops and the
places of the packing; those are arrays (`matrix_batch`), so that legality and
references are worked out once for thousands of candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from polydsl.poly.terms import Linear
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.matrix_builder import plan_for_any
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import (
    How,
    MatrixPoint,
    Reading,
    TileLoop,
    point_axis,
)
from polydsl.schedule.operand import Operand, flat_step, row_major
from polydsl.schedule.provider_fit import refusal
from polydsl.schedule.setting import Setting

_WHOLE = 1 << 62
ROW_POINTS = 2048
"""Rows are flattened until they are at least so many: tails stop to matter."""


@dataclass(frozen=True, slots=True)
class Family:
    """What many candidates for one product share.

    `plan` is one member, with whole axes as tiles: it tells how factors are accessed.
    `is_swapped` says that its contraction has the factors exchanged.
    """

    plan: MatrixPlan
    is_swapped: bool
    how_a: How
    how_b: How

    @property
    def outer(self) -> tuple[str, ...]:
        """The dimensions with loops over single points."""
        return self.plan.outer

    def __str__(self) -> str:
        plan = self.plan
        sides = ", ".join(
            f"{name} {'.'.join(dims) or 'none'}"
            for name, dims in (
                ("rows", plan.rows),
                ("vector", plan.columns),
                ("depth", plan.depth),
            )
        )
        return f"{sides}; {plan.a.operand.tensor} {self.how_a}, " + (
            f"{plan.b.operand.tensor} {self.how_b}"
        )


def families(
    setting: Setting, contraction: Contraction, initialize: str | None
) -> tuple[Family, ...]:
    """Return every family of a product that can be built, and that the setting's
    provider of microkernels serves; none where the result has no index of stride one
    that could be the vector."""
    every = all_families(setting, contraction, initialize)
    return tuple(f for f in every if not refusal(f.plan, setting.layout))


def refusals(
    setting: Setting, contraction: Contraction, initialize: str | None
) -> tuple[str, ...]:
    """Return why the setting's provider serves no family, each reason once."""
    every = all_families(setting, contraction, initialize)
    return tuple(dict.fromkeys(refusal(f.plan, setting.layout) for f in every))


def all_families(
    setting: Setting, contraction: Contraction, initialize: str | None
) -> tuple[Family, ...]:
    """Return every family of a product that can be built, each once."""
    found: dict[tuple[object, ...], Family] = {}
    for is_swapped in (False, True):
        for family in _oriented(setting, contraction, is_swapped, initialize):
            plan = family.plan
            key = (plan.rows, plan.columns, plan.depth, family.how_a, family.how_b)
            found.setdefault((is_swapped, *key), family)
    return tuple(found.values())


def family_of(
    setting: Setting,
    contraction: Contraction,
    point: MatrixPoint,
    initialize: str | None,
) -> Family | None:
    """Return the family that a point is in; None where it cannot be built."""
    oriented = contraction.swapped() if point.is_swapped else contraction
    whole = replace(
        point,
        row_tile=_WHOLE,
        column_tile=_WHOLE,
        depth_block=_WHOLE,
        taps_block=_WHOLE,
        loops=_outer_loops(oriented, point),
        a=Reading(point.a.how),
        b=Reading(point.b.how),
        parallel=-1,
    )
    plan = plan_for_any(setting, contraction, whole, initialize)
    if not isinstance(plan, MatrixPlan):
        return None
    return Family(plan, point.is_swapped, point.a.how, point.b.how)


def _outer_loops(contraction: Contraction, point: MatrixPoint) -> tuple[TileLoop, ...]:
    """Return loops over single points of all that is in no tile."""
    tiled = {*point.rows, *point.columns, *contraction.depth}
    dims = (*contraction.batch, *contraction.rows, *contraction.columns)
    outer = (d for d in dims if d not in tiled and contraction.sizes[d] > 1)
    return tuple(TileLoop(point_axis(d)) for d in outer)


def _oriented(
    setting: Setting, contraction: Contraction, is_swapped: bool, initialize: str | None
) -> Iterator[Family]:
    oriented = contraction.swapped() if is_swapped else contraction
    ways: tuple[How, ...] = ("in place", "packed", "padded")
    chains = product(_row_chains(setting, oriented), _column_chains(setting, oriented))
    for (rows, columns), how_a, how_b in product(chains, ways, ways):
        if not _is_wanted(setting, oriented, how_a, how_b):
            continue
        for depth in _depth_chains(setting, oriented, how_a, how_b):
            point = MatrixPoint(
                is_swapped,
                rows,
                columns,
                depth,
                *(1, 1, 1, 1),
                (),
                Reading(how_a),
                Reading(how_b),
                microkernel=setting.microkernel,
            )
            family = family_of(setting, contraction, point, initialize)
            if family is not None:
                yield family


def _is_wanted(
    setting: Setting, contraction: Contraction, how_a: How, how_b: How
) -> bool:
    """A copy of the same order is made only of what is padded, widened or computed."""
    pairs = ((how_a, contraction.a), (how_b, contraction.b))
    return all(how != "padded" or _changes(setting, contraction, o) for how, o in pairs)


def _changes(setting: Setting, contraction: Contraction, operand: Operand) -> bool:
    tensor = setting.source(operand)
    if tensor is None or tensor.dtype != contraction.dtype:
        return True
    return any(setting.overhangs(operand, contraction.box))


# Flattenings


def _row_chains(
    setting: Setting, contraction: Contraction
) -> Iterator[tuple[str, ...]]:
    """Yield the row indices that are nearest in the result, then more of them, until
    there are enough rows to fill tiles."""
    c = contraction.c.offset(setting.layout[contraction.c.tensor])
    sizes = contraction.sizes
    moving = [d for d in contraction.rows if sizes[d] > 1]
    ordered = sorted(moving, key=lambda d: abs(c.coefficient(d)))
    chain: tuple[str, ...] = ()
    points = 1
    for d in ordered:
        if points >= ROW_POINTS:
            return
        chain = (d, *chain)
        points *= sizes[d]
        yield chain
    if not ordered:
        yield contraction.rows[:1]


def _column_chains(
    setting: Setting, contraction: Contraction
) -> Iterator[tuple[str, ...]]:
    """Yield the contiguous column index, and the longest contiguous flattening."""
    c = contraction.c.offset(setting.layout[contraction.c.tensor])
    sizes = contraction.sizes
    moving = [d for d in contraction.columns if sizes[d] > 1]
    ordered = sorted(moving, key=lambda d: abs(c.coefficient(d)))
    if not ordered or c.coefficient(ordered[0]) != 1:
        return
    chain: tuple[str, ...] = (ordered[0],)
    yield chain
    for d in ordered[1:]:
        if flat_step(c, (d, *chain), sizes) != 1:
            break
        chain = (d, *chain)
    if len(chain) > 1:
        yield chain


def _depth_chains(
    setting: Setting, contraction: Contraction, how_a: How, how_b: How
) -> Iterator[tuple[str, ...]]:
    """Yield the longest flattening of depth indices that both factors allow, and the
    one of a single index that is nearest in memory."""
    sizes = contraction.sizes
    # Where a row's padding depends on an index, it is no depth.
    fixed: frozenset[str] = frozenset()
    if how_a == "in place":
        fixed = setting.deciding(contraction.a, contraction)
    allowed = [d for d in contraction.depth if sizes[d] > 1 and d not in fixed]
    if not allowed:
        yield ()
        return
    ways = ((how_a, contraction.a), (how_b, contraction.b))
    in_place = [
        _offset(setting, contraction, operand, how)
        for how, operand in ways
        if how != "packed"
    ]
    # A packed factor is filled along what is contiguous in its source.
    by = (
        in_place[0] if in_place else _offset(setting, contraction, contraction.a, how_a)
    )
    ordered = sorted(allowed, key=lambda d: abs(by.coefficient(d)))
    chains = [_grow(first, ordered, in_place, sizes) for first in ordered]
    longest = max(chains, key=lambda chain: prod(sizes[d] for d in chain))
    yield longest
    if len(longest) > 1:
        yield longest[-1:]


def _offset(
    setting: Setting, contraction: Contraction, operand: Operand, how: How
) -> Linear:
    """Return the places of a factor's elements, in its tensor or a padded copy; of a
    computed one, those of what most is read of."""
    if how == "padded":
        return operand.offset(row_major(operand.reach(contraction.box)))
    first = operand.reads[0]
    return first.offset(setting.layout[first.tensor])


def _grow(
    first: str, ordered: list[str], in_place: list[Linear], sizes: dict[str, int]
) -> tuple[str, ...]:
    """Extend a chain outwards while every factor in place stays linear on it."""
    chain: tuple[str, ...] = (first,)
    for d in ordered:
        if d in chain:
            continue
        longer = (d, *chain)
        steps = (flat_step(offset, longer, sizes) for offset in in_place)
        if all(step is not None for step in steps):
            chain = longer
    return chain
