"""Candidates of the project's own space as variants for the published analysis.

The tile loops of a point come first, then the loops that its microkernel stands for, as
scalar loops: taps, rows, columns, depth. Copies are not part of the method. A loop over
a flattened axis moves several dimensions; it becomes a loop over each, the last one
fastest, partial tiles taken as whole ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, prod

import numpy as np

from polydsl.schedule.contraction import Contraction
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.published.footprints import Variants

Move = tuple[str, int, int]
"""A dimension, the trips of a loop over it, and the step."""


def variants_of_points(
    points: Sequence[MatrixPoint], contraction: Contraction
) -> Variants:
    """Return points of one contraction as variants; the axes are those of its result,
    then those of its factors."""
    operands = (contraction.c, contraction.a, contraction.b)
    forms = [form for operand in operands for form in operand.subscripts]
    place = {d: number for number, (d, _) in enumerate(contraction.extents)}
    reach = np.zeros((len(place), len(forms)), np.int64)
    for d, number in place.items():
        reach[number] = [abs(form.coefficient(d)) for form in forms]
    nests = [list(_moves(point, contraction)) for point in points]
    longest = max((len(moves) for moves in nests), default=0)
    trips = np.ones((len(points), longest), np.int64)
    steps = np.zeros((len(points), longest, len(forms)), np.int64)
    for v, moves in enumerate(nests):
        for loop, (dimension, count, step) in enumerate(moves):
            trips[v, loop] = count
            steps[v, loop] = reach[place[dimension]] * step
    ends = np.cumsum([len(operand.subscripts) for operand in operands]).tolist()
    arrays = tuple(tuple(range(a, b)) for a, b in zip([0, *ends], ends))
    return Variants(arrays, trips, steps)


def _moves(point: MatrixPoint, contraction: Contraction) -> Iterator[Move]:
    """Yield the loops of a point, outermost first."""
    sizes = contraction.sizes
    axes = {
        "rows": (point.rows, point.row_tile),
        "columns": (point.columns, point.column_tile),
        "depth": (point.depth, point.depth_block),
        "taps": (_taps(point, contraction), point.taps_block),
    }
    extents = {a: prod(sizes[d] for d in dims) for a, (dims, _) in axes.items()}
    around = {axis: extents[axis] for axis in axes}
    for loop in point.loops:
        if loop.axis not in axes:
            yield loop.dimension, sizes[loop.dimension], 1
            continue
        dims, tile = axes[loop.axis]
        span = min(loop.tiles * tile, extents[loop.axis])
        yield from _unflatten(dims, sizes, ceil(around[loop.axis] / span), span)
        around[loop.axis] = span
    for axis in ("taps", "rows", "columns", "depth"):
        dims, tile = axes[axis]
        yield from _unflatten(dims, sizes, min(tile, extents[axis]), 1)


def _taps(point: MatrixPoint, contraction: Contraction) -> tuple[str, ...]:
    return tuple(d for d in contraction.depth if d not in point.depth)


def _unflatten(
    dims: tuple[str, ...], sizes: Mapping[str, int], trips: int, step: int
) -> Iterator[Move]:
    """Yield loops over dimensions for one over their row-major flattening."""
    moves: list[Move] = []
    points = 1
    for d in reversed(dims):
        if trips > 1 and step < points * sizes[d]:
            by = max(1, step // points)
            count = min(trips, ceil(sizes[d] / by))
            moves.append((d, count, by))
            trips, step = ceil(trips / count), points * sizes[d]
        points *= sizes[d]
    yield from reversed(moves)
