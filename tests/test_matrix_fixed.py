"""Products inside of recurrences and of shared loops: microkernels in every iteration,
copies as far out as they can be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

from polydsl.loops.nest import Loop, walk
from polydsl.loops.touched import touched_buffers
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.schedule import Schedule

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Inside:
    """A program, the products that are computed inside of loops, and why another one is
    not."""

    text: str
    arguments: Arguments
    products: tuple[str, ...]
    refused: tuple[tuple[str, str], ...] = ()


CELL = """\
kernel f(x: f32[T, B, I], w: f32[I, U], u: f32[U, U]) -> f32[T, B, U]:
    p[t, n, j] += x[t, n, i] * w[i, j]
    q[t, n, j] += pad(h[t - 1, n, k]) * u[k, j]
    h[t, n, j] = tanh(p[t, n, j] + q[t, n, j])
    return h
"""
STATE = (("x", "f32", (5, 6, 7)), ("w", "f32", (7, 40)), ("u", "f32", (40, 40)))

CASES = {
    "a recurrent cell": Inside(CELL, STATE, ("q",)),
    "its weights transposed": Inside(CELL.replace("u[k, j]", "u[j, k]"), STATE, ("q",)),
    "a first state": Inside(
        """\
kernel f(h0: f32[B, U], u: f32[U, U], *, T: int = 4) -> f32[T, B, U]:
    h: f32[T, B, U]
    h[t, n, j] = cos(pad(q[t - 1, n, j], 0.5))
    q[t, n, j] += (h[t, n, k] + h0[n, k]) * u[k, j]
    return h
""",
        (("h0", "f32", (6, 40)), ("u", "f32", (40, 40))),
        ("q",),
    ),
    "weights of each step": Inside(
        """\
kernel f(x: f32[T, B, U], u: f32[T, U, U]) -> f32[T, B, U]:
    q[t, n, j] += pad(h[t - 1, n, k], x[t, n, k]) * u[t, j, k]
    h[t, n, j] = x[t, n, j] - q[t, n, j] / U
    return h
""",
        (("x", "f32", (5, 6, 40)), ("u", "f32", (5, 40, 40))),
        (),
    ),
    "weights of each step, padded with zero": Inside(
        """\
kernel f(x: f32[T, B, U], u: f32[T, U, U]) -> f32[T, B, U]:
    q[t, n, j] += pad(h[t - 1, n, k]) * u[t, j, k]
    h[t, n, j] = x[t, n, j] - q[t, n, j] / U
    return h
""",
        (("x", "f32", (5, 6, 40)), ("u", "f32", (5, 40, 40))),
        ("q",),
    ),
    "two products of one state": Inside(
        """\
kernel f(x: f64[T, B, U], u: f64[U, U], v: f64[U, U]) -> f64[T, B, U]:
    r[t, n, j] += pad(h[t - 1, n, k]) * u[k, j]
    z[t, n, j] += pad(h[t - 1, n, k]) * v[k, j]
    h[t, n, j] = sigmoid(z[t, n, j]) * tanh(r[t, n, j]) + x[t, n, j]
    return h
""",
        (("x", "f64", (5, 6, 24)), ("u", "f64", (24, 24)), ("v", "f64", (24, 24))),
        ("r", "z"),
    ),
    "two loops": Inside(
        """\
kernel f(x: f32[S, T, B, U], u: f32[U, U]) -> f32[S, T, B, U]:
    q[s, t, n, j] += pad(h[s, t - 1, n, k]) * u[k, j]
    h[s, t, n, j] = tanh(q[s, t, n, j] + pad(h[s - 1, t, n, j])) + x[s, t, n, j]
    return h
""",
        (("x", "f32", (3, 4, 6, 40)), ("u", "f32", (40, 40))),
        ("q",),
    ),
    "a matrix and a vector": Inside(
        """\
kernel f(x: f32[T, U], u: f32[U, U]) -> f32[T, U]:
    q[t, j] += pad(h[t - 1, k]) * u[k, j]
    h[t, j] = tanh(q[t, j]) + x[t, j]
    return h
""",
        (("x", "f32", (5, 40)), ("u", "f32", (40, 40))),
        (),
        (("q", "nothing is reused"),),
    ),
    "backward": Inside(
        """\
kernel f(x: f32[T, B, U], u: f32[U, U]) -> f32[T, B, U]:
    q[t, n, j] += pad(h[t + 1, n, k]) * u[k, j]
    h[t, n, j] = tanh(q[t, n, j]) + x[t, n, j]
    return h
""",
        (("x", "f32", (5, 6, 40)), ("u", "f32", (40, 40))),
        (),
    ),
}


@contextmanager
def eager() -> Iterator[None]:
    """Take microkernels for small products, too."""
    schedule = "polydsl.schedule."
    with (
        patch(f"{schedule}share.LEAST_PRODUCT", 0),
        patch(f"{schedule}group_plan.PLAIN_MARGIN", 1e9),
    ):
        yield


def products_inside(schedule: Schedule) -> list[MatrixPlan]:
    """Return the products that have loops around them."""
    plans = (plan for plan in schedule.plans if isinstance(plan, MatrixPlan))
    return [plan for plan in plans if plan.fixed]


@pytest.mark.parametrize("bound", [(), ("u",)])
@pytest.mark.parametrize("name", CASES)
def test_products_are_computed_inside(name: str, bound: tuple[str, ...]) -> None:
    case = CASES[name]
    program = Program(case.text, case.arguments)
    with eager():
        state = run_case(Case(program, ROWS[0], bound=frozenset(bound))).state
    assert state.schedule is not None and state.nest is not None
    found = products_inside(state.schedule)
    assert [plan.contraction.c.tensor for plan in found] == list(case.products)
    for tensor, reason in case.refused:
        decision = next(
            d for d in state.schedule.decisions if f"({tensor})" in d.subject
        )
        assert any(reason in other.reason for other in decision.rejected)


@pytest.mark.parametrize("name", CASES)
def test_any_schedule_of_products_inside(name: str) -> None:
    case = CASES[name]
    program = Program(case.text, case.arguments)
    for seed in range(2):
        isa = ROWS[seed % len(ROWS)]
        run_case(Case(program, isa, shuffle=seed))
        with eager():
            run_case(Case(program, isa, points=seed if case.products else None))


def test_what_no_step_changes_is_packed_before_all_of_them() -> None:
    program = Program(CASES["its weights transposed"].text, STATE)
    with eager():
        state = run_case(Case(program, ROWS[0])).state
    assert state.schedule is not None and state.nest is not None
    (plan,) = products_inside(state.schedule)
    assert plan.b.pack is not None and plan.b.pack.loops == 0
    (steps,) = (
        node for node in state.nest.body if isinstance(node, Loop) and node.var == "t"
    )
    weights = plan.b.pack.tensor
    filled = [
        node for node in walk(steps.body) if getattr(node, "buffer", "") == weights
    ]
    assert not filled, "the weights are packed in every step"
    assert weights in touched_buffers(steps.body)
    before = state.nest.body[: state.nest.body.index(steps)]
    assert weights in touched_buffers(before)
