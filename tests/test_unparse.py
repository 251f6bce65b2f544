"""The canonical text: `parse` reads back the same tree, parentheses are the fewest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from strategies_ast import expressions, modules

from polydsl.base.source import Source
from polydsl.syntax import ast
from polydsl.syntax.parser import parse
from polydsl.syntax.unparse import (
    unparse,
    unparse_expression,
    unparse_kernel,
    unparse_signature,
    unparse_statement,
    unparse_type,
)

CANONICAL = '''"""A file."""

from stdlib.activation import softmax, gelu_fast
from ..gates import swish

kernel short(x: f32[N]):
    """One line."""
    return x

kernel long(
    x: f32[N, C, H, W],
    w: f32[K, C // G, R, S],
    b: T[..., N],
    *,
    stride: int = 1,
    eps: float,
    flag: bool = True,
) -> (f32, f32[N, 2 * M]):
    """Several
    lines."""
    i in range(N)
    j in range(max(0, i - W + 1), i + 1)
    y: f32[N, M]
    y[i, j] += pad(x[i - 1, j], 0) * w[..., i]
    y *= sum[i, j](x[i]) if 0 < i <= N and not j == 2 else -(a + b)**2
    a, b = other(x, y, eps=1e-05)
    return a, b
'''


def parsed(text: str) -> ast.Module:
    return parse(Source("k.pdl", text))


def expression(text: str) -> ast.Expr:
    statement = parsed(f"kernel f():\n    y = {text}\n").kernels[0].body[0]
    assert isinstance(statement, ast.Assign)
    return statement.value


def test_canonical_text_is_kept() -> None:
    text = CANONICAL.replace(", gelu_fast", "")
    assert unparse(parsed(text)) == text


@settings(deadline=None, max_examples=120)
@given(modules)
def test_parse_reads_back_every_tree(module: ast.Module) -> None:
    text = unparse(module)
    again = parsed(text)
    assert again == module
    assert unparse(again) == text


@settings(deadline=None, max_examples=150)
@given(expressions)
def test_no_pair_of_parentheses_can_be_left_out(expr: ast.Expr) -> None:
    text = unparse_expression(expr)
    for opening, closing in _groups(text):
        fewer = text[:opening] + text[opening + 1 : closing] + text[closing + 1 :]
        assert _parses_differently(fewer, expr), (text, fewer)


def _groups(text: str) -> list[tuple[int, int]]:
    """Places of the parentheses that only group: no name or `]` stands before them."""
    pairs, opened = [], []
    for at, char in enumerate(text):
        if char == "(":
            before = text[:at].rstrip(" ")
            word = before.replace("(", " ").replace("[", " ").split(" ")[-1]
            groups = word in ("", "not", "and", "or", "if", "else") or not (
                text[at - 1].isalnum() or text[at - 1] in "_]"
            )
            opened.append((at, groups))
        elif char == ")":
            start, groups = opened.pop()
            if groups:
                pairs.append((start, at))
    return pairs


def _parses_differently(text: str, expr: ast.Expr) -> bool:
    try:
        return expression(text) != expr
    except Exception as error:
        return type(error).__name__ == "ProgramError"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("((a))", "a"),
        ("(a*b)+c", "a * b + c"),
        ("a*(b+c)", "a * (b + c)"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a-b)-c", "a - b - c"),
        ("(-a)**2", "(-a)**2"),
        ("-(a**2)", "-a**2"),
        ("a**(b**c)", "a**b**c"),
        ("(a**b)**c", "(a**b)**c"),
        ("2**(-a)", "2**-a"),
        ("-(-a)", "--a"),
        ("not (a < b)", "not a < b"),
        ("(not a) < b", "(not a) < b"),
        ("(a < b) < c", "(a < b) < c"),
        ("a < b < c", "a < b < c"),
        ("(a or b) and c", "(a or b) and c"),
        ("a or (b or c)", "a or (b or c)"),
        ("(a if b else c) if d else e", "(a if b else c) if d else e"),
        ("a if b else (c if d else e)", "a if b else c if d else e"),
        ("pad(x[i], value=2)", "pad(x[i], 2)"),
        ("max[r,s,](x[r,s,])", "max[r, s](x[r, s])"),
        ("1_000 + 0x10 + 1e3 + .5 + 5.", "1000 + 16 + 1000.0 + 0.5 + 5.0"),
        ("inf + True", "inf + True"),
    ],
)
def test_canonical_expressions(text: str, canonical: str) -> None:
    assert unparse_expression(expression(text)) == canonical


def test_parts_have_texts_of_their_own() -> None:
    text = "kernel f(x: f32[]) -> 'f32[...]':\n    y[i]=x\n    return y\n"
    (kernel,) = parsed(text).kernels
    assert unparse_signature(kernel) == "kernel f(x: f32) -> f32[...]:"
    assert unparse_type(kernel.parameters[0].type) == "f32"
    assert [unparse_statement(s) for s in kernel.body] == ["y[i] = x", "return y"]
    assert unparse_kernel(kernel) == (
        "kernel f(x: f32) -> f32[...]:\n    y[i] = x\n    return y\n"
    )


def test_negative_numbers_of_a_rewritten_tree_are_kept_apart() -> None:
    span = parsed("").span
    minus = ast.Number(-2, span)
    assert unparse_expression(ast.Binary("**", minus, minus, span)) == "(-2)**-2"
    assert unparse_expression(ast.Number(float("-inf"), span)) == "-inf"


@pytest.mark.parametrize(
    "text", ['"', '""', '"""', "\\", "a\\", "\r\n", "\ud800", "\x00", '\\"""', "é\n"]
)
def test_docstrings_are_kept(text: str) -> None:
    span = parsed("").span
    module = ast.Module(text, (), (), span)
    assert parsed(unparse(module)).docstring == text


def test_the_greatest_depth_is_unparsed() -> None:
    deep = expression("-" * 49 + "(1 + " * 49 + "x" + ")" * 49)
    assert expression(unparse_expression(deep)) == deep
