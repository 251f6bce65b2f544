"""PyTorch's tensors in and out, without importing PyTorch.

A tensor can only come from a PyTorch that somebody has imported, so the module is
looked up among the loaded ones. Views share memory with their tensors, both ways.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from polydsl.backend import dlpack
from polydsl.base.diagnostics import ArgumentError
from polydsl.base.dtypes import BF16


def torch_of(value: object) -> ModuleType | None:
    """Return the PyTorch that *value* is a tensor of, or None if it is no tensor."""
    torch = sys.modules.get("torch")
    tensor = getattr(torch, "Tensor", None)
    return torch if tensor is not None and isinstance(value, tensor) else None


def from_tensor(
    tensor: Any, torch: ModuleType, parameter: str, *, may_copy: bool
) -> npt.NDArray[Any]:
    """Return a NumPy view of a tensor on the CPU; refuse one that is recorded.

    Where PyTorch records operations for gradients, a result without any would be
    silently wrong; under `no_grad` a parameter of a module is as good as any tensor.
    """
    if tensor.device.type != "cpu":
        raise ArgumentError(
            f"argument {parameter} needs a tensor on the cpu, "
            f"but one on {tensor.device} came; pass {parameter}.cpu()"
        )
    if tensor.requires_grad:
        if torch.is_grad_enabled():
            raise ArgumentError(
                f"argument {parameter} needs a tensor without requires_grad, but one "
                f"with it came; pass {parameter}.detach(), or call in torch.no_grad()"
            )
        tensor = tensor.detach()
    # DLPack drops these two bits without a word; resolving them makes a copy.
    if tensor.is_conj() or tensor.is_neg():
        if not may_copy:
            raise ArgumentError(
                f"argument {parameter} needs a tensor that can be written in place, "
                "but a conjugate or negative view came"
            )
        tensor = tensor.resolve_conj().resolve_neg()
    try:
        if tensor.dtype is torch.bfloat16:
            return dlpack.borrow(tensor, may_write=True)
        array: npt.NDArray[Any] = tensor.numpy()
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"argument {parameter} needs a dense tensor of a dtype that NumPy has, "
            f"but {tensor.dtype} with layout {tensor.layout} came: {error}"
        ) from error
    return array


def to_tensor(array: npt.NDArray[Any], torch: Any) -> object:
    """Return a tensor that shares the memory of *array*, which it keeps alive."""
    if array.dtype == BF16.numpy:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)
