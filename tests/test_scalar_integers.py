"""Integer and bool arithmetic against Python's own numbers, on every ISA row."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_harness import HOST_ROWS, compiled, mapped, result_type, widths

from polydsl.backend.llvm_types import constant
from polydsl.backend.scalar import emit_function
from polydsl.backend.target import host_target
from polydsl.base.dtypes import BOOL, F32, I8, I16, I32, I64, U8
from polydsl.base.functions import FUNCTIONS

rows = pytest.mark.parametrize("isa", HOST_ROWS, ids=lambda isa: isa.name)
INTEGERS = (I64, I32, I16, I8, U8)


def power(x, y):
    if y >= 0:
        return pow(x, y, 1 << 64)
    return (x if y % 2 else 1) if abs(x) == 1 else 0


def sign(x):
    return (x > 0) - (x < 0)


BINARY = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": lambda x, y: x // y if y else 0,
    "mod": lambda x, y: x % y if y else 0,
    "power": power,
    "min": min,
    "max": max,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
UNARY = {
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": abs,
    "floor": operator.pos,
    "ceil": operator.pos,
    "round": operator.pos,
    "sign": sign,
    "relu": lambda x: max(x, 0),
    "isnan": lambda x: False,
}
TERNARY = {
    "clamp": lambda x, low, high: min(max(x, low), high),
    "fma": lambda x, y, z: x * y + z,
}


def wrapped(value, dtype):
    """Return *value* as the type holds it."""
    if dtype == BOOL:
        return bool(value)
    span = 1 << dtype.bits
    return (int(value) - dtype.least) % span + dtype.least


def some_numbers(dtype):
    edges = [dtype.least, dtype.least + 1, -7, -2, -1, 0, 1, 2, 3, 5, 63, 64]
    edges += [dtype.greatest - 1, dtype.greatest, dtype.greatest // 2 + 1]
    return [v for v in edges if dtype.least <= v <= dtype.greatest]


def check(name, function, dtype, isa, lanes, *columns):
    arrays = [np.array(column, dtype.numpy) for column in columns]
    result = result_type(name, dtype)
    expected = [wrapped(function(*point), result) for point in zip(*columns)]
    assert mapped(name, dtype, isa, lanes)(*arrays).tolist() == expected


@rows
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_operators_on_edges(dtype, isa):
    values = some_numbers(dtype)
    x, y = [a for a in values for _ in values], values * len(values)
    for lanes in widths(isa):
        for name, function in BINARY.items():
            check(name, function, dtype, isa, lanes, x, y)
        for name, function in UNARY.items():
            check(name, function, dtype, isa, lanes, values)
        for name, function in TERNARY.items():
            check(name, function, dtype, isa, lanes, x, y, x[::-1])


def numbers(dtype):
    return st.integers(dtype.least, dtype.greatest) | st.sampled_from(
        some_numbers(dtype)
    )


@rows
@pytest.mark.parametrize("dtype", (I64, I32), ids=str)
def test_a_subscript_is_kept_inside(dtype, isa):
    extents = [1, 2, 7, 64, dtype.greatest]
    values = some_numbers(dtype)
    x, n = zip(*((v, n) for v in values for n in extents))
    for lanes in (1, isa.lanes(dtype)):
        check(
            "inside", lambda x, n: x if 0 <= x < n else n - 1, dtype, isa, lanes, x, n
        )


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_operators_on_random_numbers(data):
    dtype = data.draw(st.sampled_from(INTEGERS))
    isa = data.draw(st.sampled_from(HOST_ROWS))
    name = data.draw(st.sampled_from(sorted(BINARY)))
    points = data.draw(st.lists(st.tuples(numbers(dtype), numbers(dtype)), min_size=1))
    check(name, BINARY[name], dtype, isa, 0, *zip(*points))


DIVISORS = (1, 2, 3, 8, 10, -1, -2, -7, 0, 1 << 30)


@rows
@pytest.mark.parametrize("dtype", (I64, I32), ids=str)
@pytest.mark.parametrize("divisor", DIVISORS)
@pytest.mark.parametrize("name", ["floordiv", "mod"])
def test_division_by_a_constant(name, divisor, dtype, isa):
    target = host_target(isa.name)

    def emission(builder, values):
        number = constant(values[0].type, divisor)
        return emit_function(builder, name, [values[0], number], dtype, target)

    values = some_numbers(dtype) + list(range(-20, 20))
    run = compiled(emission, [dtype], dtype, target, isa.lanes(dtype))
    expected = [wrapped(BINARY[name](v, divisor), dtype) for v in values]
    assert run(np.array(values, dtype.numpy)).tolist() == expected


@rows
@pytest.mark.parametrize("exponent", [-2, -1, 0, 1, 3, 10])
def test_a_constant_power_needs_few_products(exponent, isa):
    target = host_target(isa.name)

    def emission(builder, values):
        number = constant(values[0].type, exponent)
        return emit_function(builder, "power", [values[0], number], I32, target)

    values = some_numbers(I32)
    run = compiled(emission, [I32], I32, target, isa.lanes(I32))
    expected = [wrapped(power(v, exponent), I32) for v in values]
    assert run(np.array(values, np.int32)).tolist() == expected


@rows
@pytest.mark.parametrize("name", ["div", "exp", "sqrt", "pow", "sigmoid"])
def test_functions_of_floats_take_integers_as_f32(name, isa):
    arity = FUNCTIONS[name].arity
    x = np.array([0, 1, 2, 3, 7, 100], np.int32)
    columns = [x, x[::-1].copy()][:arity]
    actual = mapped(name, I32, isa)(*columns)
    assert actual.dtype == np.float32
    floats = mapped(name, F32, isa)(*(c.astype(np.float32) for c in columns))
    assert np.array_equal(actual, floats, equal_nan=True)


@rows
@pytest.mark.parametrize("lanes", [1, 16])
def test_bools(lanes, isa):
    x, y = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], np.bool_)
    for name in ("and", "or", "min", "max", "eq", "ne", "lt", "le", "gt", "ge"):
        actual = mapped(name, BOOL, isa, lanes)(x, y)
        assert actual.tolist() == FUNCTIONS[name].numpy(x, y).tolist()
    assert mapped("not", BOOL, isa, lanes)(x).tolist() == [True, True, False, False]
    assert mapped("add", BOOL, isa, lanes)(x, y).tolist() == [0, 1, 1, 2]
    assert mapped("neg", BOOL, isa, lanes)(x).tolist() == [0, 0, -1, -1]
