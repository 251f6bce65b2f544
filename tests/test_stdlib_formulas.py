"""The layers that PyTorch lacks against the formulas of their papers."""

import pytest
from stdlib_cases import CASES, Case
from stdlib_formulas import FORMULAS
from stdlib_harness import check_formula


@pytest.mark.parametrize("case", [c for c in CASES if c.kernel in FORMULAS], ids=str)
def test_a_layer_is_its_formula(case: Case) -> None:
    check_formula(case, FORMULAS[case.kernel])
