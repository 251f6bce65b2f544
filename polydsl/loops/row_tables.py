"""Constant tables of a product: where its rows and taps are, and which are padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from polydsl.base.dtypes import I32, I64, DType
from polydsl.loops.nest import OUTSIDE, Buffer
from polydsl.poly.terms import Linear
from polydsl.schedule.operand import Operand

Array = np.ndarray[Any, Any]


def constant(name: str, dtype: DType, values: Array) -> Buffer:
    """Return a constant buffer of one dimension."""
    data = np.ascontiguousarray(values, dtype=dtype.numpy)
    shape = (data.size,)
    return Buffer(name, dtype, shape, (1,), "constant", False, data=data.tobytes())


def positions(dims: tuple[str, ...], sizes: Mapping[str, int]) -> dict[str, Array]:
    """Return the value of each dimension at every position of a flattening."""
    if not dims:
        return {}
    grid = np.indices(tuple(sizes[d] for d in dims)).reshape(len(dims), -1)
    return dict(zip(dims, grid))


def offsets(form: Linear, values: Mapping[str, Array]) -> Array:
    """Return the variable part of a linear form at many points."""
    total: Array = np.zeros((), dtype=np.int64)
    for name, factor in form.coefficients:
        if name in values:
            total = total + factor * values[name]
    return total


def offset_table(
    name: str, form: Linear, dims: tuple[str, ...], sizes: Mapping[str, int]
) -> Buffer:
    """Return the table of a linear form over the positions of a flattening."""
    values = positions(dims, sizes)
    count = len(next(iter(values.values()))) if values else 1
    return constant(name, I32, np.broadcast_to(offsets(form, values), (count,)))


@dataclass(frozen=True, slots=True)
class GuardTables:
    """Tables of padded rows: for each tile of rows, its base and the start of its part
    of `table`. Tiles with the same pattern share a part."""

    base: Buffer
    start: Buffer
    table: Buffer


def guard_tables(
    prefix: str,
    operand: Operand,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    rows: tuple[str, ...],
    taps: tuple[str, ...],
    sizes: Mapping[str, int],
    row_tile: int,
) -> GuardTables:
    """Return the tables for rows that may lie outside the tensor.

    An entry is the place of row m at tap t, relative to the tile's base, or `OUTSIDE`.
    """
    row_values = {d: v[None, :] for d, v in positions(rows, sizes).items()}
    tap_values = {d: v[:, None] for d, v in positions(taps, sizes).items()}
    values = {**row_values, **tap_values}
    count = next(iter(row_values.values())).size
    steps = next(iter(tap_values.values())).size if taps else 1
    place = np.broadcast_to(offsets(operand.offset(strides), values), (steps, count))
    inside = np.ones((steps, count), dtype=bool)
    for subscript, extent in zip(operand.subscripts, shape):
        at = offsets(subscript, values) + subscript.constant
        moving = [d for d, _ in subscript.coefficients if sizes[d] > 1]
        # Other indices never lead outside: the plan saw to that.
        if all(d in values for d in moving):
            inside = inside & (at >= 0) & (at < extent)
    bases: list[int] = []
    starts: list[int] = []
    parts: dict[bytes, int] = {}
    filled = 0
    for first in range(0, count, row_tile):
        tile = slice(first, min(first + row_tile, count))
        base = int(place[0, first])
        entries = np.where(inside[:, tile], place[:, tile] - base, OUTSIDE)
        part = entries.astype(np.int32).tobytes()
        bases.append(base)
        starts.append(parts.setdefault(part, filled))
        filled += entries.size if starts[-1] == filled else 0
    table = np.frombuffer(b"".join(parts), dtype=np.int32)
    return GuardTables(
        constant(f"{prefix}_base", I64, np.array(bases)),
        constant(f"{prefix}_start", I64, np.array(starts)),
        constant(f"{prefix}_rows", I32, table),
    )
