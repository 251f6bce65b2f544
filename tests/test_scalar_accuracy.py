"""No function errs by more than the table promises, on any ISA row of this machine."""

from __future__ import annotations

import re
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from accuracy import CASES, exact_values, measure, reference, samples, ulps
from scalar_harness import HOST_ROWS, mapped

from polydsl.backend.scalar import error_note
from polydsl.base.dtypes import F32, F64
from polydsl.base.functions import FUNCTIONS

POINTS = 1 << 16
# The references are not exact either: f64 for f32, 64 bits for f64.
SLACK = 1e-3

rows = pytest.mark.parametrize("isa", HOST_ROWS, ids=lambda isa: isa.name)
floats = pytest.mark.parametrize("dtype", (F32, F64), ids=str)
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@rows
@floats
@cases
def test_the_error_is_within_the_promise(case, dtype, isa):
    found = measure(case, dtype, isa, POINTS)
    noted = re.search(rf"([\d.]+) ulp \({dtype}\)", error_note(case.name))
    assert noted, "the docstring states the measured error"
    assert found.ulp <= float(noted[1]) + SLACK, f"at {found.argument!r}"
    assert float(noted[1]) <= FUNCTIONS[case.name].ulp


@cases
def test_the_two_references_agree(case):
    x = samples(case, F64, 100)
    x = x[np.abs(x) < 1e100]
    high, low = exact_values(case, x)
    other, rest = reference(case, x)
    inside = np.isfinite(high) & (np.abs(high) > 1e-300)
    assert inside.any()
    high, low, other, rest = (a[inside] for a in (high, low, other, rest))
    assert np.all(np.abs((high - other) + (low - rest)) <= 2.0**-60 * np.abs(high))


def test_the_measure_sees_errors():
    x = np.array([1.0, 1.5, 0.0, np.inf, 2.0**-149, np.nan], np.float32)
    none = np.zeros(len(x))
    wide = x.astype(np.float64)
    assert ulps(x, (wide, none)).tolist() == [0] * 6
    later = np.nextafter(x, np.float32(9))
    assert ulps(later, (wide, none)).tolist() == [1, 1, 1, 1, 1, 0]
    assert ulps(x, (wide, none + 2.0**-25))[0] == 0.25
    # A number where there is none, and none where there is one.
    wrong = np.array([np.nan, 1.0], np.float32)
    assert np.isinf(ulps(wrong, (np.array([1.0, np.nan]), none[:2]))).all()


@rows
@floats
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_waves_next_to_their_zeros_are_within_the_promise(name, dtype, isa):
    """Where nearly all digits of the reduced argument cancel."""
    quarters = np.concatenate([np.arange(1, 200), 3 ** np.arange(5, 38)])
    multiples = quarters * (np.pi / 2)
    # The double nearest to a multiple of pi/2 (Kahan), and numbers beyond 2**20.
    hard = [6381956970095103 * 2.0**797, 2.0**20, 2.0**20 + 0.125, 2.0**127, 1e22]
    with np.errstate(over="ignore"):
        x = np.concatenate([multiples, hard]).astype(dtype.numpy)
    x = x[np.isfinite(x)]
    x = np.concatenate([x, -x])
    case = next(case for case in CASES if case.name == name)
    error = ulps(mapped(name, dtype, isa)(x), exact_values(case, x))
    assert error.max() <= FUNCTIONS[name].ulp


def power_arguments(dtype, limit):
    """Return bases and exponents whose powers span the range of the type."""
    generator = np.random.default_rng(3)
    x = np.concatenate(
        [np.exp(generator.uniform(-80, 80, 30000)), generator.uniform(0.5, 2, 30000)]
    ).astype(dtype.numpy)
    y = generator.uniform(-limit, limit, len(x)) / np.log(x.astype(np.float64))
    return x, y.astype(dtype.numpy)


@rows
def test_powers_of_f32_are_within_the_promise(isa):
    x, y = power_arguments(F32, 104)
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.float64), y.astype(np.float64))
    error = ulps(mapped("pow", F32, isa)(x, y), (expected, np.zeros(len(x))))
    assert error.max() <= FUNCTIONS["pow"].ulp + SLACK
    assert FUNCTIONS["power"].ulp == FUNCTIONS["pow"].ulp


@rows
def test_powers_of_f64_are_within_the_promise(isa):
    x, y = power_arguments(F64, 744)
    x, y = x[::20], y[::20]
    error = ulps(mapped("pow", F64, isa)(x, y), exact_powers(x, y))
    assert error.max() <= FUNCTIONS["pow"].ulp + SLACK


def exact_powers(x, y):
    high, low = np.empty(len(x)), np.zeros(len(x))
    with mpmath.workprec(200):
        for i, (a, b) in enumerate(zip(x, y)):
            value = mpmath.mpf(float(a)) ** mpmath.mpf(float(b))
            high[i] = float(value)
            low[i] = float(value - high[i]) if np.isfinite(high[i]) else 0.0
    return high, low


@rows
@floats
def test_a_fused_multiply_add_is_rounded_once(dtype, isa):
    generator = np.random.default_rng(4)
    a, b, c = (generator.standard_normal(4000).astype(dtype.numpy) for _ in range(3))
    # Half of the sums cancel almost wholly.
    c[::2] = -(a * b)[::2]
    exact = [
        Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        for x, y, z in zip(a, b, c)
    ]
    high = np.array([float(v) for v in exact])
    low = np.array([float(v - Fraction(h)) for v, h in zip(exact, high.tolist())])
    error = ulps(mapped("fma", dtype, isa)(a, b, c), (high, low))
    assert error.max() <= FUNCTIONS["fma"].ulp
