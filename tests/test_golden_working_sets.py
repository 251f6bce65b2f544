"""Every published record of working sets, their placement and the size of the space."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from polydsl.poly.terms import Linear
from polydsl.poly.working_sets import Loop, PerfectNest, Touch, WorkingSet, working_sets
from polydsl.schedule.published.placement import (
    greedy_bytes,
    optimistic_bytes,
    stack_working_sets,
)
from polydsl.schedule.published.variants import (
    TILED,
    ConvVariant,
    Layer,
    conv_nest,
    conv_variants,
    count_conv_variants,
    gemm_nest,
    halves,
    tile_extents,
)
from tests.published_layers import table

Record = dict[str, str]
LEVELS = ("L1", "L2", "L3", "Mem")


def records(name: str) -> list[Record]:
    with (Path(__file__).parent / name).open() as file:
        return list(csv.DictReader(file))


CONVOLUTIONS = records("golden_conv_ws.csv")
PRODUCTS = records("golden_matmul_ws.csv")


def conv_record_nest(record: Record) -> PerfectNest:
    names = ("C", "K", "kh", "kw", "ofh", "ofw", "stride", "block")
    n = {k: int(record[k]) for k in names}
    window, positions = (n["kh"], n["kw"]), (n["ofh"], n["ofw"])
    layer = Layer(1, n["C"], n["K"], window, n["stride"], positions, n["block"])
    return conv_nest(
        ConvVariant(layer, int(record["variant"])), parallel=record["parallel_loop"]
    )


def gemm_record_nest(record: Record) -> PerfectNest:
    m, n, k = (int(record[x]) for x in "MNK")
    if record["M2"]:
        m2, n2, k2, m1, n1, k1 = (int(record[x + y]) for y in "21" for x in "MNK")
        tiles = (m2, n2, k2), (m1, n1, k1)
        return gemm_nest((m, n, k), *tiles, parallel=record["parallel_loop"])
    return plain_product(m, n, k)


def plain_product(m: int, n: int, k: int, parallel: str = "") -> PerfectNest:
    c, a, b = (
        Touch(tensor, tuple(Linear(((i, 1),), 0) for i in indices))
        for tensor, indices in (("C", "ij"), ("A", "ik"), ("B", "kj"))
    )
    loops = (Loop("i", m), Loop("j", n), Loop("k", k))
    return PerfectNest(loops, (c, a, b), (c,), parallel)


def published_pairs(record: Record) -> tuple[WorkingSet, ...]:
    pairs = (pair.split("/") for pair in record["unique_min_max_elements"].split(";"))
    return tuple((int(least), int(greatest)) for least, greatest in pairs)


def capacities(record: Record) -> tuple[int, ...]:
    return tuple(int(record[level]) for level in LEVELS[:3])


def numbers(record: Record, kind: str) -> tuple[int, ...]:
    return tuple(int(record[f"{kind}_{level}"]) for level in LEVELS)


def test_golden_records_are_all_there() -> None:
    assert (len(CONVOLUTIONS), len(PRODUCTS), len(table())) == (82, 6, 247)


@pytest.mark.parametrize("record", CONVOLUTIONS, ids=range(len(CONVOLUTIONS)))
def test_golden_working_sets_of_convolutions(record: Record) -> None:
    assert working_sets(conv_record_nest(record)) == published_pairs(record)


@pytest.mark.parametrize("record", PRODUCTS, ids=range(len(PRODUCTS)))
def test_golden_working_sets_of_products(record: Record) -> None:
    assert working_sets(gemm_record_nest(record)) == published_pairs(record)


def test_golden_working_sets_in_cache_levels() -> None:
    for record in CONVOLUTIONS + PRODUCTS:
        pairs, room = published_pairs(record), capacities(record)
        element = int(record["dtype_bytes"])
        placed = greedy_bytes(stack_working_sets([pairs]), element, room)
        assert tuple(placed[0]) == numbers(record, "greedy"), record


def test_golden_working_sets_of_several_variants_are_placed_at_once() -> None:
    chosen = [r for r in CONVOLUTIONS if capacities(r)[2] == 40370176]
    pairs = stack_working_sets([published_pairs(r) for r in chosen])
    placed = greedy_bytes(pairs, 4, capacities(chosen[0]))
    assert [tuple(row) for row in placed] == [numbers(r, "greedy") for r in chosen]


def test_golden_working_sets_by_the_optimistic_method() -> None:
    published = [r for r in CONVOLUTIONS if r.get("optimistic_L1")]
    assert len(published) == 76
    for record in published:
        total, count = optimistic_bytes(published_pairs(record), 4, capacities(record))
        assert total == numbers(record, "optimistic"), record
        assert count == numbers(record, "count"), record


def test_golden_working_sets_have_as_many_variants_as_published() -> None:
    for row in table():
        layer, published = row.layer, row.numbers
        padded = (layer.channels_in, layer.channels_out, layer.block)
        names = ("C_padded", "K_padded", "gemm_block")
        assert padded == tuple(int(published[n]) for n in names), row
        of_2020 = len(list(conv_variants(layer, tiled=("oj",))))
        of_2021 = count_conv_variants(layer, tiled=TILED)
        assert of_2020 == int(published["variants_2020_script"]), row
        assert of_2021 == int(published["variants_2021_script"]), row


def test_all_variants_are_different_and_as_many_as_counted() -> None:
    layer = Layer(1, 128, 64, (3, 3), 1, (6, 6), 32)
    found = list(conv_variants(layer, tiled=TILED))
    assert len(set(found)) == len(found) == count_conv_variants(layer, tiled=TILED)


def test_tiles_are_halves_and_only_positions_must_come_out_even() -> None:
    assert halves(1) == (1,)
    layer = Layer(1, 10 * 16, 16, (1, 1), 1, (36, 10), 16)
    assert tile_extents(layer, "oj") == (36, 18, 9, 4, 2, 1)
    assert tile_extents(layer, "oi") == (10, 5, 2, 1)
    assert tile_extents(layer, "ifm_t") == (10, 5, 2, 1)
    positions = Layer(1, 14 * 16, 16, (1, 1), 1, (14, 14), 16)
    assert tile_extents(positions, "oj") == (14, 7, 1)
    assert tile_extents(positions, "ifm_t") == (14, 7, 3, 1)


def test_working_sets_of_a_parallel_loop_are_shared_data_and_half_of_the_rest() -> None:
    # Rows of A and C are a processor's own, B is shared: each trip of i has 2 + 3 own
    # elements (K = 3, N = 2), of 6 trips that are sources 5 remain.
    m, n, k = 6, 2, 3
    shared = k * n + (k + n) * (m - 1)
    alone, with_threads = plain_product(m, n, k), plain_product(m, n, k, "i")
    assert (shared, shared) in working_sets(with_threads)
    assert (shared, shared) not in working_sets(alone)
    inner = {pair for pair in working_sets(alone) if pair[1] < k * n}
    assert inner <= set(working_sets(with_threads))


def test_a_parallel_loop_inside_leaves_what_is_carried_outside_it() -> None:
    m, n, k = 6, 4, 3
    alone, with_threads = plain_product(m, n, k), plain_product(m, n, k, "j")
    # B is carried by i, which is outside of j; A, carried by j, crosses processors:
    # the trips of j have k + 1 elements each, of which A's k are common.
    carried_by_i = (k * n + k + n + 2, k * n + (m - 1) * (k + n))
    assert carried_by_i in working_sets(alone)
    assert carried_by_i in working_sets(with_threads)
    shared = (k + 1) * (n - 1) + k
    assert (shared, shared) in working_sets(with_threads)
