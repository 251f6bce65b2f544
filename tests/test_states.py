"""States of recurrences: which are one step in memory, which are not, and why; and that
nests in which one step is not enough are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest.mock import patch

import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

import polydsl
from polydsl.base.diagnostics import CompilerBug
from polydsl.driver.stages import Compilation
from polydsl.loops.nest import LoopNest, contiguous
from polydsl.loops.verify import verify_nest
from polydsl.loops.verify_buffers import is_contracted
from polydsl.poly.scop import Fused, Recurrence

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """A program, the tensors of which it keeps one step, the pairs of a state and a
    reader that has come into its loop, and why other decisions are as they are."""

    text: str
    arguments: Arguments
    kept: tuple[str, ...]
    fused: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()


X = (("x", "f32", (7, 37)),)
ROW_SUMS = """\
    y[t] += h[t, d] * x[t, d]
    return y
"""

SCANS = {
    "its own element": Scan(
        """\
kernel f(x: f32[T, D]) -> f32[T]:
    h[t, d] = 0.5 * pad(h[t - 1, d]) + x[t, d]
"""
        + ROW_SUMS,
        X,
        ("h",),
        ("h into y",),
    ),
    "backward": Scan(
        """\
kernel f(x: f32[T, D]) -> f32[T]:
    h[t, d] = 0.5 * pad(h[t + 1, d], 1) + x[t, d]
"""
        + ROW_SUMS,
        X,
        ("h",),
        ("h into y",),
    ),
    "a condition of data": Scan(
        """\
kernel f(x: f32[T, D]) -> f32[T]:
    h[t, d] = x[t, d] + (h[t - 1, d] if t > 0 and x[t, d] < inf else 0)
"""
        + ROW_SUMS,
        X,
        ("h",),
        ("h into y",),
    ),
    "a selective scan": Scan(
        """\
kernel f(x: f32[N, T, D], a: f32[D, S], b: f32[N, T, S]) -> f32[N, T, D]:
    h[n, t, d, s] = exp(-x[n, t, d]**2 * a[d, s]**2) * pad(h[n, t - 1, d, s]) + (
        b[n, t, s] * x[n, t, d])
    y[n, t, d] += h[n, t, d, s] * b[n, t, s]
    z[n, t, d] = y[n, t, d] + x[n, t, d]
    return z
""",
        (("x", "f32", (2, 7, 19)), ("a", "f32", (19, 5)), ("b", "f32", (2, 7, 5))),
        ("h",),
        ("h into y",),
    ),
    "the delta rule": Scan(
        """\
kernel f(k: f32[A, T, D], v: f32[A, T, E]) -> f32[A, T, E]:
    p[a, t, e] += k[a, t, d] * pad(s[a, t - 1, d, e])
    s[a, t, d, e] = (pad(s[a, t - 1, d, e])
                     + 0.1 * k[a, t, d] * (v[a, t, e] - p[a, t, e]))
    o[a, t, e] += v[a, t, d] * s[a, t, d, e]
    return o
""",
        (("k", "f32", (3, 7, 16)), ("v", "f32", (3, 7, 16))),
        ("p", "s"),
        ("s into o",),
    ),
    "a network whose last step is read": Scan(
        """\
kernel f(x: f32[T, B, G], u: f32[U, G]) -> f32[B, U]:
    q[t, n, g] += pad(h[t - 1, n, k]) * u[k, g]
    z[t, n, g] = x[t, n, g] + q[t, n, g]
    c[t, n, j] = sigmoid(z[t, n, j]) * pad(c[t - 1, n, j]) + tanh(z[t, n, U + j])
    h[t, n, j] = sigmoid(z[t, n, 2*U + j]) * tanh(c[t, n, j])
    y[n, j] = h[T - 1, n, j]
    return y
""",
        (("x", "f32", (7, 5, 48)), ("u", "f32", (16, 48))),
        ("c", "h", "q"),
        (),
        (("h into y", "other steps"),),
    ),
    "a step that is not the last is read": Scan(
        """\
kernel f(x: f32[T, D]) -> f32[D]:
    h[t, d] = 0.5 * pad(h[t - 1, d]) + x[t, d]
    y[d] = h[T - 2, d]
    return y
""",
        X,
        (),
        (),
        (("h along t", "y reads it in another loop"),),
    ),
    "the last step backward is read": Scan(
        """\
kernel f(x: f32[T, D]) -> f32[D]:
    h[t, d] = 0.5 * pad(h[t + 1, d]) + x[t, d]
    y[d] = h[0, d] * 2
    return y
""",
        X,
        ("h",),
    ),
    "two steps back": Scan(
        """\
kernel f(x: f32[T, D]) -> f32[T]:
    h[t, d] = 0.5 * pad(h[t - 1, d]) + 0.2 * pad(h[t - 2, d]) + x[t, d]
"""
        + ROW_SUMS,
        X,
        (),
        (),
        (
            ("h into y", "h reads it 2 steps back"),
            ("h along t", "h reads it 2 steps back"),
        ),
    ),
    "another element of the step before": Scan(
        """\
kernel f(x: f32[T, D]) -> f32[T]:
    h[t, d] = 0.5 * pad(h[t - 1, d - 1]) + x[t, d]
"""
        + ROW_SUMS,
        X,
        (),
        (),
        (("h along t", "h reads the step before while it is replaced"),),
    ),
    "a sum over the step before": Scan(
        """\
kernel f(x: f32[T, D], w: f32[D, D]) -> f32[T]:
    h[t, d] += 0.1 * pad(h[t - 1, k]) * w[k, d]
    h[t, d] += x[t, d]
    y[t] += h[t, d] * x[t, d]
    return y
""",
        (("x", "f32", (7, 19)), ("w", "f32", (19, 19))),
        (),
        (),
        (("h along t", "h reads the step before while it is replaced"),),
    ),
    "a result": Scan(
        """\
kernel f(x: f32[T, D]) -> (f32[T], f32[T, D]):
    h[t, d] = 0.5 * pad(h[t - 1, d]) + x[t, d]
    y[t] += h[t, d] * x[t, d]
    return y, h
""",
        X,
        (),
    ),
    "an earlier step is read later": Scan(
        """\
kernel f(x: f32[T, D]) -> f32[T]:
    h[t, d] = 0.5 * pad(h[t - 1, d]) + x[t, d]
    y[t] += h[T - 1 - t, d] * x[t, d]
    return y
""",
        X,
        (),
        (),
        (("h into y", "y reads it at other steps than its own"),),
    ),
    "vectors along the steps": Scan(
        """\
kernel f(x: f32[T, D]) -> f32[D, T]:
    h[t, d] = 0.5 * pad(h[t - 1, d]) + x[t, d]
    y[d, t] = h[t, d] ** 2
    return y
""",
        X,
        (),
        (),
        (("h into y", "y has its vectors along t"),),
    ),
    "a product of all steps": Scan(
        """\
kernel f(x: f32[T, B, D], w: f32[D, E]) -> f32[T, B, E]:
    h[t, b, d] = 0.5 * pad(h[t - 1, b, d]) + x[t, b, d]
    y[t, b, e] += h[t, b, d] * w[d, e]
    return y
""",
        (("x", "f32", (7, 3, 19)), ("w", "f32", (19, 17))),
        (),
        (),
        (("h into y", "y is a product, of all steps at once"),),
    ),
    "what is needed in between": Scan(
        """\
kernel f(x: f32[T, D]) -> f32[T]:
    h[t, d] = 0.5 * pad(h[t - 1, d]) + x[t, d]
    m = max[t, d](h[t, d])
    y[t] += h[t, d] / m
    return y
""",
        X,
        (),
        (),
        (("h into y", "other steps"), ("h along t", "reads it in another loop")),
    ),
}


@contextmanager
def always() -> Iterator[None]:
    """Move readers into loops even where all steps of a state lie near anyway."""
    with patch("polydsl.schedule.followers.START", -1e9):
        yield


@pytest.mark.parametrize("name", SCANS)
def test_states_are_one_step_in_memory(name: str) -> None:
    scan = SCANS[name]
    program = Program(scan.text, scan.arguments)
    with always():
        state = run_case(Case(program, ROWS[0])).state
        assert state.schedule is not None and state.nest is not None
        found = {d.subject: d for d in state.schedule.decisions}
        fused = [s for s, d in found.items() if "in the loop over" in d.chosen]
        assert sorted(fused) == sorted(scan.fused)
        for subject, reason in scan.reasons:
            assert reason in found[subject].reason
        kept = [b.name for b in state.nest.buffers if is_contracted(b)]
        assert sorted(kept) == sorted(scan.kept)
        with patch("polydsl.schedule.share.LEAST_POINTS", 0):
            run_case(Case(program, ROWS[-1]))
    for seed in range(2):
        run_case(Case(program, ROWS[seed % len(ROWS)], shuffle=seed))


def test_rows_of_one_step_share_loops() -> None:
    """As if it always paid; a state has all rows, as the next step needs them."""
    scan = SCANS["a network whose last step is read"]
    with (
        patch("polydsl.schedule.fusion_chain.START", -1e9),
        patch("polydsl.schedule.fusion_chain.ROWS", (2,)),
        patch("polydsl.schedule.share.LEAST_PRODUCT", 0),
    ):
        state = run_case(Case(Program(scan.text, scan.arguments), ROWS[0])).state
    found = {d.subject: d.chosen for d in state.fusions}
    assert found["q into c"].startswith("fused, in loops over n")
    assert state.scop is not None
    (loop,) = (i for i in state.scop.items if isinstance(i, Recurrence))
    inside = {t for i in loop.body if isinstance(i, Fused) for t in i.contracted}
    assert "c" in loop.contracted and "c" not in inside and "q" in inside


def test_who_wants_no_fusion_gets_every_step() -> None:
    scan = SCANS["its own element"]
    program = Program(scan.text, scan.arguments)
    for fuse in ("none", "elementwise"):
        with always():
            state = run_case(Case(program, ROWS[0], fuse=fuse)).state
        assert state.nest is not None
        assert not any(is_contracted(b) for b in state.nest.buffers)


def test_a_scan_takes_memory_for_one_step() -> None:
    kernel = polydsl.stdlib.state_space.selective_scan
    wide, narrow = "f32[2,512,64]", "f32[2,512,16]"
    args = (wide, wide, "f32[64,16]", narrow, narrow, "f32[64]")
    text = kernel.specialize(*args).explain()
    assert "h into y: fused, in the loop over t" in text
    assert "h along t: one step is in memory" in text
    # Two batches, a line apart from being in the same sets of the caches.
    assert "scratch: 8.062 KiB" in text
    text = kernel.configure(fuse="none").specialize(*args).explain()
    assert "along t: one" not in text


# Nests that must not be made


def compiled(name: str, *, fuse: str = "all") -> Compilation:
    scan = SCANS[name]
    program = Program(scan.text, scan.arguments)
    with always(), patch("polydsl.schedule.share.LEAST_POINTS", 0):
        return run_case(Case(program, ROWS[0], fuse=fuse)).state


def one_step(nest: LoopNest, name: str, axis: int = 0) -> LoopNest:
    """Return a nest with one row of a buffer in memory along an axis."""
    buffer = nest.buffer(name)
    shape = tuple(1 if at == axis else n for at, n in enumerate(buffer.shape))
    strides = tuple(0 if at == axis else s for at, s in enumerate(contiguous(shape)))
    changed = replace(buffer, strides=strides)
    buffers = tuple(changed if b is buffer else b for b in nest.buffers)
    return replace(nest, buffers=buffers)


def refused(state: Compilation, nest: LoopNest, message: str) -> None:
    assert state.scop and state.schedule and state.nest
    assert nest != state.nest
    verify_nest(state.scop, state.schedule, state.nest)
    with pytest.raises(CompilerBug, match=message):
        verify_nest(state.scop, state.schedule, nest)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two steps back", "h is used after it is overwritten"),
        ("another element of the step before", "h is used after it is overwritten"),
        ("a sum over the step before", "h is used after it is overwritten"),
        ("an earlier step is read later", "h is used after it is overwritten"),
        ("a product of all steps", "h is used after it is overwritten|another element"),
        ("what is needed in between", "h is used after it is overwritten"),
        ("a network whose last step is read", ""),
    ],
)
def test_one_step_is_enough_or_refused(name: str, message: str) -> None:
    """Where only the last step is read in the end, one would be enough."""
    state = compiled(name)
    assert state.scop and state.schedule and state.nest
    nest = one_step(state.nest, "h")
    if message:
        refused(state, nest, message)
    else:
        verify_nest(state.scop, state.schedule, nest)


@pytest.mark.parametrize("name", ["its own element", "backward", "a selective scan"])
def test_another_loop_finds_the_last_step_only(name: str) -> None:
    state = compiled(name, fuse="none")
    assert state.nest is not None
    axis = 1 if name == "a selective scan" else 0
    nest = one_step(state.nest, "h", axis)
    refused(state, nest, "h is used after it is overwritten")


def test_threads_have_places_of_their_own() -> None:
    state = compiled("a selective scan")
    assert state.nest is not None
    nest = one_step(state.nest, "h", 0)
    refused(state, nest, "threads share a row of h|not written step by step")


def test_two_axes_have_memory() -> None:
    state = compiled("a selective scan")
    assert state.nest is not None
    buffer = state.nest.buffer("h")
    flat = replace(buffer, strides=(0, 0, *buffer.strides[2:]))
    buffers = tuple(flat if b is buffer else b for b in state.nest.buffers)
    refused(state, replace(state.nest, buffers=buffers), "of several")
