"""Pieces of a domain: boxes of loop counters, cut where a loop changes its length or
where a condition begins to hold.

What does not come apart into a few boxes, a triangle, stays as a condition of a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import assert_never

import numpy as np

from polydsl.loops.verify_conditions import (
    FALSE,
    TRUE,
    All,
    Any,
    Compare,
    Condition,
    at_least,
    condition_variables,
    mask,
    negation,
    simplified,
)
from polydsl.loops.verify_forms import (
    Array,
    Form,
    Space,
    evaluate,
    interval,
    shifted,
    subtract,
    variable,
    variables,
)
from polydsl.poly.terms import Interval

MOST_RUNS = 64
"""A range is cut into so many parts, at most, where a loop's length changes, and so are
the ranges of all loops around a node together."""
FEWEST_RUNS = 4
"""So many parts of a range are never too many."""
MOST_STEPS = 512
"""A range is halved so many times, at most, to find where a loop's length changes."""
LONGEST_CUT = 1 << 20
"""A range that is longer than this is not cut."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a domain: a box of counters, and conditions that the box cannot say."""

    space: Space
    conditions: tuple[Condition, ...] = ()

    def restricted(self, counter: str, ends: Interval) -> Piece:
        """Return the piece with a counter added, or with a shorter range of it."""
        box = {**self.space.box, counter: ends}
        return Piece(Space(box, self.space.tables), self.conditions)

    def has(self, other: Piece, names: Iterable[str]) -> bool:
        """Whether the box has all of another one's values of some counters."""
        boxes = ((self.space.box[n], other.space.box[n]) for n in names)
        return all(a <= c and d <= b for (a, b), (c, d) in boxes)

    def where(self, condition: Condition) -> Piece:
        """Return the piece with one more condition."""
        return Piece(self.space, (*self.conditions, condition))


def most_runs(pieces: int) -> int:
    """Return into how many parts each of some pieces may be cut."""
    return max(MOST_RUNS // max(pieces, 1), FEWEST_RUNS)


def entered(
    piece: Piece, counter: str, first: int, count: Form, runs: int
) -> Iterator[Piece]:
    """Yield the pieces of a loop's body, from the number of its iterations; one piece
    with a condition, where they would be more than *runs*."""
    least, most = interval(count, piece.space)
    if least == most or most <= 0:
        if most > 0:
            yield piece.restricted(counter, (first, first + most - 1))
        return
    cut = _cut(piece, count)
    if cut is None or len(cut) > runs:
        inside = subtract(count, shifted(variable(counter), 1 - first))
        longest = piece.restricted(counter, (first, first + most - 1))
        yield longest.where(at_least(inside, 0))
        return
    for part, extent in cut:
        if extent > 0:
            yield part.restricted(counter, (first, first + extent - 1))


def _cut(piece: Piece, count: Form) -> list[tuple[Piece, int]] | None:
    """Cut a piece where a form changes; one that is not positive is 0."""
    moving = _moving(piece, variables(count))
    fixed = {n: np.array(lo) for n, (lo, _) in piece.space.box.items()}
    if not moving:
        return [(piece, int(evaluate(count, piece.space, fixed)))]
    if len(moving) > 1:
        return _halved(piece, moving, lambda part: _number(count, part))
    if piece.space.extent(moving[0]) > LONGEST_CUT:
        return None
    lo, hi = piece.space.box[moving[0]]
    values = {**fixed, moving[0]: np.arange(lo, hi + 1)}
    runs = _runs(np.maximum(evaluate(count, piece.space, values), 0))
    if len(runs) > MOST_RUNS:
        return None
    return [
        (piece.restricted(moving[0], (lo + first, lo + last)), value)
        for first, last, value in runs
    ]


def _moving(piece: Piece, names: frozenset[str]) -> tuple[str, ...]:
    """Return the variables that have several values, outermost first."""
    box = piece.space.box
    return tuple(n for n in box if n in names and box[n][0] < box[n][1])


def _number(count: Form, piece: Piece) -> int | None:
    least, most = interval(count, piece.space)
    if most <= 0:
        return 0
    return least if least == most else None


def _truth(condition: Condition, piece: Piece) -> int | None:
    left = simplified(condition, piece.space)
    return int(left == TRUE) if left in (TRUE, FALSE) else None


def _halved(
    piece: Piece, names: tuple[str, ...], tell: Callable[[Piece], int | None]
) -> list[tuple[Piece, int]] | None:
    """Cut a piece into boxes on each of which *tell* has an answer, by halving ranges
    from the outermost variable on; None where that would take long."""
    return _Halving(names, tell).cut(piece)


@dataclass(slots=True)
class _Halving:
    names: tuple[str, ...]
    tell: Callable[[Piece], int | None]
    steps: int = field(default=MOST_STEPS)

    def cut(self, piece: Piece) -> list[tuple[Piece, int]] | None:
        self.steps -= 1
        value = self.tell(piece)
        if value is not None:
            return [(piece, value)]
        moving = _moving(piece, frozenset(self.names))
        if not moving or self.steps <= 0:
            return None
        lo, hi = piece.space.box[moving[0]]
        middle = (lo + hi) // 2
        left = self.cut(piece.restricted(moving[0], (lo, middle)))
        if left is None:
            return None
        right = self.cut(piece.restricted(moving[0], (middle + 1, hi)))
        return None if right is None else _joined(left, right, moving[0])


def _joined(
    left: list[tuple[Piece, int]], right: list[tuple[Piece, int]], name: str
) -> list[tuple[Piece, int]]:
    """Return the boxes of two halves, those put together that have one answer and meet
    where the range of a variable was cut."""

    def others(piece: Piece, value: int, meeting: int) -> tuple[object, ...]:
        box = piece.space.box
        return value, meeting, *((n, ends) for n, ends in box.items() if n != name)

    found = list(left)
    places = {
        others(piece, value, piece.space.box[name][1] + 1): place
        for place, (piece, value) in enumerate(left)
    }
    for piece, value in right:
        lo, hi = piece.space.box[name]
        place = places.get(others(piece, value, lo))
        if place is None:
            found.append((piece, value))
            continue
        first, _ = left[place][0].space.box[name]
        found[place] = piece.restricted(name, (first, hi)), value
    return found


def _runs(values: Array) -> list[tuple[int, int, int]]:
    """Return the first and last place and the value of each run of equal values."""
    starts = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return [(a, b - 1, int(values[a])) for a, b in pairwise(starts)]


def guarded(piece: Piece, condition: Condition) -> Iterator[Piece]:
    """Yield the pieces of a guard's body."""
    left = simplified(condition, piece.space)
    match left:
        case All(parts):
            inside = [piece]
            for part in parts:
                inside = [q for p in inside for q in guarded(p, part)]
            yield from inside
        case Any(parts):
            # Where a part holds, and where it does not and one of the others does.
            outside = [piece]
            for part in parts:
                yield from (q for p in outside for q in guarded(p, part))
                no = negation(part)
                outside = [q for p in outside for q in guarded(p, no)]
        case Compare():
            yield from _compared(piece, left)
        case _:
            assert_never(left)


def _compared(piece: Piece, condition: Compare) -> Iterator[Piece]:
    """Yield the pieces where a comparison holds."""
    moving = _moving(piece, condition_variables(condition))
    cut: list[tuple[Piece, int]] | None = None
    if len(moving) > 1:
        cut = _halved(piece, moving, lambda part: _truth(condition, part))
    elif moving and piece.space.extent(moving[0]) <= LONGEST_CUT:
        lo, hi = piece.space.box[moving[0]]
        fixed = {n: np.array(a) for n, (a, _) in piece.space.box.items()}
        values = {**fixed, moving[0]: np.arange(lo, hi + 1)}
        runs = _runs(np.broadcast_to(mask(condition, piece.space, values), hi - lo + 1))
        cut = [(piece.restricted(moving[0], (lo + a, lo + b)), v) for a, b, v in runs]
    if cut is None or len(cut) > MOST_RUNS:
        yield piece.where(condition)
        return
    yield from (part for part, value in cut if value)
