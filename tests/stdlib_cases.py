"""Sizes and constants on which every kernel of the standard library is tried.

Extents are small and odd on purpose: primes, ones, zeros and sizes just above a vector,
so that tails, borders and empty sums all occur.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One call of a kernel: the shapes of its tensors and its constants."""

    module: str
    kernel: str
    shapes: tuple[tuple[int, ...], ...]
    constants: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shapes = "-".join("x".join(map(str, s)) or "scalar" for s in self.shapes)
        constants = "".join(f"-{n}{v}" for n, v in self.constants.items())
        return f"{self.kernel}-{shapes}{constants}"


def arrays(case: Case, dtype: npt.DTypeLike) -> list[Array]:
    """Return random tensors for a case, the same in every run."""
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    tensors = [rng.standard_normal(s).astype(dtype) for s in case.shapes]
    if case.kernel.startswith("batch_norm"):
        tensors[2] = np.abs(tensors[2])
    return tensors


LINALG = (
    Case("linalg", "matmul", ((7, 5), (5, 11))),
    Case("linalg", "matmul", ((1, 1), (1, 1))),
    Case("linalg", "matmul", ((23, 37), (37, 67))),
    Case("linalg", "matmul", ((5, 0), (0, 3))),
    Case("linalg", "matmul", ((0, 4), (4, 3))),
    Case("linalg", "matmul_nt", ((7, 5), (11, 5))),
    Case("linalg", "matmul_nt", ((17, 33), (65, 33))),
    Case("linalg", "matmul_tn", ((5, 7), (5, 11))),
    Case("linalg", "matmul_tn", ((33, 17), (33, 65))),
    Case("linalg", "matmul_tt", ((5, 7), (11, 5))),
    Case("linalg", "matmul_tt", ((33, 17), (65, 33))),
    Case("linalg", "batched_matmul", ((5, 3), (3, 17))),
    Case("linalg", "batched_matmul", ((3, 5, 7), (3, 7, 17))),
    Case("linalg", "batched_matmul", ((2, 3, 4, 5), (2, 3, 5, 6))),
    Case("linalg", "matvec", ((13, 19), (19,))),
    Case("linalg", "matvec", ((64, 1), (1,))),
    Case("linalg", "vecmat", ((19,), (19, 13))),
    Case("linalg", "vecmat", ((3,), (3, 65))),
    Case("linalg", "dot", ((101,), (101,))),
    Case("linalg", "dot", ((0,), (0,))),
    Case("linalg", "outer", ((5,), (37,))),
    Case("linalg", "linear", ((7,), (5, 7), (5,))),
    Case("linalg", "linear", ((3, 7), (35, 7), (35,))),
    Case("linalg", "linear", ((2, 3, 17), (5, 17), (5,))),
    Case("linalg", "linear_no_bias", ((2, 3, 17), (5, 17))),
    Case("linalg", "bilinear", ((3, 5), (3, 7), (11, 5, 7), (11,))),
    Case("linalg", "bilinear", ((2, 3, 5), (2, 3, 1), (19, 5, 1), (19,))),
)

CONV = (
    Case("conv", "conv1d", ((2, 3, 11), (5, 3, 3))),
    Case("conv", "conv1d", ((1, 4, 17), (7, 4, 5)), {"stride": 2, "padding": 3}),
    Case("conv", "conv1d", ((1, 1, 9), (1, 1, 2)), {"dilation": 3, "padding": 1}),
    Case("conv", "conv1d_bias", ((2, 3, 11), (33, 3, 3), (33,)), {"padding": 1}),
    Case("conv", "conv2d", ((2, 3, 7, 9), (5, 3, 3, 3))),
    Case("conv", "conv2d", ((1, 3, 7, 7), (17, 3, 3, 3)), {"padding": 1}),
    Case("conv", "conv2d", ((1, 2, 11, 5), (3, 2, 5, 1)), {"stride": 3, "padding": 2}),
    Case("conv", "conv2d", ((1, 2, 9, 8), (3, 2, 3, 2)), {"dilation": 2, "padding": 2}),
    Case("conv", "conv2d", ((1, 5, 1, 1), (7, 5, 1, 1))),
    Case("conv", "conv2d", ((0, 5, 3, 3), (7, 5, 1, 1))),
    Case("conv", "conv2d", ((1, 2, 2, 2), (3, 2, 5, 5)), {"padding": 4, "stride": 2}),
    Case("conv", "conv2d_bias", ((1, 3, 7, 7), (5, 3, 3, 3), (5,)), {"padding": 1}),
    Case("conv", "conv2d_relu", ((1, 3, 7, 7), (5, 3, 3, 3)), {"padding": 1}),
    Case(
        "conv",
        "conv2d_bias_relu",
        ((2, 3, 7, 7), (16, 3, 3, 3), (16,)),
        {"padding": 1, "stride": 2},
    ),
    Case("conv", "conv2d_nhwc", ((2, 6, 5, 3), (3, 3, 3, 19)), {"padding": 1}),
    Case(
        "conv",
        "conv2d_nhwc",
        ((1, 11, 9, 2), (3, 2, 2, 5)),
        {"padding": 2, "stride": 2, "dilation": 2},
    ),
    Case("conv", "conv2d_nhwc", ((1, 7, 7, 33), (1, 1, 33, 65)), {"stride": 2}),
    Case("conv", "conv2d_nhwc_bias", ((1, 5, 5, 3), (3, 3, 3, 7), (7,))),
    Case(
        "conv",
        "conv2d_nhwc_bias_relu",
        ((1, 7, 7, 5), (3, 3, 5, 16), (16,)),
        {"padding": 1},
    ),
    Case("conv", "conv3d", ((1, 2, 4, 5, 6), (3, 2, 2, 3, 3)), {"padding": 1}),
    Case("conv", "conv3d", ((1, 2, 5, 5, 7), (3, 2, 3, 3, 3)), {"stride": 2}),
    Case(
        "conv",
        "conv3d",
        ((1, 1, 5, 6, 7), (2, 1, 2, 2, 2)),
        {"dilation": 2, "padding": 1},
    ),
    Case("conv", "grouped_conv2d", ((1, 6, 5, 5), (9, 2, 3, 3)), {"groups": 3}),
    Case(
        "conv",
        "grouped_conv2d",
        ((2, 4, 7, 5), (6, 2, 3, 2)),
        {"groups": 2, "stride": 2, "padding": 1, "dilation": 2},
    ),
    Case("conv", "grouped_conv2d", ((1, 3, 5, 5), (4, 3, 3, 3)), {"groups": 1}),
    Case(
        "conv",
        "grouped_conv2d_nhwc",
        ((1, 5, 5, 8), (3, 3, 4, 34)),
        {"groups": 2, "padding": 1},
    ),
    Case("conv", "depthwise_conv2d", ((1, 5, 7, 7), (5, 1, 3, 3)), {"padding": 1}),
    Case("conv", "depthwise_conv2d", ((2, 3, 9, 19), (6, 1, 5, 3)), {"stride": 2}),
    Case(
        "conv",
        "depthwise_conv2d",
        ((1, 3, 9, 9), (3, 1, 3, 3)),
        {"padding": 2, "dilation": 2},
    ),
    Case("conv", "depthwise_conv2d_nhwc", ((1, 5, 4, 37), (3, 3, 37)), {"padding": 1}),
    Case(
        "conv",
        "depthwise_conv2d_nhwc",
        ((2, 9, 7, 5), (5, 3, 5)),
        {"padding": 2, "stride": 2},
    ),
    Case("conv", "depthwise_conv1d_causal", ((2, 9, 19), (4, 19))),
)

POOLING = (
    Case("pooling", "max_pool1d", ((2, 3, 11),), {"window": 3, "stride": 2}),
    Case(
        "pooling",
        "max_pool1d",
        ((1, 2, 9),),
        {"window": 2, "stride": 1, "padding": 1, "dilation": 3},
    ),
    Case("pooling", "max_pool2d", ((2, 3, 8, 6),), {"window": 2, "stride": 2}),
    Case(
        "pooling",
        "max_pool2d",
        ((1, 3, 7, 19),),
        {"window": 3, "stride": 2, "padding": 1},
    ),
    Case(
        "pooling",
        "max_pool2d",
        ((1, 2, 9, 9),),
        {"window": 3, "stride": 1, "padding": 1, "dilation": 2},
    ),
    Case(
        "pooling",
        "max_pool2d_nhwc",
        ((2, 7, 5, 35),),
        {"window": 3, "stride": 2, "padding": 1},
    ),
    Case("pooling", "max_pool3d", ((1, 2, 4, 5, 6),), {"window": 2, "stride": 1}),
    Case(
        "pooling",
        "max_pool3d",
        ((1, 2, 5, 5, 5),),
        {"window": 3, "stride": 2, "padding": 1},
    ),
    Case("pooling", "avg_pool1d", ((2, 3, 11),), {"window": 3, "stride": 2}),
    Case(
        "pooling",
        "avg_pool1d",
        ((2, 3, 11),),
        {"window": 4, "stride": 1, "padding": 2, "count_include_pad": False},
    ),
    Case(
        "pooling",
        "avg_pool2d",
        ((2, 3, 7, 9),),
        {"window": 3, "stride": 2, "padding": 1},
    ),
    Case(
        "pooling",
        "avg_pool2d",
        ((2, 3, 7, 9),),
        {"window": 3, "stride": 2, "padding": 1, "count_include_pad": False},
    ),
    Case(
        "pooling",
        "avg_pool2d_nhwc",
        ((1, 7, 5, 33),),
        {"window": 3, "stride": 1, "padding": 1, "count_include_pad": False},
    ),
    Case("pooling", "avg_pool2d_nhwc", ((1, 7, 5, 3),), {"window": 2, "stride": 2}),
    Case("pooling", "global_max_pool2d", ((2, 3, 7, 5),)),
    Case("pooling", "global_avg_pool2d", ((2, 3, 7, 5),)),
    Case("pooling", "global_avg_pool2d_nhwc", ((2, 7, 5, 35),)),
)

NORMALIZATION = (
    Case("normalization", "batch_norm1d", ((3, 19), (19,), (19,), (19,), (19,))),
    Case("normalization", "batch_norm2d", ((2, 3, 5, 7), (3,), (3,), (3,), (3,))),
    Case(
        "normalization",
        "batch_norm2d_nhwc",
        ((2, 5, 7, 19), (19,), (19,), (19,), (19,)),
        {"eps": 1e-3},
    ),
    Case("normalization", "layer_norm", ((37,), (37,), (37,))),
    Case("normalization", "layer_norm", ((5, 37), (37,), (37,))),
    Case("normalization", "layer_norm", ((2, 3, 1), (1,), (1,)), {"eps": 0.1}),
    Case("normalization", "layer_norm", ((0, 5), (5,), (5,))),
    Case("normalization", "rms_norm", ((5, 37), (37,))),
    Case("normalization", "rms_norm", ((2, 3, 16), (16,)), {"eps": 1e-5}),
    Case("normalization", "group_norm", ((2, 6, 5, 3), (6,), (6,)), {"groups": 3}),
    Case("normalization", "group_norm", ((2, 4, 1, 3), (4,), (4,)), {"groups": 1}),
    Case("normalization", "instance_norm2d", ((2, 3, 5, 7), (3,), (3,))),
    Case("normalization", "l2_normalize", ((5, 37),)),
)

ELEMENTWISE = (
    "relu_layer",
    "gelu_layer",
    "gelu_tanh",
    "silu_layer",
    "sigmoid_layer",
    "tanh_layer",
    "softplus_layer",
    "elu",
    "leaky_relu",
    "hardtanh",
    "hardsigmoid",
    "hardswish",
    "mish",
    "softmax",
    "log_softmax",
)

ACTIVATION = (
    *(Case("activation", name, ((101,),)) for name in ELEMENTWISE),
    *(Case("activation", name, ((2, 3, 17),)) for name in ELEMENTWISE),
    Case("activation", "relu_layer", ((),)),
    Case("activation", "relu_layer", ((0, 3),)),
    Case("activation", "softmax", ((1, 1),)),
    Case("activation", "softmax", ((3, 0),)),
    Case("activation", "softplus_layer", ((19,),), {"beta": 2.5}),
    Case("activation", "elu", ((19,),), {"alpha": 0.5}),
    Case("activation", "leaky_relu", ((19,),), {"slope": 0.25}),
    Case("activation", "hardtanh", ((19,),), {"low": -0.5, "high": 0.25}),
    Case("activation", "prelu", ((2, 3, 5, 7), (3,))),
    Case("activation", "swiglu", ((3, 19), (3, 19))),
)

ATTENTION = (
    Case("attention", "attention", ((7, 5), (11, 5), (11, 3))),
    Case("attention", "attention", ((2, 3, 7, 16), (2, 3, 9, 16), (2, 3, 9, 16))),
    Case("attention", "attention", ((2, 1, 4), (2, 1, 4), (2, 1, 4))),
    Case(
        "attention",
        "attention_masked",
        ((2, 3, 7, 5), (2, 3, 9, 5), (2, 3, 9, 4), (7, 9)),
    ),
    Case("attention", "attention_causal", ((2, 3, 7, 5), (2, 3, 7, 5), (2, 3, 7, 4))),
    Case("attention", "attention_causal", ((1, 5, 3), (1, 9, 3), (1, 9, 2))),
    Case("attention", "attention_grouped", ((2, 6, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4))),
    Case(
        "attention",
        "multi_head_attention",
        ((2, 5, 12), (36, 12), (36,), (12, 12), (12,)),
        {"heads": 3},
    ),
)

NOVEL = (
    Case("novel", "involution", ((1, 7, 5, 12), (1, 7, 5, 3, 3, 3)), {"padding": 1}),
    Case(
        "novel",
        "involution",
        ((2, 9, 9, 6), (2, 4, 4, 3, 3, 1)),
        {"stride": 2, "padding": 1, "dilation": 2},
    ),
    Case("novel", "involution", ((1, 6, 5, 34), (1, 4, 3, 3, 3, 2))),
    Case(
        "novel",
        "involution_layer",
        ((1, 5, 6, 8), (3, 8), (3,), (18, 3), (18,)),
        {"window": 3, "groups": 2},
    ),
    Case("novel", "max_plus", ((7, 5), (5, 37))),
    Case("novel", "max_plus", ((3, 0), (0, 4))),
    Case("novel", "l1_distance", ((7, 5), (5, 37))),
    Case("novel", "adder_conv2d", ((1, 5, 7, 3), (3, 3, 3, 17)), {"padding": 1}),
    Case("novel", "adder_conv2d", ((2, 5, 7, 3), (2, 3, 3, 5)), {"stride": 2}),
    Case("novel", "dynamic_filter", ((2, 3, 5, 19), (2, 3, 5, 5, 19))),
    Case("novel", "correlation", ((1, 7, 5, 19), (1, 7, 5, 19)), {"radius": 2}),
    Case("novel", "correlation_all_pairs", ((1, 7, 3, 5), (1, 7, 4, 2))),
    Case(
        "novel",
        "locally_connected2d",
        ((2, 3, 5, 7), (3, 5, 4, 3, 3, 3), (3, 5, 4)),
    ),
    Case(
        "novel",
        "locally_connected2d",
        ((1, 2, 7, 7), (3, 3, 5, 2, 2, 3), (3, 3, 5)),
        {"stride": 2},
    ),
)

CASES = (*LINALG, *CONV, *POOLING, *NORMALIZATION, *ACTIVATION, *ATTENTION, *NOVEL)
