"""Every kernel of the standard library against the oracle, on small awkward sizes."""

import numpy as np
import pytest
from stdlib_cases import CASES, MODULES, Case, arrays
from stdlib_harness import kernel_of

from polydsl import stdlib
from polydsl.driver.loading import standard_names

FIRST = tuple({case.name: case for case in reversed(CASES)}.values())
"""One case of each kernel."""


@pytest.mark.parametrize("case", FIRST, ids=str)
def test_a_layer_agrees_with_the_oracle(case: Case) -> None:
    margins = kernel_of(case).verify(*arrays(case, np.float32), **case.constants)
    assert margins.sampled is None


@pytest.mark.parametrize("case", FIRST[::14], ids=str)
def test_a_layer_in_double_precision(case: Case) -> None:
    kernel_of(case).verify(*arrays(case, np.float64), **case.constants)


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_case_of_a_layer(case: Case, dtype: type) -> None:
    kernel_of(case).verify(*arrays(case, dtype), **case.constants)


@pytest.mark.parametrize("module", MODULES)
def test_every_kernel_is_tried_and_documented(module: str) -> None:
    kernels = {kernel.name: kernel for kernel in getattr(stdlib, module)}
    assert set(kernels) == {case.kernel for case in CASES if case.module == module}
    assert all(kernel.__doc__ for kernel in kernels.values())
    assert getattr(stdlib, module).warnings == ()


def test_every_module_has_a_table() -> None:
    assert set(MODULES) == set(standard_names())
