"""Calls like the one before take a short way; what does not fit must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polydsl

TEXT = """
kernel f(x: f32[N, M], *, by: int = 2) -> (f32[N, M], f32[N]):
    y[i, j] = x[i, j] * by
    s[i] += x[i, j]
    return y, s
"""


@pytest.fixture
def kernel() -> Any:
    return polydsl.loads(TEXT).f


def given(rows: int = 3) -> np.ndarray[Any, Any]:
    return np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)


def outs(rows: int = 3) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return np.full((rows, 4), 7, np.float32), np.full(rows, 7, np.float32)


def check(kernel: Any, x: Any, out: Any, **constants: int) -> None:
    assert kernel(x=x, out=out, **constants) is out
    np.testing.assert_array_equal(out[0], x * constants.get("by", 2))
    np.testing.assert_array_equal(out[1], x.sum(1))


def test_results_are_written_again_and_elsewhere(kernel: Any) -> None:
    for rows in (3, 3, 5, 3):
        check(kernel, given(rows), outs(rows))
    for _ in range(2):
        # Columns first, and then as before.
        check(kernel, given(), (np.empty((4, 3), np.float32).T, outs()[1]))
        check(kernel, given(), outs())


def test_a_constant_is_part_of_the_form(kernel: Any) -> None:
    for by in (3, 4, 3):
        check(kernel, given(), outs(), by=by)
    check(kernel, given(), outs())


@pytest.mark.parametrize("fault", ["argument", "itself", "read-only", "count", "kind"])
def test_a_wrong_array_is_refused_after_right_ones(kernel: Any, fault: str) -> None:
    for _ in range(2):
        check(kernel, given(), outs())
    x, (y, s) = given(), outs()
    whole = np.full(20, 7, np.float32)
    out: Any = {
        "argument": (y, x[0, :3]),
        "itself": (whole[:12].reshape(3, 4), whole[11:14]),
        "read-only": (y, s),
        "count": (y,),
        "kind": (y, [0.0, 0.0, 0.0]),
    }[fault]
    y.flags.writeable = fault != "read-only"
    with pytest.raises(polydsl.ArgumentError):
        kernel(x=x, out=out)
    assert (y == 7).all() and (s == 7).all() and (whole == 7).all()
    np.testing.assert_array_equal(x, given())
