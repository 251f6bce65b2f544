"""Convolutions against PyTorch."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch_case import DTYPES, check, randoms

from polydsl.stdlib import conv

pytestmark = pytest.mark.torch

WINDOWS = pytest.mark.parametrize(
    "window",
    [
        {},
        {"padding": 1},
        {"stride": 2, "padding": 1},
        {"stride": 3, "padding": 2, "dilation": 2},
    ],
    ids=str,
)


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1).contiguous()


def taps_first(weight: torch.Tensor) -> torch.Tensor:
    return weight.permute(2, 3, 1, 0).contiguous()


@DTYPES
@WINDOWS
def test_one_dimension(dtype: torch.dtype, window: dict[str, Any]) -> None:
    x, weight, bias = randoms(dtype, (2, 3, 19), (17, 3, 3), (17,))
    check(conv.conv1d(x, weight, **window), F.conv1d(x, weight, **window))
    wanted = F.conv1d(x, weight, bias, **window)
    check(conv.conv1d_bias(x, weight, bias, **window), wanted)


@DTYPES
@WINDOWS
@pytest.mark.parametrize("filters", [(5, 3, 3), (16, 3, 1), (33, 1, 2)], ids=str)
def test_two_dimensions(
    dtype: torch.dtype, window: dict[str, Any], filters: tuple[int, int, int]
) -> None:
    k, r, s = filters
    x, weight, bias = randoms(dtype, (2, 3, 11, 9), (k, 3, r, s), (k,))
    wanted = F.conv2d(x, weight, bias, **window)
    plain = F.conv2d(x, weight, **window)
    check(conv.conv2d(x, weight, **window), plain)
    check(conv.conv2d_relu(x, weight, **window), plain.relu())
    check(conv.conv2d_bias(x, weight, bias, **window), wanted)
    check(conv.conv2d_bias_relu(x, weight, bias, **window), wanted.relu())
    x, weight = channels_last(x), taps_first(weight)
    wanted, plain = channels_last(wanted), channels_last(plain)
    check(conv.conv2d_nhwc(x, weight, **window), plain)
    check(conv.conv2d_nhwc_bias(x, weight, bias, **window), wanted)
    check(conv.conv2d_nhwc_bias_relu(x, weight, bias, **window), wanted.relu())


@DTYPES
def test_a_pytorch_channels_last_tensor_is_a_view(dtype: torch.dtype) -> None:
    x, weight = randoms(dtype, (2, 5, 7, 7), (8, 5, 3, 3))
    x = x.to(memory_format=torch.channels_last)
    check(conv.conv2d(x, weight, padding=1), F.conv2d(x, weight, padding=1))
    found = conv.conv2d_nhwc(x.permute(0, 2, 3, 1), weight.permute(2, 3, 1, 0))
    check(found.permute(0, 3, 1, 2), F.conv2d(x, weight))


@DTYPES
@WINDOWS
def test_three_dimensions(dtype: torch.dtype, window: dict[str, Any]) -> None:
    x, weight = randoms(dtype, (1, 2, 7, 6, 9), (5, 2, 3, 2, 3))
    check(conv.conv3d(x, weight, **window), F.conv3d(x, weight, **window))


@DTYPES
@WINDOWS
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_groups(dtype: torch.dtype, window: dict[str, Any], groups: int) -> None:
    x, weight = randoms(dtype, (2, 6, 9, 7), (12, 6 // groups, 3, 3))
    wanted = F.conv2d(x, weight, groups=groups, **window)
    check(conv.grouped_conv2d(x, weight, groups=groups, **window), wanted)
    last = conv.grouped_conv2d_nhwc(
        channels_last(x), taps_first(weight), groups=groups, **window
    )
    check(last, channels_last(wanted))


@DTYPES
@WINDOWS
@pytest.mark.parametrize("multiple", [1, 2])
def test_depthwise(dtype: torch.dtype, window: dict[str, Any], multiple: int) -> None:
    x, weight = randoms(dtype, (2, 5, 9, 7), (5 * multiple, 1, 3, 3))
    wanted = F.conv2d(x, weight, groups=5, **window)
    check(conv.depthwise_conv2d(x, weight, **window), wanted)


@DTYPES
@WINDOWS
def test_depthwise_channels_last(dtype: torch.dtype, window: dict[str, Any]) -> None:
    x, weight = randoms(dtype, (2, 19, 9, 7), (19, 1, 3, 3))
    wanted = F.conv2d(x, weight, groups=19, **window)
    taps = weight[:, 0].permute(1, 2, 0)
    found = conv.depthwise_conv2d_nhwc(channels_last(x), taps, **window)
    check(found, channels_last(wanted))


@DTYPES
def test_causal_depthwise(dtype: torch.dtype) -> None:
    x, weight = randoms(dtype, (2, 9, 19), (4, 19))
    rows = F.pad(x.transpose(1, 2), (3, 0))
    wanted = F.conv1d(rows, weight.T[:, None], groups=19).transpose(1, 2)
    check(conv.depthwise_conv1d_causal(x, weight), wanted)
