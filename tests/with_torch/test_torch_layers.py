"""Pooling, normalisation, activation and attention against PyTorch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch_case import DTYPES, check, randoms

from polydsl.stdlib import activation, attention, normalization, pooling

pytestmark = pytest.mark.torch

Layer = Callable[[torch.Tensor], torch.Tensor]


@DTYPES
@pytest.mark.parametrize("case", [(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 3, 2)], ids=str)
def test_pooling_windows(dtype: torch.dtype, case: tuple[int, int, int]) -> None:
    window, stride, padding = case
    given = {"window": window, "stride": stride, "padding": padding}
    (x,) = randoms(dtype, (2, 3, 11, 9))
    last = x.permute(0, 2, 3, 1)
    wanted = F.max_pool2d(x, *case)
    check(pooling.max_pool2d(x, **given), wanted)
    check(pooling.max_pool2d_nhwc(last, **given), wanted.permute(0, 2, 3, 1))
    check(pooling.max_pool1d(x[0], **given), F.max_pool1d(x[0], *case))
    check(pooling.max_pool3d(x[None], **given), F.max_pool3d(x[None], *case))
    for counted in (True, False):
        given["count_include_pad"] = counted
        wanted = F.avg_pool2d(x, *case, count_include_pad=counted)
        check(pooling.avg_pool2d(x, **given), wanted)
        check(pooling.avg_pool2d_nhwc(last, **given), wanted.permute(0, 2, 3, 1))
        wanted = F.avg_pool1d(x[0], *case, count_include_pad=counted)
        check(pooling.avg_pool1d(x[0], **given), wanted)


@DTYPES
def test_dilated_and_global_pooling(dtype: torch.dtype) -> None:
    (x,) = randoms(dtype, (2, 3, 11, 9))
    found = pooling.max_pool2d(x, window=3, stride=2, padding=1, dilation=2)
    check(found, F.max_pool2d(x, 3, 2, 1, 2))
    check(pooling.global_max_pool2d(x), x.amax((2, 3)))
    check(pooling.global_avg_pool2d(x), x.mean((2, 3)))
    check(pooling.global_avg_pool2d_nhwc(x.permute(0, 2, 3, 1)), x.mean((2, 3)))


@DTYPES
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_batch_and_instance_norm(dtype: torch.dtype, eps: float) -> None:
    x, mean, var, weight, bias = randoms(dtype, (2, 19, 5, 3), *[(19,)] * 4)
    var = var.abs()
    rest = (mean, var, weight, bias)
    wanted = F.batch_norm(x, *rest, eps=eps)
    check(normalization.batch_norm2d(x, *rest, eps=eps), wanted)
    last = normalization.batch_norm2d_nhwc(x.permute(0, 2, 3, 1), *rest, eps=eps)
    check(last, wanted.permute(0, 2, 3, 1))
    flat = x[:, :, 0, 0]
    found = normalization.batch_norm1d(flat, *rest, eps=eps)
    check(found, F.batch_norm(flat, *rest, eps=eps))
    wanted = F.instance_norm(x, weight=weight, bias=bias, eps=eps)
    check(normalization.instance_norm2d(x, weight, bias, eps=eps), wanted)


@DTYPES
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(dtype: torch.dtype, groups: int) -> None:
    x, weight, bias = randoms(dtype, (2, 6, 5, 3), (6,), (6,))
    wanted = F.group_norm(x, groups, weight, bias)
    check(normalization.group_norm(x, weight, bias, groups=groups), wanted)


@DTYPES
@pytest.mark.parametrize("lead", [(), (5,), (2, 3), (0, 3)], ids=str)
def test_norms_of_rows(dtype: torch.dtype, lead: tuple[int, ...]) -> None:
    x, weight, bias = randoms(dtype, (*lead, 67), (67,), (67,))
    wanted = F.layer_norm(x, (67,), weight, bias)
    check(normalization.layer_norm(x, weight, bias), wanted)
    wanted = F.rms_norm(x, (67,), weight, 1e-6)
    check(normalization.rms_norm(x, weight), wanted)
    check(normalization.l2_normalize(x), F.normalize(x, dim=-1))


ACTIVATIONS: dict[str, tuple[Layer, dict[str, Any]]] = {
    "relu_layer": (F.relu, {}),
    "gelu_layer": (F.gelu, {}),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), {}),
    "silu_layer": (F.silu, {}),
    "sigmoid_layer": (torch.sigmoid, {}),
    "tanh_layer": (torch.tanh, {}),
    "softplus_layer": (lambda x: F.softplus(x, 2.5, 50), {"beta": 2.5}),
    "elu": (lambda x: F.elu(x, 0.5), {"alpha": 0.5}),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.25), {"slope": 0.25}),
    "hardtanh": (lambda x: F.hardtanh(x, -2, 0.5), {"low": -2.0, "high": 0.5}),
    "hardsigmoid": (F.hardsigmoid, {}),
    "hardswish": (F.hardswish, {}),
    "mish": (F.mish, {}),
    "softmax": (lambda x: F.softmax(x, -1), {}),
    "log_softmax": (lambda x: F.log_softmax(x, -1), {}),
}


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(67,), (2, 3, 17)], ids=str)
def test_activations(dtype: torch.dtype, name: str, shape: tuple[int, ...]) -> None:
    layer, constants = ACTIVATIONS[name]
    (x,) = randoms(dtype, shape)
    x = x * 4
    check(getattr(activation, name)(x, **constants), layer(x))


@DTYPES
def test_gated_activations(dtype: torch.dtype) -> None:
    x, gate, slope = randoms(dtype, (2, 3, 5, 7), (2, 3, 5, 7), (3,))
    check(activation.prelu(x, slope), F.prelu(x, slope))
    check(activation.swiglu(x, gate), F.silu(gate) * x)


@DTYPES
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_attention(dtype: torch.dtype, lead: tuple[int, ...]) -> None:
    q, k, v = randoms(dtype, (*lead, 17, 8), (*lead, 19, 8), (*lead, 19, 5))
    (mask,) = randoms(dtype, (17, 19))
    peer = F.scaled_dot_product_attention
    check(attention.attention(q, k, v), peer(q, k, v))
    wanted = peer(q, k, v, attn_mask=mask)
    check(attention.attention_masked(q, k, v, mask), wanted)


@DTYPES
def test_grouped_heads(dtype: torch.dtype) -> None:
    q, k, v = randoms(dtype, (2, 6, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4))
    wanted = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    check(attention.attention_grouped(q, k, v), wanted)


@DTYPES
def test_multi_head_attention(dtype: torch.dtype) -> None:
    peer = torch.nn.MultiheadAttention(12, 3, batch_first=True, dtype=dtype)
    (x,) = randoms(dtype, (2, 5, 12))
    given = [
        t.detach()
        for t in (
            peer.in_proj_weight,
            peer.in_proj_bias + 0.5,
            peer.out_proj.weight,
            peer.out_proj.bias - 0.25,
        )
    ]
    with torch.no_grad():
        peer.in_proj_bias.copy_(given[1])
        peer.out_proj.bias.copy_(given[3])
        wanted = peer(x, x, x, need_weights=False)[0]
    check(attention.multi_head_attention(x, *given, heads=3), wanted)
