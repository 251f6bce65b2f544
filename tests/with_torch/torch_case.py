"""What the comparisons with PyTorch share: dtypes, random tensors and tolerances."""

import zlib

import pytest
import torch

DTYPES = pytest.mark.parametrize(
    "dtype",
    [
        pytest.param(torch.float32, id="f32"),
        pytest.param(torch.float64, id="f64", marks=pytest.mark.thorough),
    ],
)


def randoms(dtype: torch.dtype, *shapes: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    """Return random tensors of these shapes, the same in every run."""
    generator = torch.Generator().manual_seed(zlib.crc32(repr(shapes).encode()))
    return tuple(torch.randn(s, generator=generator, dtype=dtype) for s in shapes)


def check(found: object, wanted: torch.Tensor) -> None:
    """Compare a result with PyTorch's: a tensor, its dtype, shape and values."""
    assert isinstance(found, torch.Tensor)
    close = 2e-4 if wanted.dtype == torch.float32 else 1e-10
    torch.testing.assert_close(found, wanted, rtol=close, atol=close)
