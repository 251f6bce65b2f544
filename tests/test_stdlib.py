"""Every kernel of the standard library against the oracle, on small awkward sizes."""

import numpy as np
import pytest
from stdlib_cases import CASES, MODULES, Case, arrays
from stdlib_harness import kernel_of
from stdlib_oracle_only import ORACLE_ONLY

from polydsl import stdlib
from polydsl.base.diagnostics import NotCompiledError
from polydsl.driver.loading import standard_names

COMPILED = tuple(case for case in CASES if case.name not in ORACLE_ONLY)
FIRST = {case.name: case for case in reversed(CASES)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", COMPILED, ids=str)
def test_a_layer_agrees_with_the_oracle(case: Case, dtype: type) -> None:
    margins = kernel_of(case).verify(*arrays(case, dtype), **case.constants)
    assert margins.sampled is None


@pytest.mark.parametrize("name", sorted(ORACLE_ONLY))
def test_what_compiles_is_no_longer_on_the_list(name: str) -> None:
    case = FIRST[name]
    with pytest.raises(NotCompiledError):
        kernel_of(case).specialize(*arrays(case, np.float32), **case.constants)


@pytest.mark.parametrize("module", MODULES)
def test_every_kernel_is_tried_and_documented(module: str) -> None:
    kernels = {kernel.name: kernel for kernel in getattr(stdlib, module)}
    assert set(kernels) == {case.kernel for case in CASES if case.module == module}
    assert all(kernel.__doc__ for kernel in kernels.values())
    assert getattr(stdlib, module).warnings == ()


def test_every_module_has_a_table() -> None:
    assert set(MODULES) == set(standard_names())
