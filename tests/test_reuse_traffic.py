"""The closed form of traffic against an exact cache, on random loops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lru_simulation import misses

from polydsl.schedule.reuse.footprint import (
    Axis,
    Counts,
    Extents,
    Reference,
    lines,
    progressions,
    spread,
)
from polydsl.schedule.reuse.traffic import Nest, traffic

LINE = 16
"""Bytes of a line here: four elements."""


@dataclass(frozen=True)
class Program:
    """Loops (index, trips, step), outermost first, and what their body touches."""

    loops: tuple[tuple[str, int, int], ...]
    references: tuple[Reference, ...]


def reference(name: str, shape: tuple[int, ...], *subscripts: str) -> Reference:
    """Return a row-major array of 4-byte elements; a subscript is a sum of indices."""
    axes = []
    stride = 4
    for extent, text in reversed(tuple(zip(shape, subscripts))):
        terms = tuple((index, 1) for index in text.split("+"))
        axes.append(Axis(stride, extent, terms))
        stride *= extent
    return Reference(name, 4, tuple(axes))


@st.composite
def products(draw: st.DrawFn) -> Program:
    """A tiled matrix product with its loops in any order."""
    size = {d: draw(st.sampled_from((8, 16, 24))) for d in "ijk"}
    tile = {d: draw(st.sampled_from((1, 2, 4, 8))) for d in "ijk"}
    outside = draw(st.permutations([(d, size[d] // tile[d], tile[d]) for d in "ijk"]))
    inside = draw(st.permutations([(d, tile[d], 1) for d in "ijk"]))
    m, n, k = (size[d] for d in "ijk")
    return Program(
        (*outside, *inside),
        (
            reference("a", (m, k), "i", "k"),
            reference("b", (k, n), "k", "j"),
            reference("c", (m, n), "i", "j"),
        ),
    )


@st.composite
def windows(draw: st.DrawFn) -> Program:
    """A one-dimensional convolution over channels with its loops in any order."""
    size = {"p": 12, "r": 3, "c": 8, "o": draw(st.sampled_from((4, 8, 16)))}
    tile = draw(st.sampled_from((1, 2, 4)))
    whole = [(d, size[d], 1) for d in "pr"]
    tiled = [(d, size[d] // tile, tile) for d in "co"]
    outside = draw(st.permutations([*whole, *tiled]))
    inside = draw(st.permutations([(d, tile, 1) for d in "co"]))
    return Program(
        (*outside, *inside),
        (
            reference("x", (14, 8), "p+r", "c"),
            reference("w", (3, 8, size["o"]), "r", "c", "o"),
            reference("y", (12, size["o"]), "p", "o"),
        ),
    )


def trace(program: Program) -> Iterator[tuple[str, int]]:
    """Yield what the loops touch, in order."""
    for place in product(*(range(trips) for _, trips, _ in program.loops)):
        values: dict[str, int] = {}
        for (index, _, step), number in zip(program.loops, place):
            values[index] = values.get(index, 0) + number * step
        for array in program.references:
            address = sum(
                axis.stride * sum(values[d] for d, _ in axis.terms)
                for axis in array.axes
            )
            yield array.tensor, address // LINE


def predicted(program: Program, capacity: float) -> dict[str, float]:
    """Return the lines that each array brings in, by the closed form."""
    depth = len(program.loops)
    names = {index for index, _, _ in program.loops}
    footprint = np.array(
        [
            [touched(r, extents(program, names, d)) for r in program.references]
            for d in range(depth + 1)
        ]
    )
    moves = np.array(
        [
            [[index in r.indices] for r in program.references]
            for index, _, _ in program.loops
        ]
    )
    nest = Nest(
        np.array([[[float(trips)]] for _, trips, _ in program.loops]),
        footprint,
        np.ones_like(footprint),
        moves,
        np.full((len(program.references), 1), depth),
    )
    moved = traffic(nest, np.array([capacity]))[:, 0]
    return {r.tensor: float(m) for r, m in zip(program.references, moved)}


def touched(array: Reference, found: Extents) -> Counts:
    """Return the lines of an array that loops touch."""
    return lines(progressions(array, found), array.element, LINE)


def extents(program: Program, names: set[str], depth: int) -> Extents:
    """Return how many values of each index the loops from *depth* on run over."""
    found = {name: np.ones(1) for name in names}
    for index, trips, step in program.loops[depth:]:
        found[index] = found[index] + (trips - 1) * step
    return found


@pytest.mark.random
@settings(max_examples=80, deadline=None)
@given(st.one_of(products(), windows()), st.sampled_from((8, 16, 32, 64, 128)))
def test_traffic_is_that_of_an_exact_cache(program: Program, capacity: int) -> None:
    """Where it does not hinge on a few lines more or less of capacity; most programs
    agree exactly, and lines half used by two tiles make the rest."""
    model = predicted(program, capacity)
    assume(predicted(program, capacity * 0.7) == predicted(program, capacity * 1.4))
    exact = misses(trace(program), capacity)
    assert sum(model.values()) == pytest.approx(sum(exact.values()), rel=0.25)


@pytest.mark.random
@settings(max_examples=50, deadline=None)
@given(st.one_of(products(), windows()))
def test_what_all_loops_touch_is_moved_once_into_a_large_cache(
    program: Program,
) -> None:
    model = predicted(program, 1e9)
    exact = dict.fromkeys(model, 0)
    exact.update(misses(trace(program), 10**9))
    assert model == exact


@pytest.mark.parametrize(("lines", "misses"), [(16, 4), (64, 16 * 4)])
def test_what_lies_between_two_uses_outside_of_a_loop(lines: int, misses: int) -> None:
    """Four lines of a result are written after an inner loop over `lines` others, in
    every one of 16 iterations: a cache of 32 lines keeps them, or it does not."""
    outer, inner = np.full((2, 1), 16.0), np.full((2, 1), float(lines))
    touched = np.array([[lines], [4.0]])
    nest = Nest(
        np.stack([outer, inner]),
        np.stack([touched, touched, np.array([[1.0], [4.0]])]),
        np.ones((3, 2, 1)),
        np.array([[[False], [False]], [[True], [False]]]),
        np.array([[2], [1]]),
    )
    moved = traffic(nest, np.full(1, 32.0))
    assert moved[1, 0] == misses


SETS, WAYS = 64, 12


@pytest.mark.parametrize("gap", [1, 2, 8, 64])
@pytest.mark.parametrize("count", [10, 40, 60, 300, 500])
def test_arrays_that_lie_in_the_same_sets_drive_each_other_out(
    gap: int, count: int
) -> None:
    """Two arrays of `count` lines, `gap` lines apart, are read ten times over: all stay
    where the sets that they lie in hold both, and nothing does where they do not."""
    along = [(np.full(1, float(count)), np.full(1, gap * 64.0))]
    share = spread(along, 4, 64)
    footprint = np.full((3, 2, 1), float(count))
    footprint[2] = 1.0
    nest = Nest(
        np.array([[[10.0], [10.0]], [[float(count)], [float(count)]]]),
        footprint,
        np.stack([[share] * 2, [share] * 2, [np.full(1, 1 / SETS)] * 2]),
        np.array([[[False]] * 2, [[True]] * 2]),
        np.full((2, 1), 2),
    )
    model = traffic(nest, np.full(1, float(SETS * WAYS))).sum()
    exact = set_misses(10, count, gap)
    assert model == exact


def set_misses(times: int, count: int, gap: int) -> int:
    """Return the misses of an exact cache with sets, both arrays starting in set 0."""
    total = 0
    for number in range(SETS):
        uses = [
            (name, n * gap)
            for _ in range(times)
            for n in range(count)
            for name in "ab"
            if n * gap % SETS == number
        ]
        total += sum(misses(iter(uses), WAYS).values())
    return total
