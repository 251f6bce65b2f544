"""The layers that PyTorch lacks, against what one writes with its operations."""

import pytest
import torch
import torch.nn.functional as F
from torch_case import DTYPES, check, randoms

from polydsl.stdlib import novel

pytestmark = pytest.mark.torch


def windows(x: torch.Tensor, size: int, stride: int, padding: int) -> torch.Tensor:
    """Return the windows of NCHW images as [N, C, size, size, P, Q]."""
    n, c, height, width = x.shape
    p = (height + 2 * padding - size) // stride + 1
    q = (width + 2 * padding - size) // stride + 1
    columns = F.unfold(x, size, stride=stride, padding=padding)
    return columns.reshape(n, c, size, size, p, q)


@DTYPES
@pytest.mark.parametrize("case", [(3, 1, 1), (5, 2, 2), (3, 2, 0)], ids=str)
def test_involution(dtype: torch.dtype, case: tuple[int, int, int]) -> None:
    size, stride, padding = case
    (x,) = randoms(dtype, (2, 12, 9, 7))
    taps = windows(x, size, stride, padding)
    p, q = taps.shape[-2:]
    (filters,) = randoms(dtype, (2, p, q, size, size, 3))
    wanted = torch.einsum(
        "ngdrspq,npqrsg->npqgd", taps.reshape(2, 3, 4, size, size, p, q), filters
    ).reshape(2, p, q, 12)
    found = novel.involution(
        x.permute(0, 2, 3, 1), filters, stride=stride, padding=padding
    )
    check(found, wanted)


@DTYPES
def test_involution_with_filters_from_the_image(dtype: torch.dtype) -> None:
    x, reduce, b_reduce, span, b_span = randoms(
        dtype, (2, 7, 5, 8), (3, 8), (3,), (18, 3), (18,)
    )
    filters = F.linear(F.relu(F.linear(x, reduce, b_reduce)), span, b_span)
    wanted = novel.involution(x, filters.reshape(2, 7, 5, 3, 3, 2), padding=1)
    found = novel.involution_layer(
        x, reduce, b_reduce, span, b_span, window=3, groups=2
    )
    check(found, wanted)


@DTYPES
def test_products_of_other_algebras(dtype: torch.dtype) -> None:
    a, b = randoms(dtype, (17, 9), (9, 37))
    check(novel.max_plus(a, b), (a[:, :, None] + b).amax(1))
    check(novel.l1_distance(a, b), torch.cdist(a, b.T.contiguous(), 1))


@DTYPES
@pytest.mark.parametrize("case", [(1, 0), (1, 1), (2, 1)], ids=str)
def test_adder_convolution(dtype: torch.dtype, case: tuple[int, int]) -> None:
    stride, padding = case
    x, weight = randoms(dtype, (2, 3, 9, 7), (3, 3, 3, 17))
    taps = windows(x, 3, stride, padding)[..., None]
    filters = weight.permute(2, 0, 1, 3)[:, :, :, None, None]
    wanted = -(taps - filters).abs().sum((1, 2, 3))
    found = novel.adder_conv2d(
        x.permute(0, 2, 3, 1), weight, stride=stride, padding=padding
    )
    check(found, wanted)


@DTYPES
def test_dynamic_filter(dtype: torch.dtype) -> None:
    x, filters = randoms(dtype, (2, 3, 9, 7), (2, 5, 5, 9, 7))
    wanted = (windows(x, 5, 1, 2) * filters[:, None]).sum((2, 3))
    check(novel.dynamic_filter(x, filters), wanted)


@DTYPES
@pytest.mark.parametrize("radius", [0, 1, 3])
def test_correlation(dtype: torch.dtype, radius: int) -> None:
    x, z = randoms(dtype, (2, 5, 9, 7), (2, 5, 9, 7))
    around = windows(z, 2 * radius + 1, 1, radius)
    wanted = (x[:, :, None, None] * around).mean(1)
    check(novel.correlation(x, z, radius=radius), wanted)


@DTYPES
def test_correlation_of_all_pairs(dtype: torch.dtype) -> None:
    x, z = randoms(dtype, (2, 5, 4, 7), (2, 5, 3, 6))
    wanted = torch.einsum("nchw,ncpq->nhwpq", x, z) / 5**0.5
    check(novel.correlation_all_pairs(x, z), wanted)


@DTYPES
@pytest.mark.parametrize("stride", [1, 2])
def test_locally_connected(dtype: torch.dtype, stride: int) -> None:
    (x,) = randoms(dtype, (2, 3, 9, 7))
    taps = windows(x, 3, stride, 0)
    p, q = taps.shape[-2:]
    weight, bias = randoms(dtype, (p, q, 4, 3, 3, 3), (p, q, 4))
    wanted = torch.einsum("ncrspq,pqkcrs->nkpq", taps, weight) + bias.permute(2, 0, 1)
    check(novel.locally_connected2d(x, weight, bias, stride=stride), wanted)
