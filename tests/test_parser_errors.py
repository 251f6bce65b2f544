"""Every syntax error with its exact text; and what the text of errors must keep to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polydsl.base.codes import CODES
from polydsl.base.diagnostics import Diagnostic, ProgramError
from polydsl.base.source import Source
from polydsl.syntax.parser import parse
from polydsl.syntax.words import MAX_BRACKETS, MAX_DEPTH

CASES = re.findall(
    r"^==== (.*?)\n(.*?)^----\n(.*?)(?=^====|\Z)",
    Path(__file__).with_name("syntax_errors.txt").read_text(encoding="utf-8"),
    re.M | re.S,
)
HEADER = "kernel f(x: f32[N]) -> f32[N]:\n"


def errors(text: str, **source: int) -> tuple[Diagnostic, ...]:
    with pytest.raises(ProgramError) as caught:
        parse(Source("k.pdl", text, **source))
    return caught.value.diagnostics


def codes(text: str) -> list[str]:
    return [error.code for error in errors(text)]


@pytest.mark.parametrize(
    ("program", "expected"),
    [pytest.param(program, text, id=name) for name, program, text in CASES],
)
def test_error_text(program: str, expected: str) -> None:
    assert "\n".join(error.render() for error in errors(program)) == expected.rstrip()


def test_case_names_begin_with_their_code() -> None:
    assert len(CASES) > 150
    for name, program, _ in CASES:
        assert errors(program)[0].code == name.split()[0], name


def test_every_code_of_a_text_has_a_case() -> None:
    shown = {name.split()[0] for name, _, _ in CASES}
    elsewhere = {"E0014", "E0023", "E0024"}
    assert {code for code in CODES if code.startswith("E00")} == shown | elsewhere


def test_every_error_is_one_sentence_and_says_what_to_do() -> None:
    for name, program, _ in CASES:
        for error in errors(program):
            assert error.hint, name
            assert "\n" not in error.message + error.label + error.hint, name
            assert not error.message.endswith((".", "!")), name


def test_invisible_characters_are_named() -> None:
    (error,) = errors(HEADER + "    y[i] = x[i]\u200b\n")
    assert error.message == "the character '\\u200b' has no meaning in polydsl"
    assert error.label == "U+200B"
    (error,) = errors(HEADER + "    y[i] = x[i]\x00\n")
    assert error.label == "U+0000"


def test_too_many_open_brackets() -> None:
    def nested(count: int) -> str:
        return f"{HEADER}    y[i] = {'(' * count}x[i]{')' * count}\n"

    assert parse(Source("k.pdl", nested(MAX_BRACKETS - 1)))
    (error,) = errors(nested(MAX_BRACKETS + 1))
    assert error.code == "E0014"
    assert error.message == "more than 100 brackets are open at one place"
    assert error.span.column == 12 + MAX_BRACKETS
    assert codes(nested(5000)) == ["E0014"]


@pytest.mark.parametrize(
    "expression",
    [
        "-" * 5000 + "x[i]",
        "x[i] + " * 5000 + "x[i]",
        "x[i] ** " * 5000 + "2",
        "1 if i else " * 5000 + "2",
        "not " * 5000 + "i",
    ],
)
def test_too_many_levels(expression: str) -> None:
    (error,) = errors(f"{HEADER}    y[i] = {expression}\n")
    assert error.code == "E0014"
    assert error.message == "the expression has more than 100 levels"
    assert error.hint == "give parts of it names of their own"


def test_the_greatest_depth_is_accepted() -> None:
    def signs(count: int) -> str:
        return f"{HEADER}    y[i] = {'-' * count}1\n"

    assert parse(Source("k.pdl", signs(MAX_DEPTH - 1)))
    assert codes(signs(MAX_DEPTH)) == ["E0014"]


def test_unclosed_brackets_do_not_hide_the_next_statements() -> None:
    text = HEADER + "    y[i] = (x[i]\n    z[i] = 2 +\n    return z[\n" + HEADER
    assert codes(text) == ["E0003", "E0001", "E0003", "E0008"]


def test_keyword_arguments_on_their_own_lines_are_no_statements() -> None:
    text = HEADER + "    y = g(x,\n    eps=1,\n  c=2)\n    return y\n"
    (kernel,) = parse(Source("k.pdl", text)).kernels
    assert len(kernel.body) == 2


def test_errors_of_all_lines_are_reported_in_order() -> None:
    text = HEADER + "    y[i] = +\n    for i in y:\n        z = +\n    return 3\n"
    found = errors(text + "w = 3\n" + HEADER + "    a -= 1\n")
    assert [(e.span.line, e.code) for e in found] == [
        (2, "E0001"),
        (3, "E0010"),
        (5, "E0022"),
        (6, "E0025"),
        (8, "E0012"),
    ]


def test_words_and_syntax_are_reported_together() -> None:
    text = "kernel sum(x: f32[N]):\n    exp = 3\n    y = +\n    z = 2x\n"
    assert codes(text) == ["E0013", "E0013", "E0001", "E0020"]


def test_places_in_a_python_file() -> None:
    text = "        def f(x: f32[N]):\n            y[i] = x[i] +\n"
    (error,) = errors(text, first_line=40)
    assert error.render() == (
        "k.pdl:41:26: error[E0001]: expected an expression, found the end of the line\n"
        "    41 |             y[i] = x[i] +\n"
        "       |                          ^ a value has to follow '+'\n"
        "  hint: write a number, a name, x[i], f(x) or sum[k](e)"
    )
    (error,) = errors("def f(x: f32[N]):\n    y = +\n", first_line=7, dedent=4)
    assert str(error.span) == "k.pdl:8:14"


def test_errors_inside_string_annotations_point_into_the_string() -> None:
    (error,) = errors('def f(x: """f32[\n   N,\n  3 +]"""):\n    return x\n')
    assert (error.code, error.span.line, error.span.column) == ("E0001", 3, 6)
