"""Products and linear layers against PyTorch."""

import pytest
import torch
import torch.nn.functional as F
from torch_case import DTYPES, check, randoms

from polydsl.stdlib import linalg

pytestmark = pytest.mark.torch


@DTYPES
@pytest.mark.parametrize("sizes", [(7, 5, 11), (1, 1, 1), (37, 65, 29), (128, 64, 96)])
def test_products_of_matrices(dtype: torch.dtype, sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    a, b = randoms(dtype, (m, k), (k, n))
    check(linalg.matmul(a, b), a @ b)
    check(linalg.matmul_nt(a, b.T.contiguous()), a @ b)
    check(linalg.matmul_tn(a.T.contiguous(), b), a @ b)
    check(linalg.matmul_tt(a.T.contiguous(), b.T.contiguous()), a @ b)


@DTYPES
def test_transposed_views_are_taken_without_a_copy(dtype: torch.dtype) -> None:
    a, b = randoms(dtype, (17, 19), (23, 17))
    check(linalg.matmul(a.T, b.T), a.T @ b.T)
    check(linalg.matmul_nt(a.T, b), a.T @ b.T)


@DTYPES
@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (0, 2)], ids=str)
def test_batches_of_matrices(dtype: torch.dtype, lead: tuple[int, ...]) -> None:
    a, b = randoms(dtype, (*lead, 5, 7), (*lead, 7, 17))
    check(linalg.batched_matmul(a, b), a @ b)


@DTYPES
def test_vectors(dtype: torch.dtype) -> None:
    a, x, y = randoms(dtype, (13, 37), (37,), (13,))
    check(linalg.matvec(a, x), a @ x)
    check(linalg.vecmat(y, a), y @ a)
    check(linalg.dot(x, x), x @ x)
    check(linalg.outer(y, x), torch.outer(y, x))


@DTYPES
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_linear(dtype: torch.dtype, lead: tuple[int, ...]) -> None:
    x, weight, bias = randoms(dtype, (*lead, 33), (19, 33), (19,))
    check(linalg.linear(x, weight, bias), F.linear(x, weight, bias))
    check(linalg.linear_no_bias(x, weight), F.linear(x, weight))
    layer = linalg.linear.bind(weight=weight, bias=bias)
    check(layer(x), F.linear(x, weight, bias))


@DTYPES
def test_bilinear(dtype: torch.dtype) -> None:
    x, z, weight, bias = randoms(dtype, (2, 3, 5), (2, 3, 7), (11, 5, 7), (11,))
    check(linalg.bilinear(x, z, weight, bias), F.bilinear(x, z, weight, bias))
