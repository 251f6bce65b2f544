"""Counting operations, and timing beside the peak: what GFLOP/s are made of."""

from __future__ import annotations

import time

import pytest

from polydsl.driver.compiler import begin
from polydsl.driver.loading import loads
from polydsl.driver.measure import Timing, measure
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.poly.operations import count_operations

HEADER = "kernel f(x: f32[N], a: f32[N, M], b: f32[M, K], *, s: int = 3)"


def operations(text: str, *specs: str) -> int:
    kernel = loads(text).f
    special = kernel.specialize(*specs)
    state = compile_until(begin(special.request, toolchain()), "scop")
    assert state.scop is not None
    return count_operations(state.scop)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        # x has 5 elements, a 5 x 7, b 7 x 11
        ("y[i, j] += a[i, k] * b[k, j]", 2 * 5 * 7 * 11),
        ("y[i] = x[i] * 2 + 1", 2 * 5),
        ("y[i] = x[i] * (2*N - s)", 5),
        ("y[i] = relu(x[i]) if i > 2 else -x[i]", 2 * 5),
        ("y[i] = fma(x[i], x[i], x[i])", 2 * 5),
        ("y[i] = f32(x[i] > 0)", 0),
        ("y[i] = pad(x[i*2 - 1], x[i])", 0),
        ("y[i] = max[j](a[i, j])", 5 * 7),
        ("y[i] += x[i]**2 * a[i, j]", 3 * 5 * 7),
    ],
)
def test_operations_of_a_statement(body: str, count: int) -> None:
    text = f"{HEADER}:\n    {body}\n    return y\n"
    specs = ("f32[5]", "f32[5,7]", "f32[7,11]")
    assert operations(text, *specs) == count


def test_points_in_the_padding_count() -> None:
    text = (
        "kernel f(x: f32[N], w: f32[R]) -> f32[N]:\n"
        "    y[p] += pad(x[p + r - 1]) * w[r]\n"
        "    return y\n"
    )
    assert operations(text, "f32[8]", "f32[3]") == 2 * 8 * 3


def test_the_best_call_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    pauses = iter([0.5, 0.0001, 0.003, 0.001, 0.002])
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def call() -> None:
        now[0] += next(pauses)

    # One call to warm up, one to see how long it takes, three that are timed.
    timing = measure(call, None, seconds=0)
    assert timing == Timing(pytest.approx(0.001), 3, 0.0)
    assert timing.share_of_peak(100, 1) == 0


def test_short_calls_are_timed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def call() -> None:
        now[0] += 1e-6

    timing = measure(call, None, seconds=0.01)
    assert timing.seconds == pytest.approx(1e-6)
    assert timing.calls == pytest.approx(10_000, rel=0.02)


def test_shares_of_the_peak() -> None:
    timing = Timing(seconds=1e-3, calls=5, peak=100.0)
    assert timing.gigaflops(50_000_000) == pytest.approx(50)
    assert timing.share_of_peak(50_000_000, 1) == pytest.approx(0.5)
    assert timing.share_of_peak(50_000_000, 2) == pytest.approx(0.25)
