"""Copies of a factor: padded, or packed in tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from polydsl.base.dtypes import BOOL, I64, DType
from polydsl.base.source import Span
from polydsl.poly.substitute import bounds, linear_term, substitute
from polydsl.poly.terms import Interval, Linear
from polydsl.schedule.matrix_plan import Copy
from polydsl.schedule.operand import Layout, Operand
from polydsl.schedule.vector_access import step
from polydsl.semantics.program import Access, Call, Expr, Index, Literal, Pad, Select


@dataclass(frozen=True, slots=True)
class Tiling:
    """Dimensions flattened in row-major order and cut into blocks of `tile`."""

    dims: tuple[str, ...]
    tile: int


def turned(copy: Copy, layout: Layout) -> Copy:
    """Return the copy with the dimension along which its source is contiguous, if that
    is not the last and the copy is plain: no padding, no lanes that stay empty."""
    box = {d: (0, n - 1) for d, n in zip(copy.dims, copy.extents)}
    if not isinstance(copy.value, Access) or copy.extents[-1] < copy.lanes:
        return copy
    steps = {d: step(copy.value, d, layout, {}, box) for d in copy.dims}
    if steps[copy.dims[-1]] in (None, 0, 1):
        return copy
    stored = zip(copy.dims[copy.local : -1], copy.shape)
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
    extents = tuple(hi - lo + 1 for lo, hi in ends)
    copy = Copy(
        name, operand.tensor, dtype, dims, extents, value, 0, prepared, False, lanes
    )
    return copy, Operand(name, shifted)


def pack_copy(
    operand: Operand,
    name: str,
    dtype: DType,
    sizes: Mapping[str, int],
    outer: tuple[str, ...],
    tiling: Tiling,
    taps: tuple[str, ...],
    depth: tuple[str, ...],
    span: Span,
    prepared: bool,
    local: bool,
    lanes: int,
) -> Copy:
    """Return the copy of a factor in tiles, `[outer, block, taps, depth, lane]`.

    Lanes past the end of the last tile hold zero. With `local`, the buffer holds one
    block only.
    """
    total = prod(sizes[d] for d in tiling.dims)
    used = tuple(d for d in outer if d in operand.dims)
    rename = {d: f"{name}_{d}" for d in (*used, *taps, *depth)}
    block, lane = f"{name}_block", f"{name}_lane"
    flat = linear_term(Linear(((block, tiling.tile), (lane, 1)), 0), span)
    terms: dict[str, Expr] = {d: Index(new, span) for d, new in rename.items()}
    terms.update(unflatten(flat, tiling.dims, sizes, span))
    for d in operand.dims - terms.keys():
        terms[d] = Literal(0, I64, span)
    subscripts = tuple(
        substitute(linear_term(s, span), terms) for s in operand.subscripts
    )
    value: Expr = Access(operand.tensor, subscripts, dtype, span)
    if operand.pad is not None:
        value = Pad(
            Access(operand.tensor, subscripts, dtype, span), operand.pad, dtype, span
        )
    if total % tiling.tile:
        inside = Call("lt", (flat, Literal(total, I64, span)), BOOL, span)
        value = Select(inside, value, Literal(0.0, dtype, span), dtype, span)
    dims = (*used, block, *taps, *depth, lane)
    extents = (
        *(sizes[d] for d in used),
        -(-total // tiling.tile),
        *(sizes[d] for d in (*taps, *depth)),
        tiling.tile,
    )
    return Copy(
        name,
        operand.tensor,
        dtype,
        tuple(rename.get(d, d) for d in dims),
        extents,
        value,
        len(used) + 1 if local else 0,
        prepared,
        is_pack=True,
        lanes=lanes,
    )


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
