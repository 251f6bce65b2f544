"""Real files with something wrong in them, through all stages: only diagnostics.

Characters, tokens and lines of the standard library's files and of the pages of the
documentation are exchanged; what is still a program is specialised for random sizes,
proved, scheduled and run by the oracle. Each program has a limit of time.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from documents import blocks_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_check_fuzz import VALUES, WORD, arguments

import polydsl
from polydsl.backend.arrays import ArrayLayout
from polydsl.base.diagnostics import PolydslError
from polydsl.driver.compiler import begin
from polydsl.driver.random_arrays import random_array
from polydsl.driver.request import Request
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.loops.nest import contiguous
from polydsl.semantics.library import Library
from polydsl.semantics.oracle.evaluate import evaluate
from polydsl.semantics.specialize import specialize

ROOT = Path(__file__).parent.parent
SECONDS = 60
"""A program that takes longer hangs, also on a machine with other work."""

LONGEST = 1500
"""So many characters of a file are taken: whole kernels, as many as fit."""


def programs() -> Iterator[str]:
    for path in sorted((ROOT / "stdlib").glob("*.pdl")):
        yield from pieces(path.read_text(encoding="utf-8"))
    for page in sorted((ROOT / "docs" / "tutorial").glob("*.md")):
        yield from (b.text for b in blocks_of(page) if b.language == "pdl")


def pieces(text: str) -> Iterator[str]:
    """Cut a file into groups of kernels, each with the docstring and the imports."""
    head, *kernels = text.split("\nkernel ")
    group = head
    for kernel in kernels:
        if len(group) + len(kernel) > LONGEST and group != head:
            yield group
            group = head
        group += "\nkernel " + kernel
    yield group


PROGRAMS = tuple(programs())
LINES = tuple(line for text in PROGRAMS for line in text.splitlines(keepends=True))
CHARACTERS = (
    *"()[]{}:,=+-*/%.<>!#'\"\\;@ \t\n\r\f\v\0",
    *("\r\n", "\u00e9", "\u2028", "\u200b", "\ufeff", "\ud800", "\U0001f600", "\u0663"),
)
TOKENS = (
    *("9" * 30, "1e999", "0x", "0", "-1", "1_0", "(" * 150, "x[" * 60, "- " * 200),
    *(")", "]", "...", "->", "if", "else", "not", "for", "inf", "pad(", "sum[i](", "N"),
    *("i in range(0, 10**9)\n", "x" * 5000, "1 + " * 300, "\n", "\n    ", "\n\t"),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A program with a few characters, tokens or lines taken out, put in or moved."""
    text = draw(st.sampled_from(PROGRAMS))
    for _ in range(draw(st.integers(1, 3))):
        match draw(st.sampled_from(("character", "token", "token", "line", "ends"))):
            case "character":
                text = exchanged(draw, list(text), CHARACTERS)
            case "token":
                words = WORD.findall(text)
                text = exchanged(draw, words, (*TOKENS, *words))
            case "line":
                text = exchanged(draw, text.splitlines(keepends=True), LINES)
            case _:
                text = text.replace("\n", draw(st.sampled_from(("\r\n", "\r", "\n\n"))))
    return text


def exchanged(draw: st.DrawFn, parts: list[str], others: tuple[str, ...]) -> str:
    start = draw(st.integers(0, len(parts)))
    end = start + draw(st.sampled_from((0, 1, 1, 1, 2)))
    new = draw(st.lists(st.sampled_from(others), max_size=2))
    return "".join([*parts[:start], *new, *parts[end:]])


@contextmanager
def limited() -> Iterator[None]:
    """Raise where something takes too long, wherever that is."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"no end after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def specialised(library: Library, name: str, data: st.DataObject) -> None:
    """Take one kernel through the stages and the oracle, for random sizes."""
    kernel = library.kernels[name]
    shapes = data.draw(arguments(kernel))
    constants = {
        c.name.name: data.draw(st.sampled_from(VALUES[c.type]))
        for c in kernel.constants
        if c.default is None
    }
    program = specialize(library, name, shapes, constants)
    layouts = {
        n: ArrayLayout(dtype, shape, contiguous(shape))
        for n, (dtype, shape) in shapes.items()
    }
    generator = np.random.default_rng(0)
    arrays = {n: random_array(layout, generator) for n, layout in layouts.items()}
    evaluate(program, arrays)
    request = Request(library, name, layouts, constants)
    compile_until(begin(request, toolchain()), "nest")


@settings(max_examples=60, deadline=None)
@given(mutated(), st.data())
def test_mutated_files(text: str, data: st.DataObject) -> None:
    with limited():
        try:
            module = polydsl.loads(text)
        except PolydslError as error:
            assert str(error)
            return
        kernels = list(module)
        if not kernels:
            return
        kernel = data.draw(st.sampled_from(kernels))
        try:
            specialised(kernel.library, kernel.name, data)
        except PolydslError as error:
            assert str(error)


HEADER = "kernel f(x: f32[N]) -> f32[N]:\n"
HARD = {
    "null bytes": "kernel f(x: f32[N]) -> f32[N]:\0\n    y[i] = x[i]\0\n    return y\n",
    "windows": HEADER.replace("\n", "\r\n") + "    y[i] = x[i]\r\n    return y\r\n",
    "old macs": (HEADER + "    y[i] = x[i]\n    return y\n").replace("\n", "\r"),
    "tabs": HEADER + "\ty[i] = x[i]\n\treturn y\n",
    "mixed tabs": HEADER + "    y[i] = x[i]\n\treturn y\n",
    "surrogates": HEADER + "    y[i] = x[i]  # \ud800\n    return y\n",
    "digits of another script": HEADER + "    y[i] = x[i] * \u0663\n    return y\n",
    "huge integer": HEADER + f"    y[i] = x[i] * {'9' * 4000}\n    return y\n",
    "huge exponent": HEADER + "    y[i] = x[i] * 1e99999\n    return y\n",
    "huge subscript": HEADER + f"    y[i] = pad(x[i + {2**62}])\n    return y\n",
    "overflowing subscript": HEADER
    + f"    y[i] = pad(x[i*{2**40} + {2**62}*i])\n    return y\n",
    "huge divisor": HEADER + f"    y[i] = x[i // {2**61}]\n    return y\n",
    "huge range": HEADER
    + "    j in range(0, 2**40)\n    y[i] += x[i] * j\n    return y\n",
    "huge local": HEADER
    + "    t: f32[1000000, 1000000]\n    t[a, b] = 1\n    y[i] = x[i] + t[0, 0]\n"
    "    return y\n",
    "huge power": HEADER + "    M = N * 10000000000 * 10000000000\n"
    "    t: f32[M]\n    t[a] = 1.0\n    y[i] = x[i]\n    return y\n",
    "long line": HEADER
    + "    y[i] = "
    + " + ".join(["x[i]"] * 90)
    + "\n    return y\n",
    "long name": HEADER + f"    {'y' * 9000}[i] = x[i]\n    return {'y' * 9000}\n",
    "many statements": HEADER
    + "".join(f"    a{n}[i] = x[i] + {n}\n" for n in range(300))
    + "    return a7\n",
    "a chain": HEADER
    + "    a0[i] = x[i]\n"
    + "".join(f"    a{n}[i] = a{n - 1}[i] + 1\n" for n in range(1, 60))
    + "    return a59\n",
    "nested divisions": HEADER
    + "    y[i] = x["
    + "((" * 6
    + "i"
    + ") // 2 + 1) % 7" * 6
    + "]\n    return y\n",
    "nested pads": HEADER
    + "    y[i] = "
    + "pad(x[i - 1], " * 30
    + "0"
    + ")" * 30
    + "\n    return y\n",
    "nested choices": HEADER
    + "    y[i] = "
    + "(x[i] if i > 1 else " * 30
    + "0"
    + ")" * 30
    + "\n    return y\n",
    "nested sums": HEADER
    + "    y[i] = "
    + "".join(f"sum[k{n}](x[k{n}] * " for n in range(12))
    + "x[i]"
    + ")" * 12
    + "\n    return y\n",
}


@pytest.mark.parametrize("name", HARD)
def test_hard_texts(name: str) -> None:
    with limited():
        try:
            kernel = polydsl.loads(HARD[name]).f
            kernel.specialize("f32[3]").emit("nest")
        except PolydslError as error:
            assert str(error)
