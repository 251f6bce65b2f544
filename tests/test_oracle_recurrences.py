"""Recurrences in the oracle: any direction, across statements, and none that works."""

from __future__ import annotations

import numpy as np
import pytest
from oracle_text import check, run

from polydsl.base.diagnostics import ProgramError

RNG = np.random.default_rng(3)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("step", [1, -1, 2, -3])
def test_a_recurrence_runs_in_any_direction(step: int) -> None:
    text = """
kernel k(x: f32[N], *, step: int) -> f32[N]:
    y[i] = x[i] + 0.5 * pad(y[i - step])
    return y
"""
    x = f32(17)
    y = np.zeros(17)
    for i in range(17)[:: 1 if step > 0 else -1]:
        y[i] = x[i] + (0.5 * y[i - step] if 0 <= i - step < 17 else 0)
    check(text, [y], x=x, step=step)


def test_a_long_recurrence_is_quick() -> None:
    text = """
kernel k(a: f32[T, D], u: f32[T, D]) -> f32[T, D]:
    h[t, d] = a[t, d] * pad(h[t - 1, d]) + u[t, d]
    return h
"""
    a, u = RNG.random((600, 32)).astype(np.float32), f32(600, 32)
    h, last = np.zeros((600, 32)), np.zeros(32)
    for t in range(600):
        last = h[t] = a[t] * last + u[t]
    check(text, [h], a=a, u=u)


def test_a_wavefront() -> None:
    text = """
kernel k(c: f32[N, M]) -> f32[N, M]:
    e[i, j] = min(pad(d[i - 1, j], 9), pad(d[i, j - 1], 9), pad(d[i - 1, j - 1]))
    d[i, j] = c[i, j] + e[i, j]
    return d
"""
    c = f32(6, 8)
    d = np.full((7, 9), 9.0)
    d[0, :] = d[:, 0] = 9
    for i in range(6):
        for j in range(8):
            corner = d[i, j] if i and j else 0
            up, left = (d[i, j + 1] if i else 9), (d[i + 1, j] if j else 9)
            d[i + 1, j + 1] = c[i, j] + min(up, left, corner)
    check(text, [d[1:, 1:]], c=c)


def test_a_sum_over_all_earlier_elements() -> None:
    text = """
kernel k(x: f32[N]) -> (f32[N], f32[N]):
    j in range(0, i)
    m in range(i + 1, N)
    y[i] = x[i] + 0.1 * sum[j](y[j])
    z[i] = x[i] + 0.1 * sum[m](z[m])
    return y, z
"""
    x = f32(40)
    y, z = np.zeros(40), np.zeros(40)
    for i in range(40):
        y[i] = x[i] + 0.1 * y[:i].sum()
    for i in reversed(range(40)):
        z[i] = x[i] + 0.1 * z[i + 1 :].sum()
    check(text, [y, z], x=x)


def test_statements_that_need_each_other() -> None:
    text = """
kernel k(w: f32[H, H], x: f32[T, H]) -> (f32[T, H], f32[T, H]):
    g[t, j] += w[j, k] * pad(h[t - 1, k])
    g[t, j] += x[t, j]
    h[t, j] = tanh(g[t, j])
    return h, g
"""
    w, x = f32(5, 5) / 4, f32(12, 5)
    h, g = np.zeros((12, 5)), np.zeros((12, 5))
    for t in range(12):
        g[t] = x[t] + (w @ h[t - 1] if t else 0)
        h[t] = np.tanh(g[t])
    check(text, [h, g], w=w, x=x)


def test_a_scatter_in_a_recurrence() -> None:
    text = """
kernel k(x: f32[N]) -> f32[M]:
    M = 2 * N
    i in range(0, N)
    y: f32[M]
    y[2*i + 1] += y[i] * 0.5 + x[i]
    return y
"""
    x, y = f32(8), np.zeros(16)
    for i in range(8):
        y[2 * i + 1] += y[i] * 0.5 + x[i]
    check(text, [y], x=x)


def test_points_that_need_each_other_are_named() -> None:
    text = """
kernel k(x: f32[N]) -> (f32[N], f32[N]):
    y[i] = x[i] + pad(z[i - 1])
    z[i] = pad(y[i + 1])
    return y, z
"""
    with pytest.raises(ProgramError) as error:
        run(text, x=f32(5))
    (found,) = error.value.diagnostics
    assert found.code == "E0314"
    assert "y[1] and z[0] need each other" in found.message


def test_a_point_that_needs_itself_is_named() -> None:
    text = """
kernel k(x: f32[N]) -> f32[N]:
    y[i] = x[i] + (y[i] if i > 2 else 0)
    return y
"""
    with pytest.raises(ProgramError, match=r"y\[3\] needs itself"):
        run(text, x=f32(5))


def test_an_element_beyond_the_start_is_undefined() -> None:
    text = """
kernel k(x: f32[N]) -> f32:
    i in range(2, N)
    y[i] = x[i] + y[i - 1]
    s = y[3]
    return s
"""
    with pytest.raises(ProgramError) as error:
        run(text, x=f32(5))
    (found,) = error.value.diagnostics
    assert found.code == "E0313"
    assert found.message == "y[1] is read but never defined"
    assert found.label == "read at i = 2"
