"""The TextMate grammar for editors, run by an interpreter of such grammars.

What a name is, the parser knows: every node of the syntax tree of every program must
have the scope of its kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from check_cases import cases
from documents import blocks_of
from textmate_grammar.parsers.base import LanguageParser

from polydsl.base.diagnostics import ProgramError
from polydsl.base.dtypes import DTYPES
from polydsl.base.functions import FUNCTIONS, REDUCTIONS
from polydsl.base.source import Source, Span
from polydsl.syntax import ast
from polydsl.syntax.parser import parse
from polydsl.syntax.words import CONSTANT_TYPES, VALUE_FUNCTIONS

ROOT = Path(__file__).parent.parent
GRAMMAR = json.loads(
    (ROOT / "grammar" / "polydsl.tmLanguage.json").read_text(encoding="utf-8")
)
PARSER = LanguageParser(GRAMMAR)

Scopes = dict[int, tuple[str, ...]]
"""The scopes of every character of a text, by its offset."""

FORMS = '''\ufeff"""A file
of several 'lines' with a \\" in it."""
from stdlib.activation import softmax
from ..gates.inner import (swish,  # a comment
    glu,)

kernel f(x: f32[N, C, 2*H // 2], w: "T[..., K]", s: f32,  # "no string"
         *, stride: int = 1, eps: float = -1e-5, on: bool = True
         ) -> (f32[N, P], "i64[...]"):
    "Doc # no comment."
    P = min(H - 1, 0x1F) // stride + 1  # comment
    y: f32[N, P]
    z: 'u8'
    i in range(max(0, n - 1), N)
    y[n, p] += pad(x[n, c, p*stride], inf) * w[..., k]
    z = sum[n, p](y[n, p]) if not n == 2 and True else f32(1.5)
    q[i] *= max[k](where(i != k, 1., .5e3)) % 3 ** -2
    a, b = softmax(y, eps=eps)
    return a, b

def g(x: f32[]):
    kernel[i] = x >= 1_000 or x <= 2 < 3 > 1
    return kernel
'''


def texts() -> Iterator[Any]:
    """Every program of the repository that can be parsed."""
    yield pytest.param(FORMS, id="forms")
    for folder in ("stdlib", "tests", "docs"):
        for path in sorted((ROOT / folder).rglob("*.pdl")):
            yield pytest.param(path.read_text(encoding="utf-8"), id=path.name)
    for page in [ROOT / "README.md", *sorted((ROOT / "docs" / "tutorial").glob("*"))]:
        blocks = [b.text for b in blocks_of(page) if b.language == "pdl"]
        right = "\n".join(text for text in blocks if _is_right(text))
        if right:
            yield pytest.param(right, id=str(page.relative_to(ROOT)))
    right = [case.right for case in cases()][::3]
    yield pytest.param("\n".join(right), id="right cases")


def _is_right(text: str) -> bool:
    """Whether a block can stand behind others, as it is right and imports nothing."""
    if re.search(r"^from ", text, re.M):
        return False
    try:
        parse(Source("k.pdl", text))
    except ProgramError:
        return False
    return True


def scopes_of(text: str) -> Scopes:
    starts = Source("k.pdl", text).line_starts
    root = PARSER.parse_string(text)
    found: Scopes = {}
    if root is None:
        return found
    for (line, column), piece, scopes in root.flatten():
        start = starts[line] + column
        for offset in range(start, start + len(piece)):
            found[offset] = tuple(s.removesuffix(".polydsl") for s in scopes[1:])
    return found


# What the syntax tree says


def expected(module: ast.Module) -> Iterator[tuple[Span, str]]:
    """Yield the place of every name, number and type with the scope it should have."""
    for statement in module.imports:
        for name in statement.names:
            yield name.span, "entity.name.function.imported"
    for kernel in module.kernels:
        yield kernel.name.span, "entity.name.function"
        for parameter in kernel.parameters:
            yield parameter.name.span, "variable.parameter"
            yield from _of_type(parameter.type)
        for constant in kernel.constants:
            yield constant.name.span, "variable.parameter"
            if constant.default is not None:
                yield from _of_expression(constant.default)
        for result in kernel.results or ():
            yield from _of_type(result)
        for body in kernel.body:
            yield from _of_statement(body)


def _of_type(type: ast.TensorType) -> Iterator[tuple[Span, str]]:
    is_known = type.dtype in DTYPES
    yield type.dtype_span, "storage.type.dtype" if is_known else "entity.name.type"
    for dim in type.dims:
        if isinstance(dim, ast.Ellipsis):
            yield dim.span, "constant.language.ellipsis"
        else:
            yield from _of_expression(dim)


def _of_statement(statement: ast.Statement) -> Iterator[tuple[Span, str]]:
    match statement:
        case ast.Assign(target, _, value):
            yield from _of_expression(target)
            yield from _of_expression(value)
        case ast.MultiAssign(targets, value):
            for target in targets:
                yield target.span, "variable.other"
            yield from _of_expression(value)
        case ast.Declare(name, type):
            yield name.span, "variable.other.declaration"
            yield from _of_type(type)
        case ast.InRange(index, lo, hi):
            yield index.span, "variable.other.index"
            for bound in (lo, hi):
                if bound is not None:
                    yield from _of_expression(bound)
        case ast.Return(names):
            for name in names:
                yield name.span, "variable.other"


def _of_expression(expr: ast.Expr) -> Iterator[tuple[Span, str]]:
    for node in ast.walk(expr):
        match node:
            case ast.Number(bool()):
                yield node.span, "constant.language.boolean"
            case ast.Number():
                is_word = node.span.text == "inf"
                yield node.span, "constant.language" if is_word else "constant.numeric"
            case ast.Name():
                yield node.span, "variable.other"
            case ast.Access(_, subscripts):
                yield node.tensor_span, "variable.other.tensor"
                for dots in subscripts:
                    if isinstance(dots, ast.Ellipsis):
                        yield dots.span, "constant.language.ellipsis"
            case ast.Call(function):
                yield node.function_span, _of_call(function)
            case ast.Reduce(op, indices):
                start = node.span.start
                span = Span(node.span.source, start, start + len(op))
                yield span, "support.function.reduction"
                for index in indices:
                    yield index.span, "variable.other"
            case ast.Pad():
                start = node.span.start
                yield Span(node.span.source, start, start + 3), "support.function.pad"


def _of_call(function: str) -> str:
    if function in DTYPES:
        return "support.type.cast"
    if function in VALUE_FUNCTIONS:
        return "support.function.value"
    return "entity.name.function.call"


@pytest.mark.parametrize("text", tuple(texts()))
def test_every_program_is_coloured_as_it_is_meant(text: str) -> None:
    found, source = scopes_of(text), Source("k.pdl", text)
    for offset, char in enumerate(text):
        if not char.isspace() and char != "\ufeff":
            scopes = found.get(offset, ())
            where = Span(source, offset, offset + 1)
            assert scopes, f"{where}: {char!r} has no scope"
            assert not scopes[-1].startswith("invalid"), f"{where}: {scopes}"
    places = dict(expected(parse(source)))
    assert places
    for span, scope in places.items():
        for offset in range(span.start, span.end):
            innermost = found[offset][-1]
            # A scope with more words is a kind of the one with fewer.
            assert f"{innermost}.".startswith(f"{scope}."), f"{span}: {span.text}"


@cache
def pieces(text: str) -> tuple[tuple[str, str], ...]:
    """The pieces of a text with their innermost scopes."""
    root = PARSER.parse_string(text)
    assert root is not None
    return tuple((piece, scopes[-1]) for _, piece, scopes in root.flatten())


def words(text: str, scope: str) -> list[str]:
    """The pieces of a text whose innermost scope is *scope*."""
    return [piece for piece, found in pieces(text) if found == f"{scope}.polydsl"]


def test_the_forms_of_the_language() -> None:
    assert words(FORMS, "storage.type.kernel") == ["kernel", "def"]
    assert words(FORMS, "keyword.control.import") == ["from", "import"] * 2
    assert words(FORMS, "keyword.control.in") == ["in"]
    assert words(FORMS, "keyword.control.range") == ["range"]
    assert words(FORMS, "keyword.control.return") == ["return", "return"]
    assert words(FORMS, "keyword.control.conditional") == ["if", "else"]
    assert words(FORMS, "keyword.operator.logical") == ["not", "and", "or"]
    assert words(FORMS, "entity.name.function") == ["f", "g"]
    assert words(FORMS, "entity.name.function.call") == ["softmax"]
    assert words(FORMS, "entity.name.namespace") == ["stdlib.activation", "gates.inner"]
    assert words(FORMS, "support.function.reduction") == ["sum", "max"]
    assert words(FORMS, "support.function.value") == ["min", "max", "where"]
    assert words(FORMS, "support.type.cast") == ["f32"]
    assert words(FORMS, "constant.numeric.float") == ["1e-5", "1.5", "1.", ".5e3"]
    assert words(FORMS, "constant.numeric.hexadecimal") == ["0x1F"]
    assert words(FORMS, "keyword.operator.comparison") == [
        *("==", "!=", ">=", "<=", "<", ">"),
    ]
    assert words(FORMS, "keyword.operator.assignment") == [
        *("=", "=", "=", "=", "+=", "=", "*=", "=", "=", "="),
    ]
    comments = [piece.strip() for piece in words(FORMS, "comment.line.number-sign")]
    assert comments == ["a comment", '"no string"', "comment"]
    assert "".join(words(FORMS, "string.quoted")) == "Doc # no comment."


# The lists of words


def alternatives(scope: str) -> list[set[str]]:
    """The words of every pattern with a scope."""
    found = []

    def search(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("name") == f"{scope}.polydsl":
                listed = re.search(r"\(((?:\w+\|)+\w+)\)", node["match"])
                assert listed is not None
                found.append(set(listed[1].split("|")))
            for value in node.values():
                search(value)
        elif isinstance(node, list):
            for value in node:
                search(value)

    search(GRAMMAR)
    return found


def test_the_lists_are_those_of_the_compiler() -> None:
    functions = {name for name, row in FUNCTIONS.items() if row.is_named}
    assert alternatives("support.function.value") == [functions | {"where"}]
    assert alternatives("support.function.reduction") == [set(REDUCTIONS)]
    assert alternatives("support.type.cast") == [set(DTYPES)]
    assert {frozenset(w) for w in alternatives("storage.type.dtype")} == {
        frozenset(DTYPES),
        frozenset(DTYPES) | set(CONSTANT_TYPES),
    }


@pytest.mark.parametrize("word", ["for", "lambda", "None", "while", "class", "yield"])
def test_words_of_python_alone_are_marked(word: str) -> None:
    assert words(f"    {word} x\n", "invalid.illegal.keyword") == [word]


@pytest.mark.parametrize("char", ["@", ";", "\\", "$", "{", "~", "&"])
def test_characters_without_a_meaning_are_marked(char: str) -> None:
    assert words(f"    y = x {char} 2\n", "invalid.illegal.character") == [char]


def test_a_file_that_is_being_written() -> None:
    """Half a header must not colour the rest of the file as one."""
    assert words("kernel f(x: f32[N", "storage.type.dtype") == ["f32"]
    assert words("kernel f(\n\nkernel g(x: f32)", "storage.type.kernel")[:1] == [
        "kernel"
    ]


def test_it_is_named_for_editors() -> None:
    assert GRAMMAR["scopeName"] == "source.polydsl"
    assert GRAMMAR["fileTypes"] == ["pdl"]
    included = set(re.findall(r'"include": "#([\w-]+)"', json.dumps(GRAMMAR)))
    assert included == set(GRAMMAR["repository"])
