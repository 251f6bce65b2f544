"""How much memory a set of loop iterations touches, in closed form.

A footprint is counted in *lines* of any size: cache lines, pages of a TLB, elements.
Everything is computed for many candidates at once: an `Extents` holds for each index an
array of how many of its values are touched, one number for each candidate. They may be
fractions: a tile that runs across image lines touches 1.5 of them on average.

The number of values of a sum of indices, each running over an interval, is the sum of
their extents less one where the coarse index fills the gaps of the fine one; the source
is section 5 of the notes on the published method, extended to coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Counts: TypeAlias = NDArray[np.float64]
"""One number for each candidate."""

Extents: TypeAlias = Mapping[str, Counts]
"""How many values of each index are touched."""

PAGE = 4096
"""Bytes of a page: caches place lines by their address within it, at least."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of an array: `extent` elements that are `stride` bytes apart, reached by
    the sum of `coefficient * index` over the terms."""

    stride: int
    extent: int
    terms: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """An array as loops reach it; `element` is the size of an element in bytes."""

    tensor: str
    element: int
    axes: tuple[Axis, ...]
    is_written: bool = False

    @property
    def indices(self) -> frozenset[str]:
        """The indices that move the reference."""
        return frozenset(name for axis in self.axes for name, _ in axis.terms)

    def step(self, index: str) -> int:
        """Return how many bytes an index moves the reference."""
        moves = (a.stride * c for a in self.axes for n, c in a.terms if n == index)
        return sum(moves)


def subscripts(axis: Axis, extents: Extents) -> tuple[Counts, Counts]:
    """Return how many subscripts of an axis are touched, and the step between them."""
    count = step = np.ones(1)
    reach = np.zeros(1)
    for name, coefficient in sorted(axis.terms, key=lambda term: abs(term[1])):
        width, by = extents[name], float(abs(coefficient))
        first = reach == 0
        step = np.where(first & (width > 1), by, step)
        longer = reach + (width - 1) * by
        fills = (by <= reach + step) & (np.mod(by, step) == 0)
        count = np.where(first | ~fills, count * width, longer / step + 1)
        reach = longer
    return np.minimum(count, axis.extent), step


Progression: TypeAlias = tuple[Counts, Counts]
"""How many places something touches, and the bytes between two of them."""


def progressions(reference: Reference, extents: Extents) -> tuple[Progression, ...]:
    """Return what a reference touches along each of its axes, the nearest one first."""
    moving = (axis for axis in reference.axes if axis.stride and axis.terms)
    found = []
    for axis in sorted(moving, key=lambda axis: abs(axis.stride)):
        count, step = subscripts(axis, extents)
        found.append((count, step * abs(axis.stride)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of lines that an array touches: `number` of them, of `span` bytes each.
    `is_aligned` says that all begin alike on a line."""

    span: Counts
    number: Counts
    is_aligned: NDArray[np.bool_]


def runs(along: Sequence[Progression], element: int, line: int) -> Runs:
    """Return the runs of an array whose elements have `element` bytes and lie at the
    sums of *along*, nearest first.

    Subscripts that leave less than a line between them make one run of lines; others
    make a run each.
    """
    span = np.full(1, float(element))
    number = np.ones(1)
    is_aligned = np.ones(1, dtype=bool)
    for count, gap in along:
        joins = (number == 1) & (gap <= np.maximum(span, line))
        span = np.where(joins, span + (count - 1) * gap, span)
        number = np.where(joins, number, number * count)
        is_aligned = is_aligned & (joins | (count == 1) | (np.mod(gap, line) == 0))
    return Runs(span, number, is_aligned)


def lines(along: Sequence[Progression], element: int, line: int) -> Counts:
    """Return how many lines of `line` bytes an array touches, in all its runs.

    A run that does not start on a line, as for all that is not a multiple of one,
    touches part of a line more on average.
    """
    found = runs(along, element, line)
    whole = np.ceil(found.span / line)
    ragged = found.span / line + (1.0 - element / line)
    return found.number * np.where(found.is_aligned, whole, ragged)


def spread(along: Sequence[Progression], element: int, line: int) -> Counts:
    """Return the share of a cache's sets that the lines of an array may lie in, whose
    elements have `element` bytes.

    Addresses within a page choose the set, as far as a program can know. What moves by
    whole pages stays in the same sets; smaller steps add sets until all are used.
    """
    span, runs = np.full(1, float(element)), np.ones(1)
    common = np.full(1, PAGE, np.int64)
    most = PAGE // line
    for count, gap in along:
        joins = gap < line
        span = np.where(joins, span + np.maximum(count - 1, 0) * gap, span)
        # Runs start at multiples of what all their distances have in common.
        apart = ~joins & (count > 1)
        # Distances of a padded access may be beyond all memory.
        near = np.clip(gap, -(2.0**62), 2.0**62)
        together = np.gcd(common, np.rint(near).astype(np.int64))
        common = np.where(apart, together, common)
        runs = np.where(apart, runs * count, runs)
    run = np.ceil(span / line)
    return np.asarray(np.minimum(run * np.minimum(runs, PAGE / common), most) / most)
