"""Whatever the text is: a tree or a `ProgramError`, soon."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_parser import FIRST_FILE
from test_parser_errors import CASES

from polydsl.base.codes import CODES
from polydsl.base.diagnostics import ProgramError
from polydsl.base.source import Source
from polydsl.syntax.parser import parse
from polydsl.syntax.unparse import unparse

OTHER = '''"""Text."""
from .gates import (a,
    b)

def f(x: "f32[..., N]", *, eps: float = 1e-5) -> "(f32[N], f32)":
    """Several
lines."""
    y: f32[N]  # comment
    i in range(max(0, i - 1), N)
    y[i] = max[r, s](x[..., r] if not r < s <= 3 else inf) ** -2
    a, b = other(x, y, eps=eps)
    return a, b
'''
TEXTS = (FIRST_FILE, OTHER, *(program for _, program, _ in CASES))
WORDS = (
    "( ) [ ] { } : , = += *= -= ** ... . -> kernel def return in range if else not "
    'for lambda from import None x 2 2x f32 N[ sum[k]( pad( \' " """ \\ ; # @ '
    "é\u200b \ufeff \x00 \ud800"
)
PIECES = st.one_of(
    st.text(max_size=3),
    st.sampled_from(WORDS.split(" ")),
    st.sampled_from(("\n", "\n    ", "\n        ", "\t", "\r\n", "\r", "\f", " ")),
)


def judge(text: str) -> None:
    """Parse; if it is wrong, every finding is complete; if not, it unparses."""
    source = Source("k.pdl", text)
    try:
        module = parse(source)
    except ProgramError as error:
        assert error.diagnostics
        for found in error.diagnostics:
            assert found.code in CODES
            assert found.hint
            assert 0 <= found.span.start <= found.span.end <= len(text)
            assert found.render()
        return
    assert parse(Source("k.pdl", unparse(module))) == module


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.sampled_from((0, 0, 1, 1, 2, 5, 20)))
        text = text[:start] + draw(st.just("") | PIECES) + text[end:]
    return text


@settings(deadline=None, max_examples=400)
@given(mutated())
@example("\\rom.port relu.\n")
@example("kernel kernel(kernel: f32):\n    return kernel\n")
@example("kernel f(x: \"'f32'\"):\n    return x\n")
@example("kernel = 3\n    x = 3\n")
def test_mutated_programs(text: str) -> None:
    judge(text)


@settings(deadline=None, max_examples=200)
@given(st.lists(PIECES, max_size=25))
def test_random_words(pieces: list[str]) -> None:
    judge(" ".join(pieces))


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60))
def test_random_text(text: str) -> None:
    judge(text)


HEADER = "kernel f(x: f32[N]):\n"
LARGE = {
    "brackets": HEADER + "    y = " + "(" * 20_000,
    "closed brackets": HEADER + "    y = " + "x[" * 5_000 + "i" + "]" * 5_000,
    "signs": HEADER + "    y = " + "-" * 20_000 + "x",
    "terms": HEADER + "    y = " + "x + " * 5_000 + "x",
    "choices": HEADER + "    y = " + "1 if i else " * 5_000 + "2",
    "quotes": HEADER + "    y = " + "'" * 20_001,
    "escapes": HEADER + '    """' + '\\"' * 20_000,
    "digits": HEADER + "    y = " + "1" * 20_000,
    "indentation": "".join(" " * n + "y\n" for n in range(1_000)),
    "open lines": (HEADER + "    y = (x\n") * 500,
    "wrong lines": HEADER + "    y = +\n" * 1_000,
    "parameters": "kernel f(" + "x: f32[N], " * 2_000 + "):\n    return x\n",
}


@pytest.mark.parametrize("name", LARGE)
def test_large_texts_end_soon(name: str) -> None:
    began = time.perf_counter()
    try:
        parse(Source("k.pdl", LARGE[name]))
    except ProgramError as error:
        assert error.diagnostics
    assert time.perf_counter() - began < 20
