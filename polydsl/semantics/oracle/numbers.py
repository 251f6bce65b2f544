"""The numbers of the oracle: a value, how far a compiled one may be from it, and more.

A `Num` holds arrays that broadcast against each other and against the grid on which
they were computed. Floats are float64, integers int64, truth values bool, whatever
the width of their type in the language; `Format` says what the width means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from polydsl.base.dtypes import BF16, F16, F32, F64, DType, widen

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]


def _constant(value: float | int | bool, dtype: Any) -> Array:
    array = np.array(value, dtype=dtype)
    array.flags.writeable = False
    return array


EXACT: Floats = _constant(0.0, np.float64)
NO: Bools = _constant(False, np.bool_)
YES: Bools = _constant(True, np.bool_)
AVAILABLE_KEY = np.iinfo(np.int64).max
AVAILABLE: Ints = _constant(AVAILABLE_KEY, np.int64)


@dataclass(frozen=True, slots=True)
class Num:
    """Values on a grid and what is known about them.

    `error` bounds |compiled - value| for every legal compiled evaluation; it is a
    zero of no dimensions where the value is exact. `undecided` elements may be
    anything. `overflow` marks values that are beyond the greatest number of their
    type: infinity in an evaluation of just that width, finite in a wider one.
    `missing` names, in a recurrence, an element that has to be computed first (see
    `recurrences`); `AVAILABLE` where there is none.
    """

    value: Array
    error: Floats = field(default_factory=lambda: EXACT)
    undecided: Bools = field(default_factory=lambda: NO)
    overflow: Bools = field(default_factory=lambda: NO)
    missing: Ints = field(default_factory=lambda: AVAILABLE)

    @property
    def is_exact(self) -> bool:
        """Whether no element has any error, which is known without looking."""
        return self.error.ndim == 0 and not self.error


@dataclass(frozen=True, slots=True)
class Format:
    """What a float format makes of exact results.

    `unit` bounds the relative error of one rounding. The oracle's own float64
    arithmetic rounds too, so that of f64 is doubled. `tiny` bounds the absolute error
    below the normal numbers, flushed to zero or not.
    """

    unit: float
    greatest: float
    tiny: float
    digits: int


_FORMATS: dict[str, Format] = {
    F64.name: Format(2.0**-52, float(np.finfo(np.float64).max), 2.0**-1022, 53),
    F32.name: Format(2.0**-24, float(np.finfo(np.float32).max), 2.0**-126, 24),
    F16.name: Format(2.0**-11, 65504.0, 2.0**-14, 11),
    BF16.name: Format(2.0**-8, 2.0**127 * (2 - 2.0**-7), 2.0**-126, 8),
}


def format_of(dtype: DType) -> Format:
    """Return the format to which operations with a result of *dtype* round."""
    return _FORMATS[widen(dtype).name]


def rounding_limit(dtype: DType) -> float:
    """Return the least magnitude that rounds to infinity in *dtype*."""
    form = _FORMATS[dtype.name]
    return form.greatest * (1 + 2.0 ** -(form.digits + 1))


def either(masks: Sequence[Bools]) -> Bools:
    """Return the union of masks."""
    return reduce(np.logical_or, masks, NO)


def undecided_in(nums: Sequence[Num]) -> Bools:
    """Return where any of *nums* is undecided."""
    return either([num.undecided for num in nums])


def missing_in(nums: Sequence[Num]) -> Ints:
    """Return the nearest element that any of *nums* waits for."""
    return reduce(np.minimum, (num.missing for num in nums), AVAILABLE)


def settle(value: Floats, error: Floats, dtype: DType, sources: Sequence[Num]) -> Num:
    """Return the result of an operation whose value and bound are known.

    Infinities and NaN that follow from what the operands surely are have no error;
    an infinite bound around a finite value means that the element is undecided, and
    so is one that may or may not overflow.
    """
    undecided, overflow = undecided_in(sources), NO
    if not np.all(np.isfinite(value)):
        special = ~np.isfinite(value)
        if dtype == F64 and not all(source.is_exact for source in sources):
            undecided = undecided | (special & _overflowed(sources))
        error = np.where(special, 0.0, error)
    if not np.all(np.isfinite(error)):
        undecided = undecided | ~np.isfinite(error)
        error = np.where(np.isfinite(error), error, 0.0)
    limit = rounding_limit(widen(dtype))
    size = np.abs(value)
    if np.any(size + error >= limit):
        finite = np.isfinite(value)
        overflow = finite & (size - error >= limit)
        undecided = undecided | (finite & ~overflow & (size + error >= limit))
    return Num(value, error, undecided, overflow, missing_in(sources))


def _overflowed(sources: Sequence[Num]) -> Bools:
    """Return where all operands are finite but not all exact."""
    finite = reduce(np.logical_and, (np.isfinite(s.value) for s in sources), YES)
    return finite & either([s.error > 0 for s in sources])


def rounded(
    value: Floats, error: Floats, dtype: DType, sources: Sequence[Num], ulp: float = 0.5
) -> Num:
    """Return the result of an operation of exact *value* with one rounding.

    *error* is what the operands' errors make of the result.
    """
    form = format_of(dtype)
    own = 2 * ulp * form.unit * (np.abs(value) + error) + form.tiny
    return settle(value, error + own, dtype, sources)
