"""Where the loop of a recurrence is split, and that the parts compute the same."""

from __future__ import annotations

import numpy as np
import pytest
from tree_harness import scop_of

import polydsl
from polydsl.poly.terms import Interval
from polydsl.schedule.split import MOST_PARTS, split

N = 9
HEADER = f"kernel f(x: f32[{N}]) -> f32[{N}]:\n"


def program(value: str) -> str:
    return f"{HEADER}    y[t] = {value}\n    return y\n"


CASES: list[tuple[str, tuple[Interval, ...]]] = [
    ("x[t]", ((0, 8),)),
    ("pad(y[t - 1]) + x[t]", ((0, 0), (1, 8))),
    # Backward: time is 8 - t.
    ("pad(y[t + 2]) + x[t]", ((0, 1), (2, 8))),
    ("x[t] if t < 3 else y[t - 3]", ((0, 2), (3, 8))),
    ("x[t] if t == 4 else 0.5", ((0, 3), (4, 4), (5, 8))),
    ("x[t] if t != 0 else 0.5", ((0, 0), (1, 8))),
    ("x[t] if 3*t >= 2*t + 5 else 0.5", ((0, 4), (5, 8))),
    ("x[t] if 7 > 2*t else 0.5", ((0, 3), (4, 8))),
    ("x[t] if t <= 20 else 0.5", ((0, 8),)),
    ("pad(x[2*t - 3])", ((0, 1), (2, 5), (6, 8))),
    ("pad(x[3 - t])", ((0, 3), (4, 8))),
    ("pad(x[t // 2 - 1])", ((0, 8),)),
    ("x[t] if x[t] > 0 else 0.5", ((0, 8),)),
]


@pytest.mark.parametrize(("value", "parts"), CASES, ids=[value for value, _ in CASES])
def test_parts(value: str, parts: tuple[Interval, ...]) -> None:
    scop = scop_of(program(value), x=(N,))
    (index,) = scop.statements[0].dims
    assert split(scop, scop.statements, index, 0, N - 1) == parts


def test_too_many_parts_are_none() -> None:
    tests = " + ".join(f"(x[t] if t < {n} else 0.5)" for n in range(1, MOST_PARTS + 1))
    scop = scop_of(program(tests), x=(N,))
    assert split(scop, scop.statements, "t", 0, N - 1) == ((0, N - 1),)


RECURRENCES = [
    "pad(y[t - 1]) + x[t]",
    "0.5*pad(y[t + 1], 2) - x[t]",
    "x[t] if t == 0 else x[t] * y[0] if t == 1 else 0.3*y[t - 1] - y[t - 2]",
    "x[t] if t % 3 == 0 else 0.5*y[t - 1]",
]


@pytest.mark.parametrize("value", RECURRENCES)
def test_the_parts_compute_the_same(value: str) -> None:
    kernel = polydsl.loads(program(value)).f
    kernel.verify(np.linspace(-1, 2, N, dtype=np.float32))


def test_the_innermost_loop_is_split_and_no_other() -> None:
    kernel = polydsl.loads(
        "kernel f(x: f32[T, D]) -> f32[T, D]:\n"
        "    y[t, d] = pad(y[t - 1, D - 1 - d]) + pad(y[t, d - 1]) + x[t, d]\n"
        "    return y\n"
    ).f
    nest = kernel.emit("nest", np.ones((5, 40), np.float32))
    assert nest.count("for t in") == 1
    assert nest.count("for d in") == 2
