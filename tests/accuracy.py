"""Measures the error of every function of real numbers, in units in the last place.

`python tests/accuracy.py [points]` prints the table that stands behind the promised
errors in `polydsl.base.functions`: per function and type the greatest error on each ISA
row of this machine, and where it is. f32 is compared with f64; f64 with extended
precision, and with mpmath where the machine or NumPy lacks it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import numpy as np
from scalar_harness import HOST_ROWS, mapped

from polydsl.backend.isa import VectorISA
from polydsl.base.dtypes import F32, F64, DType
from polydsl.base.functions import FUNCTIONS

Range = tuple[float, float]

Exact = Callable[[Any], Any]

HAS_EXTENDED = np.finfo(np.longdouble).nmant >= 63


@dataclass(frozen=True)
class Case:
    """A function with its references and the intervals in which it is interesting."""

    name: str
    numpy: Callable[..., Any]
    exact: Exact
    f32: tuple[Range, ...]
    f64: tuple[Range, ...]


def _sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _tanh(x: Any) -> Any:
    grown = np.expm1(2 * np.abs(x))
    return np.copysign(np.where(grown < np.inf, grown / (grown + 2), 1), x)


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _gelu(x: Any) -> Any:
    return 0.5 * x * _erfc(-x / math.sqrt(2))


def _exact_gelu(x: Any) -> Any:
    return x * mpmath.erfc(-x * mpmath.sqrt(mpmath.mpf(1) / 2)) / 2


def _exact_sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


SMALL = (-1.0, 1.0)
NEAR_ONE = ((0.5, 2.0), (0.0, 1e4))
LOG1P = (SMALL, (-1.0, 1e4))
WAVE = ((-7.0, 7.0), (-1e5, 1e5))
CASES = (
    Case("exp", np.exp, mpmath.exp, (SMALL, (-104, 89)), (SMALL, (-746, 710))),
    Case(
        "exp2", np.exp2, lambda x: mpmath.mpf(2) ** x,
        (SMALL, (-150, 128)), (SMALL, (-1075, 1024)),
    ),
    Case("expm1", np.expm1, mpmath.expm1, (SMALL, (-20, 89)), (SMALL, (-40, 710))),
    Case("log", np.log, mpmath.log, NEAR_ONE, NEAR_ONE),
    Case("log2", np.log2, lambda x: mpmath.log(x, 2), NEAR_ONE, NEAR_ONE),
    Case("log1p", np.log1p, mpmath.log1p, LOG1P, LOG1P),
    Case("sqrt", np.sqrt, mpmath.sqrt, ((0, 4),), ((0, 4),)),
    Case(
        "rsqrt", lambda x: 1 / np.sqrt(x), lambda x: 1 / mpmath.sqrt(x),
        ((0, 4),), ((0, 4),),
    ),
    Case("tanh", _tanh, mpmath.tanh, (SMALL, (-10, 10)), (SMALL, (-20, 20))),
    Case(
        "sigmoid", _sigmoid, _exact_sigmoid, (SMALL, (-104, 20)), (SMALL, (-746, 40))
    ),
    Case("erf", _erf, mpmath.erf, (SMALL, (-4.5, 4.5)), (SMALL, (-6.5, 6.5))),
    Case("sin", np.sin, mpmath.sin, WAVE, WAVE),
    Case("cos", np.cos, mpmath.cos, WAVE, WAVE),
    Case("gelu", _gelu, _exact_gelu, ((-4, 4), (-14.5, 7)), ((-4, 4), (-38.5, 10))),
    Case(
        "silu", lambda x: x * _sigmoid(x), lambda x: x * _exact_sigmoid(x),
        (SMALL, (-109, 20)), (SMALL, (-752, 40)),
    ),
    Case(
        "softplus", _softplus, lambda x: mpmath.log1p(mpmath.exp(x)),
        (SMALL, (-104, 20)), (SMALL, (-746, 40)),
    ),
)  # fmt: skip


def needs_mpmath(case: Case, dtype: DType) -> bool:
    """Return whether NumPy has no precise enough reference."""
    return dtype == F64 and (case.name in ("erf", "gelu") or not HAS_EXTENDED)


def samples(case: Case, dtype: DType, count: int) -> Any:
    """Return arguments: all of the type's numbers in even steps, and dense ranges."""
    bits = np.uint32 if dtype == F32 else np.uint64
    step = (1 << dtype.bits) // count + 1
    # An odd step, so that the low bits take all values.
    spread = (np.arange(count, dtype=np.uint64) * np.uint64(step | 1)).astype(bits)
    generator = np.random.default_rng(2)
    ranges = case.f32 if dtype == F32 else case.f64
    dense = [generator.uniform(low, high, count) for low, high in ranges]
    numbers = [spread.view(dtype.numpy), *(d.astype(dtype.numpy) for d in dense)]
    every = np.concatenate(numbers)
    return every[np.isfinite(every)]


Reference = tuple[Any, Any]
"""Values as the sum of two float64 arrays."""


def reference(case: Case, x: Any) -> Reference:
    """Return the values of the function in more precision than *x* has."""
    with np.errstate(all="ignore"):
        if x.dtype == np.float32:
            return case.numpy(x.astype(np.float64)), np.zeros(len(x))
        if needs_mpmath(case, F64):
            return exact_values(case, x)
        value = case.numpy(x.astype(np.longdouble))
        high = value.astype(np.float64)
        low = np.where(np.isfinite(high), value - high, 0)
        return high, low.astype(np.float64)


def exact_values(case: Case, x: Any) -> Reference:
    """Return the values by mpmath, except where they are 0, infinite or at a limit."""
    with np.errstate(all="ignore"):
        plain = np.asarray(case.numpy(x), np.float64)
    high, low = plain.copy(), np.zeros(len(x))
    at_limit = (np.abs(x) > 1100) & (case.name not in UNBOUNDED)
    with mpmath.workprec(400):
        for i in np.flatnonzero(np.isfinite(plain) & (plain != 0) & ~at_limit):
            value = case.exact(mpmath.mpf(float(x[i])))
            high[i] = float(value)
            low[i] = float(value - high[i]) if math.isfinite(high[i]) else 0.0
    return high, low


UNBOUNDED = ("log", "log2", "log1p", "sqrt", "rsqrt", "sin", "cos")
"""Functions whose values at large arguments are no limits."""


def ulps(actual: Any, expected: Reference) -> Any:
    """Return the errors of *actual* in units in the last place of its type."""
    info = np.finfo(actual.dtype)
    high, low = expected
    most = float(info.max)
    # From here on, rounding to nearest gives infinity.
    overflow = most * (1 + float(info.eps) / 4) if info.bits == 32 else most
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(np.where(np.isfinite(high), high, most))
        exponent = np.where(high == 0, info.minexp, exponent - 1)
        unit = np.ldexp(1.0, np.maximum(exponent, info.minexp) - info.nmant)
        got = np.clip(actual.astype(np.float64), -most, most)
        error = np.abs((got - np.clip(high, -most, most)) - low) / unit
        error += np.isinf(actual) ^ (np.abs(high) > overflow)
        if info.bits == 64:
            # Near the least numbers the reference's low part is too small for one.
            is_least = np.abs(high) < float(info.tiny) * 256
            rounded = np.maximum(np.abs(got - high) / unit - 0.5, 0)
            error = np.where(is_least, rounded, error)
    both_nan = np.isnan(actual) & np.isnan(high)
    return np.where(both_nan, 0, np.where(np.isnan(error), np.inf, error))


@dataclass(frozen=True)
class Measured:
    """The greatest error found, and the argument that has it."""

    ulp: float
    argument: float


@cache
def prepared(case: Case, dtype: DType, count: int) -> tuple[Any, Reference]:
    """Return arguments and reference values, once for all ISA rows."""
    x = samples(case, dtype, count)
    return x, reference(case, x)


def measure(case: Case, dtype: DType, isa: VectorISA, count: int) -> Measured:
    """Return the greatest error of a function on one ISA row."""
    slow = needs_mpmath(case, dtype)
    x, expected = prepared(case, dtype, max(count // 100, 1000) if slow else count)
    error = ulps(mapped(case.name, dtype, isa)(x), expected)
    worst = int(np.argmax(error))
    return Measured(float(error[worst]), float(x[worst]))


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1 << 20
    names = [isa.name for isa in HOST_ROWS]
    print("function dtype promised " + " ".join(f"{n:>22}" for n in names))
    for case in CASES:
        for dtype in (F32, F64):
            found = [measure(case, dtype, isa, count) for isa in HOST_ROWS]
            cells = " ".join(f"{m.ulp:8.3f} {m.argument:13.6g}" for m in found)
            promised = FUNCTIONS[case.name].ulp
            flag = " *" if max(m.ulp for m in found) > promised else ""
            print(f"{case.name:<9} {dtype} {promised:8.2f}  {cells}{flag}", flush=True)


if __name__ == "__main__":
    main()
