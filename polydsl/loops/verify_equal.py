"""Whether two forms are equal at every point, decided group by group of variables."""

from __future__ import annotations

import numpy as np

from polydsl.loops.verify_forms import (
    Form,
    Point,
    Space,
    Var,
    evaluate,
    expanded,
    grid,
    point_at,
    subtract,
    variables,
)


def difference_point(left: Form, right: Form, space: Space) -> Point | None:
    """Return a point of the box at which two forms differ, None if they are equal."""
    if left == right:
        return None
    return nonzero_point(expanded(subtract(left, right), space), space)


def nonzero_point(form: Form, space: Space) -> Point | None:
    """Return a point at which a form is not 0, None if it is 0 everywhere.

    Terms that share no variable are looked at apart: the sum is constant exactly if
    the sum of every such group is.
    """
    if form.is_constant:
        return {} if form.constant else None
    total = form.constant
    for group in _groups(form):
        names = sorted(variables(group))
        linear = all(isinstance(a, Var) for a, _ in group.terms)
        if linear:
            # A linear form that is not constant differs at the ends of a variable.
            moving = [n for n in names if space.extent(n) > 1]
            if moving:
                return _ends(form, moving[0], space)
        shape = tuple(space.extent(n) for n in names)
        values = evaluate(group, space, grid(names, space))
        values = np.broadcast_to(values, shape)
        first = int(values.flat[0])
        if not (values == first).all():
            place = np.argwhere(values != first)[0]
            other = dict(point_at(place.tolist(), names, space))
            return _completed(form, other, names, space)
        total += first
    return None if total == 0 else _corner(form, space)


def _groups(form: Form) -> list[Form]:
    """Return the terms of a form in groups that share no variable."""
    groups: list[tuple[frozenset[str], Form]] = []
    for term in form.terms:
        names = variables(Form(frozenset((term,)), 0))
        merged = {term}
        apart: list[tuple[frozenset[str], Form]] = []
        for other_names, other in groups:
            if names & other_names:
                names |= other_names
                merged |= other.terms
            else:
                apart.append((other_names, other))
        groups = [*apart, (names, Form(frozenset(merged), 0))]
    return [group for _, group in groups]


def _corner(form: Form, space: Space) -> Point:
    return {name: space.box[name][0] for name in sorted(variables(form))}


def _ends(form: Form, name: str, space: Space) -> Point:
    """Return the corner, or the point at the other end of a variable."""
    corner = _corner(form, space)
    return _not_zero(form, corner, {**corner, name: space.box[name][1]}, space)


def _completed(form: Form, other: Point, names: list[str], space: Space) -> Point:
    """Return a point of which a group of variables decides whether it is zero."""
    corner = _corner(form, space)
    return _not_zero(form, corner, {**corner, **other}, space)


def _not_zero(form: Form, first: Point, second: Point, space: Space) -> Point:
    at = evaluate(form, space, {n: np.array(v) for n, v in first.items()})
    return first if int(at) else second
