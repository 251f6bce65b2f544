"""NaN, infinities, zeros, denormals and overflow: as NumPy does, on every ISA row."""

from __future__ import annotations

import numpy as np
import pytest
from scalar_harness import HOST_ROWS, compiled, mapped, module_text, widths

from polydsl.backend.llvm_types import constant
from polydsl.backend.scalar import emit_function
from polydsl.backend.target import host_target
from polydsl.base.dtypes import F32, F64
from polydsl.base.functions import FUNCTIONS

rows = pytest.mark.parametrize("isa", HOST_ROWS, ids=lambda isa: isa.name)
floats = pytest.mark.parametrize("dtype", (F32, F64), ids=str)

EXACT = ("neg", "pos", "abs", "floor", "ceil", "round", "sign", "relu", "sqrt")
CURVES = (
    "exp", "exp2", "expm1", "log", "log2", "log1p", "rsqrt", "tanh", "sigmoid",
    "erf", "sin", "cos", "gelu", "silu", "softplus",
)  # fmt: skip
UNARY = (*EXACT, *CURVES)
PAIRS = ("add", "sub", "mul", "div", "floordiv", "mod", "power", "pow")
RELATIONS = ("eq", "ne", "lt", "le", "gt", "ge")
# NaN in these is left open by the language.
EXTREMA = ("min", "max")


def numbers(dtype):
    info = np.finfo(dtype.numpy)
    limit = 2.0**info.nmant
    positive = [
        0.0, float(info.smallest_subnormal), float(info.tiny) / 3, float(info.tiny),
        1e-9, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 60.0, 89.0, 104.0, 128.0,
        710.0, 745.0, 1024.0, 1e5 + 0.5, limit / 2 - 0.5, limit - 0.5, limit,
        limit + 1, limit * 4, 1e30, float(info.max), np.inf,
    ]  # fmt: skip
    return np.array([*positive, *(-v for v in positive), np.nan], dtype.numpy)


def agree(actual, expected, ulp):
    """Return where both are the same kind of value and within *ulp*."""
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(expected))
        gap = np.abs(actual.astype(np.longdouble) - expected.astype(np.longdouble))
        near = gap <= ulp * unit.astype(np.longdouble)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected)) | near
    signs = np.signbit(actual) == np.signbit(expected)
    return same & (signs | np.isnan(expected))


def check(name, isa, dtype, lanes, *arrays):
    """Compare with the oracle's NumPy function, rounded to the type."""
    function = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        wide = function.numpy(*(a.astype(np.float64) for a in arrays))
        expected = np.asarray(wide).astype(dtype.numpy)
    actual = mapped(name, dtype, isa, lanes)(*arrays)
    # NumPy's own functions err by up to about an ulp of f64.
    allowed = (
        0 if function.ulp <= 0.5 else function.ulp + (1.5 if dtype == F64 else 0.5)
    )
    wrong = ~agree(actual, expected, allowed)
    found = [
        (*(a[i] for a in arrays), actual[i], expected[i]) for i in np.flatnonzero(wrong)
    ]
    assert not found, f"{name}: {found[:5]}"


@rows
@floats
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_special_values(name, dtype, isa):
    x = numbers(dtype)
    if name == "relu":
        # max(-0, 0) may be either zero.
        x = x[~((x == 0) & np.signbit(x))]
    if name in ("gelu", "silu"):
        # NumPy's own formulas are not accurate where the result is small.
        x = x[~((x < -1.9) & (x > -2000))]
    for lanes in widths(isa):
        check(name, isa, dtype, lanes, x)


@rows
@floats
@pytest.mark.parametrize("name", PAIRS)
def test_operators_on_special_values(name, dtype, isa):
    x, y = (a.ravel() for a in np.meshgrid(numbers(dtype), numbers(dtype)))
    if dtype == F32 and name in ("floordiv", "mod"):
        # The remainder's range is that of f32: NumPy's f32 function is the oracle.
        with np.errstate(all="ignore"):
            expected = FUNCTIONS[name].numpy(x, y)
        actual = mapped(name, dtype, isa)(x, y)
        assert agree(actual, expected, 0).all()
        return
    check(name, isa, dtype, 0, x, y)


@rows
@floats
@pytest.mark.parametrize("name", RELATIONS)
def test_comparisons_of_special_values(name, dtype, isa):
    x, y = (a.ravel() for a in np.meshgrid(numbers(dtype), numbers(dtype)))
    for lanes in widths(isa):
        actual = mapped(name, dtype, isa, lanes)(x, y)
        assert actual.dtype == np.bool_
        assert np.array_equal(actual, FUNCTIONS[name].numpy(x, y))
        assert set(actual.view(np.uint8)) == {0, 1}


@rows
@floats
@pytest.mark.parametrize("name", EXTREMA)
def test_extrema_of_numbers(name, dtype, isa):
    plain = numbers(dtype)
    plain = plain[~np.isnan(plain)]
    x, y = (a.ravel() for a in np.meshgrid(plain, plain))
    expected = FUNCTIONS[name].numpy(x, y)
    assert np.array_equal(mapped(name, dtype, isa)(x, y), expected)
    z = np.roll(x, 3)
    three = mapped(name, dtype, isa, arity=3)(x, y, z)
    assert np.array_equal(three, FUNCTIONS[name].numpy(expected, z))


@rows
@floats
def test_clamp_and_isnan(dtype, isa):
    x = numbers(dtype)
    assert np.array_equal(mapped("isnan", dtype, isa)(x), np.isnan(x))
    plain = x[~np.isnan(x)]
    low, high = np.full_like(plain, -2.5), np.full_like(plain, 3)
    actual = mapped("clamp", dtype, isa)(plain, low, high)
    assert np.array_equal(actual, np.clip(plain, -2.5, 3))


@rows
@floats
def test_relu_keeps_nan(dtype, isa):
    assert np.isnan(mapped("relu", dtype, isa)(numbers(dtype))[-1])


@rows
@floats
@pytest.mark.parametrize("lanes", [1, 3, 8, 32])
def test_any_number_of_lanes_gives_the_same_bits(lanes, dtype, isa):
    x = np.concatenate([numbers(dtype), np.linspace(-9, 9, 99, dtype=dtype.numpy)])
    for name in ("exp", "log", "tanh", "sin", "gelu"):
        ordinary = mapped(name, dtype, isa)(x)
        other = mapped(name, dtype, isa, lanes)(x)
        assert np.array_equal(ordinary, other, equal_nan=True)


@rows
@floats
def test_remainders_of_far_quotients_are_exact(dtype, isa):
    generator = np.random.default_rng(5)
    reach = 85 if dtype == F32 else 700
    a, b = (
        (
            np.exp(generator.uniform(-reach, reach, 2000))
            * generator.choice([-1, 1], 2000)
        ).astype(dtype.numpy)
        for _ in range(2)
    )
    with np.errstate(all="ignore"):
        assert np.array_equal(mapped("mod", dtype, isa)(a, b), np.remainder(a, b))


@rows
@floats
@pytest.mark.parametrize("exponent", [0, 1, 2, -1])
def test_small_constant_powers_are_rounded_once(exponent, dtype, isa):
    target = host_target(isa.name)

    def emission(builder, values):
        power = constant(values[0].type, exponent)
        return emit_function(builder, "power", [values[0], power], dtype, target)

    text = module_text(emission, [dtype], dtype, isa.lanes(dtype), isa)
    assert "llvm" not in text
    x = numbers(dtype)
    with np.errstate(all="ignore"):
        expected = {0: x**0, 1: x, 2: x * x, -1: 1 / x}[exponent]
    actual = compiled(emission, [dtype], dtype, target, isa.lanes(dtype))(x)
    assert np.array_equal(actual, expected, equal_nan=True)
