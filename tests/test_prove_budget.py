"""What isl cannot answer within its budget is enumerated, or said to be unproved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

import polydsl
from polydsl.poly import isl, points

TEXT = """
kernel f(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[(7*(i // 3) + 5*(j % 7)) % N, (3*(j // 4) + i) % M + i // 7 % 2*SHIFT]
    return y
"""


@contextmanager
def _stingy() -> Iterator[None]:
    with isl.budget(1):
        yield


def _specialize(shift: int, spec: str, *, is_stingy: bool) -> None:
    text = TEXT.replace("SHIFT", str(shift))
    kernel = polydsl.loads(text, "t.pdl").f
    if not is_stingy:
        kernel.specialize(spec)
        return
    with patch("polydsl.poly.prove.budget", _stingy):
        kernel.specialize(spec)


def test_a_question_beyond_the_budget_is_said_to_be() -> None:
    with pytest.raises(isl.BudgetExceeded), isl.budget(1):
        isl.parse_set("{ S[i, j] : 0 <= i < 9 and 3*(i // 2) < j < i % 5 }").lexmin()
    assert points.sample(isl.parse_set("{ S[i] : 3 <= i < 9 }")) == {"i": 3}


@pytest.mark.parametrize("is_stingy", (False, True))
def test_enumeration_proves_what_isl_proves(is_stingy: bool) -> None:
    _specialize(0, "f32[30,20]", is_stingy=is_stingy)


def test_enumeration_finds_a_point() -> None:
    wanted = (
        "t.pdl:3:47: error[E0312]: "
        "x[(7*(i // 3) + 5*(j % 7)) % N, (3*(j // 4) + i) % M + i // 7 % 2*1] "
        "is read outside its bounds"
    )
    with pytest.raises(polydsl.ProgramError) as caught:
        _specialize(1, "f32[30,20]", is_stingy=True)
    assert str(caught.value).startswith(wanted)
    place = "j = 8, i = 13 gives 20, but dimension 1 of x has extent 20"
    assert place in str(caught.value)


def test_what_is_too_large_for_both_is_unproved() -> None:
    with pytest.raises(polydsl.ProgramError) as caught:
        _specialize(1, "f32[9000,9000]", is_stingy=True)
    assert {d.code for d in caught.value.diagnostics} == {"E0317"}
