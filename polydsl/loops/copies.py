"""Loops that fill the copies of a factor, and where the copies are."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from polydsl.loops.expressions import Translation
from polydsl.loops.nest import (
    Buffer,
    Expr,
    Instance,
    Loop,
    LoopKind,
    Node,
    Store,
    Var,
    contiguous,
)
from polydsl.loops.terms import ZERO, floordiv, minimum, minus, number, plus, times
from polydsl.poly.scop import Scop
from polydsl.schedule.matrix_plan import Copy, Factor
from polydsl.schedule.operand import Layout

PARALLEL_POINTS = 65_536
"""Below so many elements a copy is made by one thread."""


def factor_strides(factor: Factor, layout: Layout) -> tuple[int, ...]:
    """Return the strides of the tensor that a factor is read from in place."""
    if factor.padded is not None:
        return contiguous(factor.padded.shape)
    return layout[factor.operand.tensor]


def copy_buffer(copy: Copy, *, private: bool) -> Buffer:
    """Return the buffer of a copy."""
    return Buffer(
        copy.tensor,
        copy.dtype,
        copy.shape,
        contiguous(copy.shape),
        "prepared" if copy.prepared else "scratch",
        private=private,
    )


def copy_loops(
    scop: Scop, copy: Copy, around: Mapping[str, Expr], *, is_private: bool
) -> tuple[Node, ...]:
    """Return the loops over the stored dimensions of a copy.

    The last dimension is a vector; where the copy is turned, square blocks of it and of
    the turned dimension are written out, for the emitter to transpose. `around` gives
    the dimensions whose loops are around the copy.
    """
    values: dict[str, Expr] = {d: around.get(d, Var(d)) for d in copy.dims}
    stored = copy.stored
    inner = (copy.turned, stored[-1]) if copy.turned else (stored[-1],)
    body = _turned(scop, copy, values) if copy.turned else _rows(scop, copy, values)
    threads = not is_private and prod(copy.shape) >= PARALLEL_POINTS
    order = copy.order or tuple(d for d in stored if d not in inner)
    for d in reversed(order):
        kind: LoopKind = "parallel" if d == order[0] and threads else "sequential"
        body = (Loop(d, ZERO, _end(copy, d, values), body, kind=kind),)
    return body


def _end(copy: Copy, dim: str, values: Mapping[str, Expr]) -> Expr:
    """Return where a stored dimension ends: with its part of an axis, or the axis."""
    extent = copy.shape[copy.stored.index(dim)]
    limit = copy.limit(dim)
    if limit is None:
        return number(extent)
    left = minus(number(limit.total), times(values[limit.block], extent))
    return minimum(number(extent), left)


def _store(scop: Scop, copy: Copy, values: Mapping[str, Expr]) -> Node:
    """Return the store of one element."""
    box = {d: (0, n - 1) for d, n in zip(copy.dims, copy.extents)}
    translate = Translation(scop, values, box, {})
    return Store(
        copy.tensor,
        tuple(values[d] for d in copy.stored),
        translate.expression(copy.value),
        Instance(copy.tensor, tuple((d, values[d]) for d in copy.dims)),
    )


def _rows(
    scop: Scop, copy: Copy, values: Mapping[str, Expr], start: int = 0
) -> tuple[Node, ...]:
    """Return a vector loop over the last dimension, from *start* on."""
    d, extent = copy.dims[-1], copy.extents[-1]
    if start == extent:
        return ()
    store = (_store(scop, copy, values),)
    lo, hi = number(start), number(extent)
    return (Loop(d, lo, hi, store, kind="vector", lanes=copy.lanes),)


def _turned(scop: Scop, copy: Copy, values: Mapping[str, Expr]) -> tuple[Node, ...]:
    """Return loops over square blocks, and over what is left on both sides.

    for d in 0..D:                   for d_tile in 0..D step 16:
      for lane in 0..L [vector]:  ->   for lane_tile in 0..L step 16:
        S                                for u in 0..16 [unrolled]:
                                           for v in 0..16 [vector]:
                                             S
    """
    lanes, lane, d = copy.lanes, copy.dims[-1], copy.turned
    end = _end(copy, d, values)
    full_d = times(floordiv(end, lanes), lanes)
    full_lane = copy.extents[-1] // lanes * lanes
    d_tile, lane_tile = Var(f"{d}_tile'"), Var(f"{lane}_tile'")
    u, v = Var("turned'"), Var("lane'")
    block = {**values, d: plus(d_tile, u), lane: plus(lane_tile, v)}
    store = (_store(scop, copy, block),)
    vector = (Loop(v.name, ZERO, number(lanes), store, kind="vector", lanes=lanes),)
    square = (Loop(u.name, ZERO, number(lanes), vector, kind="unrolled"),)
    tiles: tuple[Node, ...] = (
        Loop(lane_tile.name, ZERO, number(full_lane), square, step=lanes),
    )
    rest = _rows(scop, copy, {**values, d: plus(d_tile, u)}, full_lane)
    if rest:
        tiles += (Loop(u.name, ZERO, number(lanes), rest),)
    nodes: tuple[Node, ...] = (Loop(d_tile.name, ZERO, full_d, tiles, step=lanes),)
    if full_d != end:
        nodes += (Loop(d, full_d, end, _rows(scop, copy, values)),)
    return nodes
