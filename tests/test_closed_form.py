"""The closed form of working sets against isl, on random nests."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polydsl.poly.terms import linear_from
from polydsl.poly.working_sets import (
    Loop,
    PerfectNest,
    Touch,
    WorkingSet,
    working_sets,
)
from polydsl.schedule.published.closed_form import closed_working_sets
from polydsl.schedule.published.footprints import variants_of
from polydsl.schedule.published.variants import TILED, Layer, conv_nest, conv_variants

pytestmark = pytest.mark.random

Chain = tuple[str, tuple[int, ...]]
"""An index and the trips of its loops, outermost first."""


def closed(*nests: PerfectNest) -> list[tuple[WorkingSet, ...]]:
    found = closed_working_sets(variants_of(nests)).tolist()
    return [tuple((a, b) for a, b in pairs if a) for pairs in found]


def chain_loops(index: str, trips: tuple[int, ...]) -> list[Loop]:
    """Return the loops of an index that is tiled len(trips) - 1 times."""
    loops: list[Loop] = []
    extent, within = 1, ""
    for trip in trips:
        extent *= trip
    for level, trip in enumerate(trips):
        name = f"{index}{level}" if level < len(trips) - 1 else index
        loops.append(Loop(name, extent, extent // trip, within))
        extent //= trip
        within = name
    return loops


@st.composite
def loop_orders(draw: st.DrawFn, chains: tuple[Chain, ...]) -> tuple[Loop, ...]:
    """Return the loops of all chains in random order, those of a chain in theirs."""
    queues = [chain_loops(index, trips) for index, trips in chains]
    order: list[Loop] = []
    while any(queues):
        queue = draw(st.sampled_from([q for q in queues if q]))
        order.append(queue.pop(0))
    return tuple(order)


def touch(tensor: str, *subscripts: str | dict[str, int]) -> Touch:
    forms = (s if isinstance(s, dict) else {s: 1} for s in subscripts)
    return Touch(tensor, tuple(linear_from(form, 0) for form in forms))


def tiled(most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(1, 4), min_size=1, max_size=most).map(tuple)


@st.composite
def products(draw: st.DrawFn) -> PerfectNest:
    chains = tuple((index, draw(tiled(3))) for index in "ijk")
    result = touch("C", "i", "j")
    reads = (touch("A", "i", "k"), touch("B", "k", "j"), result)
    return PerfectNest(draw(loop_orders(chains)), reads, (result,))


@st.composite
def strided_products(draw: st.DrawFn) -> PerfectNest:
    """Coefficients that leave gaps: strided 1x1 convolutions."""
    p, q = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    chains = tuple((index, draw(tiled(2))) for index in "pqck")
    result = touch("O", "p", "q", "k")
    reads = (touch("I", {"p": p}, {"q": q}, "c"), touch("F", "c", "k"), result)
    return PerfectNest(draw(loop_orders(chains)), reads, (result,))


@st.composite
def windows(draw: st.DrawFn) -> PerfectNest:
    """Convolutions over two axes, neither positions nor windows tiled; any stride and
    dilation, also with gaps."""
    steps = st.integers(1, 5)
    rows, columns = {"p": draw(steps), "r": draw(steps)}, {"q": 1, "s": draw(steps)}
    whole = st.integers(1, 5).map(lambda n: (n,))
    chains = (
        *((index, draw(whole)) for index in "pqrs"),
        *((index, draw(tiled(2))) for index in "ck"),
    )
    result = touch("O", "p", "q", "k")
    reads = (touch("I", rows, columns, "c"), touch("F", "r", "s", "c", "k"), result)
    return PerfectNest(draw(loop_orders(chains)), reads, (result,))


@settings(deadline=None, max_examples=30)
@given(nest=products())
def test_closed_form_of_tiled_products_equals_isl(nest: PerfectNest) -> None:
    assert closed(nest) == [working_sets(nest)]


@settings(deadline=None, max_examples=20)
@given(nest=strided_products())
def test_closed_form_with_gaps_equals_isl(nest: PerfectNest) -> None:
    assert closed(nest) == [working_sets(nest)]


@settings(deadline=None, max_examples=30)
@given(nest=windows())
def test_closed_form_of_sliding_windows_equals_isl(nest: PerfectNest) -> None:
    assert closed(nest) == [working_sets(nest)]


def test_a_tiled_sliding_axis_is_where_closed_form_and_isl_differ() -> None:
    result = touch("O", "p", "k")
    reads = (touch("I", {"p": 2, "r": 1}, "c"), touch("F", "r", "c", "k"), result)
    chains = (("r", (3,)), ("c", (2,)), ("p", (2, 2)), ("k", (2,)))
    loops = tuple(loop for chain in chains for loop in chain_loops(*chain))
    nest = PerfectNest(loops, reads, (result,))
    (found,), exact = closed(nest), working_sets(nest)
    assert exact == ((3, 3), (5, 5), (8, 8), (14, 14), (16, 16), (22, 32))
    assert found == ((3, 3), (5, 5), (8, 8), (12, 12), (14, 14), (22, 32))


def test_thousands_of_variants_a_second_in_closed_form() -> None:
    layer = Layer(1, 512, 512, (3, 3), 1, (32, 32), 64)
    nests = [conv_nest(variant) for variant in conv_variants(layer, tiled=TILED)]
    start = time.thread_time()
    pairs = closed_working_sets(variants_of(nests))
    assert len(pairs) == 1156
    assert len(nests) / (time.thread_time() - start) > 500


def test_variants_are_computed_together_as_alone() -> None:
    layer = Layer(1, 32, 32, (3, 3), 2, (4, 2), 16)
    nests = [conv_nest(variant) for variant in conv_variants(layer, tiled=TILED)]
    alone = [sets for nest in nests for sets in closed(nest)]
    assert closed(*nests) == alone
    assert working_sets(nests[0]) == alone[0]
