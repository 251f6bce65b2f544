"""The happy path of the parser: every production, layout, places, and the tables."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import lark
import pytest

import polydsl.grammar as grammar
from polydsl.base.source import Source, Span
from polydsl.syntax import ast, parser
from polydsl.syntax.parser import parse

FIRST_FILE = '''"""A convolution with bias and ReLU."""

kernel conv2d_relu(x: f32[N, C, H, W], w: f32[K, C, R, S], b: f32[K],
                   *, stride: int = 1, padding: int = 0, dilation: int = 1) -> f32[N, K, P, Q]:
    """NCHW convolution, zero padded, fused with bias and ReLU."""
    P = (H + 2*padding - dilation*(R - 1) - 1) // stride + 1
    Q = (W + 2*padding - dilation*(S - 1) - 1) // stride + 1
    y[n, k, p, q] += pad(x[n, c, p*stride + r*dilation - padding, q*stride + s*dilation - padding]) * w[k, c, r, s]
    z[n, k, p, q] = relu(y[n, k, p, q] + b[k])
    return z
'''  # noqa: E501


def module(text: str, **source: int) -> ast.Module:
    return parse(Source("k.pdl", text, **source))


def kernel(text: str) -> ast.Kernel:
    (only,) = module(text).kernels
    return only


def statement(text: str) -> ast.Statement:
    (only,) = kernel(f"kernel f():\n    {text}\n").body
    return only


def expression(text: str) -> ast.Expr:
    found = statement(f"y = {text}")
    assert isinstance(found, ast.Assign)
    return found.value


def nodes(value: object) -> Iterator[object]:
    """Yield every node of a tree."""
    if isinstance(value, tuple):
        for item in value:
            yield from nodes(item)
    elif is_dataclass(value) and not isinstance(value, Span):
        yield value
        for field in fields(value):
            yield from nodes(getattr(value, field.name))


SPAN = module("").span


def name(text: str) -> ast.Name:
    return ast.Name(text, SPAN)


def number(value: float) -> ast.Number:
    return ast.Number(value, SPAN)


def tensor(dtype: str, *dims: ast.Expr | ast.Ellipsis) -> ast.TensorType:
    return ast.TensorType(dtype, dims, SPAN, SPAN)


def access(tensor: str, *subscripts: ast.Expr | ast.Ellipsis) -> ast.Access:
    return ast.Access(tensor, subscripts, SPAN, SPAN)


def test_the_first_file_of_the_contract() -> None:
    tree = module(FIRST_FILE)
    assert tree.docstring == "A convolution with bias and ReLU."
    assert tree.imports == ()
    (conv,) = tree.kernels
    assert conv.name.name == "conv2d_relu"
    assert [p.name.name for p in conv.parameters] == ["x", "w", "b"]
    assert [(c.name.name, c.type, c.default) for c in conv.constants] == [
        ("stride", "int", number(1)),
        ("padding", "int", number(0)),
        ("dilation", "int", number(1)),
    ]
    assert conv.results == (tensor("f32", name("N"), name("K"), name("P"), name("Q")),)
    assert [type(s).__name__ for s in conv.body] == ["Assign"] * 4 + ["Return"]
    assert conv.docstring is not None
    assert conv.docstring.startswith("NCHW")


def test_empty_texts() -> None:
    for text in ("", "\n\n", "# nothing\n", "   \n\t\n", "\ufeff"):
        assert module(text) == ast.Module(None, (), (), SPAN)
    assert module('"""only text"""').docstring == "only text"


def test_imports() -> None:
    tree = module(
        "from stdlib.activation import softmax\n"
        "from .gates import swish\n"
        "from ..a.b import (c,\n   d,)\n"
        "from ....kernel import kernel, e\n"
    )
    assert [(i.level, i.module, [n.name for n in i.names]) for i in tree.imports] == [
        (0, ("stdlib", "activation"), ["softmax"]),
        (1, ("gates",), ["swish"]),
        (2, ("a", "b"), ["c", "d"]),
        (4, ("kernel",), ["kernel", "e"]),
    ]


@pytest.mark.parametrize("word", ["kernel", "def"])
@pytest.mark.parametrize(
    ("signature", "parameters", "constants"),
    [
        ("", 0, 0),
        ("x: f32", 1, 0),
        ("x: f32[N],", 1, 0),
        ("x: f32[N], y: T[..., N, 2*M, C // G],", 2, 0),
        ("x: f32[N], *, a: int", 1, 1),
        ("x: f32[N], *, a: int = 1, b: float = -1e-5, c: bool = True,", 1, 3),
        ("*, a: int", 0, 1),
        ('x: "f32[N]", y: \'f32[]\', *, a: "int" = 2', 2, 1),
        ("kernel: f32[N]", 1, 0),
    ],
)
def test_signatures(word: str, signature: str, parameters: int, constants: int) -> None:
    found = kernel(f"{word} f({signature}):\n    return x\n")
    assert len(found.parameters) == parameters
    assert len(found.constants) == constants
    assert found.results is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("f32[N]", 1),
        ("f32", 1),
        ("f32[]", 1),
        ("(f32[N])", 1),
        ("(f32[N], T[M],)", 2),
        ('"f32[N]"', 1),
        ('("f32[N]", "T[M]")', 2),
        ('"(f32[N], T[M])"', 2),
        ('("f32[N]", T[M])', 2),
        ('"""(f32[N],\n    T[M])"""', 2),
        ('r"f32[N]"', 1),
    ],
)
def test_results(text: str, count: int) -> None:
    first, second = tensor("f32", name("N")), tensor("T", name("M"))
    found = kernel(f"def f(x: f32[N]) -> {text}:\n    return x\n").results
    assert found is not None
    assert len(found) == count
    assert found[1:] == (second,) * (count - 1)
    assert found[0] in (first, tensor("f32"))


def test_scalar_types_are_one() -> None:
    found = kernel('kernel f(x: f32, y: f32[], z: "f32[ ]"):\n    return x\n')
    assert {p.type for p in found.parameters} == {tensor("f32")}


def test_statements() -> None:
    i, j, n = name("i"), name("j"), name("n")
    one = number(1)
    expected = {
        "y[i, j] = 1": ast.Assign(access("y", i, j), "=", one, SPAN),
        "y[i] += 1": ast.Assign(access("y", i), "+=", one, SPAN),
        "y[i,] *= 1": ast.Assign(access("y", i), "*=", one, SPAN),
        "y = 1": ast.Assign(name("y"), "=", one, SPAN),
        "y += 1": ast.Assign(name("y"), "+=", one, SPAN),
        "y[...] = 1": ast.Assign(access("y", ast.Ellipsis(SPAN)), "=", one, SPAN),
        "a, b = n": ast.MultiAssign((name("a"), name("b")), n, SPAN),
        "y: f32[n]": ast.Declare(name("y"), tensor("f32", n), SPAN),
        "y: 'f32[n]'": ast.Declare(name("y"), tensor("f32", n), SPAN),
        "y: f32": ast.Declare(name("y"), tensor("f32"), SPAN),
        "i in range(n)": ast.InRange(i, None, n, SPAN),
        "i in range(j, n,)": ast.InRange(i, j, n, SPAN),
        "return i": ast.Return((i,), SPAN),
        "return i, j": ast.Return((i, j), SPAN),
        "kernel = 1": ast.Assign(name("kernel"), "=", one, SPAN),
        "kernel, i = n": ast.MultiAssign((name("kernel"), i), n, SPAN),
    }
    for text, node in expected.items():
        assert statement(text) == node, text


def test_expressions() -> None:
    i, x = name("i"), access("x", name("i"))
    expected: dict[str, ast.Expr] = {
        "2": number(2),
        "0x1F": number(31),
        "1_000": number(1000),
        "2.5e-3": number(2.5e-3),
        ".5": number(0.5),
        "5.": number(5.0),
        "1e3": number(1e3),
        "18446744073709551615": number(2**64 - 1),
        "inf": number(float("inf")),
        "True": number(True),
        "False": number(False),
        "i": i,
        "(i)": i,
        "x[i]": x,
        "x[..., i]": access("x", ast.Ellipsis(SPAN), i),
        "x[x[i], 2*i]": access("x", x, ast.Binary("*", number(2), i, SPAN)),
        "pad(x[i])": ast.Pad(x, None, SPAN),
        "pad(x[i], 2)": ast.Pad(x, number(2), SPAN),
        "pad(x[i], value=2,)": ast.Pad(x, number(2), SPAN),
        "pad(i)": ast.Pad(i, None, SPAN),
        "f()": ast.Call("f", (), SPAN, SPAN),
        "f(i, eps=2)": ast.Call(
            "f",
            (ast.Argument(None, i, SPAN), ast.Argument("eps", number(2), SPAN)),
            SPAN,
            SPAN,
        ),
        "f32(i)": ast.Call("f32", (ast.Argument(None, i, SPAN),), SPAN, SPAN),
        "max(i, i)": ast.Call("max", (ast.Argument(None, i, SPAN),) * 2, SPAN, SPAN),
        "max[i](i)": ast.Reduce("max", (i,), i, SPAN),
        "sum[i, j](x[i])": ast.Reduce("sum", (i, name("j")), x, SPAN),
        "max[i]((i))": ast.Reduce("max", (i,), i, SPAN),
        "-i": ast.Unary("-", i, SPAN),
        "+ + i": ast.Unary("+", ast.Unary("+", i, SPAN), SPAN),
        "not i": ast.Unary("not", i, SPAN),
        "0 < i <= 2 != i": ast.Compare(
            ("<", "<=", "!="), (number(0), i, number(2), i), SPAN
        ),
        "i if i else 2": ast.Conditional(i, i, number(2), SPAN),
    }
    for text, node in expected.items():
        assert expression(text) == node, text


def test_numbers_keep_their_type() -> None:
    values = [expression(text) for text in ("1", "1.0", "True")]
    assert len(set(values)) == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'a'", "a"),
        ('"a\\n\\x41\\u0042\\103\\N{BULLET}\\q\\\\"', "a\nABC•\\q\\"),
        ("r'a\\n'", "a\\n"),
        ("'''a\n  b'''", "a\n  b"),
        ('"""a"b"""', 'a"b'),
        ('""', ""),
        ('""""""', ""),
        ("'a\\\n  b'", "a  b"),
        ("u'é'", "é"),
        ("'\\N{NO SUCH NAME}'", "\\N{NO SUCH NAME}"),
    ],
)
def test_docstrings_are_those_of_python(text: str, value: str) -> None:
    assert kernel(f"def f():\n    {text}\n    return x\n").docstring == value
    assert module(text).docstring == value


# Layout


def test_comments_blank_lines_and_brackets() -> None:
    text = (
        "# first\n\nkernel f(x: f32[N],  # a comment\n\n      y: f32[N]):\n"
        "# at the margin\n    a[i] = (x[i] +\n# inside\n  y[\n i])\n\n"
        "      # indented\n    return a  # last"
    )
    assert len(kernel(text).body) == 2


def test_line_ends_of_other_systems() -> None:
    text = FIRST_FILE.replace("\n", "\r\n")
    assert module(text) == module(FIRST_FILE)


def test_an_indented_text_is_taken_as_it_is() -> None:
    indented = "".join(f"    {line}\n" for line in FIRST_FILE.splitlines())
    assert module("\n" + indented) == module(FIRST_FILE)


def test_any_width_of_indentation() -> None:
    text = "kernel f():\n return x\nkernel g():\n          y = 1\n          return y\n"
    assert [len(k.body) for k in module(text).kernels] == [1, 2]


def test_a_docstring_alone_is_a_block() -> None:
    assert kernel("kernel f():\n    'text'\n").body == ()


def test_a_byte_order_mark_is_no_indentation() -> None:
    tree = module("\ufeffkernel f():\n    return x\nkernel g():\n    return x\n")
    assert len(tree.kernels) == 2


def test_a_form_feed_starts_the_columns_anew() -> None:
    assert kernel("kernel f():\n    y = 1\n\f    return y\n").body


# Places


def test_places_of_all_nodes() -> None:
    text = (
        "kernel f(x: f32[N, C // 2], *, eps: float = 1e-5) -> T[..., N]:\n"
        "    y[i, j] += (x[i] + 2) * pad(x[i - 1], value=-eps)\n"
        "    a, b = g(x, eps=not 3 < i if y else sum[k, l](k))\n"
        "    i in range(0, N)\n"
        "    z: f32[N]\n"
        "    return a, b\n"
    )
    found = {(type(n).__name__, n.span.text) for n in nodes(kernel(text))}
    body = text.splitlines()[1:]
    assert found == {
        ("Kernel", text.rstrip()),
        ("Name", "f"),
        ("Parameter", "x: f32[N, C // 2]"),
        ("Constant", "eps: float = 1e-5"),
        ("TensorType", "f32[N, C // 2]"),
        ("TensorType", "T[..., N]"),
        ("TensorType", "f32[N]"),
        ("Ellipsis", "..."),
        *(("Name", word) for word in ("x", "N", "C", "eps", "i", "j")),
        *(("Name", word) for word in ("y", "a", "b", "z", "k", "l")),
        *(("Number", word) for word in ("2", "1e-5", "1", "3", "0")),
        ("Assign", body[0].strip()),
        ("MultiAssign", body[1].strip()),
        ("InRange", body[2].strip()),
        ("Declare", body[3].strip()),
        ("Return", body[4].strip()),
        ("Access", "y[i, j]"),
        ("Access", "x[i]"),
        ("Access", "x[i - 1]"),
        ("Binary", "C // 2"),
        ("Binary", "(x[i] + 2) * pad(x[i - 1], value=-eps)"),
        ("Binary", "x[i] + 2"),
        ("Binary", "i - 1"),
        ("Pad", "pad(x[i - 1], value=-eps)"),
        ("Unary", "-eps"),
        ("Unary", "not 3 < i"),
        ("Compare", "3 < i"),
        ("Conditional", "not 3 < i if y else sum[k, l](k)"),
        ("Call", "g(x, eps=not 3 < i if y else sum[k, l](k))"),
        ("Argument", "x"),
        ("Argument", "eps=not 3 < i if y else sum[k, l](k)"),
        ("Reduce", "sum[k, l](k)"),
    }


def test_places_of_names_in_nodes() -> None:
    found = expression("relu( x[i] )")
    assert isinstance(found, ast.Call)
    assert found.function_span.text == "relu"
    (argument,) = found.arguments
    assert isinstance(argument.value, ast.Access)
    assert argument.value.tensor_span.text == "x"
    assert argument.value.tensor_span.column == 15


@pytest.mark.parametrize(
    ("text", "inner", "outer"),
    [("(a) + b", "a", "(a) + b"), ("((a) + b) * c", "(a) + b", "((a) + b) * c")],
)
def test_parentheses_belong_to_the_node_around(
    text: str, inner: str, outer: str
) -> None:
    found = expression(text)
    assert isinstance(found, ast.Binary)
    assert found.span.text == outer
    assert found.left.span.text == inner


def test_places_inside_string_annotations() -> None:
    text = 'def f(x: "f32[N,  M]") -> """(T[A],\n f32)""":\n    return x\n'
    found = kernel(text)
    (x,) = found.parameters
    assert x.type.span.text == "f32[N,  M]"
    assert x.type.dtype_span.column == 11
    assert x.type.dims[1].span.column == 19
    assert found.results is not None
    assert str(found.results[1].span) == "k.pdl:2:2"


def test_places_of_a_part_of_a_file() -> None:
    tree = module("def f():\n    return x\n", first_line=10, dedent=4)
    (only,) = tree.kernels
    assert str(only.span) == "k.pdl:10:5"
    assert str(only.body[0].span) == "k.pdl:11:9"


def test_the_module_spans_the_whole_text() -> None:
    assert module(FIRST_FILE).span.text == FIRST_FILE


# Tables


def actions(tables: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the actions of all states, the states numbered as they are reached.

    Lark numbers states, tokens and rules differently in every process, and its
    versions keep more or less about a rule.
    """
    table, memo = tables["data"]["parser"]["parser"], tables["memo"]
    numbers = {state: n for n, (_, state) in enumerate(sorted_starts(table))}
    pending = list(numbers)
    found: dict[int, dict[str, Any]] = {}
    for state in pending:
        row = found[numbers[state]] = {}
        named = {table["tokens"][t]: a for t, a in table["states"][str(state)].items()}
        for token in sorted(named):
            reduces, argument = named[token]
            if reduces:
                rule = memo[str(argument["@"])]
                parts = [part["name"] for part in rule["expansion"]]
                row[token] = (rule["origin"]["name"], rule["alias"], parts)
                continue
            if argument not in numbers:
                numbers[argument] = len(numbers)
                pending.append(argument)
            row[token] = numbers[argument]
    return found


def sorted_starts(table: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted(table["start_states"].items())


def test_saved_tables_fit_the_grammar() -> None:
    saved = json.loads(grammar.TABLES.read_text(encoding="utf-8"))
    assert saved["grammar"] == grammar.fingerprint(), "run python -m polydsl.grammar"
    fresh = grammar.encode_tables(parser.build_tables(), parser.TABLE_MAKER)
    assert actions(saved["tables"]) == actions(json.loads(fresh)["tables"])


def test_the_grammar_has_no_conflict(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("lark")
    with caplog.at_level(logging.DEBUG, logger="lark"):
        logger.propagate = True
        lark.Lark(
            grammar.grammar_text(),
            start=["module", "annotation", "results", "outside"],
            parser="lalr",
            lexer="basic",
            debug=True,
        )
    conflicts = [r for r in caplog.messages if "conflict" in r.lower()]
    assert conflicts == []


def test_tables_of_this_grammar_are_used() -> None:
    maker = json.loads(grammar.TABLES.read_text(encoding="utf-8"))["maker"]
    assert maker.startswith("lark ")
    assert grammar.load_tables(maker) is not None
    assert grammar.load_tables("lark 0.1") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"maker": "lark 1.0", "grammar": "of yesterday"}']
)
def test_other_tables_are_not_used(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tables.json"
    monkeypatch.setattr(grammar, "TABLES", path)
    assert grammar.load_tables("lark 1.0") is None
    path.write_text(text)
    assert grammar.load_tables("lark 1.0") is None


def test_fresh_tables_can_be_saved_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tables.json"
    text = grammar.encode_tables(parser.build_tables(), parser.TABLE_MAKER)
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(grammar, "TABLES", path)
    loaded = parser._parser.__wrapped__()
    monkeypatch.setattr(parser, "_parser", lambda: loaded)
    assert len(parser.parse(Source("k.pdl", FIRST_FILE)).kernels) == 1


def test_without_tables_the_grammar_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "load_tables", lambda maker: None)
    fresh = parser._parser.__wrapped__()
    monkeypatch.setattr(parser, "_parser", lambda: fresh)
    with_tables = parser.parse(Source("k.pdl", FIRST_FILE))
    monkeypatch.undo()
    assert with_tables == module(FIRST_FILE)


def test_equality_ignores_places() -> None:
    tree = module(FIRST_FILE)
    assert replace(tree, span=SPAN) == tree
    assert module(FIRST_FILE.replace("2*padding", "2 *  padding")) == tree
