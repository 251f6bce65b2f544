"""Every kernel of the standard library against what PyTorch has for it."""

from typing import Any

import numpy as np
import pytest
import torch
from stdlib_cases import CASES, Case
from stdlib_formulas import FORMULAS
from stdlib_harness import check_formula
from torch_peers import PEERS

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("case", [c for c in CASES if c.kernel in PEERS], ids=str)
def test_a_layer_agrees_with_pytorch(case: Case) -> None:
    def peer(*given: np.ndarray[Any, Any], **constants: Any) -> Any:
        tensors = [torch.from_numpy(a.copy()) for a in given]
        found = PEERS[case.kernel](*tensors, **constants)
        if isinstance(found, torch.Tensor):
            return found.detach().numpy()
        return tuple(t.detach().numpy() for t in found)

    check_formula(case, peer)


def test_every_kernel_has_a_reference() -> None:
    assert not set(PEERS) & set(FORMULAS)
    assert {case.kernel for case in CASES} == set(PEERS) | set(FORMULAS)
    modules = {(case.kernel, case.module) for case in CASES}
    assert len(modules) == len({kernel for kernel, _ in modules})
