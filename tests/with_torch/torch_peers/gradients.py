"""Gradients by PyTorch's automatic differentiation."""

from collections.abc import Callable, Sequence
from typing import Any

import torch


def gradients(
    function: Callable[..., Any], dy: Any, *inputs: torch.Tensor, **constants: Any
) -> Any:
    """Return the gradients of a function with respect to all its tensors.

    `dy` is the gradient of its result; None stands for 1.
    """
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    result = function(*leaves, **constants)
    found: Sequence[torch.Tensor] = torch.autograd.grad(result, leaves, dy)
    return found[0] if len(found) == 1 else tuple(found)
