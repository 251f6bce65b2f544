"""Kernels from text, for the tests of the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polydsl.base.dtypes import from_numpy
from polydsl.base.source import Source
from polydsl.semantics.check import check_module
from polydsl.semantics.oracle import Margins, Outcome, compare, evaluate
from polydsl.semantics.program import Program
from polydsl.semantics.specialize import specialize
from polydsl.syntax.parser import parse


def typed(text: str, **given: Any) -> tuple[Program, dict[str, np.ndarray]]:
    """Specialise the last kernel of a text; arrays are tensors, the rest constants."""
    arrays = {n: v for n, v in given.items() if isinstance(v, np.ndarray)}
    constants = {n: v for n, v in given.items() if n not in arrays}
    library = check_module(parse(Source("test.pdl", text)))
    shapes = {}
    for name, array in arrays.items():
        dtype = from_numpy(array.dtype)
        assert dtype is not None
        shapes[name] = (dtype, array.shape)
    return specialize(library, list(library.kernels)[-1], shapes, constants), arrays


def run(text: str, **given: Any) -> Outcome:
    """Evaluate the last kernel of a text."""
    program, arrays = typed(text, **given)
    return evaluate(program, arrays)


def check(text: str, expected: Sequence[Any], **given: Any) -> Margins:
    """Compare with what NumPy gives."""
    program, arrays = typed(text, **given)
    outcome = evaluate(program, arrays)
    results = [
        np.asarray(value).astype(program.tensor(name).dtype.numpy)
        for name, value in zip(program.results, expected, strict=True)
    ]
    return compare(program, outcome, results)
