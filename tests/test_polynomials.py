"""The tables of coefficients stand for the functions they say they do."""

from __future__ import annotations

import mpmath
import pytest
from mpmath import mpf

from polydsl.backend import polynomials
from polydsl.base.dtypes import F32, F64

SQRT_HALF, SQRT_TWO = mpf(2) ** -0.5, mpf(2) ** 0.5


def value(table, name, x):
    return mpmath.polyval([mpf(c) for c in reversed(table[name])], x)


def exp_error(table, name, x):
    return (1 + x + x * x * value(table, name, x)) / mpmath.exp(x) - 1


def log_cubic_error(table, name, f):
    return (f - f * f / 2 + f**3 * value(table, name, f)) / mpmath.log1p(f) - 1


def log_atanh_error(table, name, f):
    s = f / (2 + f)
    curve = 2 * s + s**3 * value(table, name, s * s)
    return curve / mpmath.log1p(f) - 1


def log_quintic_error(table, name, f):
    s = f / (2 + f)
    curve = 2 * s + s**3 * (mpf(2) / 3 + s * s * value(table, name, s * s))
    return curve / mpmath.log1p(f) - 1


def sin_error(table, name, x):
    return x * (1 + x * x * value(table, name, x * x)) / mpmath.sin(x) - 1


def cos_error(table, name, x):
    z = x * x
    return (1 - z / 2 + z * z * value(table, name, z)) / mpmath.cos(x) - 1


def erf_error(table, name, x):
    curve = 2 / mpmath.sqrt(mpmath.pi) + x * x * value(table, name, x * x)
    return x * curve / mpmath.erf(x) - 1


def erfc_error(table, name, x):
    centre = 2 if name == "f32" else 3
    curve = value(table, name, (x - centre) / (x + centre)) / (x + centre)
    return mpmath.exp(-x * x) * curve - mpmath.erfc(x)


def tail_error(table, name, x):
    centre = 4 if name == "f32" else 6
    curve = value(table, name, (x - centre) / (x + centre)) / (x + mpf(5) / 4)
    exact = mpmath.erfc(x / mpmath.sqrt(2)) / 2
    return mpmath.exp(-x * x / 2) * curve / exact - 1


HALF_LN2 = mpmath.log(2) / 2
QUARTER_PI = mpmath.pi / 4
MANTISSA = (SQRT_HALF - 1, SQRT_TWO - 1)
CASES = [
    ("EXP", F32, exp_error, (-HALF_LN2, HALF_LN2), 27.8),
    ("EXP", F64, exp_error, (-HALF_LN2, HALF_LN2), 60.0),
    ("EXP_SHORT", F64, exp_error, (-HALF_LN2, HALF_LN2), 39.5),
    ("LOG_CUBIC", F32, log_cubic_error, MANTISSA, 28.0),
    ("LOG_ATANH", F64, log_atanh_error, MANTISSA, 59.0),
    ("LOG_ATANH_SHORT", F64, log_atanh_error, MANTISSA, 44.5),
    ("LOG_ATANH_QUINTIC", F64, log_quintic_error, MANTISSA, 65.0),
    ("SIN", F32, sin_error, (-QUARTER_PI, QUARTER_PI), 26.5),
    ("SIN", F64, sin_error, (-QUARTER_PI, QUARTER_PI), 56.5),
    ("COS", F32, cos_error, (-QUARTER_PI, QUARTER_PI), 28.5),
    ("COS", F64, cos_error, (-QUARTER_PI, QUARTER_PI), 58.5),
    ("ERF", F32, erf_error, (-1, 1), 26.0),
    ("ERF", F64, erf_error, (-1, 1), 55.0),
    ("ERFC", F32, erfc_error, (1, 4.1), 27.0),
    ("ERFC", F64, erfc_error, (1, 6.1), 56.0),
    ("NORMAL_TAIL", F32, tail_error, (0, 14.5), 25.5),
    ("NORMAL_TAIL", F64, tail_error, (0, 39.5), 55.0),
]


@pytest.mark.parametrize(
    "table, dtype, error, interval, bits",
    CASES,
    ids=lambda x: x if isinstance(x, str) else None,
)
def test_a_table_approximates_its_function(table, dtype, error, interval, bits):
    """The bound includes the rounding of the coefficients themselves."""
    coefficients = getattr(polynomials, table)
    low, high = interval
    steps = 401
    with mpmath.workprec(200):
        points = (low + (high - low) * mpf(i + 0.5) / steps for i in range(steps))
        worst = max(
            abs(error(coefficients, dtype.name, x)) for x in points if abs(x) > 1e-6
        )
    assert worst < mpf(2) ** -bits
    # A table that is much better than its bound means a bound that checks nothing.
    assert worst > mpf(2) ** -(bits + 12)


def test_every_coefficient_is_a_number_of_its_type():
    tables = [t for t in vars(polynomials).values() if isinstance(t, dict)]
    tables = [t for t in tables if set(t) <= {"f32", "f64"} and t]
    assert len(tables) == len({name for name, *_ in CASES})
    for table in tables:
        for c in table.get("f32", ()):
            assert F32.numpy.type(c) == c
