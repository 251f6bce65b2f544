"""The predicted cycles of a `MatrixPlan` on one core."""

from __future__ import annotations

from math import ceil, gcd, prod

from polydsl.base.machine import Machine
from polydsl.base.providers import provider_named
from polydsl.schedule.decision import Cost
from polydsl.schedule.matrix_plan import Copy, Factor, MatrixPlan
from polydsl.schedule.operand import Layout, flat_step, row_major
from polydsl.schedule.provider_cost import microkernel_efficiency
from polydsl.schedule.vector_access import steps

CALL_CYCLES = 10.0
"""The loops around a microkernel call."""
CONTIGUOUS_COPY_CYCLES = 0.3
"""Copying one element where source and copy are contiguous."""
SHORT_COPY_CYCLES = 0.8
"""... in runs shorter than a vector."""
GATHER_COPY_CYCLES = 1.5
"""... where the source has a stride."""
LINE_CYCLES = 3.0
"""Fetching a cache line that no prefetcher saw coming, from L2."""
SCATTERED_LINE_CYCLES = 0.3
"""... when its neighbours in a row are fetched with it."""
PAGE_CYCLES = 2.0
"""Touching a page that the first-level TLB lost."""
PAGE, PAGES, LINE = 4096, 64, 64


def matrix_cost(plan: MatrixPlan, machine: Machine, layout: Layout) -> Cost:
    """Return the predicted time of a plan."""
    contraction = plan.contraction
    dtype = contraction.dtype
    lanes = machine.lanes(dtype)
    rows, columns = plan.extent(plan.rows), plan.extent(plan.columns)
    taps = plan.extent(plan.taps)
    depth = plan.extent(plan.depth) * taps
    outer = plan.extent(plan.outer)
    blocks = ceil(plan.extent(plan.depth) / plan.depth_block) * ceil(
        taps / plan.taps_block
    )
    compute = calls = stores = 0.0
    for tall, many_rows in _tiles(rows, plan.row_tile):
        for wide, many_columns in _tiles(columns, plan.column_tile):
            count = float(outer * many_rows * many_columns)
            share = microkernel_efficiency(
                provider_named(plan.microkernel),
                machine,
                dtype,
                rows=tall,
                columns=wide,
                products=max(depth // blocks, 1),
                batch=min(taps, plan.taps_block),
                has_row_table=plan.a.rows != "strided",
                inner=contraction.inner,
            )
            useful = tall * wide / lanes * depth / machine.fma_per_cycle
            compute += count * useful / max(share, 0.01)
            calls += count * blocks * CALL_CYCLES
            stores += count * tall * ceil(wide / lanes) * (2 * blocks - 1)
    steps = float(
        outer * ceil(rows / plan.row_tile) * ceil(columns / plan.column_tile) * depth
    )
    strides = steps * _row_stride_cycles(plan, machine, layout)
    strides += steps * _column_stride_cycles(plan, machine, layout)
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
            ("strides", strides),
            ("copies", copies),
        )
    )


def _tiles(total: int, tile: int) -> tuple[tuple[int, int], ...]:
    """Return (size, count) of the full tiles and of the last one."""
    full, rest = divmod(total, tile)
    return tuple(t for t in ((tile, full), (rest, 1)) if t[0] and t[1])


def _row_stride_cycles(plan: MatrixPlan, machine: Machine, layout: Layout) -> float:
    """Return what one depth step loses because rows do not run along the depth: lines
    of which a few bytes are used, once they do not fit L1, and pages."""
    distance = _depth_distance(plan, plan.a, layout)
    if distance <= plan.contraction.dtype.bytes:
        return 0.0
    lines = plan.row_tile * min(1.0, distance / LINE)
    steps = min(plan.depth_block, plan.extent(plan.depth))
    steps *= min(plan.taps_block, plan.extent(plan.taps))
    fits = lines * LINE * steps <= machine.cache("L1").capacity / 2
    return (0.0 if fits else lines * LINE_CYCLES) + _page_cycles(plan, distance)


def _column_stride_cycles(plan: MatrixPlan, machine: Machine, layout: Layout) -> float:
    """Return what one depth step loses because the columns do not follow each other in
    memory: lines that come from L2 out of order, and pages."""
    distance = _depth_distance(plan, plan.b, layout)
    if distance == 0:
        return 0.0
    lines = ceil(plan.column_tile * plan.contraction.dtype.bytes / LINE)
    steps = min(plan.depth_block, plan.extent(plan.depth))
    steps *= min(plan.taps_block, plan.extent(plan.taps))
    # Lines a power of two apart meet in a few sets: a way of L1 is a page.
    sets = min(PAGE, PAGE // gcd(distance, PAGE) * lines * LINE) / PAGE
    fits = lines * LINE * steps <= sets * machine.cache("L1").capacity / 2
    return (0.0 if fits else lines * SCATTERED_LINE_CYCLES) + _page_cycles(
        plan, distance
    )


def _page_cycles(plan: MatrixPlan, distance: int) -> float:
    steps = min(plan.depth_block, plan.extent(plan.depth))
    pages = steps * min(1.0, distance / PAGE)
    return PAGE_CYCLES * min(1.0, distance / PAGE) if pages > PAGES else 0.0


def _depth_distance(plan: MatrixPlan, factor: Factor, layout: Layout) -> int:
    """Return the bytes between two depth steps of a factor in place; 0 if packed."""
    if factor.pack is not None:
        return 0
    if factor.padded is not None:
        strides = row_major(factor.padded.shape)
    else:
        strides = layout[factor.operand.tensor]
    offset = factor.operand.offset(strides)
    step = flat_step(offset, plan.depth, plan.contraction.sizes) or 0
    return abs(step) * plan.contraction.dtype.bytes


def _copy_cycles(copy: Copy, layout: Layout, lanes: int) -> float:
    """Return the cycles of filling a copy in one call."""
    if copy.prepared:
        return 0.0
    elements = float(prod(copy.extents))
    if copy.is_pack and copy.extents[-1] < lanes:
        return elements * SHORT_COPY_CYCLES
    box = {d: (0, n - 1) for d, n in zip(copy.dims, copy.extents)}
    contiguous = steps(copy.value, copy.dims[-1], layout, {}, box) == (1,)
    contiguous = contiguous or bool(copy.turned)
    return elements * (CONTIGUOUS_COPY_CYCLES if contiguous else GATHER_COPY_CYCLES)
