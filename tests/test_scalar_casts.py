"""Casts between all types: truncation, saturation, NaN to 0, nearest even."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scalar_harness import HOST_ROWS, mapped_cast, widths

from polydsl.base.dtypes import BF16, BOOL, F16, F32, F64, I8, I16, I32, I64, U8

rows = pytest.mark.parametrize("isa", HOST_ROWS, ids=lambda isa: isa.name)
NARROW = (F16, BF16)
FLOATS, INTEGERS = (F64, F32, *NARROW), (I64, I32, I16, I8, U8)
TYPES = (*FLOATS, *INTEGERS, BOOL)
_TIES = ((8, 1), (8, 3), (11, 1), (11, 3))


def examples(dtype):
    if dtype == BOOL:
        return [False, True]
    if dtype.is_float:
        around = [float(d.greatest) for d in INTEGERS] + [
            float(d.least) for d in INTEGERS
        ]
        near = [v + step for v in around for step in (-1, -0.5, 0, 0.5, 1)]
        far = [0.3, -0.0, 1.5, 2.5, -2.5, 1e-45, 3e38, 1e300, math.inf, -math.inf]
        with np.errstate(over="ignore"):
            found = np.array([*near, *far, math.nan], dtype.numpy)
        return found.astype(np.float64).tolist()
    edges = {v + s for d in INTEGERS for v in (d.least, d.greatest) for s in (-1, 0, 1)}
    edges |= {0, 1, -1, 2**24 + 1, 2**24 + 3, 2**53 + 1, -(2**53) - 1, 2**25 + 2}
    # Halfway between two numbers of f16 or bf16, and beside that.
    halves = [2**n + k * 2 ** (n - d) for n in range(12, 63) for d, k in _TIES]
    edges |= {s * h + step for h in halves for s in (1, -1) for step in (-1, 0, 1)}
    return sorted(v for v in edges if dtype.least <= v <= dtype.greatest)


def converted(value, target):
    """Return what the language says, as a Python number."""
    if target == BOOL:
        return bool(value)
    if target.is_float:
        with np.errstate(over="ignore"):
            return float(nearest(value, target))
    if isinstance(value, float) and math.isnan(value):
        return 0
    if value in (math.inf, -math.inf):
        return target.greatest if value > 0 else target.least
    return max(target.least, min(target.greatest, int(value)))


def nearest(value, target):
    """Round an integer or a float once."""
    if target in NARROW:
        return nearest_narrow(np.array([float(sticky(value))]), target)[0]
    if not isinstance(value, int) or target == F64:
        return target.numpy.type(float(value))
    near = np.float32(value)
    # NumPy may round twice: choose among the neighbours, to even.
    around = [np.nextafter(near, np.float32(s)) for s in (-np.inf, np.inf)] + [near]
    exact = [abs(Fraction(float(v)) - value) for v in around]
    best = [v for v, gap in zip(around, exact) if gap == min(exact)]
    return next((v for v in best if v.view(np.uint32) % 2 == 0), best[0])


@rows
@pytest.mark.parametrize("source", TYPES, ids=str)
@pytest.mark.parametrize("target", TYPES, ids=str)
def test_a_cast_follows_the_language(source, target, isa):
    values = examples(source)
    x = np.array(values, source.numpy)
    expected = [converted(v, target) for v in values]
    for lanes in widths(isa):
        actual = mapped_cast(source, target, isa, lanes)(x)
        assert actual.dtype == target.numpy
        assert [repr(v) for v in actual.tolist()] == [repr(v) for v in expected]


# All numbers of the 16-bit floats


def sticky(value):
    """Return a number that a float64 holds, and that rounds to 16 bits like *value*."""
    if isinstance(value, float) or abs(value) < 2**53:
        return value
    return value // 4096 * 4096 + (2048 if value % 4096 else 0)


def magnitudes(dtype):
    """Return the numbers from 0 to the greatest, by their bits, and one more step."""
    infinity = int(np.array(np.inf, dtype.numpy).view(np.uint16))
    found = np.arange(infinity + 1, dtype=np.uint16).view(dtype.numpy)
    found = found.astype(np.float64)
    found[-1] = 2 * found[-2] - found[-3]
    return found


def nearest_narrow(values, dtype):
    """Round float64 numbers by looking up their neighbours."""
    table, size = magnitudes(dtype), np.abs(values)
    above = np.clip(np.searchsorted(table, size), 1, len(table) - 1)
    middle = (table[above - 1] + table[above]) / 2
    bits = np.where(size > middle, above, above - 1)
    bits = np.where(size == middle, above - above % 2, bits).astype(np.uint16)
    found = np.copysign(bits.view(dtype.numpy).astype(np.float64), values)
    return np.where(np.isnan(values), np.nan, found).astype(dtype.numpy)


def between(dtype, source):
    """Return every number, the middle between neighbours, and what is next to it."""
    table = magnitudes(dtype)
    middle = ((table[:-1] + table[1:]) / 2).astype(source.numpy)
    assert np.array_equal(middle, (table[:-1] + table[1:]) / 2)
    near = [np.nextafter(middle, source.numpy.type(end)) for end in (0, np.inf)]
    found = np.concatenate([table[:-1].astype(source.numpy), middle, *near])
    special = np.array([np.inf, np.nan, *3.0 ** np.arange(-90, 80)], source.numpy)
    found = np.concatenate([found, special])
    return np.concatenate([found, -found])


def widened(values):
    """Return numbers as f64; NumPy warns of the NaN that are to signal."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)


def same(actual, expected):
    """Whether numbers are the same, zeros too; NaN are as good as each other."""
    left, right = widened(actual), widened(expected)
    is_nan = np.isnan(left) & np.isnan(right)
    return bool(np.all(is_nan | (left.view(np.uint64) == right.view(np.uint64))))


narrow = pytest.mark.parametrize("dtype", NARROW, ids=str)
one_or_many = pytest.mark.parametrize("lanes", [1, 0], ids=["scalar", "vector"])


@rows
@narrow
@one_or_many
@pytest.mark.parametrize("wide", [F32, F64], ids=str)
def test_every_narrow_number_is_widened_and_comes_back(wide, dtype, isa, lanes):
    every = np.arange(1 << 16).astype(np.uint16).view(dtype.numpy)
    found = mapped_cast(dtype, wide, isa, lanes)(every)
    assert same(found, every)
    assert same(mapped_cast(wide, dtype, isa, lanes)(found), every)


@rows
@narrow
@one_or_many
@pytest.mark.parametrize("source", [F32, F64], ids=str)
def test_every_middle_rounds_to_even_and_all_else_to_the_nearest(
    source, dtype, isa, lanes
):
    values = between(dtype, source)
    actual = mapped_cast(source, dtype, isa, lanes)(values)
    assert same(actual, nearest_narrow(values.astype(np.float64), dtype))


@rows
@narrow
@one_or_many
def test_every_nan_stays_one(dtype, isa, lanes):
    payloads = np.array([1 << n for n in range(23)], np.uint32)
    payloads = np.concatenate([payloads | s << 31 | 0xFF << 23 for s in (0, 1)])
    found = mapped_cast(F32, dtype, isa, lanes)(payloads.view(np.float32))
    assert np.isnan(widened(found)).all()
