"""Points where conditions hold: in closed form, by isl, or by looking at every point.

isl answers under a budget and does not know constant tables; what it does not answer is
enumerated with NumPy over the variables that occur. Beyond that there is `Unproved`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import assert_never

import numpy as np

from polydsl.loops.verify_conditions import (
    FALSE,
    All,
    Any,
    Compare,
    Condition,
    atoms_of,
    condition_variables,
    conjuncts,
    mask,
    negation,
    simplified,
    within,
)
from polydsl.loops.verify_forms import (
    Atom,
    Extreme,
    Floor,
    Form,
    Lookup,
    Point,
    Remainder,
    Space,
    Var,
    add,
    expanded,
    grid,
    interval,
    point_at,
    subtract,
)
from polydsl.poly.isl import BudgetExceeded, budget, domain_text, parse_set, sample
from polydsl.poly.terms import Interval

FEW = 1 << 16
"""So many points are looked at without asking isl."""
OPERATIONS = 50_000
"""isl's budget for one question: about 0.4 s."""


def some_point(condition: Condition, space: Space) -> Point | None:
    """Return a point of the box where a condition holds, None if there is none."""
    left = simplified(condition, space)
    if left == FALSE:
        return None
    names = sorted(condition_variables(left))
    shape = tuple(space.extent(n) for n in names)
    if prod(shape) > FEW and not _has_tables(left):
        try:
            return _isl_point(left, names, space)
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


# isl


def _has_tables(condition: Condition) -> bool:
    return any(_form_has_tables(part.form) for part in atoms_of(condition))


def _form_has_tables(form: Form) -> bool:
    for a, _ in form.terms:
        match a:
            case Lookup():
                return True
            case Floor(inner) | Remainder(inner):
                if _form_has_tables(inner):
                    return True
            case Extreme(_, forms):
                if any(_form_has_tables(f) for f in forms):
                    return True
            case Var():
                pass
            case _:
                assert_never(a)
    return False


def _isl_point(
    condition: Condition, names: Sequence[str], space: Space
) -> Point | None:
    texts = {name: f"v{number}" for number, name in enumerate(names)}
    where = [
        f"{space.box[name][0]} <= {text} <= {space.box[name][1]}"
        for name, text in texts.items()
    ]
    where.append(_condition_text(condition, texts))
    with budget(OPERATIONS):
        found = sample(parse_set(domain_text("", list(texts.values()), where)))
    if found is None:
        return None
    return {name: found[text] for name, text in texts.items()}


def _condition_text(condition: Condition, texts: Mapping[str, str]) -> str:
    match condition:
        case Compare(form, relation):
            symbol = {"ge": ">=", "eq": "=", "ne": "!="}[relation]
            return f"{_form_text(form, texts)} {symbol} 0"
        case All(parts):
            return " and ".join(f"({_condition_text(p, texts)})" for p in parts) or (
                "0 = 0"
            )
        case Any(parts):
            return " or ".join(f"({_condition_text(p, texts)})" for p in parts) or (
                "0 = 1"
            )
        case _:
            assert_never(condition)


def _form_text(form: Form, texts: Mapping[str, str]) -> str:
    parts = [f"{c}*{_atom_text(a, texts)}" for a, c in form.terms]
    return f"({' + '.join((*parts, str(form.constant)))})"


def _atom_text(a: Atom, texts: Mapping[str, str]) -> str:
    match a:
        case Var(name):
            return texts[name]
        case Floor(form, divisor):
            return f"floor({_form_text(form, texts)}/{divisor})"
        case Remainder(form, divisor):
            return f"({_form_text(form, texts)} mod {divisor})"
        case Extreme(is_least, forms):
            inner = ", ".join(_form_text(f, texts) for f in forms)
            return f"{'min' if is_least else 'max'}({inner})"
        case Lookup():
            raise BudgetExceeded("isl knows no tables")
        case _:
            assert_never(a)
