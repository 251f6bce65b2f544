"""Large programs are sampled, large grids cut into blocks: with the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from oracle_text import typed

from polydsl.base.diagnostics import VerificationError
from polydsl.semantics.oracle import compare, evaluate, folds, statements

RNG = np.random.default_rng(11)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


LAYERS = """
kernel k(x: f32[N, C], w: f32[C, C], b: f32[C]) -> (f32[N, C], f32[C], f32[N, C]):
    a[n, c] += x[n, d] * w[d, c]
    a[n, c] += b[c]
    e[n, c] = exp(a[n, c] - max[d](a[n, d]))
    s[n] = sum[c](e[n, c])
    y[n, c] = e[n, c] / s[n]
    t[c] = mean[n](y[n, c])
    u[n, c] = pad(y[n - 1, c], b[c]) + y[n, c] * t[c]
    return y, t, u
"""


def test_a_sample_has_the_values_of_the_whole() -> None:
    program, given = typed(LAYERS, x=f32(23, 9), w=f32(9, 9), b=f32(9))
    whole = evaluate(program, given)
    some = evaluate(program, given, limit=10)
    assert whole.sampled is None
    assert some.sampled is not None and some.sampled >= 9
    for full, part in zip(whole.results, some.results, strict=True):
        assert part.points is not None
        picked = full.value.reshape(-1)[part.points]
        bound = full.error.reshape(-1)[part.points]
        assert np.all(np.abs(picked - part.value) <= bound)
        np.testing.assert_allclose(part.error, bound, rtol=1e-6)
    results = [r.value.astype(np.float32) for r in whole.results]
    assert compare(program, some, results).sampled == some.sampled
    results[0][-1, -1] += 1
    with pytest.raises(VerificationError, match=r"y\[22, 8\]"):
        compare(program, some, results)


def test_the_same_sample_every_time() -> None:
    program, given = typed(LAYERS, x=f32(300, 9), w=f32(9, 9), b=f32(9))
    first, second = (evaluate(program, given, limit=10) for _ in range(2))
    for a, b in zip(first.results, second.results, strict=True):
        assert a.points is not None and b.points is not None
        np.testing.assert_array_equal(a.points, b.points)
        np.testing.assert_array_equal(a.value, b.value)


def test_large_programs_are_sampled_by_themselves() -> None:
    text = """
kernel k(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] = max[k](a[i, k] + b[k, j])
    return c
"""
    a, b = f32(500, 450), f32(450, 500)
    program, given = typed(text, a=a, b=b)
    outcome = evaluate(program, given)
    assert outcome.sampled is not None and outcome.sampled > 1000
    expected = np.stack([(row[:, None] + b).max(axis=0) for row in a])
    margins = compare(program, outcome, [expected])
    assert margins.ratio <= 1
    assert margins.results[0].checked == outcome.sampled


def test_recurrences_and_scatters_are_never_sampled() -> None:
    text = """
kernel k(x: f32[N], ids: i32[N]) -> (f32[N], f32[5]):
    y[i] = x[i] + pad(y[i - 1])
    h[ids[i]] += y[i]
    return y, h
"""
    ids = RNG.integers(0, 5, 30).astype(np.int32)
    program, given = typed(text, x=f32(30), ids=ids)
    outcome = evaluate(program, given, limit=1)
    assert outcome.sampled is None
    y = np.cumsum(given["x"], dtype=np.float64)
    h = np.bincount(ids, y, minlength=5)
    compare(program, outcome, [y.astype(np.float32), h.astype(np.float32)])


@pytest.mark.parametrize("limit", [1, 7, 64])
def test_blocks_give_the_same_numbers(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, given = typed(LAYERS, x=f32(7, 5), w=f32(5, 5), b=f32(5))
    whole = evaluate(program, given)
    monkeypatch.setattr(statements, "BLOCK_POINTS", limit)
    monkeypatch.setattr(folds, "FOLD_POINTS", limit)
    monkeypatch.setattr(folds, "CONTRACTION_POINTS", limit)
    cut = evaluate(program, given)
    for a, b in zip(whole.results, cut.results, strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-6)
        np.testing.assert_allclose(a.error, b.error, rtol=1e-3, atol=1e-9)


def test_every_reduction_can_be_computed_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = """
kernel k(x: f32[M, N], n: i32[M, N]) -> (f32, f32, f32, f32, f32, bool, bool, i32, i64):
    a = sum[i, j](x[i, j])
    b = prod[i, j](x[i, j])
    c = max[i, j](x[i, j] * 3)
    d = min[i, j](x[i, j])
    e = mean[i, j](x[i, j])
    f = any[i, j](x[i, j] > 1)
    g = all[i, j](x[i, j] > -9)
    h = max[i, j](n[i, j])
    p = argmax[i, j](x[i, j])
    return a, b, c, d, e, f, g, h, p
"""
    n = RNG.integers(-9, 9, (6, 5)).astype(np.int32)
    program, given = typed(text, x=f32(6, 5), n=n)
    whole = evaluate(program, given)
    monkeypatch.setattr(folds, "FOLD_POINTS", 4)
    cut = evaluate(program, given)
    for a, b in zip(whole.results, cut.results, strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-12)
        np.testing.assert_allclose(a.error, b.error, rtol=1e-6)


def test_long_chains_of_statements_are_sampled_too() -> None:
    steps = "".join(
        f"    y{n}[i] = y{n - 1}[i] * 0.5 + pad(y{n - 1}[i - 1]) * 0.5\n"
        for n in range(1, 200)
    )
    text = f"kernel k(y0: f32[N]) -> f32[N]:\n{steps}    return y199\n"
    program, given = typed(text, y0=f32(40))
    whole = evaluate(program, given)
    some = evaluate(program, given, limit=1)
    assert some.sampled == 40
    np.testing.assert_allclose(some["y199"].value, whole["y199"].value, rtol=1e-6)


def test_lazy_index_tensors_are_evaluated_when_they_are_read() -> None:
    text = """
kernel k(t: f32[V], ids: i32[N]) -> f32[N]:
    s[n] = ids[n] % 5
    u[i] = t[i] * 2
    y[n] = u[s[n] + 1] + u[0]
    return y
"""
    ids = RNG.integers(0, 99, 12).astype(np.int32)
    t = f32(6)
    program, given = typed(text, t=t, ids=ids)
    outcome = evaluate(program, given, limit=1)
    assert outcome.sampled == 12
    compare(program, outcome, [2 * t[ids % 5 + 1] + 2 * t[0]])
