"""Whether a library can compute the tiles of a plan: the plan as providers see it."""

from __future__ import annotations

from polydsl.base.providers import Product, provider_named
from polydsl.schedule.matrix_plan import Factor, MatrixPlan
from polydsl.schedule.operand import Layout, flat_step, row_major


def refusal(plan: MatrixPlan, layout: Layout) -> str:
    """Return why the provider of a plan cannot serve its tiles; empty if it can."""
    return provider_named(plan.microkernel).refusal(product_of(plan, layout))


def product_of(plan: MatrixPlan, layout: Layout) -> Product:
    """Return what a full tile of a plan computes, and how its operands lie.

    Shorter tiles at the ends differ in their extents only, and what serves the full
    tile serves them.
    """
    sizes = plan.contraction.sizes
    result = plan.contraction.c
    rows, depth = plan.extent(plan.rows), plan.extent(plan.depth)
    row = flat_step(result.offset(layout[result.tensor]), plan.rows, sizes)
    a_row = _step(plan, plan.a, plan.rows, layout)
    return Product(
        plan.contraction.dtype,
        min(plan.row_tile, rows),
        plan.column_tile,
        min(plan.taps_block, plan.extent(plan.taps)),
        min(plan.depth_block, depth),
        1 if plan.a.pack is not None else a_row if plan.a.rows == "strided" else None,
        _depth_step(plan, plan.a, layout),
        _depth_step(plan, plan.b, layout),
        row,
        plan.contraction.inner,
    )


def _depth_step(plan: MatrixPlan, factor: Factor, layout: Layout) -> int:
    """Return the elements between two depth steps; a packed tile is that wide."""
    if factor.pack is not None:
        return factor.pack.extents[-1]
    return _step(plan, factor, plan.depth, layout) or 0


def _step(
    plan: MatrixPlan, factor: Factor, dims: tuple[str, ...], layout: Layout
) -> int | None:
    operand = factor.operand
    copy = factor.padded
    strides = layout[operand.tensor] if copy is None else row_major(copy.shape)
    return flat_step(operand.offset(strides), dims, plan.contraction.sizes)
