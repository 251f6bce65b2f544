"""Register tiles: what fits, how fast it is, and how rows are evened out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import machine

from polydsl.base.diagnostics import CompilerBug
from polydsl.base.dtypes import F32, F64
from polydsl.base.inner_product import A, Apply, B, InnerProduct, Number
from polydsl.schedule.register_tile import (
    accumulator_sets,
    even_rows,
    fits_registers,
    max_rows,
    registers_needed,
    tile_efficiency,
    tile_shapes,
)


def test_the_tiles_that_libraries_agree_on() -> None:
    wide = machine("avx512")
    assert [max_rows(wide, v) for v in (4, 3, 2, 1)] == [6, 9, 14, 28]
    assert tile_shapes(wide, F32)[0] == (6, 4)
    assert tile_shapes(wide, F64) == tile_shapes(wide, F32)
    narrow = machine("avx2")
    assert [max_rows(narrow, v) for v in (2, 3, 4)] == [6, 4, 3]


def test_an_unfused_product_needs_a_register() -> None:
    assert registers_needed(machine("generic"), 6, 2) == 16
    assert registers_needed(machine("avx2"), 6, 2) == 15
    assert not fits_registers(machine("generic"), 4, 3)


@pytest.mark.parametrize("isa", ["avx512", "avx2", "generic"])
def test_shapes_fit_and_one_more_row_does_not(isa: str) -> None:
    here = machine(isa)
    for rows, vectors in tile_shapes(here, F32):
        assert fits_registers(here, rows, vectors)
        assert rows == 28 or not fits_registers(here, rows + 1, vectors)


def test_efficiency_knows_what_limits_a_tile() -> None:
    here = machine("avx512")

    def speed(rows: int, columns: int, products: int = 256, batch: int = 1) -> float:
        return tile_efficiency(
            here, F32, rows=rows, columns=columns, products=products, batch=batch
        )

    assert speed(6, 64) > 0.95
    assert 0.45 < speed(1, 16, 4096) < 0.51  # two loads for each multiply-add
    assert speed(6, 49) < 0.8  # 15 idle lanes of 64
    assert speed(6, 64, 4) < speed(6, 64, 16) < speed(6, 64)
    assert speed(9, 64) < 0.5  # spills
    assert speed(6, 64, batch=64) < speed(6, 64)
    assert speed(0, 64) == 0.0


MAX_PLUS = InnerProduct("max", Apply("add", (A, B)))
L1 = InnerProduct("add", Apply("abs", (Apply("sub", (A, B)),)))


def test_other_inner_products_need_registers_between() -> None:
    wide, narrow = machine("avx512"), machine("avx2")
    assert (
        tile_shapes(wide, F32, MAX_PLUS)[0] == tile_shapes(wide, F32, L1)[0] == (6, 4)
    )
    assert registers_needed(wide, 6, 4, MAX_PLUS) == 24 + 4 + 1 + 1
    assert registers_needed(wide, 6, 4, L1) == 24 + 4 + 1 + 1 + 1
    # The broadcasts of two rows are held, each with its double.
    doubled = Apply("mul", (Number(2.0), A))
    both = InnerProduct("max", Apply("sub", (doubled, Apply("mul", (A, B)))))
    assert registers_needed(wide, 2, 6, both) == 12 + 2 * 2 + 1 + 2
    assert max_rows(narrow, 2, L1) == 5 < max_rows(narrow, 2)


@pytest.mark.parametrize("isa", ["avx512", "avx2"])
def test_instructions_of_a_point_bound_the_efficiency(isa: str) -> None:
    here = machine(isa)
    for inner, instructions in ((MAX_PLUS, 2), (L1, 3)):
        rows, vectors = tile_shapes(here, F32, inner)[0]
        columns = vectors * here.lanes(F32)
        share = tile_efficiency(
            here, F32, rows=rows, columns=columns, products=4096, inner=inner
        )
        assert 0.95 < share * instructions <= 1
    # Terms of several instructions leave time for the combination before them.
    assert accumulator_sets(here, 2, 1, L1) < accumulator_sets(here, 2, 1)


def test_row_tables_cost_more_where_pointers_spill() -> None:
    def loss(rows: int, columns: int) -> float:
        plain, table = (
            tile_efficiency(
                machine("avx512"),
                F32,
                rows=rows,
                columns=columns,
                products=72,
                batch=9,
                has_row_table=has_table,
            )
            for has_table in (False, True)
        )
        return plain - table

    assert 0 < loss(6, 64) < 0.1 < loss(28, 16)


def test_few_rows_get_sets_of_accumulators() -> None:
    here = machine("avx512")
    assert [accumulator_sets(here, n, 1) for n in (1, 2, 4, 6, 12)] == [4, 4, 4, 2, 1]
    assert accumulator_sets(machine("avx2"), 8, 1) == 1  # 16 sums do not fit


@given(st.integers(0, 500), st.integers(1, 40))
def test_even_rows_cover_all_with_two_heights(total: int, most: int) -> None:
    heights = even_rows(total, most)
    assert sum(heights) == total
    assert len(heights) == -(-total // most)
    assert all(0 < h <= most for h in heights)
    assert not heights or max(heights) - min(heights) <= 1
    assert list(heights) == sorted(heights, reverse=True)


def test_even_rows_by_example() -> None:
    assert even_rows(20, 6) == (5, 5, 5, 5)
    assert even_rows(13, 6) == (5, 4, 4)
    with pytest.raises(CompilerBug):
        even_rows(3, 0)
