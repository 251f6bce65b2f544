"""How a kernel of the standard library is held against an independent reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from stdlib_cases import Case, arrays

from polydsl.driver.kernel import Kernel
from polydsl.driver.loading import load_standard
from polydsl.semantics.oracle.compare import compare
from polydsl.semantics.oracle.evaluate import evaluate

CLOSE = 1e-9
"""Both sides compute in float64, over some hundred terms of size 1 to 100."""


def kernel_of(case: Case) -> Kernel:
    """Return the kernel that a case calls."""
    kernel: Kernel = getattr(load_standard(case.module), case.kernel)
    return kernel


def check_formula(case: Case, formula: Callable[..., Any]) -> None:
    """Hold the oracle against a formula, in f64, and in f32 within its own bound."""
    for dtype in (np.float64, np.float32):
        given = arrays(case, dtype)
        program = kernel_of(case).program(*given, **case.constants)
        outcome = evaluate(program, dict(zip(program.parameters, given, strict=True)))
        wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in given]
        wanted = formula(*wide, **case.constants)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        rounded = []
        for result, want in zip(outcome.results, wanted, strict=True):
            target = program.tensor(result.name).dtype
            values = np.asarray(want)
            assert values.shape == result.value.shape
            assert target.is_float or values.dtype.kind in "iu"
            if target.bits == 64:
                np.testing.assert_allclose(result.value, values, CLOSE, CLOSE)
            rounded.append(values.astype(target.numpy))
        if dtype is np.float32:
            compare(program, outcome, rounded)
