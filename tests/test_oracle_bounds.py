"""The error bound: wide enough for every legal evaluation, narrow enough for bugs."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_brute import Brute
from oracle_builder import (
    X,
    access,
    call,
    cast,
    define,
    index,
    lit,
    pad,
    program,
    reduce,
    where,
)
from oracle_text import run, typed

from polydsl.base.diagnostics import VerificationError
from polydsl.base.dtypes import F32
from polydsl.base.functions import FUNCTIONS
from polydsl.semantics.oracle import compare, evaluate
from polydsl.semantics.program import Program

MATMUL = """
kernel matmul(a: T[M, K], b: T[K, N]) -> T[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
"""


def in_some_order(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sum products one after another in their own type, in a random order."""
    total = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k in rng.permutation(a.shape[1]):
        total += np.outer(a[:, k], b[k])
    return total


@pytest.mark.parametrize("size", [2, 7, 64, 500])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_matmul_in_any_order_is_within_the_bound(size: int, dtype: str) -> None:
    rng = np.random.default_rng(size)
    a = rng.standard_normal((20, size)).astype(dtype)
    b = rng.standard_normal((size, 30)).astype(dtype)
    made, arrays = typed(MATMUL, a=a, b=b)
    outcome = evaluate(made, arrays)
    for _ in range(3):
        margins = compare(made, outcome, [in_some_order(a, b, rng)])
        # The worst case grows with the length, the usual one with its root.
        assert margins.ratio <= 1
        assert margins.ratio >= (0.2 if dtype == "f4" else 0.02) / size**0.75


def test_one_wrong_element_of_a_matmul_is_found() -> None:
    rng = np.random.default_rng(1)
    a = rng.standard_normal((64, 64)).astype(np.float32)
    b = rng.standard_normal((64, 64)).astype(np.float32)
    made, arrays = typed(MATMUL, a=a, b=b)
    outcome = evaluate(made, arrays)
    right = a @ b
    compare(made, outcome, [right])
    typical = np.argwhere(np.abs(right) > 1)
    assert len(typical) > 0.8 * right.size
    for place in map(tuple, rng.permutation(typical)[:50]):
        wrong = right.copy()
        wrong[place] *= 1.001
        with pytest.raises(VerificationError):
            compare(made, outcome, [wrong])


def test_a_missing_term_of_a_matmul_is_found() -> None:
    rng = np.random.default_rng(2)
    a = rng.standard_normal((8, 512)).astype(np.float32)
    b = rng.standard_normal((512, 8)).astype(np.float32)
    made, arrays = typed(MATMUL, a=a, b=b)
    outcome = evaluate(made, arrays)
    with pytest.raises(VerificationError):
        compare(made, outcome, [a[:, :-1] @ b[:-1]])


def test_exact_numbers_have_no_error() -> None:
    rng = np.random.default_rng(3)
    a = rng.integers(-8, 9, (6, 40)).astype(np.float32)
    b = rng.integers(-8, 9, (40, 5)).astype(np.float32)
    outcome = run(MATMUL, a=a, b=b)
    assert not outcome["c"].error.any()
    text = """
kernel k(x: f32[N]) -> (f32[N], f32[N], f32[N], f32):
    a[i] = (x[i] + 3) * 0.5 - x[i] ** 2
    b[i] = floor(x[i] / 4)
    c[i] = 1 if x[i] / 2 == 1.5 else 0
    d = sum[i](max(x[i], 0))
    return a, b, c, d
"""
    outcome = run(text, x=np.arange(-4, 9, dtype=np.float32))
    for result in outcome.results:
        assert not result.error.any()
        assert not result.undecided.any()


def test_cancellation_widens_the_bound() -> None:
    text = """
kernel k(x: f32[N]) -> (f32, f32):
    m = mean[i](x[i])
    a = mean[i](x[i] ** 2) - m ** 2
    b = mean[i]((x[i] - m) ** 2)
    return a, b
"""
    x = (1000 + np.random.default_rng(4).random(100)).astype(np.float32)
    outcome = run(text, x=x)
    loose, tight = outcome["a"], outcome["b"]
    assert loose.error > 1
    assert tight.error < 0.01 * loose.error
    narrow = np.float32(np.mean(x**2, dtype="f4")) - np.mean(x, dtype="f4") ** 2
    assert abs(narrow - loose.value) <= loose.error


def test_a_local_of_a_narrow_type_may_be_rounded_or_kept_wide() -> None:
    text = """
kernel k(x: f32[N]) -> f32[N]:
    h: bf16[N]
    h[i] = x[i] * 3
    y[i] = h[i] - 1
    return y
"""
    x = np.random.default_rng(5).standard_normal(100).astype(np.float32)
    made, arrays = typed(text, x=x)
    outcome = evaluate(made, arrays)
    wide = x * 3 - 1
    bf16 = made.tensor("h").dtype.numpy
    rounded = (x * 3).astype(bf16).astype(np.float32) - 1
    assert 0.5 < compare(made, outcome, [wide]).ratio <= 1
    assert compare(made, outcome, [rounded]).ratio < 0.1


# Random programs, against the element-by-element interpreter of the tests.
AT_I, AT_J, AT_K = index("i"), index("j"), index("k")
UNARY = tuple(
    name
    for name, row in FUNCTIONS.items()
    if row.arity == 1 and row.rule in ("arithmetic", "float") and name != "pos"
)
BINARY = (*("add", "sub", "mul") * 2, "div", "floordiv", "mod", "power", "min", "max")


def leaf(r: random.Random) -> X:
    choices = [
        access("x", [AT_I]),
        access("y", [AT_J]),
        access("m", [AT_I, AT_J]),
        lit(r.choice([0.5, 2.0, -1.0, 3.0, 0.1]), F32),
        pad(access("x", [AT_I + AT_J - 1]), r.choice([0.0, 1.0])),
    ]
    return r.choice(choices)


def expression(r: random.Random, depth: int) -> X:
    def more() -> X:
        return expression(r, depth - 1)

    kind = r.random()
    if depth == 0 or kind < 0.1:
        return leaf(r)
    if kind < 0.45:
        return call(r.choice(UNARY), more())
    if kind < 0.8:
        return call(r.choice(BINARY), more(), more())
    if kind < 0.85:
        test = call(r.choice(["lt", "ge", "eq"]), more(), more())
        return where(test, more(), more())
    if kind < 0.88:
        return where(AT_I < AT_J, more(), more())
    if kind < 0.9:
        return call("clamp", more(), lit(-1.0, F32), lit(1.5, F32))
    if kind < 0.92:
        return call("fma", more(), more(), more())
    if kind < 0.94:
        return cast(cast(more(), r.choice(["i32", "i8"])), "f32", explicit=False)
    factor = (
        access("m", [AT_I, AT_K]) if r.random() < 0.5 else access("m", [AT_K, AT_J])
    )
    body = factor * more() if r.random() < 0.5 else factor + more()
    return reduce(r.choice(["sum", "prod", "max", "min", "mean"]), "k", body)


def random_program(r: random.Random) -> Program:
    narrow = r.choice(["f32", "f16", "bf16"])
    t = cast(access("t", [AT_I, AT_J], narrow), "f32", explicit=False)
    definitions = [
        define("t", "i j", "=", expression(r, 3)),
        define("z", "i j", "=", expression(r, 2) + t),
    ]
    return program(
        {"x": ("f32", (4,)), "y": ("f32", (4,)), "m": ("f32", (4, 4))},
        {"t": (narrow, (4, 4)), "z": ("f32", (4, 4))},
        {"i": 4, "j": 4, "k": 4},
        definitions,
        "t z",
    )


def random_values(r: random.Random, rng: np.random.Generator) -> dict[str, np.ndarray]:
    kind = r.choice(["normal", "integers", "magnitudes", "special"])

    def values(*shape: int) -> np.ndarray:
        if kind == "integers":
            return rng.integers(-3, 4, shape).astype(np.float32)
        array = rng.standard_normal(shape)
        if kind == "magnitudes":
            array *= 10.0 ** rng.integers(-30, 30, shape)
        chance = rng.random(shape)
        if kind == "special":
            array[chance < 0.1] = np.inf
            array[chance > 0.95] = np.nan
            array[(chance > 0.9) & (chance < 0.95)] = 0
        return array.astype(np.float32)

    return {"x": values(4), "y": values(4), "m": values(4, 4)}


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32))
# The logarithm of an overflow meets an infinity of the other sign.
@example(6799)
# The product of a fused multiply-add overflows and meets an infinity.
@example(874266374)
def test_a_legal_evaluation_is_within_the_bound(seed: int) -> None:
    r = random.Random(seed)
    made = random_program(r)
    arrays = random_values(r, np.random.default_rng(seed))
    outcome = evaluate(made, arrays)
    with np.errstate(all="ignore"):
        results = Brute(made, arrays, seed).results()
        for result, got in zip(outcome.results, results, strict=True):
            got = got.astype(np.float64)
            same = (got == result.value) | (np.isnan(got) & np.isnan(result.value))
            close = np.abs(got - result.value) <= result.error
            wrong = ~(same | close | result.undecided)
            assert not wrong.any(), (result.name, got[wrong], result.value[wrong])


def test_bounds_of_random_programs_are_not_absurd() -> None:
    """Half of what is inexact comes within a factor of 100 of the bound."""
    ratios: list[float] = []
    elements = undecided = 0
    for seed in range(60):
        r = random.Random(seed)
        made = random_program(r)
        rng = np.random.default_rng(seed)
        arrays = {
            n: rng.standard_normal(v.shape).astype(np.float32)
            for n, v in random_values(r, rng).items()
        }
        outcome = evaluate(made, arrays)
        for result, got in zip(
            outcome.results, Brute(made, arrays, seed).results(), strict=True
        ):
            elements += result.value.size
            undecided += int(result.undecided.sum())
            with np.errstate(all="ignore"):
                ratio = np.abs(got.astype(np.float64) - result.value) / result.error
            ratios += ratio[(ratio > 0) & (ratio < np.inf) & ~result.undecided].tolist()
    assert np.percentile(ratios, 50) > 0.01
    assert max(ratios) <= 1
    assert undecided < 0.1 * elements
