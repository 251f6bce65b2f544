"""Programs with words exchanged end in a program or in a `PolydslError`, never else."""

from __future__ import annotations

import re

from check_cases import cases, read_arguments
from hypothesis import given, settings
from hypothesis import strategies as st

from polydsl.base.diagnostics import PolydslError, ProgramError
from polydsl.base.dtypes import DTYPES
from polydsl.base.source import Source
from polydsl.semantics.check import check_module
from polydsl.semantics.library import Library
from polydsl.semantics.prune import drop_unused
from polydsl.semantics.render import render
from polydsl.semantics.specialize import Shapes, specialize
from polydsl.semantics.verify import verify_program
from polydsl.syntax import ast
from polydsl.syntax.parser import parse

HARD = [
    "kernel f(x: T[..., N], ids: i32[N], m: bool[N], *, s: int = 1) -> T[..., N]:\n"
    "    j in range(max(0, i - s), i + 1)\n"
    "    h[..., i] = max(pad(h[..., i - 1], x[..., ids[i]]), x[..., i])\n"
    "    e[..., i] = h[..., i] / sum[j](x[..., j] if j > 0 and m[j] else 1)\n"
    "    y[..., i] = where(m[i], e[..., i]**2, -s)\n"
    "    return y\n",
    "kernel g(x: f32[N, C], *, by: int, scale: float = 0.5) -> (f32[P, C], i64[C]):\n"
    "    P = (N - by) // 2 + 1\n"
    "    y[p, c] += x[2*p % N, c // 1] * scale\n"
    "    a[c] = argmax[n](x[n, c])\n"
    "    return y, a\n"
    "kernel f(x: f32[N, C]) -> f32[N, C]:\n"
    "    u, v = g(x, by=C // 2, scale=1 / sqrt(N))\n"
    "    d[n, v[c]] += x[n, c] * u[n // N, c]\n"
    "    return d\n",
]
PROGRAMS = [case.right for case in cases()] + 10 * HARD
PROGRAMS += [case.wrong for case in cases()][::3]
WORD = re.compile(r"\w+|\n *|\*\*|//|[<>=!+*]=|->|\.\.\.|[^\w\s]| ")
EXTRA = [
    *("(i + j)", "x[i]", "2", "N", "0", "pad(x[i - 1])", "sum[i](x[i])", "-1", "1.5"),
    *("True", "ids[i]", "i", "inf", "x", "y", "T", "...", "f32", "bf16", "i8", "bool"),
]


def kind(word: str) -> str:
    if re.match(r"[A-Za-z_]", word):
        return "name"
    if word[0].isdigit():
        return "number"
    if word in ("+", "-", "*", "/", "//", "%", "**", "<", "==", ">"):
        return "operator"
    return word if word.strip() == "" or word in "()[]:," else "other"


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A program in which a few words are exchanged for others of their kind."""
    words = WORD.findall(draw(st.sampled_from(PROGRAMS)))
    places = [
        n for n, w in enumerate(words) if kind(w) in ("name", "number", "operator")
    ]
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places))
        same = sorted({w for w in words if kind(w) == kind(words[place])})
        words[place] = draw(st.sampled_from(same * 2 + EXTRA))
    return "".join(words)


@st.composite
def arguments(draw: st.DrawFn, kernel: ast.Kernel) -> Shapes:
    """Shapes that fit the signature as far as its bare names go."""
    sizes: dict[str, int] = {}
    lead = draw(st.lists(st.integers(0, 2), max_size=2))
    variable = draw(st.sampled_from(sorted(DTYPES)))
    shapes: dict[str, tuple[int, ...]] = {}
    for parameter in kernel.parameters:
        dims: list[int] = []
        for dim in parameter.type.dims:
            match dim:
                case ast.Ellipsis():
                    dims += lead
                case ast.Name(name):
                    dims.append(sizes.setdefault(name, draw(st.integers(0, 4))))
                case ast.Number(int(value)):
                    dims.append(value)
                case _:
                    dims.append(draw(st.integers(0, 4)))
        shapes[parameter.name.name] = tuple(dims)
    return {
        parameter.name.name: (
            DTYPES.get(parameter.type.dtype, DTYPES[variable]),
            shapes[parameter.name.name],
        )
        for parameter in kernel.parameters
    }


def checked(text: str) -> Library | None:
    try:
        return check_module(parse(Source("k.pdl", text)))
    except ProgramError as error:
        assert error.diagnostics
        assert all(found.render() and found.hint for found in error.diagnostics)
        return None


@given(mutated(), st.data())
@settings(max_examples=400, deadline=None)
def test_mutated_programs(text: str, data: st.DataObject) -> None:
    library = checked(text)
    if library is None:
        return
    for name, kernel in library.kernels.items():
        constants = {
            c.name.name: data.draw(st.sampled_from(VALUES[c.type]))
            for c in kernel.constants
            if c.default is None or data.draw(st.booleans())
        }
        try:
            program = specialize(library, name, data.draw(arguments(kernel)), constants)
        except PolydslError as error:
            assert str(error)
            continue
        verify_program(program)
        verify_program(drop_unused(program))
        assert render(program).startswith(f"kernel {name}(")


VALUES = {"int": [-1, 0, 1, 2, 7], "float": [-0.5, 0.0, 2], "bool": [True, False]}


def test_the_hard_programs_are_right() -> None:
    library = checked(HARD[0])
    assert library is not None
    given_ = read_arguments("x=bf16[2, 4], ids=i32[4], m=bool[4]")
    verify_program(specialize(library, "f", *given_))
    library = checked(HARD[1])
    assert library is not None
    verify_program(specialize(library, "f", *read_arguments("x=f32[5, 2]")))
