"""Programs whose points are no box, or that run in an order of their own, on every ISA
row against the oracle; and those that have no order."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case
from program_layouts import PLAIN
from range_programs import PROGRAMS as RANGES
from recurrence_programs import PROGRAMS as RECURRENCES
from scatter_programs import PROGRAMS as SCATTERS

import polydsl
from polydsl.base.diagnostics import NotCompiledError, ProgramError
from polydsl.poly import ordering

PROGRAMS = {**RANGES, **RECURRENCES, **SCATTERS}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    program = PROGRAMS[name]
    case = Case(program, ROWS[0])
    run_case(case)
    # Any other plan must do as well, on any row.
    isa = ROWS[len(name) % len(ROWS)]
    run_case(replace(case, isa=isa, shuffle=len(name), out=(PLAIN,)))


@pytest.mark.thorough
@pytest.mark.parametrize("isa", ROWS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_other_plans_on_every_row(name: str, isa: str) -> None:
    seed = len(name) + ROWS.index(isa)
    run_case(Case(PROGRAMS[name], isa, shuffle=seed, out=(PLAIN,)))


ERRORS = {
    "itself": ("y[i] = x[i] + y[i]", "y[0] needs itself"),
    "two": ("y[i] = x[i] + y[N - 1 - i]", "y[5] and y[0] need each other"),
    "beyond": ("y[i] = x[i] + pad(y[i - 1]) + pad(y[i + 1])", "y[1] and y[0]"),
    "through another": (
        "y[i] = x[i] + t[i]\n    t[i] = 2 * y[i]", "t[0] and y[0] need each other",
    ),
    "in an arm": ("y[i] = x[i] + (y[i] if i == 3 else 0)", "y[3] needs itself"),
    "a sum over itself": ("y[i] = x[i] + sum[j](y[j])", "y[0] and"),
    "nobody needs it": (
        "t[j] = 0.5 * t[j] + x[j]\n    y[i] = x[i]", "t[0] needs itself",
    ),
    "a scatter": ("y[i] += x[i]\n    y[N - 1 - i] += t[i]\n    t[i] = y[i]", "need"),
}  # fmt: skip
"""Statements whose points need each other, and what is said of them; x has 6."""


@pytest.mark.parametrize("name", ERRORS)
def test_no_order(name: str) -> None:
    """E0314 names two elements that need each other, or the one that needs itself."""
    body, message = ERRORS[name]
    ranges = "i in range(N)\n    j in range(N)\n    y: f32[N]\n    t: f32[N]"
    if "t[" not in body:
        ranges = ranges.replace("\n    t: f32[N]", "")
    text = f"kernel f(x: f32[N]) -> f32[N]:\n    {ranges}\n    {body}\n    return y\n"
    with pytest.raises(ProgramError, match="no order of the points") as caught:
        polydsl.loads(text).f(np.ones(6, np.float32))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0314"
    assert message in diagnostic.message


HOPS = """\
kernel f(x: f32[N]) -> f32[N]:
    y[i] = x[i] + pad(y[i + {}]) + pad(y[i - {}])
    return y
"""


def test_an_order_that_is_not_linear() -> None:
    """To and fro: E0502 says that so many pieces are not compiled."""
    kernel = polydsl.loads(HOPS.format(171, 230)).f
    x = np.arange(400, dtype=np.float32)
    with pytest.raises(NotCompiledError, match="without a linear order"):
        kernel(x)
    # 170 needs 341, which needs 111, and so on; 229 needs 400, which is not there.
    assert kernel.reference(x)[229] == x[229]


POINTWISE = {
    "one chain": (HOPS.format(5, 7), ((11,),)),
    "boxes": (HOPS.format(15, 19), ((31,),)),
    "a free index": (
        """\
kernel f(x: f32[N, B]) -> f32[N, B]:
    y[i, b] = x[i, b] + pad(y[i + 5, b]) + pad(y[i - 7, b])
    return y
""",
        ((11, 3),),
    ),
    "two indices": (
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[i, j] + pad(y[i + 5, M - 1 - j]) + pad(y[i - 7, M - 1 - j])
    return y
""",
        ((11, 3),),
    ),
    "two tensors and a sum": (
        """\
kernel f(x: f32[N, M]) -> f32[N]:
    s[i] += x[i, k] * pad(y[i + 5])
    y[i] = 1 + s[i] + pad(y[i - 7])
    return y
""",
        ((11, 4),),
    ),
    "within a time": (
        """\
kernel f(x: f32[T, N]) -> f32[T, N]:
    y[t, i] = x[t, i] + pad(y[t - 1, i]) + pad(y[t, i + 5]) + pad(y[t, i - 7])
    return y
""",
        ((3, 11),),
    ),
}


@pytest.mark.parametrize("name", POINTWISE)
def test_an_order_point_by_point(name: str) -> None:
    text, shapes = POINTWISE[name]
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-4, 5, shape).astype(np.float32) for shape in shapes]
    with patch.object(ordering, "levelled", wraps=ordering.levelled) as found:
        polydsl.loads(text).f.verify(*arrays)
    assert found.called


def test_an_order_by_pieces() -> None:
    """Odd elements come after even ones, those after some odd ones."""
    text = """\
kernel f(x: f32[N]) -> f32[N]:
    y: f32[N]
    a[i] = pad(y[i - 1]) if i % 2 == 1 else 0
    y[i] = x[i] + a[i] + (pad(y[i + 1]) if i % 4 == 1 else 0)
    return y
"""
    polydsl.loads(text).f.verify(np.arange(21, dtype=np.float32))


def test_too_many_needs_to_look_at() -> None:
    """The search for two points gave up with an exception that isl swallowed; what a
    few points need is followed now."""
    text = """\
kernel f(x: f32[N, N]) -> f32[N, N]:
    y[i, j] = x[i, j] + 0.5 * sum[k](pad(y[N - 1 - i, k]) * x[k, j])
    return y
"""
    with pytest.raises(ProgramError, match="need each other"):
        polydsl.loads(text).f(np.ones((80, 80), np.float32))


def test_program_names_are_different() -> None:
    assert len(PROGRAMS) == len(RANGES) + len(RECURRENCES) + len(SCATTERS)
    assert all(isinstance(p, Program) for p in PROGRAMS.values())
