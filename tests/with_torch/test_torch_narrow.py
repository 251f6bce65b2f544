"""Kernels called with PyTorch's 16-bit floats."""

from __future__ import annotations

import pytest
import torch

import polydsl

pytestmark = pytest.mark.torch

TEXT = """
kernel linear(x: T[M, K], w: T[N, K], b: T[N]) -> T[M, N]:
    y[m, n] += x[m, k] * w[n, k]
    z[m, n] = relu(y[m, n] + b[n])
    return z
"""


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_tensors_go_in_and_come_out(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    x, w, b = (
        torch.randn(shape, generator=generator).to(dtype)
        for shape in ((24, 70), (33, 70), (33,))
    )
    linear = polydsl.loads(TEXT).linear
    found = linear(x, w, b)
    assert isinstance(found, torch.Tensor) and found.dtype == dtype
    exact = torch.relu(x.double() @ w.double().t() + b.double())
    step = torch.finfo(dtype).eps
    assert torch.allclose(found.double(), exact, rtol=step, atol=20 * step)
    # Any strides, an array of the caller's, and a layer that knows its weights.
    out = torch.empty((33, 24), dtype=dtype).t()
    turned = w.t().contiguous().t()
    linear(x.flip(0).flip(0), turned, b, out=out)
    assert torch.equal(out, found)
    assert torch.equal(linear.bind(w=w, b=b)(x), found)
