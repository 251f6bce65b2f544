"""Casts between all types: truncation, saturation, NaN to 0, nearest even."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scalar_harness import HOST_ROWS, mapped_cast, widths

from polydsl.base.diagnostics import CompilerBug
from polydsl.base.dtypes import BF16, BOOL, F32, F64, I8, I16, I32, I64, U8

rows = pytest.mark.parametrize("isa", HOST_ROWS, ids=lambda isa: isa.name)
FLOATS, INTEGERS = (F64, F32), (I64, I32, I16, I8, U8)
TYPES = (*FLOATS, *INTEGERS, BOOL)


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
            return np.array([*near, *far, math.nan], dtype.numpy).tolist()
    edges = {v + s for d in INTEGERS for v in (d.least, d.greatest) for s in (-1, 0, 1)}
    edges |= {0, 1, -1, 2**24 + 1, 2**24 + 3, 2**53 + 1, -(2**53) - 1, 2**25 + 2}
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


def test_types_without_code_are_a_compiler_bug():
    with pytest.raises(CompilerBug, match="bf16 has no code"):
        mapped_cast(F32, BF16, HOST_ROWS[-1])
