"""Types of expressions: what meets what, what is weak, what is stored how."""

from __future__ import annotations

import pytest
from check_cases import outcome, typed

from polydsl.base.dtypes import DTYPES
from polydsl.semantics.program import Cast, Literal, Reduce, walk
from polydsl.semantics.render import render_expr

PARAMETERS = ", ".join(f"{name}_: {name}[N]" for name in DTYPES)
ARGUMENTS = ", ".join(f"{name}_={name}[3]" for name in DTYPES) + ", c=2, e=0.5, b=True"
HEADER = f"kernel f({PARAMETERS}, *, c: int, e: float, b: bool):\n"


def program_of(statement: str):
    ranges = "    i in range(N)\n    k in range(N)\n"
    return typed(f"{HEADER}{ranges}    {statement}\n    return y\n", ARGUMENTS)


def type_of(expression: str) -> str:
    return program_of(f"y[i] = {expression}").tensor("y").dtype.name


def text_of(statement: str) -> str:
    return render_expr(program_of(statement).definitions[0].value)


TYPES = """
i8_[i] * i8_[i]                 i32
2 * i8_[i]                      i32
u8_[i] - u8_[i]                 i32
i8_[i] + u8_[i]                 i32
bool_[i] + bool_[i]             i32
-bool_[i]                       i32
bf16_[i] * bf16_[i]             f32
2 * bf16_[i]                    f32
bf16_[i] + f16_[i]              f32
i32_[i] + i64_[i]               i64
f32_[i] * f64_[i]               f64
i32_[i] * f32_[i]               f32
i64_[i] * f32_[i]               f32
i64_[i] * bf16_[i]              f32
i16_[i] * f64_[i]               f64
i32_[i] / i32_[i]               f32
i64_[i] / i64_[i]               f32
i8_[i] / 2                      f32
f64_[i] / i8_[i]                f64
i32_[i] // i32_[i]              i32
i16_[i] % i16_[i]               i32
f16_[i] // f16_[i]              f32
0.5 * i32_[i]                   f32
0.5 * i64_[i]                   f32
0.5 * f32_[i]                   f32
2.5 * f64_[i]                   f64
i32_[i] + i                     i32
f32_[i] + i                     f32
f32_[i] * N                     f32
f32_[i] * c                     f32
f32_[i] * e                     f32
i32_[i] * e                     f32
i8_[i] * b                      i32
f32_[i] * (1 / sqrt(N))         f32
bf16_[i]                        bf16
u8_[i]                          u8
bool_[i]                        bool
pad(bf16_[i - 1])               bf16
pad(bool_[i - 1])               bool
pad(i8_[i - 1], 3)              i8
pad(f16_[i - 1], f32_[i])       f32
pad(i8_[i - 1], 0.5)            f32
where(bool_[i], bf16_[i], 0)    bf16
bf16_[i] if bool_[i] else 0.5   bf16
i8_[i] if bool_[i] else i16_[i] i16
max(bf16_[i], 0)                bf16
min(i8_[i], u8_[i])             i32
max(i8_[i], i16_[i], 3)         i16
max(u8_[i], i16_[i])            i16
max(bf16_[i], f16_[i])          f32
max(bf16_[i], i32_[i])          bf16
max(bool_[i], bool_[i])         bool
max(bool_[i], i8_[i])           i8
clamp(i8_[i], 0, 7)             i8
clamp(f16_[i], 0.0, 1.0)        f16
abs(i8_[i])                     i32
abs(bf16_[i])                   f32
relu(f16_[i])                   f32
relu(i8_[i])                    i32
exp(f16_[i])                    f32
exp(i32_[i])                    f32
exp(i64_[i])                    f32
exp(f64_[i])                    f64
pow(i32_[i], 2)                 f32
i32_[i] ** 2                    i32
i32_[i] ** i32_[i]              i32
bf16_[i] ** 2                   f32
f64_[i] ** 0.5                  f64
floor(f16_[i])                  f32
sign(i16_[i])                   i32
fma(bf16_[i], 2, 1)             f32
isnan(bf16_[i])                 bool
f32_[i] < 3                     bool
0 < i8_[i] <= 3                 bool
not bool_[i]                    bool
bool_[i] and f32_[i] > 0        bool
f32(i8_[i])                     f32
i8(f32_[i])                     i8
bf16(0.5)                       bf16
bool(i8_[i])                    bool
sum[k](bf16_[k]) + i            f32
sum[k](f16_[k])                 f32
sum[k](f64_[k])                 f64
sum[k](i8_[k])                  i32
sum[k](bool_[k])                i32
sum[k](i64_[k])                 i64
prod[k](u8_[k])                 i32
mean[k](i64_[k])                f32
mean[k](bool_[k])               f32
mean[k](f16_[k])                f32
mean[k](f64_[k])                f64
max[k](bf16_[k])                bf16
min[k](u8_[k])                  u8
max[k](bool_[k])                bool
any[k](bool_[k])                bool
all[k](f32_[k] > 0)             bool
argmax[k](bf16_[k])             i64
argmin[k](i8_[k]) + i8_[i]      i64
"""


@pytest.mark.parametrize("row", TYPES.strip().splitlines())
def test_type(row: str) -> None:
    expression, wanted = row.rsplit(None, 1)
    assert type_of(expression.strip()) == wanted


WEAK = """
i - N * 2       i64
i < N           bool
1.5             f64
1 / N           f64
e + c           f64
b + b           i64
(i < 3) + i     i64
min(i, 2)       i64
sqrt(N)         f64
N ** 2          i64
N ** -0.5       f64
i // 2          i64
mean[k](k)      f64
sum[k](k * e)   f64
"""


@pytest.mark.parametrize("row", WEAK.strip().splitlines())
def test_weak_expression(row: str) -> None:
    expression, wanted = row.rsplit(None, 1)
    assert type_of(expression.strip()) == wanted


def test_a_local_of_weak_values_stays_weak() -> None:
    program = program_of("s = 1 / sqrt(N)\n    y[i] = f32_[i] * s")
    assert program.tensor("s").dtype.name == "f64"
    assert program.tensor("y").dtype.name == "f32"
    assert render_expr(program.definitions[1].value) == "f32_[i]*(s : f32)"


def test_a_declared_local_is_strong() -> None:
    program = program_of("s: f64\n    s = 1 / sqrt(N)\n    y[i] = f32_[i] * s")
    assert program.tensor("y").dtype.name == "f64"


@pytest.mark.parametrize(
    ("statement", "tensor", "value"),
    [
        ("y += bf16_[i]", "f32", "f32"),
        ("y += i8_[i]", "i32", "i32"),
        ("y += f64_[i]", "f64", "f64"),
        ("y *= f16_[i]", "f32", "f32"),
        ("y += i", "i64", "i64"),
        ("y: bf16\n    y += f32_[i]", "bf16", "f32"),
        ("y: f64\n    y += f32_[i]", "f64", "f64"),
        ("y: f32\n    y += f64_[i]", "f32", "f64"),
        ("y: i8\n    y += i8_[i]", "i8", "i32"),
        ("y: i64\n    y += i8_[i]", "i64", "i64"),
        ("y: f32\n    y += i8_[i]", "f32", "i32"),
        ("y: f16\n    y += 1\n    y += i", "f16", "f32"),
        ("y: i16\n    y += round(f32_[i])", "i16", "f32"),
    ],
)
def test_accumulation(statement: str, tensor: str, value: str) -> None:
    program = program_of(statement)
    assert program.tensor("y").dtype.name == tensor
    assert {d.value.dtype.name for d in program.definitions} == {value}


def test_all_statements_of_a_sum_accumulate_in_one_type() -> None:
    program = program_of("y[i] += f32_[i]\n    y[i] += f64_[i]\n    y[i] += 1")
    assert [d.value.dtype.name for d in program.definitions] == ["f64"] * 3


@pytest.mark.parametrize(
    ("declared", "expression"),
    [
        ("i8[N]", "round(f32_[i])"),
        ("i8[N]", "clamp(round(f32_[i] / e), -128, 127)"),
        ("i8[N]", "-round(f32_[i]) + 3"),
        ("i8[N]", "i32_[i]"),
        ("i8[N]", "bool_[i]"),
        ("f16[N]", "f64_[i]"),
        ("f16[N]", "bool_[i]"),
        ("f32[N]", "i64_[i]"),
        ("u8[N]", "i8(f32_[i])"),
        ("bool[N]", "f32_[i] > 0"),
    ],
)
def test_storable(declared: str, expression: str) -> None:
    program = program_of(f"y: {declared}\n    y[i] = {expression}")
    assert program.definitions[0].value.dtype == program.tensor("y").dtype


@pytest.mark.parametrize(
    ("declared", "expression"),
    [
        ("i8[N]", "f32_[i]"),
        ("i8[N]", "0.5"),
        ("i8[N]", "2.0"),
        ("i8[N]", "inf"),
        ("i8[N]", "round(f32_[i]) * 0.5"),
        ("i8[N]", "floor(f32_[i])"),
        ("bool[N]", "i8_[i]"),
        ("bool[N]", "1"),
    ],
)
def test_not_storable(declared: str, expression: str) -> None:
    text = f"{HEADER}    y: {declared}\n    y[i] = {expression}\n    return y\n"
    assert "error[E0208]" in outcome(text, "")


def test_a_store_converts_and_the_user_casts_explicitly() -> None:
    program = program_of("y: bf16[N]\n    y[i] = i8(f32_[i]) * 0.5")
    (value,) = [d.value for d in program.definitions]
    casts = [node for node in walk(value) if isinstance(node, Cast)]
    assert [(c.dtype.name, c.explicit) for c in casts] == [
        ("bf16", False),
        ("f32", False),
        ("i8", True),
    ]


def test_literals_take_the_type_of_what_they_meet() -> None:
    program = program_of("y[i] = max(i8_[i], 3) + 300")
    literals = [n for n in walk(program.definitions[0].value) if isinstance(n, Literal)]
    assert [(n.value, n.dtype.name) for n in literals] == [(3, "i8"), (300, "i32")]
    # It does not fit: the conversion is left to the rule for integers.
    assert text_of("y[i] = max(i8_[i], 300)") == "max(i8_[i], (300 : i8))"


def test_a_square_is_a_product() -> None:
    assert text_of("y[i] = f32_[i]**2") == "f32_[i]*f32_[i]"
    assert text_of("y[i] = f32_[i]**4") == "f32_[i]*f32_[i]*(f32_[i]*f32_[i])"
    assert text_of("y[i] = f32_[i]**0.5") == "f32_[i] ** 0.5"
    assert text_of("y[i] = f32_[i]**9") == "f32_[i] ** 9.0"
    assert text_of("y[i] = f32_[i]**-1") == "f32_[i] ** (-1.0)"


def test_a_square_does_not_repeat_a_reduction() -> None:
    program = program_of("y[i] = sum[k](f32_[k])**2 + f32_[i]")
    nodes = list(walk(program.definitions[0].value))
    assert sum(isinstance(node, Reduce) for node in nodes) == 1


def test_chains_and_many_arguments() -> None:
    assert text_of("y[i] = 0 < f32_[i] < e != c") == (
        "0.0 < f32_[i] and f32_[i] < (e : f32) and e != (c : f64)"
    )
    assert text_of("y[i] = max(f32_[i], 1, 2, 3, 4)") == (
        "max(max(max(f32_[i], 1.0), 2.0), max(3.0, 4.0))"
    )


def test_subscripts_are_computed_in_64_bits() -> None:
    assert text_of("y[i] = f32_[i32_[i] * 2 - u8_[i]]") == (
        "f32_[(i32_[i] : i64)*2 - (u8_[i] : i64)]"
    )


RECURRENCE = """
kernel f(x: bf16[T]) -> bf16[T]:
    h[t] = max(pad(h[t - 1]) * 2, x[t])
    y[t] = h[t]
    return y
"""


def test_the_type_of_a_recurrence_ignores_its_own_reads() -> None:
    program = typed(RECURRENCE, "x=bf16[4]")
    assert program.tensor("h").dtype.name == "bf16"


LSTM = """
kernel f(x: f16[T]) -> f32[T]:
    c[t] = pad(c[t - 1]) * g[t] + x[t]
    g[t] = sigmoid(pad(h[t - 1]) + x[t])
    h[t] = g[t] * tanh(c[t])
    return h
"""


def test_types_of_mutual_recurrences() -> None:
    program = typed(LSTM, "x=f16[4]")
    assert [program.tensor(n).dtype.name for n in "cgh"] == ["f32"] * 3


GATHER = """
kernel rows(ids: I[N], table: T[V, D]) -> T[N, D]:
    y[n, d] = table[ids[n], d]
    return y

kernel sums(ids: I[N], segments: J[N], table: T[V, D]) -> T[B, D]:
    B = 3
    x = rows(ids, table)
    y[segments[n], d] += x[n, d]
    return y
"""


def test_dtype_variables_may_stand_for_integers() -> None:
    given = "ids=i32[5], segments=u8[5], table=f64[7, 2]"
    assert typed(GATHER, given).tensor("y").dtype.name == "f64"


def test_a_dtype_variable_of_a_subscript_is_no_float() -> None:
    given = "ids=i32[5], segments=f32[5], table=f64[7, 2]"
    assert "error[E0205]: a subscript is an integer, and segments[n] is f32" in (
        outcome(GATHER, given)
    )


def test_other_errors_are_told_for_the_dtypes_that_suit_best() -> None:
    text = """
kernel k(ids: I[N], x: T[N]) -> T[N]:
    y[n] = x[ids[n]] + x[m]
    return y
"""
    found = outcome(text, "")
    assert "E0109" in found and "E0205" not in found
