"""Points of a domain looked at one by one, where isl would take too long.

Only the indices that occur in the question are enumerated, so that a subscript of two
indices in a statement of seven stays a question about two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from polydsl.base.functions import FUNCTIONS
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.terms import Interval
from polydsl.semantics.program import Call, Cast, Expr, Index, Literal, Size, Value

LIMIT = 20_000_000
"""More points than this are not enumerated."""

Array = np.ndarray[Any, Any]


def outside_point(
    subscript: Expr,
    extent: int,
    conditions: Sequence[Expr],
    box: Mapping[str, Interval],
    binding: Mapping[str, Value],
) -> dict[str, int] | None:
    """Return a point of the box at which the conditions hold and a subscript is outside
    [0, extent), with the least value of every other index; None if there is none.

    Raises `OverflowError` for more than `LIMIT` points.
    """
    names = ordered_indices(subscript, *conditions)
    spans = [range(box[n][0], box[n][1] + 1) for n in names]
    if prod(len(span) for span in spans) > LIMIT:
        raise OverflowError(f"more than {LIMIT} points")
    axes = np.meshgrid(*(np.array(span) for span in spans), indexing="ij", sparse=True)
    grid = dict(zip(names, axes))
    value = term_values(subscript, grid, binding)
    wrong = (value < 0) | (value >= extent)
    for condition in conditions:
        wrong = wrong & term_values(condition, grid, binding)
    shape = tuple(len(span) for span in spans)
    places = np.argwhere(np.broadcast_to(wrong, shape))
    if not len(places):
        return None
    point = {name: lo for name, (lo, _) in box.items()}
    point.update({n: s[int(i)] for n, s, i in zip(names, spans, places[0])})
    return point


def term_values(
    expr: Expr, grid: Mapping[str, Array], binding: Mapping[str, Value]
) -> Array:
    """Return a quasi-affine term or condition at every point of a grid."""
    match expr:
        case Literal(value):
            return np.asarray(value)
        case Size(name):
            return np.asarray(binding[name])
        case Index(name):
            return grid[name]
        case Cast(operand):
            return term_values(operand, grid, binding)
        case Call(function, arguments):
            values = (term_values(a, grid, binding) for a in arguments)
            return np.asarray(FUNCTIONS[function].numpy(*values))
        case _:
            raise TypeError(f"not quasi-affine: {expr}")
