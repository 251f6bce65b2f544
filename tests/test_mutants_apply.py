"""Every mutation still applies: its old text stands exactly once in its file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mutants import CHECKS, EVERY, PROOFS
from mutation import Mutation

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("mutation", (*EVERY, PROOFS), ids=lambda m: m.what)
def test_mutation_applies(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1
    changed = text.replace(mutation.old, mutation.new)
    assert changed != text
    ast.parse(changed)


def test_there_are_enough_of_them() -> None:
    assert len({m.what for m in EVERY}) == len(EVERY) >= 20
    assert {m.checks for m in EVERY} == CHECKS.keys()
