"""Random schedule trees: isl against enumeration, and what the legal ones compute."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st
from tree_harness import is_legal, pairs, results
from tree_scops import SCOPS

from polydsl.poly.dependences import analyze
from polydsl.poly.scop import Scop
from polydsl.schedule.legality import (
    IllegalSchedule,
    check,
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
