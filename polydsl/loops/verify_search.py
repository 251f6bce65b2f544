"""Points where conditions hold: in closed form, by isl, or by looking at every point.

isl answers under a budget and does not know constant tables; what it does not answer is
enumerated with NumPy over the variables that occur. Beyond that there is `Unproved`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from polydsl.loops.verify_conditions import (
    FALSE,
    All,
    Compare,
    Condition,
    condition_variables,
    conjuncts,
    mask,
    negation,
    simplified,
    within,
)
from polydsl.loops.verify_forms import (
    Form,
    Point,
    Space,
    add,
    expanded,
    grid,
    interval,
    point_at,
    subtract,
)
from polydsl.loops.verify_isl import has_tables, isl_point
from polydsl.poly.isl import BudgetExceeded
from polydsl.poly.terms import Interval

FEW = 1 << 18
"""So many points are looked at without asking isl."""


def some_point(condition: Condition, space: Space) -> Point | None:
    """Return a point of the box where a condition holds, None if there is none."""
    left = simplified(condition, space)
    if left == FALSE:
        return None
    names = sorted(condition_variables(left))
    shape = tuple(space.extent(n) for n in names)
    if prod(shape) > FEW and not has_tables(left):
        try:
            return isl_point(left, names, space)
        except BudgetExceeded:
            pass
    holds = np.broadcast_to(mask(left, space, grid(names, space)), shape)
    if not holds.any():
        return None
    place = np.argwhere(holds)[0].tolist()
    return dict(point_at(place, names, space))


def outside_point(
    form: Form, lo: int, hi: int, where: Sequence[Condition], space: Space
) -> Point | None:
    """Return a point where conditions hold and a form leaves `lo..hi`, or None."""
    least, greatest = interval(form, space)
    if lo <= least and greatest <= hi:
        return None
    least, greatest = _narrowed(form, (least, greatest), where, space)
    if lo <= least and greatest <= hi:
        return None
    outside = negation(All(within(form, lo, hi)))
    return some_point(All((*where, outside)), space)


def _narrowed(
    form: Form, ends: Interval, where: Sequence[Condition], space: Space
) -> Interval:
    """Narrow an interval by conditions on the same form."""
    lo, hi = ends
    for condition in where:
        for known in conjuncts(condition):
            # known >= 0, and form - known is a number: form is at least that number.
            above = expanded(subtract(form, known), space)
            below = expanded(add(form, known), space)
            lo = max(lo, above.constant) if above.is_constant else lo
            hi = min(hi, below.constant) if below.is_constant else hi
    return lo, hi


def differing_point(
    left: Condition, right: Condition, where: Sequence[Condition], space: Space
) -> Point | None:
    """Return a point where just one of two conditions holds, None if they agree."""
    first, second = simplified(left, space), simplified(right, space)
    if _parts(first, space) == _parts(second, space):
        return None
    one = All((first, negation(second), *where))
    other = All((second, negation(first), *where))
    found = some_point(one, space)
    return some_point(other, space) if found is None else found


def _parts(condition: Condition, space: Space) -> frozenset[object]:
    """Return a conjunction as a set of normalised parts."""
    parts = condition.parts if isinstance(condition, All) else (condition,)
    flat: set[object] = set()
    for part in parts:
        match part:
            case Compare(form, relation):
                flat.add((expanded(form, space), relation))
            case All():
                flat |= _parts(part, space)
            case _:
                flat.add(part)
    return frozenset(flat)
