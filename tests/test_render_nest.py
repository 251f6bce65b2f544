"""The text of a loop nest."""

from __future__ import annotations

import emitter_kernels as kernels
import pytest
from emitter_kernels import call, number

from polydsl.base.dtypes import BOOL, F32, I32, I64
from polydsl.loops.nest import (
    BatchReduceGemm,
    Buffer,
    Call,
    Cast,
    Columns,
    Expr,
    Guard,
    GuardedRows,
    Literal,
    Load,
    Loop,
    Select,
    Store,
    Strided,
    Tile,
    Var,
)
from polydsl.loops.render import render_expr, render_nest, render_node

A, B, C = (Var(name) for name in "abc")


def test_a_whole_nest() -> None:
    assert render_nest(kernels.packed_product(2, 3, 8, 5)) == (
        "nest kernel(a, b, c)\n"
        "  a: f32[6, 5] argument, read\n"
        "  b: f32[8, 5] argument, read\n"
        "  c: f32[6, 8] argument\n"
        "  p: f32[5, 8] prepared\n"
        "  t: f32[3, 8] private scratch\n"
        "  rows: i32[3] constant\n"
        "prepare:\n"
        "  for k in 0..5:\n"
        "    for j in 0..8 [vector 16 by 4]:\n"
        "      p[k, j] = b[j, k]\n"
        "body:\n"
        "  for i in 0..2 [parallel]:\n"
        "    gemm f32 [m 3, n 8, t 1, k 5]\n"
        "      t@(m*8 + n) = sum[t, k] A[t, m, k] * B[t, k, n]\n"
        "      A = a@(i * 15 + rows[m] + k)\n"
        "      B = p@(k*8 + n)\n"
        "    for u in 0..3:\n"
        "      for j in 0..8 [vector 16 by 4]:\n"
        "        c[i * 3 + u, j] = relu(t[u, j])\n"
    )


def test_padding_guards_steps_and_notes() -> None:
    gemm = BatchReduceGemm(
        Tile("c", A, Strided(4)),
        GuardedRows("x", A, "rows", B, "zeros", 2),
        Columns("w", number(0), Strided(64), 16),
        rows=2,
        columns=4,
        batch=9,
        depth=3,
        accumulate=True,
        dtype=F32,
    )
    guard = Guard(call("lt", A, number(7)), (gemm,))
    hi = call("min", call("add", A, number(4)), number(9))
    outer = Loop("b", A, hi, (guard,), step=2, note="two rows")
    assert render_node(outer) == (
        "for b in a..min(a + 4, 9) step 2:  # two rows\n"
        "  if a < 7:\n"
        "    gemm f32 [m 2, n 4, t 9, k 3]\n"
        "      c@(a + m*4 + n) += sum[t, k] A[t, m, k] * B[t, k, n]\n"
        "      A = x@(a + rows[b + t, m] + k*2) else zeros@(k*2)\n"
        "      B = w@(t*64 + k*16 + n)"
    )


def test_strides_are_shown_where_they_are_not_the_usual_ones() -> None:
    buffers = [
        Buffer("x", F32, (2, 3), (3, 1), "argument", False),
        Buffer("y", F32, (2, 3), (1, -2), "argument"),
    ]
    text = render_nest(kernels.nest(buffers, Store("y", (A, B), Literal(1.0, F32))))
    assert "  x: f32[2, 3] argument, read\n" in text
    assert "  y: f32[2, 3] argument, strides [1, -2]\n" in text


CASES: list[tuple[Expr, str]] = [
    (call("mul", call("add", A, B), C), "(a + b) * c"),
    (call("add", call("mul", A, B), C), "a * b + c"),
    (call("sub", A, call("sub", B, C)), "a - (b - c)"),
    (call("sub", call("sub", A, B), C), "a - b - c"),
    (Call("power", (Call("power", (A, B), I64), C), I64), "(a ** b) ** c"),
    (Call("power", (A, Call("power", (B, C), I64)), I64), "a ** b ** c"),
    (Call("neg", (Call("power", (A, B), I64),), I64), "-a ** b"),
    (Call("power", (Call("neg", (A,), I64), B), I64), "(-a) ** b"),
    (Call("power", (number(-2), A), I64), "(-2) ** a"),
    (Call("not", (call("lt", A, B),), BOOL), "not a < b"),
    (call("lt", Cast(call("lt", A, B), I64), C), "i64(a < b) < c"),
    (call("eq", call("lt", A, B), call("lt", B, C)), "(a < b) == (b < c)"),
    (
        Cast(Load("x", (A, call("floordiv", B, number(2))), I32), I64),
        "i64(x[a, b // 2])",
    ),
    (Select(call("lt", A, B), A, B, I64), "a if a < b else b"),
    (
        call("add", Select(call("lt", A, B), A, B, I64), C),
        "(a if a < b else b) + c",
    ),
    (call("max", A, call("add", B, C)), "max(a, b + c)"),
]


@pytest.mark.parametrize(("expr", "text"), CASES, ids=[text for _, text in CASES])
def test_expressions_have_the_parentheses_they_need(expr: Expr, text: str) -> None:
    assert render_expr(expr) == text


def test_the_text_of_an_expression_is_pythons() -> None:
    names = {"a": 3, "b": 2, "c": -5, "max": max, "i64": int}
    plain = [(e, t) for e, t in CASES if "x[" not in t]
    for expr, text in plain:
        assert eval(text, {}, names) == _value(expr, names)


def _value(expr: Expr, names: dict[str, object]) -> object:
    match expr:
        case Literal(value):
            return value
        case Var(name):
            return names[name]
        case Cast(operand):
            return int(_value(operand, names))
        case Select(condition, then, otherwise):
            return _value(then if _value(condition, names) else otherwise, names)
        case Call(function, arguments):
            return _PYTHON[function](*(_value(x, names) for x in arguments))
        case Load():
            raise AssertionError
    raise AssertionError


_PYTHON = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "power": lambda x, y: x**y,
    "neg": lambda x: -x,
    "not": lambda x: not x,
    "lt": lambda x, y: x < y,
    "eq": lambda x, y: x == y,
    "max": max,
}
