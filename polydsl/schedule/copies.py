"""Copies of a factor: padded, or packed in tiles, and in the type of the product.

A factor that is computed has its value in the place of an element of a tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from polydsl.base.dtypes import I64, DType
from polydsl.base.source import Span
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.substitute import bounds, linear_term, substitute
from polydsl.poly.terms import Linear
from polydsl.schedule.inner_product import widened_access
from polydsl.schedule.matrix_plan import Copy, Limit, Runs, Side
from polydsl.schedule.matrix_point import Axis, point_axis
from polydsl.schedule.operand import Layout, Operand
from polydsl.schedule.vector_access import step
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Pad,
    accesses,
)


def arranged(copy: Copy, layout: Layout) -> Copy:
    """Return the copy with the order of its loops: as the source lies in memory, so
    that it is read in long runs, and transposed in blocks where that is possible."""
    copy = _turned(copy, layout)
    inner = {copy.turned, copy.dims[-1]}
    outer = [d for d in copy.stored if d not in inner]
    moves = {d: _moved(copy, d, layout) for d in outer}
    if None not in moves.values():
        outer.sort(key=lambda d: -abs(moves[d] or 0))
    return replace(copy, order=tuple(outer))


def main_access(value: Expr) -> Access:
    """Return the access of a copied value that most indices move."""
    return max(accesses(value), key=lambda a: len(ordered_indices(a)))


def _moved(copy: Copy, dim: str, layout: Layout) -> int | None:
    """Return how far the source moves, in elements, when a dimension moves by one:
    along a line where it moves the lanes. None if irregular."""
    access = main_access(copy.value)
    own = step(access, dim, layout, {}, copy.box)
    factor = 0 if copy.runs is None else copy.runs.position.coefficient(dim)
    if own is None or not factor:
        return own
    column = step(access, copy.along, layout, {}, copy.box)
    return None if column is None else own + factor * column


def _turned(copy: Copy, layout: Layout) -> Copy:
    """Return the copy with the dimension along which its source is contiguous, if that
    is not the last and nothing is padded."""
    longest = min(copy.extents[-1], copy.box[copy.along][1] + 1)
    if isinstance(widened_access(copy.value), Pad) or longest < copy.lanes:
        return copy
    access = main_access(copy.value)
    if step(access, copy.along, layout, {}, copy.box) in (0, 1):
        return copy
    found = [*accesses(copy.value)]

    def is_along(d: str) -> bool:
        """Whether rows of the source lie along a dimension, and nothing is scattered
        there."""
        moves = [step(a, d, layout, {}, copy.box) for a in found]
        own = step(access, d, layout, {}, copy.box)
        return own == 1 and all(move in (0, 1) for move in moves)

    stored = zip(copy.stored[:-1], copy.shape)
    along = [d for d, n in stored if n >= copy.lanes and is_along(d)]
    return replace(copy, turned=along[0]) if along else copy


def pad_copy(
    operand: Operand,
    name: str,
    source: DType,
    dtype: DType,
    sizes: Mapping[str, int],
    around: tuple[str, ...],
    loops: int,
    span: Span,
    prepared: bool,
    lanes: int,
) -> tuple[Copy, Operand]:
    """Return a copy of all that *operand* touches, padding included, and the access
    to it. *source* is the type of the tensor, *dtype* that of the copy. It is made
    inside of so many loops, of which those over the dimensions *around* move it.

        x[h + r - 1]  ->  x_pad[i] = pad(x[i - 1]);  x_pad[h + r]
    """
    outer = {d: f"{name}_{d}" for d in around}
    box = {d: (0, n - 1) for d, n in sizes.items()}
    subscripts: list[Expr] = []
    stored: list[tuple[str, int]] = []
    shifted: list[Linear] = []
    for axis, subscript in enumerate(operand.subscripts):
        moved, rest = _parted(subscript, outer)
        if rest.coefficients:
            (lo, hi), d = bounds(rest, box), f"{name}_{axis}"
            shifted.append(Linear(rest.coefficients, rest.constant - lo))
            stored.append((d, hi - lo + 1))
            rest = Linear(((d, 1),), lo)
        place = Linear((*moved, *rest.coefficients), rest.constant)
        subscripts.append(linear_term(place, span))
    value = _element(operand, tuple(subscripts), source, dtype, span)
    dims = (*((outer[d], sizes[d]) for d in around), *stored)
    copy = Copy(
        name,
        operand.tensor,
        dtype,
        tuple(d for d, _ in dims),
        tuple(n for _, n in dims),
        value,
        tuple(map(point_axis, around)),
        prepared,
        is_pack=False,
        lanes=lanes,
        loops=loops,
    )
    return copy, Operand(name, tuple(shifted))


def _parted(
    subscript: Linear, outer: Mapping[str, str]
) -> tuple[tuple[tuple[str, int], ...], Linear]:
    """Return what loops around a copy move a subscript by, with the copy's names for
    them, and the rest."""
    terms = subscript.coefficients
    moved = tuple((outer[d], c) for d, c in terms if d in outer)
    rest = tuple((d, c) for d, c in terms if d not in outer)
    return moved, Linear(rest, subscript.constant)


@dataclass(frozen=True, slots=True)
class Part:
    """What a copy holds of an axis: `tiles` of its tiles, or all of it."""

    axis: Axis
    side: Side
    tiles: int

    @property
    def is_whole(self) -> bool:
        """Whether the copy holds the axis from end to end."""
        return self.tiles >= self.side.tiles

    @property
    def blocks(self) -> int:
        """The number of parts of the axis."""
        return -(-self.side.tiles // self.tiles)


@dataclass(frozen=True, slots=True)
class Packing:
    """How a factor is packed: as many loops as `loops` are around the copy, `around`
        are the factor's dimensions that those run over point by point, `inside` those
    that the others do."""

    around: tuple[str, ...]
    inside: tuple[str, ...]
    lanes: Part
    taps: Part
    depth: Part
    loops: int


@dataclass(frozen=True, slots=True)
class _Axes:
    """Dimensions of a copy with their extents: those around it with the axis of their
    loop, those stored in it, and the limits of these."""

    around: tuple[tuple[str, int, str], ...] = ()
    stored: tuple[tuple[str, int], ...] = ()
    limits: tuple[Limit, ...] = ()


def pack_copy(
    operand: Operand,
    name: str,
    source: DType,
    dtype: DType,
    sizes: Mapping[str, int],
    packing: Packing,
    span: Span,
    prepared: bool,
    lanes: int,
) -> Copy:
    """Return the copy of a factor in tiles, `[outer, tile, taps, depth, lane]`.
    *source* is the type of the tensor, *dtype* that of the copy.

    Lanes past the end of the last tile hold zero. An axis of which the copy holds a
    part has the number of the part as a dimension around the copy.
    """
    outer = _points(name, packing.around, sizes)
    inner = _points(name, packing.inside, sizes)
    terms: dict[str, Expr] = {d: Index(new, span) for d, new, _ in (*outer, *inner)}
    tiles, flat = _tile_axes(name, packing.lanes)
    around_points = tuple((new, n, point_axis(d)) for d, new, n in outer)
    axes = [_Axes(around=around_points), _Axes(stored=_named(inner)), tiles]
    for part in (packing.taps, packing.depth):
        found, values = _run_axes(name, part, sizes, span)
        axes.append(found)
        terms.update(values)
    side = packing.lanes.side
    for d in operand.dims - terms.keys() - {*side.dims}:
        terms[d] = Literal(0, I64, span)
    runs, lines = _lines(name, side, flat, sizes, span)
    around = tuple(entry for a in axes for entry in a.around)
    stored = (*(e for a in axes for e in a.stored), (f"{name}_lane'", side.tile))
    extents = (*((d, n) for d, n, _ in around), *stored)
    subscripts = tuple(
        substitute(linear_term(s, span), {**terms, **lines}) for s in operand.subscripts
    )
    return Copy(
        name,
        operand.tensor,
        dtype,
        tuple(d for d, _ in extents),
        tuple(n for _, n in extents),
        _element(operand, subscripts, source, dtype, span),
        tuple(axis for _, _, axis in around),
        prepared,
        is_pack=True,
        lanes=lanes,
        limits=tuple(limit for a in axes for limit in a.limits),
        loops=packing.loops,
        runs=runs,
    )


def _points(
    name: str, dims: tuple[str, ...], sizes: Mapping[str, int]
) -> tuple[tuple[str, str, int], ...]:
    """Return dimensions with their names in a copy and their extents."""
    return tuple((d, f"{name}_{d}", sizes[d]) for d in dims)


def _named(points: tuple[tuple[str, str, int], ...]) -> tuple[tuple[str, int], ...]:
    return tuple((new, n) for _, new, n in points)


def _tile_axes(name: str, part: Part) -> tuple[_Axes, Linear]:
    """Return the dimensions that count a copy's tiles, and the position of a lane."""
    block, number, tile = f"{name}_block'", f"{name}_tile'", part.side.tile
    position = [(f"{name}_lane'", 1)]
    if part.is_whole:
        stored = ((number, part.side.tiles),)
        return _Axes(stored=stored), Linear(((number, tile), *position), 0)
    around = ((block, part.blocks, part.axis),)
    position.insert(0, (block, tile * part.tiles))
    if part.tiles == 1:
        return _Axes(around), Linear(tuple(position), 0)
    position.insert(1, (number, tile))
    total = part.side.tiles
    limits = (Limit(block, number, total),) if total % part.tiles else ()
    axes = _Axes(around, ((number, part.tiles),), limits)
    return axes, Linear(tuple(position), 0)


def _run_axes(
    name: str, part: Part, sizes: Mapping[str, int], span: Span
) -> tuple[_Axes, dict[str, Expr]]:
    """Return the dimensions of a copy that run over taps or depth, and the factor's
    dimensions in them: one for each that the copy holds from end to end, and one for
    the flattening of the others."""
    dims = part.side.dims
    held, total = part.tiles * part.side.tile, part.side.extent
    cut = 0 if part.is_whole else _cut(dims, held, sizes)
    points = _points(name, dims[cut:], sizes)
    values: dict[str, Expr] = {d: Index(new, span) for d, new, _ in points}
    if part.is_whole:
        return _Axes(stored=_named(points)), values
    block, step = f"{name}_{part.axis}_block'", f"{name}_{part.axis}'"
    inner = prod(n for _, _, n in points)
    held, total = held // inner, total // inner
    limits = (Limit(block, step, total),) if total % held else ()
    stored = ((step, held), *_named(points))
    axes = _Axes(((block, part.blocks, part.axis),), stored, limits)
    flat = linear_term(Linear(((block, held), (step, 1)), 0), span)
    return axes, values | unflatten(flat, dims[:cut], sizes, span)


def _cut(dims: tuple[str, ...], held: int, sizes: Mapping[str, int]) -> int:
    """Return how many of the first dimensions of a flattening are cut where so many
    positions of it are held: the others are there from end to end."""
    for cut in range(1, len(dims)):
        if held % prod(sizes[d] for d in dims[cut:]) == 0:
            return cut
    return len(dims)


def _element(
    operand: Operand,
    subscripts: tuple[Expr, ...],
    source: DType,
    dtype: DType,
    span: Span,
) -> Expr:
    """Return an element of an operand of type *source* as *dtype*, padding included."""
    if operand.computed is not None:
        return substitute(
            operand.computed.value, dict(zip(operand.computed.dims, subscripts))
        )
    value: Expr
    access = value = Access(operand.tensor, subscripts, source, span)
    if operand.pad is not None:
        value = Pad(access, operand.pad, operand.pad.dtype, span)
    return value if value.dtype == dtype else Cast(value, dtype, False, span)


def _lines(
    name: str, side: Side, flat: Linear, sizes: Mapping[str, int], span: Span
) -> tuple[Runs, dict[str, Expr]]:
    """Return how lanes lie in lines, positions that differ in the last of the side's
    dimensions only, and each of the dimensions in terms of line and column.

    x[p * 2, q * 2]  ->  x[line * 2, column * 2]
    """
    *outer, last = [d for d in side.dims if sizes[d] > 1] or side.dims[:1]
    line, column = f"{name}_line'", f"{name}_column'"
    terms: dict[str, Expr] = {d: Literal(0, I64, span) for d in side.dims}
    terms |= unflatten(Index(line, span), tuple(outer), sizes, span)
    terms[last] = Index(column, span)
    return Runs(line, column, sizes[last], side.extent, flat), terms


def unflatten(
    flat: Expr, dims: tuple[str, ...], sizes: Mapping[str, int], span: Span
) -> dict[str, Expr]:
    """Return each dimension of a row-major flattening in terms of the position."""
    terms: dict[str, Expr] = {}
    step = 1
    for position, d in reversed(tuple(enumerate(dims))):
        term = flat
        if step > 1:
            term = Call("floordiv", (term, Literal(step, I64, span)), I64, span)
        if position > 0:
            term = Call("mod", (term, Literal(sizes[d], I64, span)), I64, span)
        terms[d] = term
        step *= sizes[d]
    return terms
