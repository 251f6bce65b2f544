"""NaN, infinities, overflow, integers and conversions in the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from oracle_builder import access, call, cast, define, index, lit, program, reduce
from oracle_text import check, run

from polydsl.base.dtypes import BF16, DTYPES
from polydsl.base.functions import FUNCTIONS
from polydsl.base.rounding import round_to
from polydsl.semantics.oracle import Outcome, evaluate
from polydsl.semantics.program import Program

AT = index("i")
INF, NAN = np.inf, np.nan


def unary(name: str, values: np.ndarray, result: str) -> tuple[Program, Outcome]:
    dtype = next(n for n, d in DTYPES.items() if d.numpy == values.dtype)
    size = len(values)
    made = program(
        {"x": (dtype, (size,))},
        {"y": (result, (size,))},
        {"i": size},
        [define("y", "i", "=", call(name, access("x", [AT], dtype)))],
        "y",
    )
    return made, evaluate(made, {"x": values})


def binary(name: str, a: np.ndarray, b: np.ndarray, result: str) -> Outcome:
    dtype = next(n for n, d in DTYPES.items() if d.numpy == a.dtype)
    size = len(a)
    value = call(name, access("a", [AT], dtype), access("b", [AT], dtype))
    made = program(
        {"a": (dtype, (size,)), "b": (dtype, (size,))},
        {"y": (result, (size,))},
        {"i": size},
        [define("y", "i", "=", value)],
        "y",
    )
    return evaluate(made, {"a": a, "b": b})


# For each function its values at nan, inf, -inf, 0, 200.
SPECIAL = {
    "exp": (NAN, INF, 0, 1, INF),
    "exp2": (NAN, INF, 0, 1, INF),
    "expm1": (NAN, INF, -1, 0, INF),
    "log": (NAN, INF, NAN, -INF, np.log(200)),
    "log2": (NAN, INF, NAN, -INF, np.log2(200)),
    "log1p": (NAN, INF, NAN, 0, np.log1p(200)),
    "sqrt": (NAN, INF, NAN, 0, np.sqrt(200)),
    "rsqrt": (NAN, 0, NAN, INF, 1 / np.sqrt(200)),
    "tanh": (NAN, 1, -1, 0, 1),
    "sigmoid": (NAN, 1, 0, 0.5, 1),
    "erf": (NAN, 1, -1, 0, 1),
    "sin": (NAN, NAN, NAN, 0, np.sin(200)),
    "cos": (NAN, NAN, NAN, 1, np.cos(200)),
    "floor": (NAN, INF, -INF, 0, 200),
    "ceil": (NAN, INF, -INF, 0, 200),
    "round": (NAN, INF, -INF, 0, 200),
    "sign": (NAN, 1, -1, 0, 1),
    "gelu": (NAN, INF, NAN, 0, 200),
    "silu": (NAN, INF, NAN, 0, 200),
    "softplus": (NAN, INF, 0, np.log(2), 200),
    "abs": (NAN, INF, INF, 0, 200),
    "neg": (NAN, -INF, INF, 0, -200),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str) -> None:
    x = np.array([NAN, INF, -INF, 0, 200], np.float32)
    _, outcome = unary(name, x, "f32")
    result = outcome["y"]
    expected = np.array(SPECIAL[name], np.float64)
    assert not result.undecided.any()
    special = ~np.isfinite(expected)
    np.testing.assert_array_equal(result.value[special], expected[special])
    assert np.all(result.error[special] == 0)
    difference = np.abs(result.value[~special] - expected[~special])
    assert np.all(
        difference <= result.error[~special] + 1e-6 * np.abs(expected[~special])
    )


@pytest.mark.parametrize("name", ["relu", "max", "min"])
def test_nan_is_left_open_in_extrema(name: str) -> None:
    x = np.array([NAN, INF, -INF, 1], np.float32)
    if name == "relu":
        result = unary(name, x, "f32")[1]["y"]
    else:
        result = binary(name, x, np.ones(4, np.float32), "f32")["y"]
    assert result.undecided.tolist() == [True, False, False, False]
    outcome = reductions(x)
    assert outcome["max"].undecided and outcome["min"].undecided
    assert np.isnan(outcome["sum"].value) and not outcome["sum"].undecided
    assert outcome["argmax"].value == 0


def reductions(x: np.ndarray) -> Outcome:
    names = ("sum", "prod", "mean", "max", "min", "argmax")
    made = program(
        {"x": ("f32", x.shape)},
        {n: ("i64" if n == "argmax" else "f32", ()) for n in names},
        {"i": len(x)},
        [define(n, "", "=", reduce(n, "i", access("x", [AT]))) for n in names],
        " ".join(names),
    )
    return evaluate(made, {"x": x})


@pytest.mark.parametrize(
    ("values", "total", "product"),
    [
        ((1, INF), INF, INF),
        ((INF, -INF), NAN, -INF),
        ((0, INF), INF, NAN),
        ((1, NAN), NAN, NAN),
    ],
)
def test_reductions_of_special_values(
    values: tuple[float, ...], total: float, product: float
) -> None:
    outcome = reductions(np.array(values, np.float32))
    for name, expected in (("sum", total), ("mean", total), ("prod", product)):
        np.testing.assert_equal(float(outcome[name].value), expected)
        assert not outcome[name].undecided
        assert outcome[name].error == 0


def test_division_and_powers_at_zero_and_infinity() -> None:
    a = np.array([1, -1, 0, INF, INF, 2, 0, INF], np.float32)
    b = np.array([0, 0, 0, INF, 0, INF, -1, -1], np.float32)
    with np.errstate(all="ignore"):
        for name, ufunc in (("div", np.divide), ("mod", np.remainder)):
            result = binary(name, a, b, "f32")["y"]
            expected = ufunc(a.astype(np.float64), b)
            np.testing.assert_array_equal(result.value, expected)
            assert not result.undecided.any()
        result = binary("pow", a, b, "f32")["y"]
        np.testing.assert_array_equal(result.value, np.power(a.astype(np.float64), b))


def test_overflow_is_infinite_when_sure_and_undecided_when_near() -> None:
    greatest = np.finfo(np.float32).max
    x = np.array([greatest, greatest / 2, 1e30, greatest], np.float32)
    y = np.array([2, 2, 1e30, 1 + 2**-23], np.float32)
    result = binary("mul", x, y, "f32")["y"]
    assert result.value[[0, 2, 3]].tolist() == [INF] * 3
    assert np.isfinite(result.value[1])
    assert result.undecided.tolist() == [False, False, False, False]
    text = "kernel k(x: f32[N]) -> f32[N]:\n    y[i] = exp(x[i] + 1e-7)\n    return y\n"
    outcome = run(text, x=np.array([88.7, 88.722839, 88.73], np.float32))
    assert outcome["y"].undecided.tolist() == [False, True, False]
    assert outcome["y"].value[2] == INF


def test_what_overflows_inside_is_undecided_unless_it_cannot_matter() -> None:
    text = """
kernel k(x: f32[N]) -> (f32[N], f32[N]):
    a[i] = 1 / (1 + exp(-x[i]))
    b[i] = exp(x[i]) / exp(x[i])
    return a, b
"""
    outcome = run(text, x=np.array([-100, 1, 100], np.float32))
    assert outcome["a"].undecided.tolist() == [False] * 3
    assert outcome["a"].error[0] < 1e-30
    # exp(-100) is below the normal numbers, so it may be flushed to zero.
    assert outcome["b"].undecided.tolist() == [True, False, True]


def undecided(formula: str, x: list[float], z: list[float]) -> list[bool]:
    """Where an expression of x[i] and z[i], or a reduction of them, is undecided."""
    result = "y" if "[i](" in formula else "y[i]"
    shape = "f32" if result == "y" else "f32[N]"
    text = f"""
kernel k(x: f32[N], z: f32[N]) -> {shape}:
    {result} = {formula}
    return y
"""
    outcome = run(text, x=np.array(x, np.float32), z=np.array(z, np.float32))
    return np.atleast_1d(outcome["y"].undecided).tolist()


@pytest.mark.parametrize("formula", ["fma(x[i], -x[i], z[i])", "z[i] - x[i] * x[i]"])
def test_an_overflow_cancels_only_an_infinity_of_the_other_sign(formula: str) -> None:
    # Infinite minus infinite is NaN, but a wider product leaves the infinity.
    assert undecided(formula, [1e30] * 3, [INF, -INF, 1]) == [True, False, False]


def test_the_product_of_a_fused_multiply_add_may_overflow_by_itself() -> None:
    # 2 * 3e38 - 3e38 is 3e38 where the product is not rounded.
    x, z = [3e38, 3e38, 1e38], [-3e38, 3e38, -1e38]
    assert undecided("fma(x[i], 2, z[i])", x, z) == [True, False, False]


@pytest.mark.parametrize("operator", ["%", "//"])
def test_an_overflow_has_no_remainder(operator: str) -> None:
    # Of an infinity it is NaN, of a wider number anything.
    formula = f"(x[i] * x[i]) {operator} z[i]"
    z = [INF, -INF, 3, 3]
    assert undecided(formula, [1e30, 1e30, 1e30, 2], z) == [True] * 3 + [False]


def test_a_power_may_be_one_although_an_operand_is_not_finite() -> None:
    # 1 to any power and anything to the power 0 are 1; beside 1, inf and 0 are near.
    z = [NAN, INF, -INF, 2]
    assert undecided("exp(x[i]) ** z[i]", [1e-9] * 4, z) == [True] * 3 + [False]
    assert undecided("exp(x[i]) ** z[i]", [1.0] * 4, z) == [False] * 4
    assert undecided("z[i] ** sin(x[i])", [3.1415927, 1], [NAN, NAN]) == [False] * 2


@pytest.mark.parametrize(
    ("formula", "x", "unsure"),
    [
        # Added first, the finite terms overflow to the other side of the infinity.
        ("sum[i](x[i])", [3e38, 3e38, -INF], True),
        ("sum[i](x[i])", [3e38, 3e38, INF], False),
        ("sum[i](x[i])", [3e38, -1e38, -INF], False),
        ("sum[i](x[i])", [3e38, 3e38, NAN], False),
        ("sum[i](x[i] * 4)", [1e38, -INF], True),
        ("sum[i](x[i] * 4)", [1e38, INF], False),
        # The sum overflows, and its mean is an ordinary number.
        ("mean[i](x[i])", [3e38, 3e38], True),
        ("mean[i](x[i])", [1e38, 1e38], False),
        ("mean[i](x[i] * 8)", [3e38, 3e38], False),
        # Multiplied first, the small factors come to zero, which times inf is NaN.
        ("prod[i](x[i])", [1e-30, 1e-30, INF], True),
        ("prod[i](x[i])", [1e30, 1e30, INF], False),
        ("prod[i](x[i])", [1e-30, 2, -INF], False),
        ("prod[i](x[i])", [0, 2, INF], False),
        ("prod[i](x[i])", [1e-30, 1e-30, NAN], False),
        ("prod[i](sin(x[i]) * x[i])", [0, INF], False),
    ],
)
def test_infinities_in_reductions_are_sure_in_every_order(
    formula: str, x: list[float], unsure: bool
) -> None:
    assert undecided(formula, x, x) == [unsure]


INT = np.array([-(2**31), -(2**31), 7, -7, 5, 2**31 - 1, -8, 3], np.int32)
OTHER = np.array([-1, 2**31 - 1, 0, 2, -2, 1, 3, -1], np.int32)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("add", lambda a, b: a + b),
        ("sub", lambda a, b: a - b),
        ("mul", lambda a, b: a * b),
        ("floordiv", lambda a, b: a // b if b else 0),
        ("mod", lambda a, b: a % b if b else 0),
    ],
)
@pytest.mark.parametrize("dtype", ["i32", "i64"])
def test_integers_wrap(name: str, meaning: object, dtype: str) -> None:
    kind, bits = DTYPES[dtype].numpy, DTYPES[dtype].bits
    a, b = INT.astype(kind), OTHER.astype(kind)
    if bits == 64:
        a = np.where(a == -(2**31), -(2**63), a)
    result = binary(name, a, b, dtype)["y"]
    for x, y, got in zip(a.tolist(), b.tolist(), result.value.tolist(), strict=True):
        wanted = (meaning(x, y) + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)  # type: ignore[operator]
        assert got == wanted, (name, x, y)


def test_integer_sums_wrap_and_powers_of_negative_exponent_divide() -> None:
    text = """
kernel k(x: i32[N], b: i8[N]) -> (i32, i32, i8, i32):
    s += x[i] * x[i]
    p = prod[i](x[i])
    t += b[i]
    u += b[i] * b[i]
    return s, p, t, u
"""
    x = np.array([100_000, 70_000, 3], np.int32)
    b = np.array([100, 100, 100], np.int8)
    squares, product = 10**10 + 49 * 10**8 + 9, 21 * 10**9

    def wrap(v: int) -> int:
        return (v + 2**31) % 2**32 - 2**31

    check(text, [wrap(squares), wrap(product), 127, 30_000], x=x, b=b)
    powers = binary(
        "power",
        np.array([2, 1, -1, 0, 3], "i4"),
        np.array([-1, -5, -3, -1, 4], "i4"),
        "i32",
    )
    assert powers["y"].value.tolist() == [0, 1, -1, 0, 81]


def test_large_integer_products_stay_exact() -> None:
    text = """
kernel k(a: i64[M, K], b: i64[K, N]) -> i64[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
"""
    rng = np.random.default_rng(0)
    a = rng.integers(-(2**62), 2**62, (3, 5))
    b = rng.integers(-(2**62), 2**62, (5, 4))
    exact = a.astype(object) @ b.astype(object)
    wrapped = np.array((exact + 2**63) % 2**64 - 2**63, np.int64)
    check(text, [wrapped], a=a, b=b)
    check(text, [(a >> 45) @ (b >> 45)], a=a >> 45, b=b >> 45)


def test_casts_truncate_saturate_and_wrap() -> None:
    x = np.array([1.9, -1.9, 300, -300, NAN, INF, -INF], np.float32)
    value = cast(access("x", [AT]), "i8")
    made = program(
        {"x": ("f32", x.shape)},
        {"y": ("i8", x.shape)},
        {"i": len(x)},
        [define("y", "i", "=", value)],
        "y",
    )
    result = evaluate(made, {"x": x})["y"]
    assert result.value.tolist() == [1, -1, 127, -128, 0, 127, -128]
    text = """
kernel k(x: f64[N], n: i32[N]) -> (i64[N], u8[N], i8[N], i8[N], bool[N]):
    a[i] = i64(x[i])
    b[i] = u8(n[i])
    c[i] = n[i]
    d[i] = round(x[i])
    e[i] = bool(n[i])
    return a, b, c, d, e
"""
    x = np.array([1e300, -1e300, 2.5], np.float64)
    n = np.array([-1, 300, 0], np.int32)
    limits = [2**63 - 1, -(2**63), 2]
    expected = [limits, [255, 44, 0], [-1, 127, 0], [127, -128, 2], [1, 1, 0]]
    check(text, expected, x=x, n=n)


def test_rounding_to_bf16_is_to_nearest_even_in_one_step() -> None:
    one = 1.0
    cases = {
        one + 2**-8 + 2**-40: one + 2**-7,
        one + 2**-8: one,
        one + 3 * 2**-8: one + 2**-6,
        2.0**-133 * 1.5: 2.0**-132,
        2.0**-134: 0.0,
        3.4e38: INF,
        -3.4e38: -INF,
        NAN: NAN,
    }
    got = round_to(BF16, np.array(list(cases)))
    np.testing.assert_array_equal(got, list(cases.values()))
    values = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    np.testing.assert_array_equal(
        round_to(BF16, values.astype(np.float64)),
        values.astype(BF16.numpy).astype(np.float64),
    )


def test_weak_numbers_take_the_type_that_they_meet() -> None:
    x = np.array([0.1, 0.5], np.float32)
    value = access("x", [AT]) * cast(lit(0.1, DTYPES["f64"]), "f32", explicit=False)
    made = program(
        {"x": ("f32", (2,))},
        {"y": ("f32", (2,))},
        {"i": 2},
        [define("y", "i", "=", value)],
        "y",
    )
    result = evaluate(made, {"x": x})["y"]
    assert np.all(np.abs(result.value - x * np.float32(0.1)) <= result.error)
    assert np.all(result.error < 3e-8)


def test_dtypes_of_index_values() -> None:
    text = """
kernel k(x: f32[N]) -> (i64[N], f32[N]):
    a[i] = i*i - 3*N
    b[i] = x[i] * (i - 1)
    return a, b
"""
    x = np.arange(4, dtype=np.float32)
    i = np.arange(4)
    check(text, [i * i - 12, x * (i - 1)], x=x)


def test_gelu_keeps_its_digits_where_it_is_small() -> None:
    """The quotient of its operand and sqrt(2) was rounded, which erfc blows up."""
    gelu = FUNCTIONS["gelu"].numpy
    # 1/2 * x * erfc(-x / sqrt(2)), by mpmath
    for x, exact in (
        (-3.0, -0.00404969409489028357995544430278),
        (-1.0, -0.158655253931457051414767454367),
    ):
        assert abs(gelu(x) - exact) <= np.spacing(abs(exact))
