"""NaN and infinity through kernels: every function and every reduction, as NumPy has
them, on every ISA row; in vectors, tails, scalars, and sums kept in lanes.

(`test_scalar_special` looks at the functions alone.) NaN in `max`, `min` and `relu` is
left open by the language; `argmax` and `argmin` find the first NaN, as NumPy's do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from program_harness import ROWS, tools_for
from test_scalar_special import CURVES, EXACT, PAIRS, RELATIONS, agree, numbers

import polydsl
from polydsl.backend.arrays import layout_of
from polydsl.base.dtypes import F32, F64, DType
from polydsl.base.functions import FUNCTIONS
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization

Array = np.ndarray[Any, Any]

rows = pytest.mark.parametrize("isa", ROWS)
floats = pytest.mark.parametrize(
    "dtype", [F32, pytest.param(F64, marks=pytest.mark.thorough)], ids=str
)


def native(text: str, isa: str, *arrays: Array) -> tuple[Array, ...]:
    """Compile a kernel for an ISA row and run it on one thread and on two."""
    kernel = polydsl.loads(text).f
    names = list(kernel.library.kernels["f"].parameters)
    layouts = {p.name.name: layout_of(a) for p, a in zip(names, arrays)}
    request = Request(kernel.library, "f", layouts, {})
    special = Specialization(request, tools_for(isa), {})
    one, two = (special.run(arrays, threads) for threads in (1, 2))
    assert one is not None
    assert two is not None
    for a, b in zip(one, two):
        assert a.tobytes() == b.tobytes()
    return one


def mapped(header: str, dims: str, values: dict[str, str]) -> str:
    """A kernel with one result for each of the values."""
    lines = [f"    y_{name}[{dims}] = {value}" for name, value in values.items()]
    names = ", ".join(f"y_{name}" for name in values)
    return "\n".join([f"kernel f({header}):", *lines, f"    return {names}", ""])


def is_open(name: str, *arrays: Array) -> Array:
    """Where the language leaves a value open, or NumPy's formula is not accurate."""
    x = arrays[0]
    if name == "relu":
        return np.isnan(x) | (x == 0)
    if name in ("gelu", "silu"):
        return (x < -1.9) & (x > -2000)
    return np.zeros(x.shape, np.bool_)


def check(name: str, dtype: DType, actual: Array, *arrays: Array) -> None:
    """Compare with NumPy's function of the same values, rounded to the type."""
    function = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        # The remainder of far quotients is that of the type itself.
        wide = [a if name in ("floordiv", "mod") else a.astype(float) for a in arrays]
        expected = np.asarray(function.numpy(*wide)).astype(dtype.numpy)
    ulp = 0 if function.ulp <= 0.5 or name == "floordiv" else function.ulp + 1.5
    wrong = ~(agree(actual, expected, ulp) | is_open(name, *arrays))
    places = np.flatnonzero(wrong)[:5]
    found = [(*(a[i] for a in arrays), actual[i], expected[i]) for i in places]
    assert not found, f"{name}: {found}"


@rows
@floats
def test_functions(dtype: DType, isa: str) -> None:
    names = (*(n for n in EXACT if n not in ("neg", "pos")), *CURVES)
    values = {name: f"{name}(x[i])" for name in names} | {
        "neg": "-x[i]",
        "pos": "+x[i]",
    }
    x = numbers(dtype)
    results = native(mapped("x: T[N]", "i", values), isa, x)
    for name, actual in zip(values, results, strict=True):
        check(name, dtype, actual, x)
    # One element at a time: nothing to make a vector of.
    scalars = mapped("x: T", "", values).replace("[]", "").replace("x[i]", "x")
    for value in (np.nan, np.inf, -np.inf):
        x = np.array(value, dtype.numpy)
        for name, actual in zip(values, native(scalars, isa, x), strict=True):
            check(name, dtype, actual.reshape(1), x.reshape(1))


@rows
@floats
def test_operators(dtype: DType, isa: str) -> None:
    symbols = {name: f"x[i] {FUNCTIONS[name].symbol} y[i]" for name in PAIRS[:-1]}
    values = {**symbols, "pow": "pow(x[i], y[i])"}
    plain = numbers(dtype)[::3]
    plain = np.append(plain, [np.nan, np.inf, -np.inf]).astype(dtype.numpy)
    x, y = (a.ravel() for a in np.meshgrid(plain, plain))
    results = native(mapped("x: T[N], y: T[N]", "i", values), isa, x, y)
    for name, actual in zip(values, results, strict=True):
        check(name, dtype, actual, x, y)
    relations = {name: f"x[i] {FUNCTIONS[name].symbol} y[i]" for name in RELATIONS}
    relations["isnan"] = "isnan(x[i])"
    results = native(mapped("x: T[N], y: T[N]", "i", relations), isa, x, y)
    for name, actual in zip(relations, results, strict=True):
        arguments = (x,) if name == "isnan" else (x, y)
        np.testing.assert_array_equal(actual, FUNCTIONS[name].numpy(*arguments))


@rows
@floats
def test_choices(dtype: DType, isa: str) -> None:
    """What is not chosen leaves no trace; comparisons with NaN are false."""
    values = {
        "where": "where(x[i] > 0, x[i], 7)",
        "if": "log(x[i]) if x[i] > 0 else 7",
        "not": "1 if not x[i] > 0 else x[i]",
        "pad": "pad(x[i - 1], inf) * 0",
        "clamp": "clamp(x[i], -2, inf) if not isnan(x[i]) else -5",
        "minmax": "min(max(x[i], -inf), inf) if not isnan(x[i]) else -5",
    }
    x = numbers(dtype)
    with np.errstate(all="ignore"):
        shifted = np.concatenate([[np.inf], x[:-1]]).astype(dtype.numpy)
        expected = {
            "where": np.where(x > 0, x, 7),
            "if": np.where(x > 0, np.log(x), 7),
            "not": np.where(~(x > 0), 1, x),
            "pad": shifted * 0,
            "clamp": np.where(np.isnan(x), -5, np.maximum(x, -2)),
            "minmax": np.where(np.isnan(x), -5, x),
        }
    results = native(mapped("x: T[N]", "i", values), isa, x)
    for name, actual in zip(values, results, strict=True):
        np.testing.assert_allclose(actual, expected[name], rtol=1e-6, err_msg=name)


# Reductions

WHOLE = {
    "sum": "sum[i, j](x[i, j])",
    "prod": "prod[i, j](x[i, j])",
    "mean": "mean[i, j](x[i, j])",
    "max": "max[i, j](x[i, j])",
    "min": "min[i, j](x[i, j])",
    "argmax": "argmax[i, j](x[i, j])",
    "argmin": "argmin[i, j](x[i, j])",
    "any": "any[i, j](x[i, j] > 1e30)",
    "all": "all[i, j](x[i, j] < 1e30)",
}


def folded(name: str, x: Array, axis: int | None) -> Array:
    """What NumPy gives, in float64."""
    with np.errstate(all="ignore"):
        if name == "any":
            return np.any(x > 1e30, axis)
        if name == "all":
            return np.all(x < 1e30, axis)
        wide = x if name.startswith("arg") else x.astype(np.float64)
        return np.asarray(getattr(np, name)(wide, axis=axis))


def with_specials(dtype: DType, shape: tuple[int, int], seed: int) -> Array:
    """Numbers near 1, among them NaN and infinities in some rows and columns."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(0.9, 1.1, shape) * generator.choice([-1, 1], shape)
    kinds = ((), (np.inf,), (-np.inf,), (np.inf, -np.inf), (np.nan,), (0.0, np.inf))
    for row in range(shape[0]):
        for value in (*kinds[(row + seed) % len(kinds)], *kinds[seed % 3]):
            x[row, generator.integers(shape[1])] = value
    return x.astype(dtype.numpy)


def assert_folds(name: str, actual: Array, x: Array, axis: int | None) -> None:
    expected = folded(name, x, axis)
    if name in ("max", "min"):
        open_ = np.isnan(x).any(axis)
        actual, expected = np.where(open_, 0, actual), np.where(open_, 0, expected)
    np.testing.assert_allclose(
        actual, expected, rtol=2e-4, atol=1e-3, err_msg=f"{name} over {axis}"
    )


@rows
@floats
def test_reductions(dtype: DType, isa: str) -> None:
    """Over everything, rows and columns: sums in lanes, scalars, and vectors."""
    whole = mapped("x: T[M, N]", "", WHOLE).replace("[]", "")
    by_row = {n: v.replace("[i, j](", "[j](") for n, v in WHOLE.items()}
    by_column = {n: v.replace("[i, j](", "[i](") for n, v in WHOLE.items()}
    forms = (
        (whole, None),
        (mapped("x: T[M, N]", "i", by_row), 1),
        (mapped("x: T[M, N]", "j", by_column), 0),
    )
    for text, axis in forms:
        for seed, shape in enumerate([(7, 37), (13, 5)]):
            x = with_specials(dtype, shape, seed)
            results = native(text, isa, x)
            for name, actual in zip(WHOLE, results, strict=True):
                assert_folds(name, actual, x, axis)


@rows
@floats
def test_one_special_value_at_every_place(dtype: DType, isa: str) -> None:
    """In full vectors, in the tail, in the first and last place of a sum."""
    values = {n: v.replace("[i, j](", "[j](") for n, v in WHOLE.items()}
    text = mapped("x: T[M, N]", "i", values)
    for special in (np.nan, np.inf, -np.inf):
        x = np.ones((35, 35), dtype.numpy)
        np.fill_diagonal(x, special)
        for name, actual in zip(WHOLE, native(text, isa, x), strict=True):
            assert_folds(name, actual, x, 1)


@rows
@floats
def test_products(dtype: DType, isa: str) -> None:
    """Register tiles of every shape: 0 * inf is NaN also where a tile is padded."""
    text = (
        "kernel f(a: T[M, K], b: T[K, N]) -> (T[M, N], T[M, N]):\n"
        "    c[i, j] += a[i, k] * b[k, j]\n"
        "    d[i, j] = max[k](a[i, k] + b[k, j])\n"
        "    return c, d\n"
    )
    for seed, (m, k, n) in enumerate([(9, 4, 37), (1, 33, 5), (20, 7, 3)]):
        a, b = (
            with_specials(dtype, (m, k), seed),
            with_specials(dtype, (k, n), 5 - seed),
        )
        product, tropical = native(text, isa, a, b)
        with np.errstate(all="ignore"):
            wide = a.astype(float)[:, :, None] * b.astype(float)[None]
            sums = a[:, :, None] + b[None]
            folded_product, extrema = wide.sum(1), sums.max(1)
        np.testing.assert_allclose(product, folded_product, rtol=1e-4, atol=1e-4)
        open_ = np.isnan(sums).any(1)
        expected = np.where(open_, 0, extrema)
        np.testing.assert_allclose(np.where(open_, 0, tropical), expected, rtol=1e-6)


@rows
@floats
def test_windows(dtype: DType, isa: str) -> None:
    """A border of zeros times infinity is NaN, as in a padded array."""
    text = (
        "kernel f(x: T[N], w: T[R]) -> T[N]:\n"
        "    y[i] += pad(x[i + r - 1]) * w[r]\n"
        "    return y\n"
    )
    for value in (np.inf, np.nan, 1.0):
        x = np.ones(41, dtype.numpy)
        x[20] = -np.inf
        w = np.array([value, 1, 2], dtype.numpy)
        padded = np.concatenate([[0], x, [0]])
        with np.errstate(all="ignore"):
            expected = sum(padded[r : r + 41] * w[r] for r in range(3))
        (actual,) = native(text, isa, x, w)
        np.testing.assert_array_equal(actual, expected)


@floats
def test_the_oracle_agrees(dtype: DType) -> None:
    """The definition of the language has these values itself."""
    by_row = {n: v.replace("[i, j](", "[j](") for n, v in WHOLE.items()}
    kernel = polydsl.loads(mapped("x: T[M, N]", "i", by_row)).f
    x = with_specials(dtype, (12, 9), 4)
    for name, actual in zip(WHOLE, kernel.reference(x), strict=True):
        assert_folds(name, actual, x, 1)
