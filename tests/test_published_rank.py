"""The published rankers over points, and the pairwise net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
from machines import machine

from polydsl.base.dtypes import F32
from polydsl.base.source import Source
from polydsl.poly.extract import extract
from polydsl.poly.working_sets import WorkingSet
from polydsl.schedule.contraction import Contraction, match
from polydsl.schedule.matrix_point import MatrixPoint, TileLoop
from polydsl.schedule.published.closed_form import closed_working_sets
from polydsl.schedule.published.footprints import Variants, variants_of
from polydsl.schedule.published.pairwise_net import (
    WIDTHS,
    PairwiseNet,
    first_is_faster,
    net_from_json,
    net_to_json,
    shipped_net,
    tournament,
)
from polydsl.schedule.published.placement import greedy_bytes
from polydsl.schedule.published.points import variants_of_points
from polydsl.schedule.published.polyrank import best_share, polyrank_costs
from polydsl.schedule.published.rank import PublishedRanker, bytes_of_points, rank
from polydsl.schedule.published.variants import (
    TILED,
    ConvVariant,
    Layer,
    conv_nest,
    conv_variants,
    gemm_nest,
    gemm_tiles,
)
from polydsl.semantics.check import check_module
from polydsl.semantics.specialize import specialize
from polydsl.syntax.parser import parse
from tests.benchmarks.published.runnable import (
    PRODUCT,
    convolution_point,
    convolution_sizes,
    convolution_text,
    is_even,
    product_point,
    register_rows,
)


def working_sets_of(variants: Variants) -> list[list[WorkingSet]]:
    found = closed_working_sets(variants).tolist()
    return [[(a, b) for a, b in pairs if a] for pairs in found]


def contraction_of(
    text: str, shapes: Mapping[str, tuple[int, ...]], constants: Mapping[str, int]
) -> Contraction:
    library = check_module(parse(Source("test.pdl", text)))
    (kernel,) = library.kernels
    types = {name: (F32, shape) for name, shape in shapes.items()}
    scop = extract(specialize(library, kernel, types, dict(constants)))
    found = match(scop, scop.statements[1])
    assert isinstance(found, Contraction)
    return found


def product(m: int, n: int, k: int) -> Contraction:
    return contraction_of(PRODUCT, {"a": (m, k), "b": (k, n)}, {})


def random_net(seed: int = 0) -> PairwiseNet:
    rng = np.random.default_rng(seed)
    shapes = list(pairwise(WIDTHS))
    return PairwiseNet(
        tuple(rng.standard_normal(shape) for shape in shapes),
        tuple(rng.standard_normal(outputs) for _, outputs in shapes),
        "random",
    )


def random_bytes(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 1 << 24, (count, 4))


def test_a_point_of_a_product_has_the_working_sets_of_its_nest() -> None:
    here = machine()
    sizes, outer, inner = (128, 128, 64), (64, 128, 32), (4, 64, 16)
    nest = gemm_nest(sizes, outer, inner)
    point = product_point(here, outer, inner)
    assert (point.row_tile, point.column_tile, point.depth_block) == inner
    found = working_sets_of(variants_of_points([point], product(*sizes)))
    assert found == working_sets_of(variants_of([nest]))


LAYERS = (
    Layer(1, 64, 128, (3, 3), 1, (6, 6), 32),
    Layer(1, 128, 64, (1, 1), 2, (8, 4), 64),
    Layer(2, 32, 64, (3, 1), 2, (4, 6), 16),
)


@pytest.mark.parametrize("layer", LAYERS, ids=["3x3", "1x1", "3x1"])
def test_points_of_published_variants_have_their_working_sets(layer: Layer) -> None:
    here = machine()
    every = [v for v in conv_variants(layer, tiled=TILED) if is_even(v)]
    for variant in every[:4] + every[4::17]:
        found = convolution_of(variant)
        point = convolution_point(variant, here)
        tile = dict(variant.tiles).get("oi", layer.positions[1])
        assert point.row_tile == tile, "the register tile is the microkernel's"
        nests = variants_of([conv_nest(variant)])
        points = variants_of_points([point], found)
        assert working_sets_of(points) == working_sets_of(nests), variant


def convolution_of(variant: ConvVariant) -> Contraction:
    return contraction_of(convolution_text(variant), *convolution_sizes(variant))


def test_a_loop_over_a_flattened_axis_moves_its_dimensions() -> None:
    here = machine()
    layer = Layer(1, 16, 16, (1, 1), 1, (6, 6), 16)
    variant = ConvVariant(layer, 2)
    found = convolution_of(variant)
    point = replace(
        convolution_point(variant, here),
        rows=("ji", "ii"),
        row_tile=3,
        loops=(TileLoop("rows", 4), TileLoop("rows")),
    )
    axes = variants_of_points([point], found)
    moving = [
        (int(n), [int(s) for s in steps if s])
        for n, steps in zip(axes.trips[0], axes.steps[0])
        if n > 1
    ]
    # 36 rows: by 12 are two lines; by 3 half a line, then the next line; then points.
    # A step moves the result and the image, or the result and the weights.
    rows = [(3, [2, 2]), (2, [1, 1]), (2, [3, 3]), (3, [1, 1])]
    assert moving == [*rows, (16, [1, 1]), (16, [1, 1])]


def test_what_just_fits_a_level_is_in_it() -> None:
    pairs = np.array([[[2, 4]], [[2, 5]]])
    assert greedy_bytes(pairs, 4, (16, 64)).tolist() == [[16, 0, 0], [8, 20, 0]]


def test_polyrank_prefers_what_lies_nearer() -> None:
    near, far = [[1000, 0, 0, 0], [0, 0, 1000, 0]]
    costs = polyrank_costs(np.array([near, far]))
    assert costs.tolist() == pytest.approx([1000 * 4 / 192, 1000 * 60 / 16])
    assert best_share(costs, 0.05).tolist() == [0]
    assert best_share(np.array([3.0, 1.0, 2.0, 1.0]), 0.5).tolist() == [1, 3]


def orders(contraction: Contraction) -> list[MatrixPoint]:
    here = machine()
    base = product_point(here, (128, 128, 64), (4, 64, 32))
    loops = [
        tuple(TileLoop(axis) for axis in order)
        for order in permutations(("rows", "columns", "depth"))
    ]
    return [replace(base, loops=order) for order in loops]


@pytest.mark.parametrize("ranker", ["polyrank", "pairwise-net"])
def test_a_ranker_scores_every_point(ranker: PublishedRanker) -> None:
    found = product(512, 512, 512)
    points = orders(found)
    scores = rank(ranker, points, found, machine())
    assert scores.shape == (6,) and np.isfinite(scores).all()
    assert len(set(scores.tolist())) > 1
    backward = rank(ranker, points[::-1], found, machine())
    assert backward[::-1] == pytest.approx(scores)
    assert len(rank(ranker, [], found, machine())) == 0


def test_polyrank_scores_are_costs_of_bytes_in_the_machines_caches() -> None:
    found, here = product(512, 512, 512), machine()
    points = orders(found)
    pairs = closed_working_sets(variants_of_points(points, found))
    room = tuple(cache.capacity for cache in here.caches)
    expected = polyrank_costs(greedy_bytes(pairs, 4, room))
    assert rank("polyrank", points, found, here).tolist() == expected.tolist()


def test_threads_share_the_last_cache() -> None:
    found, here = product(2048, 2048, 2048), machine(cores=64)
    alone = orders(found)
    shared = [replace(point, parallel=0) for point in alone]
    both = bytes_of_points(alone + shared, found, here)
    assert (both[6:, 2] < both[:6, 2]).any()
    assert (both[6:, 3] >= both[:6, 3]).all()


def test_the_net_does_not_depend_on_the_order_of_a_pair() -> None:
    net, data = random_net(), random_bytes(20)
    one, other = data[:10], data[10:]
    chance = first_is_faster(net, one, other)
    assert chance == pytest.approx(1 - first_is_faster(net, other, one))
    assert first_is_faster(net, one, one) == pytest.approx(np.full(10, 0.5))
    assert ((chance > 0) & (chance < 1)).all()


def test_a_tournament_counts_wins_over_all() -> None:
    net, data = random_net(), random_bytes(6)
    wins = tournament(net, data)
    for number, one in enumerate(data):
        chances = [float(first_is_faster(net, one, other)) for other in data]
        assert wins[number] == pytest.approx(np.mean(chances))
    assert wins.mean() == pytest.approx(0.5)


def test_equal_variants_share_their_place() -> None:
    net, data = random_net(), random_bytes(3)
    wins = tournament(net, data[[0, 1, 0, 2, 0]])
    assert wins[0] == wins[2] == wins[4]
    assert wins.mean() == pytest.approx(0.5)
    assert tournament(net, data[:1]) == pytest.approx([0.5])
    assert tournament(net, data[:0]).tolist() == []


def test_a_large_tournament_stays_short() -> None:
    net, data = random_net(), random_bytes(1000)
    wins = tournament(net, data)
    assert wins.shape == (1000,) and ((wins > 0) & (wins < 1)).all()


def test_a_net_is_kept_in_a_file() -> None:
    net = random_net()
    again = net_from_json(net_to_json(net))
    data = random_bytes(8)
    chance = first_is_faster(again, data[:4], data[4:])
    assert chance == pytest.approx(first_is_faster(net, data[:4], data[4:]), abs=1e-5)
    assert again.description == "random"


def test_the_shipped_net_has_the_published_shape_and_says_what_it_saw() -> None:
    net = shipped_net()
    widths = tuple(len(layer) for layer in net.weights)
    assert (*widths, net.weights[-1].shape[1]) == WIDTHS
    assert [len(biases) for biases in net.biases] == list(WIDTHS[1:])
    assert "pairs of" in net.description


def test_register_tiles_of_the_microkernel() -> None:
    here = machine("avx512")
    assert [register_rows(here, 64, rows) for rows in (56, 7, 14, 13, 1)] == [
        4,
        4,
        5,
        5,
        1,
    ]
    assert [register_rows(here, 16, rows) for rows in (56, 7, 14)] == [28, 7, 14]


def test_tiles_of_products_are_powers_of_two_of_the_microkernel() -> None:
    found = list(gemm_tiles((64, 32, 128), 32))
    assert ((64, 32, 128), (32, 32, 32)) in found
    assert len(found) == len(set(found)) == 3 * 1 * 6
    for outer, inner in found:
        assert all(o % i == 0 and i % 32 == 0 for o, i in zip(outer, inner))
