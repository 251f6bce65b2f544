"""Legal and illegal schedule trees, and how they are refused."""

from __future__ import annotations

import pytest
from tree_harness import scop_of
from tree_scops import CHAIN, GROUPS, HISTOGRAM, MATMUL, SCATTER, SCOPS, SHIFT

from polydsl.base.diagnostics import CompilerBug
from polydsl.poly.dependences import analyze
from polydsl.poly.isl import parse_map
from polydsl.poly.scop import Scop
from polydsl.schedule.legality import (
    IllegalSchedule,
    check,
    schedule_map,
    verify,
)
from polydsl.schedule.transform import (
    flatten,
    fuse,
    initial_tree,
    interchange,
    parallelize,
    reorder,
    sink,
    split,
    tile,
    unroll,
    vectorize,
)
from polydsl.schedule.tree import Band, Sequence, Tree, leaves


def bands(scop: Scop) -> tuple[Band, ...]:
    """Return the loops of each statement, but for those of checks."""
    checks = {check.tensor for check in scop.checks}
    children = initial_tree(scop).children
    found = [c for c in children if next(leaves(c))[0].tensor not in checks]
    assert all(isinstance(child, Band) for child in found)
    return tuple(child for child in found if isinstance(child, Band))


def refusal(scop: Scop, tree: Tree) -> str:
    with pytest.raises(IllegalSchedule) as caught:
        check(tree, analyze(scop))
    return str(caught.value)


def has_times(tree: Tree, statement: str, expected: str) -> bool:
    return bool(schedule_map(tree, statement).is_equal(parse_map(expected)))


def test_every_initial_tree_is_legal() -> None:
    for scop in SCOPS:
        check(initial_tree(scop), analyze(scop))
        verify(initial_tree(scop), scop)


def test_a_refusal_is_a_mistake_of_the_compiler() -> None:
    assert issubclass(IllegalSchedule, CompilerBug)


# Times


def test_times_are_values_of_loops_and_places() -> None:
    zero, update = bands(MATMUL)
    tiled = tile(update, (("k", 2, "k_tile"),))
    tree = Sequence((zero, tiled))
    assert has_times(tree, "S0", "{ S0[i, j] -> [0, i, j, 0, 0] }")
    assert has_times(tree, "S1", "{ S1[i, j, k] -> [1, i, j, floor(k/2), k] }")
    assert not has_times(tree, "S1", "{ S1[i, j, k] -> [1, i, j, k, k] }")


def test_positions_are_row_major_and_count_from_zero() -> None:
    scop = scop_of(
        """
kernel f(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[i, j] if i > 0 else 0
    z[p, q] = y[p, q]
    p in range(2, 4)
    q in range(1, 4)
    w[i, j] = pad(z[i, j])
    return w
""",
        x=(4, 4),
    )
    band = flatten(bands(scop)[1], ("p", "q"), "flat")
    assert has_times(band, "S1", "{ S1[p, q] -> [3*(p - 2) + q - 1] }")


def test_parts_of_a_dimension_have_divisor_and_remainder() -> None:
    band = split(bands(GROUPS)[2], "k", 2)
    assert has_times(band, "S2", "{ S2[p, k] -> [p, floor(k/2), k mod 2] }")


# Order


def test_an_update_before_its_initialisation_is_refused() -> None:
    tree = reorder(initial_tree(MATMUL), (1, 0))
    assert refusal(MATMUL, tree) == (
        "the output dependence S0 -> S1 through c runs backward: "
        "S0[i = 0, j = 0] must run before S1[i = 0, j = 0, k = 0] and does not"
    )


def test_updates_may_change_places() -> None:
    check(reorder(initial_tree(GROUPS), (0, 2, 1)), analyze(GROUPS))


def test_fusing_a_consumer_with_a_later_producer_is_refused() -> None:
    tree = fuse(initial_tree(CHAIN), 2)
    assert refusal(CHAIN, tree) == (
        "the flow dependence S0 -> S1 through y runs backward: "
        "S0[i = 1, j = 0] must run before S1[i = 0, j = 1] and does not"
    )


def test_fusing_at_distance_zero_is_legal() -> None:
    scop = scop_of(
        """
kernel f(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[i, j] * 2
    z[i, j] = y[i, j] + 1
    return z
""",
        x=(3, 2),
    )
    tree = fuse(initial_tree(scop), 2)
    check(tree, analyze(scop))
    check(parallelize(tree, "i"), analyze(scop))
    turned = Band(tree.members, reorder(_sequence(tree.child), (1, 0)))
    assert refusal(scop, turned) == (
        "the flow dependence S0 -> S1 through y runs backward: "
        "S0[i = 0, j = 0] must run before S1[i = 0, j = 0] and does not"
    )


def _sequence(tree: Tree) -> Sequence:
    assert isinstance(tree, Sequence)
    return tree


def test_interchange_that_turns_a_dependence_around_is_refused() -> None:
    fused = fuse(initial_tree(SHIFT), 2)
    check(fused, analyze(SHIFT))
    assert refusal(SHIFT, interchange(fused, ("j", "i"))) == (
        "the flow dependence S0 -> S1 through y runs backward: "
        "S0[i = 0, j = 1] must run before S1[i = 1, j = 0] and does not"
    )
    tiled = tile(fused, (("i", 2, "i_tile"), ("j", 2, "j_tile")))
    assert "S0[i = 0, j = 2] must run before S1[i = 1, j = 1]" in refusal(SHIFT, tiled)


def test_an_initialisation_may_run_in_the_first_block_of_the_depth() -> None:
    band = sink(fuse(initial_tree(MATMUL), 2))
    tiled = tile(band, (("j", 2, "panel"), ("k", 2, "block"), ("i", 2, "rows")))
    check(tiled, analyze(MATMUL))
    turned = Band(tiled.members, reorder(_sequence(tiled.child), (1, 0)))
    assert "through c runs backward" in refusal(MATMUL, turned)


# Threads and lanes


def test_threads_may_share_the_rows_of_a_product() -> None:
    zero, update = bands(MATMUL)
    tree = Sequence((parallelize(zero, "i"), parallelize(update, "i")))
    check(tree, analyze(MATMUL))


def test_threads_must_not_share_a_sum() -> None:
    zero, update = bands(MATMUL)
    tree = Sequence((zero, parallelize(update, "k")))
    assert refusal(MATMUL, tree) == (
        "the reduction dependence S1 -> S1 through c is carried by the parallel "
        "loop k: S1[i = 0, j = 0, k = 0] and S1[i = 0, j = 0, k = 1] "
        "run at the same time"
    )


def test_lanes_may_be_partial_sums() -> None:
    zero, update = bands(MATMUL)
    check(Sequence((zero, vectorize(update, "k", 2))), analyze(MATMUL))


def test_lanes_of_a_sum_must_not_initialise_it() -> None:
    band = vectorize(sink(fuse(initial_tree(MATMUL), 2)), "k", 2)
    assert refusal(MATMUL, band) == (
        "the output dependence S0 -> S1 through c is carried by the vector loop k: "
        "S0[i = 0, j = 0] and S1[i = 0, j = 0, k = 1] run at the same time"
    )


def test_lanes_must_not_write_one_element() -> None:
    zero, update = bands(SCATTER)
    assert refusal(SCATTER, Sequence((zero, vectorize(update, "p", 2)))) == (
        "the reduction dependence S1 -> S1 through y is carried by the vector loop p: "
        "S1[p = 0, r = 1] and S1[p = 1, r = 0] run at the same time"
    )


def test_lanes_over_what_a_scatter_reduces_are_partial_sums() -> None:
    zero, update = bands(HISTOGRAM)
    check(Sequence((zero, vectorize(update, "m", 2))), analyze(HISTOGRAM))
    wrong = Sequence((zero, vectorize(update, "n", 2)))
    assert "carried by the vector loop n" in refusal(HISTOGRAM, wrong)


def test_unrolling_changes_no_order() -> None:
    zero, update = bands(SCATTER)
    check(Sequence((zero, unroll(unroll(update, "p"), "r"))), analyze(SCATTER))


# Coverage


def test_every_statement_is_in_the_tree_once() -> None:
    zero, _ = bands(MATMUL)
    with pytest.raises(CompilerBug, match="the tree runs S0"):
        verify(zero, MATMUL)


def test_every_dimension_is_fixed() -> None:
    zero, update = bands(MATMUL)
    loose = Band(tile(update, (("k", 2, "k_tile"),)).members[:-1], update.child)
    with pytest.raises(CompilerBug, match="S1: the loops do not fix k"):
        verify(Sequence((zero, loose)), MATMUL)
    halves = split(update, "k", 2)
    verify(Sequence((zero, halves)), MATMUL)
    for missing in ("k_o", "k_i"):
        rest = tuple(m for m in halves.members if m.var != missing)
        with pytest.raises(CompilerBug, match="S1: the loops do not fix k"):
            verify(Sequence((zero, Band(rest, update.child))), MATMUL)


def test_axes_have_the_ranges_of_their_statements() -> None:
    other = scop_of(
        """
kernel mm(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
""",
        a=(3, 7),
        b=(7, 5),
    )
    with pytest.raises(CompilerBug, match=r"S1: k is not in 0\.\.7"):
        verify(initial_tree(MATMUL), other)
