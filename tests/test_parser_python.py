"""The grammar is a subset of Python's: both parsers see the same structure."""

from __future__ import annotations

import ast as python
from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies_ast import SPAN, expressions

from polydsl.base.diagnostics import ProgramError
from polydsl.base.source import Source
from polydsl.syntax import ast
from polydsl.syntax.parser import parse
from polydsl.syntax.unparse import unparse_expression

OPERATORS: dict[type[python.AST], str] = {
    python.Add: "+",
    python.Sub: "-",
    python.Mult: "*",
    python.Div: "/",
    python.FloorDiv: "//",
    python.Mod: "%",
    python.Pow: "**",
    python.And: "and",
    python.Or: "or",
    python.USub: "-",
    python.UAdd: "+",
    python.Not: "not",
    python.Eq: "==",
    python.NotEq: "!=",
    python.Lt: "<",
    python.LtE: "<=",
    python.Gt: ">",
    python.GtE: ">=",
}


def symbol(operator: python.AST) -> str:
    return OPERATORS[type(operator)]


def converted(node: python.AST) -> ast.Expr:
    """Return Python's tree as a tree of the language."""
    match node:
        case python.Constant(value=bool() | int() | float() as value):
            return ast.Number(value, SPAN)
        case python.Name(id="inf"):
            return ast.Number(float("inf"), SPAN)
        case python.Name(id=name):
            return ast.Name(name, SPAN)
        case python.UnaryOp(op=op, operand=operand):
            return ast.Unary(symbol(op), converted(operand), SPAN)
        case python.BinOp(left=left, op=op, right=right):
            return ast.Binary(symbol(op), converted(left), converted(right), SPAN)
        case python.BoolOp(op=op, values=values):
            result = converted(values[0])
            for value in values[1:]:
                result = ast.Binary(symbol(op), result, converted(value), SPAN)
            return result
        case python.Compare(left=left, ops=ops, comparators=others):
            operands = tuple(converted(operand) for operand in (left, *others))
            return ast.Compare(tuple(symbol(op) for op in ops), operands, SPAN)
        case python.IfExp(test=test, body=body, orelse=orelse):
            return ast.Conditional(
                converted(body), converted(test), converted(orelse), SPAN
            )
        case python.Subscript(value=python.Name(id=name), slice=index):
            return ast.Access(name, subscripts(index), SPAN, SPAN)
        case python.Call(func=python.Subscript(value=python.Name(id=name)) as func):
            indices = tuple(
                s for s in subscripts(func.slice) if isinstance(s, ast.Name)
            )
            return ast.Reduce(name, indices, converted(node.args[0]), SPAN)
        case python.Call(func=python.Name(id="pad"), args=args, keywords=keywords):
            values = [*args, *(keyword.value for keyword in keywords)]
            access, *value = (converted(argument) for argument in values)
            return ast.Pad(access, value[0] if value else None, SPAN)
        case python.Call(func=python.Name(id=name), args=args, keywords=keywords):
            return ast.Call(name, tuple(arguments(args, keywords)), SPAN, SPAN)
        case _:
            raise AssertionError(python.dump(node))


def subscripts(index: python.expr) -> tuple[ast.Expr | ast.Ellipsis, ...]:
    items = index.elts if isinstance(index, python.Tuple) else [index]
    return tuple(
        ast.Ellipsis(SPAN)
        if isinstance(item, python.Constant) and item.value is ...
        else converted(item)
        for item in items
    )


def arguments(
    args: Iterable[python.expr], keywords: Iterable[python.keyword]
) -> Iterable[ast.Argument]:
    for value in args:
        yield ast.Argument(None, converted(value), SPAN)
    for keyword in keywords:
        yield ast.Argument(keyword.arg, converted(keyword.value), SPAN)


def in_python(text: str) -> ast.Expr:
    return converted(python.parse(text.strip(), mode="eval").body)


def in_polydsl(text: str) -> ast.Expr:
    (kernel,) = parse(Source("k.pdl", f"def f():\n    y = {text}\n")).kernels
    (statement,) = kernel.body
    assert isinstance(statement, ast.Assign)
    return statement.value


BINARY = ("+", "-", "*", "/", "//", "%", "**", "==", "<", "and", "or")
UNARY = ("", "-", "not ")


@pytest.mark.parametrize("first", BINARY)
def test_binding_of_every_pair_of_operators(first: str) -> None:
    for second, one, two, three in product(BINARY, UNARY, UNARY, UNARY):
        text = f"{one}a {first} {two}b {second} {three}c"
        try:
            expected = in_python(text)
        except SyntaxError:
            with pytest.raises(ProgramError):
                in_polydsl(text)
            continue
        assert in_polydsl(text) == expected, text


@pytest.mark.parametrize("operator", BINARY)
def test_binding_of_conditional_expressions(operator: str) -> None:
    for pattern in (
        "a {} b if c else d",
        "a if b {} c else d",
        "a if b else c {} d",
        "a {} (b if c else d)",
        "a if b if c else d else e",
        "a if b else c if d {} x else e",
        "-a if not b {} c else -d",
    ):
        text = pattern.format(operator)
        try:
            expected = in_python(text)
        except SyntaxError:
            with pytest.raises(ProgramError):
                in_polydsl(text)
            continue
        assert in_polydsl(text) == expected, text


@settings(deadline=None, max_examples=200)
@given(expressions)
def test_python_reads_the_canonical_text_as_the_same_tree(expr: ast.Expr) -> None:
    assert in_python(unparse_expression(expr)) == expr


WORDS = (
    "a x i 2 1.5 True + - * / // % ** == != < <= > >= and or not if else "
    "( ) ( ) [ ] , ... f( pad( sum[i]( x[ inf"
)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=9))
@example(["a", "**", "-", "a", "**", "2"])
@example(["not", "a", "==", "x"])
@example(["-", "a", "**", "2", "if", "a", "else", "x"])
def test_what_is_accepted_means_what_it_means_in_python(words: list[str]) -> None:
    text = " ".join(words)
    try:
        found = in_polydsl(text)
    except ProgramError:
        return
    assert found == in_python(text)


def test_a_python_module_of_kernels_compiles() -> None:
    text = '''
from __future__ import annotations
def f(x: f32[..., N], y: "f32[]", *, a: int = 1, b: float = -1e-5) -> (f32[N], T):
    """A text."""
    P = (N + 2*a) // 2
    z: f32[..., N, P]
    i in range(max(0, N - 1), N)
    z[..., i, j] += pad(x[..., i - 1], value=0) * sum[k](x[..., k]) ** -2
    s *= x[..., i] if 0 < i <= N and not i == 3 else inf
    p, q = g(z, s, eps=1e-5)
    return p, q
'''
    compile(text, "k.py", "exec")
    assert len(parse(Source("k.py", text.partition("annotations\n")[2])).kernels) == 1
