"""What a sum reads at its own points is computed in its loops: which tensors are, which
are not, and why; and that values are right, whatever the plans."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import Mock, patch

import numpy as np
import pytest
from program_builder import Program
from program_harness import ROWS, Case, Run, run_case

import polydsl
from polydsl.backend.arrays import layout_of
from polydsl.base.diagnostics import ArgumentError
from polydsl.driver.compiler import begin
from polydsl.driver.request import Request
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.schedule.decision import Decision
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.schedule.vector_point import IndexLoop, Unrolled, VectorPoint

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Sums:
    """A program, the statements that are made at points of each update, in order, and
    why other tensors are not."""

    text: str
    arguments: Arguments
    made: tuple[tuple[str, ...], ...] = ()
    kept: tuple[tuple[str, str], ...] = ()


X = (("x", "f32", (13, 37)),)
SUMS = {
    "lanes are partial sums": Sums(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    m[i] = max[j](x[i, j])
    p[i, j] = exp(x[i, j] - m[i])
    l[i] += p[i, j]
    y[i, j] = p[i, j] / l[i]
    return y
""",
        X,
        (("p",),),
    ),
    "lanes are results": Sums(
        """\
kernel f(x: f32[N, M]) -> (f32[N, M], f32[M]):
    p[i, j] = tanh(x[i, j])
    l[j] += p[i, j]
    return p, l
""",
        X,
        (("p",),),
    ),
    "a state and its output": Sums(
        """\
kernel f(q: f32[T, I], k: f32[T, I], v: f32[T, J]) -> f32[T, J]:
    s[t, i, j] = 0.9 * pad(s[t - 1, i, j]) + k[t, i] * v[t, j]
    o[t, j] += q[t, i] * s[t, i, j]
    return o
""",
        (("q", "f32", (5, 9)), ("k", "f32", (5, 9)), ("v", "f32", (5, 21))),
        (("s",),),
    ),
    "several, one after the other": Sums(
        """\
kernel f(x: f32[N, M]) -> (f32[N, M], f32[N, M], f32[N, M], f32[N]):
    p[i, j] = exp(x[i, j])
    q[i, j] = p[i, j] * p[i, j] + 1
    r[j, i] = tanh(x[i, j])
    l[i] += max(q[i, j], r[j, i])
    return p, q, r, l
""",
        (("x", "f32", (19, 19)),),
        (("p", "q", "r"),),
    ),
    "rows of a triangle": Sums(
        """\
kernel f(x: f32[N, N]) -> (f32[N, N], f32[N]):
    j in range(0, i + 1)
    p[i, j] = exp(x[i, j])
    l[i] += p[i, j]
    y[i, k] = pad(p[i, k])
    return y, l
""",
        (("x", "f32", (21, 21)),),
        (("p",),),
    ),
    "a sum that the next steps need": Sums(
        """\
kernel f(x: f32[T, D]) -> f32[T]:
    s[t, d] = 0.5 * pad(s[t - 1, d]) + x[t, d] * pad(m[t - 2]) + pad(y[t - 1])
    m[t] += s[t, d] * 0.01
    y[t] = m[t] + 0.5
    return y
""",
        (("x", "f32", (7, 29)),),
        (("s",),),
    ),
    "a mean that replaces the one before": Sums(
        """\
kernel f(x: f32[T, D]) -> f32[T, D]:
    s[t, d] = 0.5 * pad(s[t - 1, d]) + x[t, d] * pad(m[t - 1])
    m[t] += s[t, d] * 0.01
    y[t, d] = s[t, d] + 1
    return y
""",
        (("x", "f32", (7, 29)),),
        (),
        (("s in the loops of m", "reads the step before while it is replaced"),),
    ),
    "something comes in between": Sums(
        """\
kernel f(x: f32[N, M], w: f32[M, 3]) -> f32[N]:
    p[i, j] = exp(x[i, j])
    m[i, k] += p[i, j] * w[j, k]
    l[i] += max(p[i, j], m[i, 1])
    return l
""",
        (*X, ("w", "f32", (37, 3))),
        (),
        (("p in the loops of l", "it needs m, which comes in between"),),
    ),
    "neighbours": Sums(
        """\
kernel f(x: f32[N, M]) -> (f32[N, M], f32[N]):
    p[i, j] = exp(x[i, j])
    k in range(0, M - 1)
    l[i] += p[i, k] - p[i, k + 1]
    return p, l
""",
        X,
    ),
    "other points": Sums(
        """\
kernel f(x: f32[N, M]) -> (f32[N, M], f32[N]):
    p[i, j] = exp(x[i, j])
    k in range(0, M - 1)
    l[i] += abs(p[i, k])
    return p, l
""",
        X,
    ),
    "another step": Sums(
        """\
kernel f(x: f32[N, N]) -> f32[N]:
    i in range(t, N)
    k in range(0, t + 1)
    s[t, i] = x[t, i] + 0.1 * pad(o[t - 1])
    o[t] += s[k, t] * 0.1
    return o
""",
        (("x", "f32", (11, 11)),),
    ),
    "an element at several points": Sums(
        """\
kernel f(x: f32[N, M], w: f32[M, 3]) -> (f32[N, M], f32[N, 3]):
    p[i, j] = exp(x[i, j])
    l[i, k] += abs(p[i, j] - w[j, k])
    return p, l
""",
        (*X, ("w", "f32", (37, 3))),
    ),
    "a part of what the sum begins with": Sums(
        """\
kernel f(x: f32[N, N]) -> (f32[N, N], f32[N], f32[N]):
    p[i, j] = exp(x[i, j])
    l[i] += p[i, j] * p[j, i]
    m[i] += p[i, j]
    return p, l, m
""",
        (("x", "f32", (19, 19)),),
        (("p",),),
    ),
}
ALWAYS = Mock(return_value=("it is asked for", True))
names = pytest.mark.parametrize("name", SUMS)


def compiled(sums: Sums, fuse: str = "all") -> Run:
    """Run a program, with prologues wherever they are possible."""
    case = Case(Program(sums.text, sums.arguments), ROWS[0], fuse=fuse)
    with (
        patch("polydsl.schedule.group_plan.GroupPlanning._comparison", ALWAYS),
        patch("polydsl.schedule.followers.START", -1e9),
    ):
        return run_case(case)


def prologues(run: Run) -> list[tuple[str, ...]]:
    """Return the tensors that are made at points of updates."""
    state = run.state
    assert state.scop is not None and state.schedule is not None
    plans = (p for p in state.schedule.plans if isinstance(p, VectorPlan))
    return [
        tuple(state.scop.statement(name).tensor for name in plan.prologue)
        for plan in plans
        if plan.prologue
    ]


def decisions(run: Run) -> dict[str, Decision]:
    """Return the decisions about tensors and sums, by subject."""
    assert run.state.schedule is not None
    found = run.state.schedule.decisions
    return {d.subject: d for d in found if " in the loops of " in d.subject}


@names
def test_what_is_made_where_it_is_summed(name: str) -> None:
    sums = SUMS[name]
    run = compiled(sums)
    found = decisions(run)
    assert prologues(run) == [*sums.made]
    made = [d for d in found.values() if d.chosen == "computed where it is summed"]
    assert len(made) == sum(map(len, sums.made))
    for subject, reason in sums.kept:
        assert found[subject].chosen == "not fused"
        assert reason in found[subject].reason


@names
def test_any_plan(name: str) -> None:
    number = [*SUMS].index(name)
    program = Program(SUMS[name].text, SUMS[name].arguments)
    run_case(Case(program, ROWS[number % len(ROWS)], shuffle=number))


@pytest.mark.parametrize(
    "point",
    [
        VectorPoint("j", 1, (Unrolled("i", 2),), loops=(IndexLoop("i"),)),
        VectorPoint("i", 1, reduction=("j",), loops=(IndexLoop("i"),)),
    ],
)
def test_what_is_made_is_not_masked(point: VectorPoint) -> None:
    """A sum would be masked in a tile of several rows of a triangle."""
    kernel = polydsl.loads(SUMS["rows of a triangle"].text).f
    layouts = {"x": layout_of(np.ones((21, 21), np.float32))}
    request = Request(kernel.library, "f", layouts, {})
    request = request.choosing({"S1, S0, S2 (l)": point})
    with pytest.raises(ArgumentError, match="i is in a condition of the domain"):
        compile_until(begin(request, toolchain()), "nest")


def test_nothing_is_made_there_for_who_wants_none() -> None:
    run = compiled(SUMS["lanes are partial sums"], fuse="none")
    assert prologues(run) == [] and decisions(run) == {}
