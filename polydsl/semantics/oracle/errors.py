"""What the oracle reports when a program or its indirect subscripts are wrong.

The compiler proves most of this before anything runs; the oracle finds it by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np

from polydsl.base.checks import subscript_error
from polydsl.base.diagnostics import Diagnostic, ProgramError
from polydsl.base.source import Span
from polydsl.semantics.oracle.grids import Grid, index_names
from polydsl.semantics.oracle.numbers import Bools, Ints
from polydsl.semantics.program import Expr, Reduce, accesses


def point_at(grid: Grid, mask: Bools) -> tuple[dict[str, int], tuple[int, ...]]:
    """Return the index values at the first point of *mask*, and its place."""
    full = np.broadcast_to(mask, np.broadcast_shapes(mask.shape, grid.shape))
    place = tuple(int(p) for p in np.unravel_index(int(np.argmax(full)), full.shape))
    point = {name: value_at(values, place) for name, values in grid.indices.items()}
    return point, place


def least_point(
    grid: Grid, mask: Bools, order: Sequence[str]
) -> tuple[dict[str, int], tuple[int, ...]]:
    """Return the index values at the point of *mask* that is first in the order of
    some indices, and its place."""
    full = np.broadcast_to(mask, np.broadcast_shapes(mask.shape, grid.shape))
    places = np.argwhere(full)
    names = [name for name in order if name in grid.indices]
    columns = [np.broadcast_to(grid.indices[name], full.shape)[full] for name in names]
    # The last key of a lexical sort is the one that counts most.
    first = int(np.lexsort(columns[::-1])[0]) if columns else 0
    place = tuple(int(p) for p in places[first])
    point = {name: value_at(values, place) for name, values in grid.indices.items()}
    return point, place


def value_at(values: Ints, place: tuple[int, ...]) -> int:
    """Return one element of an array that broadcasts to a grid."""
    inner = place[len(place) - values.ndim :]
    own = tuple(p if n > 1 else 0 for p, n in zip(inner, values.shape, strict=True))
    return int(values[own])


def describe(point: Mapping[str, int]) -> str:
    """Return index values as text: `i = 3, j = 0`."""
    return ", ".join(f"{name} = {value}" for name, value in point.items())


def element(tensor: str, place: Sequence[int]) -> str:
    """Return an element as text: `x[3, 0]`."""
    return f"{tensor}[{', '.join(map(str, place))}]" if place else tensor


def outside(
    tensor: str,
    subscript: Expr,
    dimension: int,
    extent: int,
    values: Ints,
    grid: Grid,
    mask: Bools,
    order: Sequence[str],
) -> NoReturn:
    """Report a subscript outside its dimension: by whose fault it is.

    Of several points with an indirect one outside, the first in the *order* of the
    program's indices.
    """
    if any(accesses(subscript)):
        point, place = least_point(grid, mask, order)
        value = value_at(values, place)
        shown = {n: point[n] for n in order if n in index_names(subscript)}
        raise subscript_error(tensor, dimension, extent, value, shown)
    point, place = point_at(grid, mask)
    value = value_at(values, place)
    used = {name: point[name] for name in index_names(subscript)}
    where = f"{describe(used)} gives {value}" if used else f"the subscript is {value}"
    fail(
        "E0312",
        f"{tensor} is accessed outside its bounds",
        subscript.span,
        f"{where}, but dimension {dimension} of {tensor} has extent {extent}",
        "wrap the access in pad(...), or shorten the range of the index",
    )


def undefined(
    tensor: str, subscripts: Sequence[Ints], span: Span, grid: Grid, mask: Bools
) -> NoReturn:
    """Report the first read of an element that no statement defines."""
    point, place = point_at(grid, mask)
    at = [value_at(np.asarray(values), place) for values in subscripts]
    fail(
        "E0313",
        f"{element(tensor, at)} is read but never defined",
        span,
        f"read at {describe(point)}" if point else "read here",
        f"widen the ranges of the statements that define {tensor}, or use pad(...)",
    )


def no_order(first: str, second: str, span: Span) -> NoReturn:
    """Report two elements of a recurrence that need each other."""
    if first == second:
        message = f"{first} needs itself"
    else:
        message = f"{first} and {second} need each other"
    fail(
        "E0314",
        f"no order of the points exists: {message}",
        span,
        "the recurrence",
        "read only elements that an earlier point defines",
    )


def nothing_to_choose(reduce: Reduce, grid: Grid, mask: Bools) -> NoReturn:
    """Report an `argmax` or `argmin` without a single term."""
    point, _ = point_at(grid, mask)
    fail(
        "E0315",
        f"{reduce.op} over nothing has no position",
        reduce.span,
        f"no term at {describe(point)}" if point else "no term",
        "give the index a range that is never empty",
    )


def fail(code: str, message: str, span: Span, label: str, hint: str) -> NoReturn:
    """Raise one diagnostic."""
    raise ProgramError((Diagnostic(code, message, span, label, hint),))
