"""A point of a product schedule, for tests that only hand points about."""

from __future__ import annotations

from polydsl.schedule.matrix_point import MatrixPoint, Reading, TileLoop

POINT = MatrixPoint(
    is_swapped=False,
    rows=("i",),
    columns=("j",),
    depth=("k",),
    row_tile=6,
    column_tile=64,
    depth_block=64,
    taps_block=1,
    loops=(TileLoop("columns"), TileLoop("depth"), TileLoop("rows")),
    a=Reading("in place"),
    b=Reading("packed", 1),
)
