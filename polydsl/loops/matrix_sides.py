"""Where the tiles of a product are in memory: rows A, columns B, the result C."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polydsl.base.dtypes import I64
from polydsl.loops.nest import (
    Buffer,
    Columns,
    Expr,
    GuardedRows,
    Load,
    Offsets,
    Rows,
    Strided,
    Table,
    Tile,
    Var,
    contiguous,
)
from polydsl.loops.row_tables import (
    GuardTables,
    constant,
    guard_tables,
    offset_table,
)
from polydsl.loops.terms import ZERO, of_linear, plus, times
from polydsl.poly.scop import Scop
from polydsl.poly.terms import Linear
from polydsl.schedule.matrix_plan import Copy, Factor, MatrixPlan
from polydsl.schedule.operand import flat_step


@dataclass(frozen=True, slots=True)
class Place:
    """Numbers of the row tile and the panel; the first tap and depth step."""

    tile: Expr
    panel: Expr
    tap: Expr
    start: Expr


def _outer(plan: MatrixPlan, form: Linear) -> Expr:
    """Return the part of an offset that the outer loops decide, and the constant."""
    return of_linear(form, {d: Var(d) for d in plan.outer})


def _depth_step(plan: MatrixPlan, form: Linear) -> int:
    return flat_step(form, plan.depth, plan.contraction.sizes) or 0


@dataclass(frozen=True)
class _Flattening:
    """The offsets of flattened dimensions: a step, or a table."""

    name: str
    form: Linear
    dims: tuple[str, ...]
    plan: MatrixPlan

    @cached_property
    def step(self) -> int | None:
        """The step, where the flattening is linear."""
        return flat_step(self.form, self.dims, self.plan.contraction.sizes)

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """The table, where there is one."""
        if self.step is not None:
            return ()
        sizes = self.plan.contraction.sizes
        return (offset_table(self.name, self.form, self.dims, sizes),)

    def offsets(self, position: Expr) -> tuple[Expr, Offsets]:
        """Return what to add to the base, and the offsets from there, from a position
        of the flattening onwards."""
        if self.step is None:
            return ZERO, Table(self.name, position)
        return times(position, self.step), Strided(self.step)


@dataclass(frozen=True)
class ResultSide:
    """The result C."""

    plan: MatrixPlan
    strides: tuple[int, ...]

    @cached_property
    def _form(self) -> Linear:
        return self.plan.contraction.c.offset(self.strides)

    @cached_property
    def _rows(self) -> _Flattening:
        name = f"{self.plan.contraction.statement}_result_rows"
        return _Flattening(name, self._form, self.plan.rows, self.plan)

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """The table of rows, where there is one."""
        return self._rows.buffers

    def tile(self, place: Place) -> Tile:
        """Return the tile of the result."""
        extra, rows = self._rows.offsets(times(place.tile, self.plan.row_tile))
        panel = times(place.panel, self.plan.column_tile)
        base = plus(plus(_outer(self.plan, self._form), panel), extra)
        return Tile(self.plan.contraction.c.tensor, base, rows)


@dataclass(frozen=True)
class RowSide:
    """The broadcast side A."""

    plan: MatrixPlan
    scop: Scop
    strides: tuple[int, ...]

    @property
    def _factor(self) -> Factor:
        return self.plan.a

    @cached_property
    def _form(self) -> Linear:
        return self._factor.operand.offset(self.strides)

    @cached_property
    def _prefix(self) -> str:
        return f"{self.plan.contraction.statement}_{self._factor.operand.tensor}"

    @cached_property
    def _rows(self) -> _Flattening:
        return _Flattening(
            f"{self._prefix}_row_table", self._form, self.plan.rows, self.plan
        )

    @cached_property
    def _taps(self) -> _Flattening:
        return _Flattening(
            f"{self._prefix}_tap_table", self._form, self.plan.taps, self.plan
        )

    @cached_property
    def _guard(self) -> GuardTables:
        operand = self._factor.operand
        return guard_tables(
            self._prefix,
            operand,
            self.scop.tensor(operand.tensor).shape,
            self.strides,
            self.plan.rows,
            self.plan.taps,
            self.plan.contraction.sizes,
            self.plan.row_tile,
        )

    @cached_property
    def _zeros(self) -> Buffer:
        """A line of padding values, as long as one depth block."""
        pad = self._factor.operand.pad
        value = getattr(pad, "value", 0.0)
        length = min(self.plan.extent(self.plan.depth), self.plan.depth_block)
        reach = (length - 1) * abs(_depth_step(self.plan, self._form)) + 1
        line = np.full(reach, value)
        return constant(f"{self._prefix}_padding", self.plan.contraction.dtype, line)

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """The constant tables."""
        if self._factor.pack is not None:
            return ()
        if self._factor.rows == "guarded":
            guard = self._guard
            return (guard.base, guard.start, guard.table, self._zeros)
        return (*self._rows.buffers, *self._taps.buffers)

    def access(self, place: Place, rows: int) -> Rows | GuardedRows:
        """Return the rows of a tile."""
        pack = self._factor.pack
        if pack is not None:
            return self._packed(pack, place)
        step = _depth_step(self.plan, self._form)
        base = plus(_outer(self.plan, self._form), times(place.start, step))
        if self._factor.rows == "guarded":
            return self._guarded(place, rows, base, step)
        more, offsets = self._rows.offsets(times(place.tile, self.plan.row_tile))
        first, batch = self._taps.offsets(place.tap)
        base = plus(plus(base, more), first)
        return Rows(self._factor.operand.tensor, base, batch, offsets, step)

    def _guarded(self, place: Place, rows: int, base: Expr, step: int) -> GuardedRows:
        guard = self._guard
        tile = (place.tile,)
        return GuardedRows(
            self._factor.operand.tensor,
            plus(base, Load(guard.base.name, tile, I64)),
            guard.table.name,
            plus(Load(guard.start.name, tile, I64), times(place.tap, rows)),
            self._zeros.name,
            step,
        )

    def _packed(self, pack: Copy, place: Place) -> Rows:
        tile = self.plan.row_tile
        base, batch = _packed_base(self.plan, pack, place, place.tile)
        return Rows(pack.tensor, base, Strided(batch), Strided(1), tile)


@dataclass(frozen=True)
class ColumnSide:
    """The vector side B."""

    plan: MatrixPlan
    strides: tuple[int, ...]

    @cached_property
    def _form(self) -> Linear:
        return self.plan.b.operand.offset(self.strides)

    @cached_property
    def _taps(self) -> _Flattening:
        tensor = self.plan.b.operand.tensor
        name = f"{self.plan.contraction.statement}_{tensor}_column_taps"
        return _Flattening(name, self._form, self.plan.taps, self.plan)

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """The table of taps, where there is one."""
        return () if self.plan.b.pack is not None else self._taps.buffers

    def access(self, place: Place) -> Columns:
        """Return the columns of a panel."""
        pack = self.plan.b.pack
        if pack is not None:
            base, tap = _packed_base(self.plan, pack, place, place.panel)
            return Columns(pack.tensor, base, Strided(tap), self.plan.column_tile)
        step = _depth_step(self.plan, self._form)
        first, batch = self._taps.offsets(place.tap)
        base = plus(_outer(self.plan, self._form), first)
        base = plus(base, times(place.panel, self.plan.column_tile))
        base = plus(base, times(place.start, step))
        return Columns(self.plan.b.operand.tensor, base, batch, step)


def _packed_base(
    plan: MatrixPlan, pack: Copy, place: Place, block: Expr
) -> tuple[Expr, int]:
    """Return the place of a tile in a packed copy and the step from tap to tap."""
    lanes = pack.extents[-1]
    batch = plan.extent(plan.depth) * lanes
    base = plus(times(place.tap, batch), times(place.start, lanes))
    if pack.local:
        return base, batch
    strides = contiguous(pack.extents)
    blocks = len(pack.dims) - len(plan.taps) - len(plan.depth) - 2
    base = plus(base, times(block, strides[blocks]))
    for d, stride in zip(pack.dims[:blocks], strides):
        outer = d.removeprefix(f"{pack.tensor}_")
        base = plus(base, times(Var(outer), stride))
    return base, batch
