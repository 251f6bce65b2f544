"""Every mutation still applies: its old text stands exactly once in its file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mutants import CHECKS, PROOFS
from mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("mutation", (*MUTATIONS, PROOFS), ids=lambda m: m.what)
def test_mutation_applies(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1
    changed = text.replace(mutation.old, mutation.new)
    assert changed != text
    ast.parse(changed)


def test_there_are_enough_of_them() -> None:
    assert len({m.what for m in MUTATIONS}) == len(MUTATIONS) >= 20
    assert {m.checks for m in MUTATIONS} == CHECKS.keys()
