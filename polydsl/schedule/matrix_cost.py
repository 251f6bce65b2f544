"""The predicted cycles of a `MatrixPlan` on one core."""

from __future__ import annotations

from math import ceil, prod

from polydsl.base.machine import Machine
from polydsl.schedule.decision import Cost
from polydsl.schedule.matrix_plan import Copy, Factor, MatrixPlan
from polydsl.schedule.operand import Layout, flat_step, row_major
from polydsl.schedule.register_tile import tile_efficiency
from polydsl.schedule.vector_access import steps

CALL_CYCLES = 40.0
"""A microkernel call: arguments, addresses, the loops' first and last iterations."""
ROW_TABLE_CYCLES = 1.5
"""Loading one row's offset and forming its pointer."""
CONTIGUOUS_COPY_CYCLES = 0.3
"""Copying one element where source and copy are contiguous."""
SHORT_COPY_CYCLES = 0.8
"""... in runs shorter than a vector."""
GATHER_COPY_CYCLES = 2.5
"""... where the source has a stride."""
PAGE = 4096


def matrix_cost(plan: MatrixPlan, machine: Machine, layout: Layout) -> Cost:
    """Return the predicted time of a plan."""
    contraction = plan.contraction
    dtype = contraction.dtype
    lanes = machine.lanes(dtype)
    rows, columns = plan.extent(plan.rows), plan.extent(plan.columns)
    depth = plan.extent(plan.depth) * plan.extent(plan.taps)
    outer = plan.extent(plan.outer)
    blocks = ceil(plan.extent(plan.depth) / plan.depth_block) * ceil(
        plan.extent(plan.taps) / plan.taps_block
    )
    compute = calls = stores = tables = 0.0
    for tall, many_rows in _tiles(rows, plan.row_tile):
        for wide, many_columns in _tiles(columns, plan.column_tile):
            count = float(outer * many_rows * many_columns)
            vectors = ceil(wide / lanes)
            share = tile_efficiency(
                machine, dtype, rows=tall, columns=wide, products=depth // blocks
            )
            useful = tall * wide / lanes * depth / machine.fma_per_cycle
            compute += count * useful / max(share, 0.01)
            calls += count * blocks * CALL_CYCLES
            stores += count * tall * vectors * (2 * blocks - 1)
            if plan.a.rows != "strided":
                tables += count * tall * plan.extent(plan.taps) * ROW_TABLE_CYCLES
    steps = float(
        outer * ceil(rows / plan.row_tile) * ceil(columns / plan.column_tile) * depth
    )
    strides = steps * (_stride_cycles(plan, plan.a, layout))
    strides += steps * (_stride_cycles(plan, plan.b, layout))
    copies = sum(
        _copy_cycles(copy, layout, lanes)
        for factor in (plan.a, plan.b)
        for copy in factor.copies
    )
    return Cost(
        (
            ("multiply-adds", compute),
            ("calls", calls),
            ("loads and stores of the result", stores),
            ("row tables", tables),
            ("strides", strides),
            ("copies", copies),
        )
    )


def _tiles(total: int, tile: int) -> tuple[tuple[int, int], ...]:
    """Return (size, count) of the full tiles and of the last one."""
    full, rest = divmod(total, tile)
    return tuple(t for t in ((tile, full), (rest, 1)) if t[0] and t[1])


def _stride_cycles(plan: MatrixPlan, factor: Factor, layout: Layout) -> float:
    """Return what one depth step loses to cache lines and pages."""
    if factor.pack is not None:
        return 0.0
    strides = layout.get(factor.operand.tensor)
    if strides is None and factor.padded is not None:
        strides = row_major(factor.padded.shape)
    if strides is None:
        return 0.0
    offset = factor.operand.offset(strides)
    step = flat_step(offset, plan.depth, plan.contraction.sizes) or 0
    distance = abs(step) * plan.contraction.dtype.bytes
    if distance * plan.extent(plan.depth) <= 8 * PAGE:
        return 0.0
    if distance >= PAGE // 2:
        return 4.0
    return 1.0 if distance >= 64 else 0.0


def _copy_cycles(copy: Copy, layout: Layout, lanes: int) -> float:
    """Return the cycles of filling a copy in one call."""
    if copy.prepared:
        return 0.0
    elements = float(prod(copy.extents))
    if copy.is_pack and copy.extents[-1] < lanes:
        return elements * SHORT_COPY_CYCLES
    box = {d: (0, n - 1) for d, n in zip(copy.dims, copy.extents)}
    contiguous = steps(copy.value, copy.dims[-1], layout, {}, box) == (1,)
    return elements * (CONTIGUOUS_COPY_CYCLES if contiguous else GATHER_COPY_CYCLES)
