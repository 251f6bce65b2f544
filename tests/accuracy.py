"""Measures the error of every function of real numbers, in units in the last place.

`python tests/accuracy.py [points]` prints the table that stands behind the promised
errors in `polydsl.base.functions`: per function and type the greatest error on each ISA
row of this machine, and where it is. f32 is compared with f64; f64 with extended
precision where the machine has it, and with mpmath for erf and gelu.
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

HAS_EXTENDED = np.finfo(np.longdouble).nmant >= 63


@dataclass(frozen=True)
class Case:
    """A function with its reference and the intervals in which it is interesting."""

    name: str
    reference: Callable[..., Any]
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


SMALL = (-1.0, 1.0)
CASES = (
    Case("exp", np.exp, (SMALL, (-104, 89)), (SMALL, (-746, 710))),
    Case("exp2", np.exp2, (SMALL, (-150, 128)), (SMALL, (-1075, 1024))),
    Case("expm1", np.expm1, (SMALL, (-20, 89)), (SMALL, (-40, 710))),
    Case("log", np.log, ((0.5, 2), (0, 1e4)), ((0.5, 2), (0, 1e4))),
    Case("log2", np.log2, ((0.5, 2), (0, 1e4)), ((0.5, 2), (0, 1e4))),
    Case("log1p", np.log1p, (SMALL, (-1, 1e4)), (SMALL, (-1, 1e4))),
    Case("sqrt", np.sqrt, ((0, 4),), ((0, 4),)),
    Case("rsqrt", lambda x: 1 / np.sqrt(x), ((0, 4),), ((0, 4),)),
    Case("tanh", _tanh, (SMALL, (-10, 10)), (SMALL, (-20, 20))),
    Case("sigmoid", _sigmoid, (SMALL, (-104, 20)), (SMALL, (-746, 40))),
    Case("erf", _erf, (SMALL, (-4.5, 4.5)), (SMALL, (-6.5, 6.5))),
    Case("sin", np.sin, ((-7, 7), (-1e5, 1e5)), ((-7, 7), (-1e5, 1e5))),
    Case("cos", np.cos, ((-7, 7), (-1e5, 1e5)), ((-7, 7), (-1e5, 1e5))),
    Case("gelu", _gelu, ((-4, 4), (-14.5, 7)), ((-4, 4), (-38.5, 10))),
    Case("silu", lambda x: x * _sigmoid(x), (SMALL, (-109, 20)), (SMALL, (-752, 40))),
    Case("softplus", _softplus, (SMALL, (-104, 20)), (SMALL, (-746, 40))),
)

EXTENDED = ("erf", "gelu")
"""Functions whose f64 reference needs mpmath."""


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


def reference(case: Case, x: Any) -> Any:
    """Return the values of the function in more precision than *x* has."""
    with np.errstate(all="ignore"):
        if x.dtype == np.float32:
            return case.reference(x.astype(np.float64))
        if case.name in EXTENDED:
            return _by_mpmath(case.name, x)
        return case.reference(x.astype(np.longdouble))


def _by_mpmath(name: str, x: Any) -> Any:
    with mpmath.workprec(100):
        half = mpmath.sqrt(mpmath.mpf(1) / 2)
        # Beyond 40 both functions are 0, 1 or the argument, which mpmath cannot tell.
        exact = [mpmath.mpf(max(-40.0, min(40.0, float(v)))) for v in x]
        if name == "erf":
            values = [mpmath.erf(v) for v in exact]
        else:
            values = [v * mpmath.erfc(-v * half) / 2 for v in exact]
        near = np.array([_to_extended(v) for v in values], np.longdouble)
    return np.where(x > 40, x, near) if name == "gelu" else near


def _to_extended(value: Any) -> Any:
    high = float(value)
    if not math.isfinite(high):
        return np.longdouble(high)
    return np.longdouble(high) + np.longdouble(float(value - high))


def ulps(actual: Any, expected: Any) -> Any:
    """Return the errors of *actual* in units in the last place of its type."""
    info = np.finfo(actual.dtype)
    wide = expected.dtype.type
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(expected)
        exponent = np.maximum(exponent - 1, info.minexp)
        unit = np.ldexp(
            wide(1), np.where(np.isfinite(expected), exponent, 0) - info.nmant
        )
        # Beyond the greatest number, the next one stands for infinity.
        beyond = wide(2) ** info.maxexp
        got = np.where(
            np.isinf(actual), np.copysign(beyond, actual), actual.astype(wide)
        )
        want = np.clip(expected, -beyond, beyond)
        error = np.abs(got - want) / unit
    same = (np.isnan(actual) & np.isnan(expected)) | (got == want)
    return np.where(same, 0, np.where(np.isnan(error), np.inf, error)).astype(float)


@dataclass(frozen=True)
class Measured:
    """The greatest error found, and the argument that has it."""

    ulp: float
    argument: float


@cache
def prepared(case: Case, dtype: DType, count: int) -> tuple[Any, Any]:
    """Return arguments and reference values, once for all ISA rows."""
    x = samples(case, dtype, count)
    return x, reference(case, x)


def measure(case: Case, dtype: DType, isa: VectorISA, count: int) -> Measured:
    """Return the greatest error of a function on one ISA row."""
    slow = case.name in EXTENDED and dtype == F64
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
