"""Every error of the checker with its exact text, and a right program beside it."""

from __future__ import annotations

import re

import pytest
from check_cases import Case, cases, outcome, typed

from polydsl.base.codes import CODES
from polydsl.base.diagnostics import ProgramError
from polydsl.base.dtypes import F32
from polydsl.base.source import Source
from polydsl.semantics.check import check_module
from polydsl.semantics.specialize import specialize
from polydsl.syntax.parser import parse

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_wrong_program(case: Case) -> None:
    assert outcome(case.wrong, case.wrong_arguments) == case.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_right_program(case: Case) -> None:
    assert outcome(case.right, case.right_arguments) == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_is_about_its_code(case: Case) -> None:
    assert f"[{case.code}]" in case.text.splitlines()[0]
    found = re.findall(r"^k\.pdl:\d+:\d+: \w+\[\w+\]: (.*)$", case.text, re.M)
    assert found
    for message in found:
        assert not message.endswith((".", "!"))
    assert case.text.count("\n  hint: ") == len(found)


def test_every_code_has_a_case() -> None:
    shown = {case.code for case in CASES} | {"E0409"}
    ours = {code for code in CODES if code[:3] in ("E01", "E02", "E04", "W01")}
    driver = {code for code in ours if "E0412" <= code < "E0430"}
    assert ours - driver == shown


def test_all_errors_at_once_in_order() -> None:
    text = (
        "kernel f(x: f23[N]) -> f32[N]:\n"
        "    y[i] = sigmod(x[i]) + bais\n"
        "    z[i, j] = x[i]\n"
        "    return y\n"
        "\n"
        "kernel g(x: f32[N]) -> f32[N]:\n"
        "    y[i] = x[i, i]\n"
        "    return y\n"
    )
    with pytest.raises(ProgramError) as caught:
        check_module(parse(Source("k.pdl", text)))
    places = [(d.code, d.span.line) for d in caught.value.diagnostics]
    assert places == [
        ("E0201", 1),
        ("E0211", 2),
        ("E0103", 2),
        ("E0110", 3),
        ("E0203", 7),
    ]


def chain(count: int, calls: int) -> str:
    """Kernels step0 ... stepn, each calling the next one *calls* times."""
    text = "kernel step0(x: f32[N]) -> f32[N]:\n    y[i] = x[i]\n    return y\n"
    for number in range(1, count + 1):
        body = ""
        before = "x"
        for call in range(calls):
            body += f"    y{call} = step{number - 1}({before})\n"
            before = f"y{call}"
        header = f"kernel step{number}(x: f32[N]) -> f32[N]:\n"
        text += f"\n{header}{body}    return {before}\n"
    return text


def test_calls_nested_too_deep() -> None:
    assert outcome(chain(10, 1), "") == ""
    text = outcome(chain(40, 1), "")
    assert "error[E0409]: kernels call one another more than 24 deep" in text


def test_calls_that_bring_too_many_statements() -> None:
    assert len(typed(chain(5, 2), "x=f32[3]").definitions) == 32
    library = check_module(parse(Source("k.pdl", chain(16, 2))))
    with pytest.raises(ProgramError) as caught:
        specialize(library, "step16", {"x": (F32, (3,))}, {})
    (error,) = caught.value.diagnostics
    assert error.code == "E0409"
    assert error.message == "the program has more than 5000 statements after inlining"
    assert error.span.text.startswith("y0 = step15")
