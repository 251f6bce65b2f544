"""Where the tiles of a product are in memory: rows A, columns B, the result C."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polydsl.base.dtypes import I64
from polydsl.loops.matrix_places import (
    start_in_copy,
    tile_in_copy,
    tile_number,
    tile_start,
)
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
from polydsl.schedule.matrix_point import AXES, Axis
from polydsl.schedule.operand import flat_step


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

    @property
    def tile(self) -> Tile:
        """The tile of the result."""
        extra, rows = self._rows.offsets(tile_start(self.plan, "rows"))
        columns = tile_start(self.plan, "columns")
        base = plus(plus(_outer(self.plan, self._form), columns), extra)
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
        reach = (self.plan.depth_block - 1) * abs(
            _depth_step(self.plan, self._form)
        ) + 1
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

    def access(self, rows: int) -> Rows | GuardedRows:
        """Return so many rows of a tile."""
        pack = self._factor.pack
        if pack is not None:
            base, tap = _packed_base(self.plan, self._factor, pack, "rows")
            return Rows(pack.tensor, base, Strided(tap), Strided(1), pack.extents[-1])
        step = _depth_step(self.plan, self._form)
        base = plus(
            _outer(self.plan, self._form), times(tile_start(self.plan, "depth"), step)
        )
        if self._factor.rows == "guarded":
            return self._guarded(rows, base, step)
        more, offsets = self._rows.offsets(tile_start(self.plan, "rows"))
        first, batch = self._taps.offsets(tile_start(self.plan, "taps"))
        base = plus(plus(base, more), first)
        return Rows(self._factor.operand.tensor, base, batch, offsets, step)

    def _guarded(self, rows: int, base: Expr, step: int) -> GuardedRows:
        guard = self._guard
        tile, tap = (tile_number(self.plan, "rows"),), tile_start(self.plan, "taps")
        return GuardedRows(
            self._factor.operand.tensor,
            plus(base, Load(guard.base.name, tile, I64)),
            guard.table.name,
            plus(Load(guard.start.name, tile, I64), times(tap, rows)),
            self._zeros.name,
            step,
        )


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

    @property
    def access(self) -> Columns:
        """The columns of a tile."""
        pack = self.plan.b.pack
        if pack is not None:
            base, tap = _packed_base(self.plan, self.plan.b, pack, "columns")
            return Columns(pack.tensor, base, Strided(tap), pack.extents[-1])
        step = _depth_step(self.plan, self._form)
        first, batch = self._taps.offsets(tile_start(self.plan, "taps"))
        base = plus(_outer(self.plan, self._form), first)
        base = plus(base, tile_start(self.plan, "columns"))
        base = plus(base, times(tile_start(self.plan, "depth"), step))
        return Columns(self.plan.b.operand.tensor, base, batch, step)


def _packed_base(
    plan: MatrixPlan, factor: Factor, pack: Copy, axis: Axis
) -> tuple[Expr, int]:
    """Return the place of a tile in a packed copy and the step from tap to tap.

    The copy holds, from the outermost: outer points, tiles, taps, depth, lanes.
    """
    lanes = pack.extents[-1]
    tap = plan.held("depth", pack.loops) * lanes
    line = plan.held("taps", pack.loops) * tap
    base = plus(
        times(start_in_copy(plan, "taps", pack), tap),
        times(start_in_copy(plan, "depth", pack), lanes),
    )
    base = plus(base, times(tile_in_copy(plan, axis, pack), line))
    stride = line * -(-plan.held(axis, pack.loops) // lanes)
    for loop in reversed(plan.loops[pack.loops :]):
        if loop.axis not in AXES and loop.dimension in factor.operand.dims:
            base = plus(base, times(Var(loop.dimension), stride))
            stride *= plan.contraction.sizes[loop.dimension]
    return base, tap
