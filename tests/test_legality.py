"""Legal and illegal schedule trees, decided by isl and by enumeration."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st
from tree_harness import is_legal, pairs, results, scop_of

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
    keep_in_registers,
    nest,
    parallelize,
    reorder,
    sink,
    split,
    tile,
    to_front,
    unroll,
    vectorize,
)
from polydsl.schedule.tree import Band, Leaf, Mark, RegisterTile, Sequence, Tree

MATMUL = scop_of(
    """
kernel mm(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
""",
    a=(3, 4),
    b=(4, 5),
)
CHAIN = scop_of(
    """
kernel chain(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[i, j] * 2
    z[i, j] = pad(y[i + 1, j - 1]) + y[i, j]
    return z
""",
    x=(4, 3),
)
SHIFT = scop_of(
    """
kernel shift(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[i, j] * 2
    z[i, j] = pad(y[i - 1, j + 1]) + y[i, j]
    return z
""",
    x=(3, 3),
)
SCATTER = scop_of(
    """
kernel scatter(x: f32[P], w: f32[R]) -> f32[7]:
    y: f32[7]
    y[p + r] += x[p] * w[r]
    return y
""",
    x=(5,),
    w=(3,),
)
HISTOGRAM = scop_of(
    """
kernel histogram(ids: i32[N], v: f32[N, M]) -> f32[3]:
    h: f32[3]
    h[ids[n]] += v[n, m]
    return h
""",
    ids=(4,),
    v=(4, 2),
)
MIRROR = scop_of(
    """
kernel mirror(x: f32[N]) -> (f32[N], f32[N]):
    y[i] = x[i] + 1
    z[i] = y[5 - i] + y[(i // 2) * 2]
    return y, z
""",
    x=(6,),
)
GROUPS = scop_of(
    """
kernel groups(x: f32[P, C], w: f32[D, K], b: f32[K]) -> f32[P, K]:
    y[p, k] += x[p, (k // 2) * 2 + d] * w[d, k]
    y[p, k] += b[k]
    d in range(2)
    return y
""",
    x=(3, 4),
    w=(2, 4),
    b=(4,),
)
SCOPS = (MATMUL, CHAIN, SHIFT, SCATTER, HISTOGRAM, MIRROR, GROUPS)


def bands(scop: Scop) -> tuple[Band, ...]:
    found = initial_tree(scop).children
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


# isl against enumeration

PAIRS = {scop.name: list(pairs(scop)) for scop in SCOPS}
DEPENDENCES = {scop.name: analyze(scop) for scop in SCOPS}


@st.composite
def scrambled(draw: st.DrawFn) -> tuple[Scop, Tree]:
    """Draw a scop and its tree after some transformations, legal or not."""
    scop = draw(st.sampled_from(SCOPS))
    tree: Tree = initial_tree(scop)
    for step in range(draw(st.integers(0, 7))):
        try:
            tree = _changed(draw, tree, f"t{step}")
        except IllegalSchedule:
            continue
    return scop, tree


def _changed(draw: st.DrawFn, tree: Tree, name: str) -> Tree:
    """Return the tree with one node changed."""
    match tree:
        case Leaf():
            return keep_in_registers(tree, tree.tensor)
        case Mark() | RegisterTile():
            return tree
        case Sequence(below):
            if draw(st.booleans()):
                return _changed_sequence(draw, tree)
            place = draw(st.integers(0, len(below) - 1))
            child = _changed(draw, below[place], name)
            return Sequence((*below[:place], child, *below[place + 1 :]))
        case Band(members, child):
            if draw(st.integers(0, 3)) == 0:
                return Band(members, _changed(draw, child, name))
            return _changed_band(draw, tree, name)
        case _:
            raise AssertionError(tree)


def _changed_sequence(draw: st.DrawFn, tree: Sequence) -> Tree:
    places = range(len(tree.children))
    if draw(st.integers(0, 2)) == 0:
        return reorder(tree, tuple(draw(st.permutations(places))))
    return fuse(tree, draw(st.integers(1, 2)))


def _changed_band(draw: st.DrawFn, band: Band, name: str) -> Tree:
    if isinstance(band.child, Sequence) and draw(st.booleans()):
        return sink(band)
    var = draw(st.sampled_from(band.vars))
    size = draw(st.integers(1, 4))
    changes = (
        partial(interchange, order=tuple(draw(st.permutations(band.vars)))),
        partial(tile, tilings=((var, size, name),)),
        partial(to_front, names=(var,)),
        partial(split, var=var, divisor=size),
        partial(flatten, names=band.vars[-2:], name=name),
        partial(parallelize, var=var),
        partial(vectorize, var=var, lanes=size),
        partial(unroll, var=var),
        partial(nest, count=size),
    )
    return draw(st.sampled_from(changes))(band)


def _is_accepted(scop: Scop, tree: Tree) -> bool:
    try:
        check(tree, DEPENDENCES[scop.name])
    except IllegalSchedule:
        return False
    return True


@settings(deadline=None, max_examples=400)
@given(scrambled())
def test_isl_and_enumeration_agree(example: tuple[Scop, Tree]) -> None:
    scop, tree = example
    verify(tree, scop)
    assert _is_accepted(scop, tree) == is_legal(tree, PAIRS[scop.name])


@settings(deadline=None, max_examples=200)
@given(scrambled())
def test_a_legal_tree_computes_the_same(example: tuple[Scop, Tree]) -> None:
    scop, tree = example
    assume(_is_accepted(scop, tree))
    assert results(scop, tree) == results(scop, initial_tree(scop))


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_legal_steps_keep_a_tree_legal(data: st.DataObject) -> None:
    """Refuse the illegal steps one by one, as the compiler does."""
    scop = data.draw(st.sampled_from(SCOPS))
    tree: Tree = initial_tree(scop)
    for step in range(data.draw(st.integers(1, 10))):
        try:
            proposed = _changed(data.draw, tree, f"t{step}")
        except IllegalSchedule:
            continue
        if _is_accepted(scop, proposed):
            tree = proposed
    verify(tree, scop)
    assert is_legal(tree, PAIRS[scop.name])
    assert results(scop, tree) == results(scop, initial_tree(scop))


@pytest.mark.parametrize("accepted", (True, False))
@pytest.mark.parametrize("kind", ("sequential", "parallel", "vector", "unrolled"))
def test_examples_of_all_kinds_are_drawn(kind: str, accepted: bool) -> None:
    """The properties above see shared loops of every kind, legal and illegal ones."""

    def is_wanted(example: tuple[Scop, Tree]) -> bool:
        scop, tree = example
        if not isinstance(tree, Band) or not isinstance(tree.child, Sequence):
            return False
        kinds = {member.kind for member in tree.members}
        return kind in kinds and _is_accepted(scop, tree) == accepted

    limits = settings(
        max_examples=3000, deadline=None, phases=(Phase.generate,), derandomize=True
    )
    assert is_wanted(find(scrambled(), is_wanted, settings=limits))
