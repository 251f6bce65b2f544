"""Loops that fill the copies of a factor, and where the copies are."""

from __future__ import annotations

from collections.abc import Mapping

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
from polydsl.loops.terms import number
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


def copy_loops(scop: Scop, copy: Copy, around: Mapping[str, Expr]) -> Node:
    """Return the loops over the stored dimensions of a copy, the last one a vector.

    `around` gives the dimensions whose loops are around the copy.
    """
    values: dict[str, Expr] = {d: around.get(d, Var(d)) for d in copy.dims}
    box = {d: (0, n - 1) for d, n in zip(copy.dims, copy.extents)}
    translate = Translation(scop, values, box, {})
    stored = copy.dims[copy.local :]
    body: Node = Store(
        copy.tensor,
        tuple(values[d] for d in stored),
        translate.expression(copy.value),
        Instance(copy.tensor, tuple((d, values[d]) for d in copy.dims)),
    )
    elements = 1
    for extent in copy.shape:
        elements *= extent
    threads = not copy.local and elements >= PARALLEL_POINTS
    for position, d in reversed(tuple(enumerate(stored))):
        extent = copy.shape[position]
        kind: LoopKind = "sequential"
        if position == len(stored) - 1:
            kind = "vector"
        elif position == 0 and threads:
            kind = "parallel"
        lanes = copy.lanes if kind == "vector" else 1
        body = Loop(d, number(0), number(extent), (body,), kind=kind, lanes=lanes)
    return body
