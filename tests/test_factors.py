"""Factors that leave a sum: which do, what is left, and that the numbers stay right."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

from polydsl.schedule.matrix_plan import MatrixPlan

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """A program, the tensors whose sums lose factors, and how many of its sums are
    computed by microkernels then."""

    text: str
    arguments: Arguments
    apart: tuple[str, ...]
    products: int


X, W = ("x", "f32", (7, 19)), ("w", "f32", (19, 21))

SUMS = {
    "a number": Sum(
        """\
kernel f(x: f32[N, C], w: f32[C, K]) -> f32[N, K]:
    h[i, k] += 0.125 * x[i, c] * w[c, k]
    return h
""",
        (X, W),
        ("h",),
        1,
    ),
    "rows and columns, divided and negated": Sum(
        """\
kernel f(x: f32[N, C], w: f32[C, K], r: f32[N], s: f32[K]) -> f32[N, K]:
    h[i, k] += -(x[i, c] / (1 + r[i] * r[i])) * (w[c, k] * s[k])
    return h
""",
        (X, W, ("r", "f32", (7,)), ("s", "f32", (21,))),
        ("h",),
        1,
    ),
    "what a row is divided by": Sum(
        """\
kernel f(x: f32[N, C], w: f32[C, K]) -> f32[N, K]:
    v[i] += x[i, c] * x[i, c]
    n[i, c] = x[i, c] / sqrt(v[i] + 1)
    h[i, k] += n[i, c] * w[c, k]
    return h
""",
        (X, W),
        ("h",),
        1,
    ),
    "a softmax between two products": Sum(
        """\
kernel f(q: f32[T, D], k: f32[S, D], v: f32[S, D]) -> f32[T, D]:
    s[i, j] += q[i, d] * k[j, d] / sqrt(D)
    e[i, j] = exp(s[i, j] - max[m](s[i, m]))
    l[i] += e[i, j]
    p[i, j] = e[i, j] / l[i]
    o[i, d] += p[i, j] * v[j, d]
    return o
""",
        (("q", "f32", (7, 19)), ("k", "f32", (13, 19)), ("v", "f32", (13, 19))),
        ("s", "o"),
        2,
    ),
    "a gate of the result": Sum(
        """\
kernel f(x: f64[N, C], w: f64[C, K], g: f64[N, K]) -> f64[N, K]:
    h[i, k] += sigmoid(g[i, k]) * x[i, c] * w[c, k]
    return h
""",
        (("x", "f64", (7, 19)), ("w", "f64", (19, 21)), ("g", "f64", (7, 21))),
        ("h",),
        1,
    ),
    "a recurrence": Sum(
        """\
kernel f(x: f32[T, N], w: f32[N, N], a: f32[T]) -> f32[T, N]:
    g[t, i] += pad(h[t - 1, k]) * w[k, i] * a[t]
    h[t, i] = tanh(g[t, i] + x[t, i])
    return h
""",
        (("x", "f32", (9, 19)), ("w", "f32", (19, 19)), ("a", "f32", (9,))),
        ("g",),
        0,
    ),
    "a factor of what is summed stays": Sum(
        """\
kernel f(x: f32[N, C], w: f32[C, K], g: f32[C]) -> f32[N, K]:
    h[i, k] += x[i, c] * g[c] * w[c, k]
    return h
""",
        (X, W, ("g", "f32", (19,))),
        (),
        1,
    ),
    "integers": Sum(
        """\
kernel f(x: i32[N, C], w: i32[C, K], r: i32[N]) -> i32[N, K]:
    h[i, k] += x[i, c] * w[c, k] * r[i]
    return h
""",
        (("x", "i32", (7, 19)), ("w", "i32", (19, 21)), ("r", "i32", (7,))),
        (),
        0,
    ),
    "a sum that may be empty": Sum(
        """\
kernel f(x: f32[N, N], w: f32[N, K], r: f32[N]) -> f32[N, K]:
    c in range(i)
    h[i, k] += x[i, c] * w[c, k] / r[i]
    return h
""",
        (("x", "f32", (7, 7)), ("w", "f32", (7, 21)), ("r", "f32", (7,))),
        (),
        0,
    ),
    "two sums of one tensor": Sum(
        """\
kernel f(x: f32[N, C], w: f32[C, K], r: f32[N]) -> f32[N, K]:
    h[i, k] += x[i, c] * w[c, k] * r[i]
    h[i, k] += x[i, c] / w[c, k]
    return h
""",
        (X, W, ("r", "f32", (7,))),
        (),
        0,
    ),
    "no product is left": Sum(
        """\
kernel f(x: f32[N, C], r: f32[N]) -> f32[N]:
    h[i] += x[i, c] * r[i]
    return h
""",
        (X, ("r", "f32", (7,))),
        (),
        0,
    ),
    "several readers of what is divided": Sum(
        """\
kernel f(x: f32[N, C], w: f32[C, K], u: f32[C, K]) -> (f32[N, K], f32[N, K], f32[N]):
    v[i] += x[i, c] * x[i, c]
    n[i, c] = x[i, c] / sqrt(v[i] + 1)
    h[i, k] += n[i, c] * w[c, k]
    g[i, k] += n[i, c] * u[c, k]
    m[i] = max[c](n[i, c])
    return h, g, m
""",
        (X, W, ("u", "f32", (19, 21))),
        ("h", "g"),
        2,
    ),
}


@pytest.mark.parametrize("name", SUMS)
def test_factors_leave_sums(name: str) -> None:
    sums = SUMS[name]
    program = Program(sums.text, sums.arguments)
    schedule = run_case(Case(program, ROWS[0])).state.schedule
    assert schedule is not None
    apart = [d.subject for d in schedule.decisions if "does not sum over" in d.chosen]
    assert apart == list(sums.apart)
    products = [plan for plan in schedule.plans if isinstance(plan, MatrixPlan)]
    assert len(products) == sums.products
    number = [*SUMS].index(name)
    run_case(Case(program, ROWS[number % len(ROWS)], shuffle=number))
    run_case(Case(program, ROWS[0], fuse="none"))


def test_what_is_dear_and_the_same_for_a_row_is_computed_once_a_row() -> None:
    sums = SUMS["what a row is divided by"]
    program = Program(sums.text, sums.arguments)
    state = run_case(Case(program, ROWS[0])).state
    assert state.scop is not None
    assert state.scop.tensor("h_row").shape == (7,)
    (after,) = (s for s in state.scop.statements if s.tensor == "h")
    read = {r.access.tensor for r in after.reads}
    assert read == {"h_sum", "h_row"}
