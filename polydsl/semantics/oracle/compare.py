"""Compares what a compiled kernel gave with what the oracle says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polydsl.base.diagnostics import VerificationError
from polydsl.semantics.oracle.numbers import Array, Floats
from polydsl.semantics.oracle.outcome import Outcome, Result
from polydsl.semantics.program import Program

UNDECIDED_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Margin:
    """How close one result came to its bound.

    `ratio` is the largest difference over bound, found at `place`; 1 is the limit.
    """

    name: str
    ratio: float
    place: tuple[int, ...]
    expected: float | int | bool
    got: float | int | bool
    bound: float
    checked: int
    undecided: int


@dataclass(frozen=True, slots=True)
class Margins:
    """The margin of every result. `sampled` is the number of elements that were
    compared, None if all were."""

    results: tuple[Margin, ...]
    sampled: int | None = None

    @property
    def ratio(self) -> float:
        """The largest difference over bound of all results."""
        return max((margin.ratio for margin in self.results), default=0.0)


def compare(
    program: Program,
    outcome: Outcome,
    results: Sequence[Array],
    share: float = UNDECIDED_SHARE,
) -> Margins:
    """Return the margins of *results*, or raise `VerificationError`: where an element
    is wrong, or more than a *share* of the elements of one result are undecided."""
    margins = []
    for result, got in zip(outcome.results, results, strict=True):
        _check_undecided(program, result, share)
        margins.append(_margin(program, result, np.asarray(got)))
    return Margins(tuple(margins), outcome.sampled)


def _margin(program: Program, result: Result, got: Array) -> Margin:
    extents = program.extents(result.name)
    if got.shape != extents:
        raise VerificationError(
            f"{program.name}: {result.name} has shape {got.shape} instead of {extents}"
        )
    found = got.reshape(-1)
    found = found if result.points is None else found[result.points]
    with np.errstate(all="ignore"):
        ratios, bound, found = _ratios(result, found)
    undecided = result.undecided.reshape(-1)
    ratios = np.where(undecided, 0.0, ratios)
    if not ratios.size:
        return Margin(result.name, 0.0, (), 0.0, 0.0, 0.0, 0, 0)
    worst = int(np.argmax(ratios))
    number = worst if result.points is None else int(result.points[worst])
    margin = Margin(
        result.name,
        float(ratios[worst]),
        tuple(int(p) for p in np.unravel_index(number, extents)),
        result.value.reshape(-1)[worst].item(),
        found[worst].item(),
        float(bound[worst]),
        int(ratios.size - undecided.sum()),
        int(undecided.sum()),
    )
    if margin.ratio > 1:
        _report(program, margin, int(np.sum(ratios > 1)))
    return margin


def _ratios(result: Result, found: Array) -> tuple[Floats, Floats, Array]:
    """Return difference over bound of every element, the bound, and what was found."""
    expected = result.value.reshape(-1)
    bound = result.error.reshape(-1)
    if expected.dtype != np.float64:
        found = found.astype(expected.dtype)
        return np.where(found == expected, 0.0, np.inf), bound, found
    found = found.astype(np.float64)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    difference = np.abs(found - expected)
    # A bound of zero, infinities and NaN leave no room at all.
    difference = np.where(np.isnan(difference), np.inf, difference)
    ratios = np.where(bound > 0, difference / bound, np.inf)
    return np.where(same, 0.0, ratios), bound, found


def _check_undecided(program: Program, result: Result, share: float) -> None:
    undecided, size = int(result.undecided.sum()), result.undecided.size
    if undecided > share * size:
        raise VerificationError(
            f"{program.name}: {undecided} of {size} elements of {result.name} are "
            "undecided: operands of comparisons, floor, round or arg-max lie within "
            "their error bound of a jump, or values within that of an overflow"
        )


def _report(program: Program, margin: Margin, failures: int) -> None:
    place = ", ".join(map(str, margin.place))
    at = f"{margin.name}[{place}]" if margin.place else margin.name
    raise VerificationError(
        f"{program.name}: {at} is {margin.got!r}, but the oracle expects "
        f"{margin.expected!r} within {margin.bound:.3g}; {failures} of "
        f"{margin.checked} elements differ too much"
    )
