"""Copies of a factor: padded, or packed in tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from polydsl.base.dtypes import BOOL, I64, DType
from polydsl.base.source import Span
from polydsl.poly.substitute import bounds, linear_term, substitute
from polydsl.poly.terms import Interval, Linear
from polydsl.schedule.matrix_plan import Copy, Limit, Side
from polydsl.schedule.matrix_point import Axis, point_axis
from polydsl.schedule.operand import Layout, Operand
from polydsl.schedule.vector_access import step
from polydsl.semantics.program import (
    Access,
    Call,
    Expr,
    Index,
    Literal,
    Pad,
    Select,
    accesses,
)


def arranged(copy: Copy, layout: Layout) -> Copy:
    """Return the copy with the order of its loops: as the source lies in memory, so
    that it is read in long runs, and transposed in blocks where that is possible."""
    copy = _turned(copy, layout)
    box = {d: (0, n - 1) for d, n in zip(copy.dims, copy.extents)}
    inner = {copy.turned, copy.dims[-1]}
    outer = [d for d in copy.stored if d not in inner]
    (access, *_) = accesses(copy.value)
    moves = {d: step(access, d, layout, {}, box) for d in outer}
    if None not in moves.values():
        outer.sort(key=lambda d: -abs(moves[d] or 0))
    return replace(copy, order=tuple(outer))


def _turned(copy: Copy, layout: Layout) -> Copy:
    """Return the copy with the dimension along which its source is contiguous, if that
    is not the last and the copy is plain: no padding, no lanes that stay empty."""
    box = {d: (0, n - 1) for d, n in zip(copy.dims, copy.extents)}
    if not isinstance(copy.value, Access) or copy.extents[-1] < copy.lanes:
        return copy
    steps = {d: step(copy.value, d, layout, {}, box) for d in copy.dims}
    if steps[copy.dims[-1]] in (None, 0, 1):
        return copy
    stored = zip(copy.stored[:-1], copy.shape)
    along = [d for d, n in stored if steps[d] == 1 and n >= copy.lanes]
    return replace(copy, turned=along[0]) if along else copy


def pad_copy(
    operand: Operand,
    name: str,
    dtype: DType,
    shape: tuple[int, ...],
    box: Mapping[str, Interval],
    span: Span,
    prepared: bool,
    lanes: int,
) -> tuple[Copy, Operand]:
    """Return a copy of all that *operand* touches, padding included, and the access
    to it.

        x[h + r - 1]  ->  x_pad[i] = pad(x[i - 1]);  x_pad[h + r]
    """
    ends = [bounds(s, box) for s in operand.subscripts]
    dims = tuple(f"{name}_{axis}" for axis in range(len(shape)))
    subscripts = tuple(
        linear_term(Linear(((d, 1),), lo), span) for d, (lo, _) in zip(dims, ends)
    )
    value: Expr = Access(operand.tensor, subscripts, dtype, span)
    if operand.pad is not None:
        value = Pad(
            Access(operand.tensor, subscripts, dtype, span), operand.pad, dtype, span
        )
    shifted = tuple(
        Linear(s.coefficients, s.constant - lo)
        for s, (lo, _) in zip(operand.subscripts, ends)
    )
    extents = operand.reach(box)
    copy = Copy(
        name, operand.tensor, dtype, dims, extents, value, (), prepared, False, lanes
    )
    return copy, Operand(name, shifted)


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
    dtype: DType,
    sizes: Mapping[str, int],
    packing: Packing,
    span: Span,
    prepared: bool,
    lanes: int,
) -> Copy:
    """Return the copy of a factor in tiles, `[outer, tile, taps, depth, lane]`.

    Lanes past the end of the last tile hold zero. An axis of which the copy holds a
    part has the number of the part as a dimension around the copy.
    """
    outer = _points(name, packing.around, sizes)
    inner = _points(name, packing.inside, sizes)
    terms: dict[str, Expr] = {d: Index(new, span) for d, new, _ in (*outer, *inner)}
    tiles, flat = _tile_axes(name, packing.lanes)
    position = linear_term(flat, span)
    terms.update(unflatten(position, packing.lanes.side.dims, sizes, span))
    around_points = tuple((new, n, point_axis(d)) for d, new, n in outer)
    axes = [_Axes(around=around_points), _Axes(stored=_named(inner)), tiles]
    for part in (packing.taps, packing.depth):
        found, values = _run_axes(name, part, sizes, span)
        axes.append(found)
        terms.update(values)
    for d in operand.dims - terms.keys():
        terms[d] = Literal(0, I64, span)
    tile = packing.lanes.side.tile
    around = tuple(entry for a in axes for entry in a.around)
    stored = (*(e for a in axes for e in a.stored), (f"{name}_lane'", tile))
    extents = (*((d, n) for d, n, _ in around), *stored)
    return Copy(
        name,
        operand.tensor,
        dtype,
        tuple(d for d, _ in extents),
        tuple(n for _, n in extents),
        _element(operand, terms, dtype, span, position, packing.lanes.side),
        tuple(axis for _, _, axis in around),
        prepared,
        is_pack=True,
        lanes=lanes,
        limits=tuple(limit for a in axes for limit in a.limits),
        loops=packing.loops,
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
    dimensions in them."""
    dims = part.side.dims
    if part.is_whole:
        points = _points(name, dims, sizes)
        values: dict[str, Expr] = {d: Index(new, span) for d, new, _ in points}
        return _Axes(stored=_named(points)), values
    block, step = f"{name}_{part.axis}_block'", f"{name}_{part.axis}'"
    held, total = part.tiles * part.side.tile, part.side.extent
    limits = (Limit(block, step, total),) if total % held else ()
    axes = _Axes(((block, part.blocks, part.axis),), ((step, held),), limits)
    flat = linear_term(Linear(((block, held), (step, 1)), 0), span)
    return axes, unflatten(flat, dims, sizes, span)


def _element(
    operand: Operand,
    terms: Mapping[str, Expr],
    dtype: DType,
    span: Span,
    position: Expr,
    side: Side,
) -> Expr:
    """Return an element of the factor, zero in the lanes past the end."""
    subscripts = tuple(
        substitute(linear_term(s, span), terms) for s in operand.subscripts
    )
    access = Access(operand.tensor, subscripts, dtype, span)
    value: Expr = access
    if operand.pad is not None:
        value = Pad(access, operand.pad, dtype, span)
    if not side.rest:
        return value
    inside = Call("lt", (position, Literal(side.extent, I64, span)), BOOL, span)
    return Select(inside, value, Literal(0.0, dtype, span), dtype, span)


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
