"""Rows that are read from memory in place: what hardware can fetch ahead of."""

from __future__ import annotations

from dataclasses import replace

from machines import machine
from tree_harness import scop_of

from polydsl.loops.generate import default_layout
from polydsl.schedule.contraction import Contraction, match
from polydsl.schedule.matrix_family import family_of
from polydsl.schedule.matrix_model import STREAMS, cost_of
from polydsl.schedule.matrix_point import MatrixPoint, Reading, TileLoop
from polydsl.schedule.setting import Setting

PRODUCT = """
kernel product(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
"""
POINT = MatrixPoint(
    is_swapped=False,
    rows=("i",),
    columns=("j",),
    depth=("k",),
    row_tile=STREAMS,
    column_tile=16,
    depth_block=50_000,
    taps_block=1,
    loops=(TileLoop("depth"), TileLoop("rows")),
    a=Reading("in place"),
    b=Reading("in place"),
)


def waiting(point: MatrixPoint, rows: int = 2000, depth: int = 400_000) -> float:
    """Return the cycles of waiting for data of a product of so many rows."""
    scop = scop_of(PRODUCT, a=(rows, depth), b=(depth, 16))
    first, update = scop.statements
    setting = Setting(scop, update, default_layout(scop), machine(), frozenset())
    found = match(scop, update)
    assert isinstance(found, Contraction)
    family = family_of(setting, found, point, first.name)
    assert family is not None
    return dict(cost_of(setting, family, point).parts)["waiting for data"]


def test_more_rows_than_streams_wait() -> None:
    assert waiting(replace(POINT, row_tile=STREAMS + 1)) > 1.3 * waiting(POINT)


def test_rows_that_go_on_wait_less() -> None:
    assert waiting(replace(POINT, depth_block=500)) > 1.3 * waiting(POINT)


def test_an_inner_loop_over_the_depth_goes_on_with_the_rows() -> None:
    inner = (TileLoop("rows"), TileLoop("depth"))
    short = replace(POINT, depth_block=500, b=Reading("packed"))
    assert waiting(replace(short, loops=inner)) < waiting(short)


def test_rows_that_lie_in_a_cache_do_not_wait() -> None:
    both = (waiting(p, 40, 2000) for p in (POINT, replace(POINT, row_tile=20)))
    assert max(both) < 1e5
