"""Trees of the schedules of whole kernels: whatever the sizes, they are right."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import machine
from tree_harness import results, scop_of
from tree_kernels import (
    BATCHES,
    BIASED,
    CHANNELS_FIRST,
    CONVOLUTION,
    DEPTHWISE,
    GROUPS,
    MATMUL,
    SOFTMAX,
    SUM,
    SUMS,
)

from polydsl.base.diagnostics import CompilerBug
from polydsl.loops.generate import default_layout
from polydsl.poly.dependences import analyze
from polydsl.poly.scop import Scop
from polydsl.schedule.legality import IllegalSchedule, check, precedences, verify
from polydsl.schedule.plan_tree import plan_tree, statements_of
from polydsl.schedule.schedule import Schedule, schedule
from polydsl.schedule.transform import initial_tree
from polydsl.schedule.tree import (
    leaves,
)


def planned(scop: Scop, *, cores: int = 4, bound: tuple[str, ...] = ()) -> Schedule:
    layout = default_layout(scop)
    return schedule(scop, analyze(scop), layout, machine(cores=cores), frozenset(bound))


def test_plans_that_change_the_meaning_do_not_get_through() -> None:
    scop = scop_of(MATMUL, a=(6, 7), b=(7, 8))
    found = planned(scop)
    with pytest.raises(IllegalSchedule, match="through c runs backward"):
        plan_tree(scop, found.plans[::-1], precedences(analyze(scop)))
    with pytest.raises(CompilerBug, match="the tree runs"):
        plan_tree(scop, found.plans[:1], precedences(analyze(scop)))


KERNELS = {
    BIASED: {"b": "C", "a": "MK", "w": "KC"},
    SUM: {"x": "MC"},
    MATMUL: {"a": "MK", "b": "KN"},
    CONVOLUTION: {"x": "NMMK", "w": "RSKC"},
    CHANNELS_FIRST: {"x": "NKMM", "w": "CKRS"},
    GROUPS: {"x": "ME", "w": "CE"},
    DEPTHWISE: {"x": "MMC", "w": "RSC"},
    SOFTMAX: {"x": "MK"},
    SUMS: {"x": "MM", "b": "M", "a": "MK", "w": "KM"},
    BATCHES: {"a": "NMK", "b": "NKC"},
}


@st.composite
def scops(draw: st.DrawFn) -> Scop:
    """Draw a kernel with small sizes, 1 and primes and 0 among them."""
    text = draw(st.sampled_from([*KERNELS]))
    sizes = {letter: draw(st.integers(1, 4)) for letter in "NMKCRS"}
    sizes["K"] = draw(st.sampled_from((0, 1, 2, 3, 5)))
    sizes["M"] = max(sizes["M"], sizes["R"], sizes["S"])
    sizes["C"] = draw(st.sampled_from((1, 2, 3, 17, 20)))
    if text == GROUPS:
        sizes["C"], sizes["E"] = 1, 2 * draw(st.integers(1, 9))
        shapes = {"x": (sizes["M"], 2 * sizes["N"]), "w": (sizes["N"], sizes["E"])}
        return scop_of(text, **shapes)
    shapes = {
        name: tuple(sizes[letter] for letter in letters)
        for name, letters in KERNELS[text].items()
    }
    return scop_of(text, **shapes)


@settings(deadline=None, max_examples=40)
@given(scops(), st.sampled_from((1, 2, 3, 8)), st.booleans())
def test_every_schedule_has_a_right_tree(scop: Scop, cores: int, bound: bool) -> None:
    found = planned(scop, cores=cores, bound=scop.parameters if bound else ())
    check(found.tree, analyze(scop))
    verify(found.tree, scop)
    assert results(scop, found.tree) == results(scop, initial_tree(scop))
    planned_statements = {s for plan in found.plans for s in statements_of(plan)}
    assert planned_statements == {s.name for s in scop.statements}


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from((1, 5, 16, 100, 700)),
    st.sampled_from((1, 13, 64, 1500)),
    st.sampled_from((1, 31, 96, 1000)),
    st.sampled_from((1, 4, 16)),
)
def test_products_of_every_size_have_a_tree(m: int, k: int, n: int, cores: int) -> None:
    scop = scop_of(MATMUL, a=(m, k), b=(k, n))
    found = planned(scop, cores=cores)
    names = [leaf.statement for leaf, _ in leaves(found.tree)]
    assert names == ["S0", "S1", "S2"]
