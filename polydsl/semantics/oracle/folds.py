"""Reductions over index ranges: the grids of their terms, whole or in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np

from polydsl.base.functions import Reduction
from polydsl.semantics.oracle.contraction import contract
from polydsl.semantics.oracle.grids import Grid, Interval, index_names, used_indices
from polydsl.semantics.oracle.numbers import YES, Bools
from polydsl.semantics.oracle.reductions import Outcome, merge, reduce_terms
from polydsl.semantics.oracle.scope import Scope
from polydsl.semantics.program import Call, Expr

FOLD_POINTS = 1 << 21
CONTRACTION_POINTS = 1 << 23


def fold(
    op: Reduction,
    names: Sequence[str],
    joint: Sequence[str],
    body: Expr,
    grid: Grid,
    scope: Scope,
) -> tuple[Outcome, Grid]:
    """Reduce *body* over the indices *names*, in pieces if the grid is large.

    The ranges of *joint*, indices of the grid, are applied together with those of
    *names*. Also returns the (last) grid of the terms.
    """
    product = _as_contraction(op, names, joint, body, grid, scope)
    if product is not None:
        return product
    lengths = {name: scope.boxes[name][1] - scope.boxes[name][0] for name in names}
    points = grid.points * prod(lengths.values())
    pieces = 1
    if names and op not in ("argmax", "argmin"):
        pieces = min(-(-points // FOLD_POINTS), lengths[names[0]])
    low, high = scope.boxes[names[0]] if names else (0, 0)
    cuts = np.linspace(low, high, max(pieces, 1) + 1).astype(np.int64)
    total: Outcome | None = None
    for start, stop in pairwise(cuts):
        inner = _extended(names, (int(start), int(stop)), grid, scope)
        inner = inner.restricted(ranges_mask((*names, *joint), inner, scope))
        terms = scope.evaluate(body, inner, scope)
        part = reduce_terms(
            op, terms, body.dtype, inner.shape, len(names), inner.active
        )
        total = part if total is None else merge(op, total, part, body.dtype)
    assert total is not None
    return total, inner


def _extended(names: Sequence[str], first: Interval, grid: Grid, scope: Scope) -> Grid:
    """Add an axis for each of *names*, the first one outermost and cut to a piece."""
    for position in reversed(range(len(names))):
        low, high = first if position == 0 else scope.boxes[names[position]]
        values = np.arange(low, high, dtype=np.int64)
        grid = grid.with_axis(names[position], values)
    return grid


def ranges_mask(names: Sequence[str], grid: Grid, scope: Scope) -> Bools:
    """Return where the indices lie in ranges that depend on other indices."""
    mask = YES
    for name in names:
        bounds = scope.program.range(name)
        if used_indices(bounds):
            low = scope.evaluate(bounds.lo, grid, scope).value
            high = scope.evaluate(bounds.hi, grid, scope).value
            index = grid.indices[name]
            mask = mask & (low <= index) & (index < high)
    return mask


def _as_contraction(
    op: Reduction,
    names: Sequence[str],
    joint: Sequence[str],
    body: Expr,
    grid: Grid,
    scope: Scope,
) -> tuple[Outcome, Grid] | None:
    """Compute a sum of products as a matrix product, where that is the same."""
    if op not in ("sum", "mean") or not is_product(body) or not names:
        return None
    if grid.own is not None or any(
        used_indices(scope.program.range(name)) for name in (*names, *joint)
    ):
        return None
    inner = _extended(names, scope.boxes[names[0]], grid, scope)
    assert isinstance(body, Call)
    if max(footprint(a, inner) for a in body.arguments) > CONTRACTION_POINTS:
        return None
    left, right = (scope.evaluate(a, inner, scope) for a in body.arguments)
    partial = contract(left, right, inner.shape, len(names), body.dtype)
    return None if partial is None else (partial, inner)


def is_product(expr: Expr) -> bool:
    """Whether *expr* is a product of numbers."""
    return isinstance(expr, Call) and expr.function == "mul"


def footprint(expr: Expr, grid: Grid) -> int:
    """Return the number of points that *expr* varies over, of those of *grid*."""
    names = [name for name in index_names(expr) if name in grid.indices]
    shapes = [grid.indices[name].shape for name in names]
    return prod(np.broadcast_shapes(*shapes)) if shapes else 1
