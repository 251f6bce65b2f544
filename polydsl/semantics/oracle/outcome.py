"""What an evaluation gives: for each result its values, their bound and the doubts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polydsl.semantics.oracle.numbers import Array, Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Result:
    """One result of a kernel.

    `value` is float64, int64 or bool; `error` bounds how far a compiled element may be
    from it; `undecided` elements may be anything. All have the shape of the result,
    or, of a sample, one entry for each of `points`, row-major element numbers.
    """

    name: str
    value: Array
    error: Floats
    undecided: Bools
    points: Ints | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results in order. `sampled` is the number of elements, if not all."""

    results: tuple[Result, ...]
    sampled: int | None = None

    def __getitem__(self, name: str) -> Result:
        """Return the result called *name*."""
        return next(result for result in self.results if result.name == name)


def full(array: Array, shape: tuple[int, ...]) -> Array:
    """Return the array broadcast to *shape*, its own memory."""
    return np.array(np.broadcast_to(array, shape))
