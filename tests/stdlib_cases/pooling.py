"""Sizes for `stdlib.pooling`."""

from stdlib_cases.case import Of, Uniform

of = Of("pooling")


CASES = (
    of("max_pool1d", (2, 3, 11), window=3, stride=2),
    of("max_pool1d", (1, 2, 9), window=2, stride=1, padding=1, dilation=3),
    of("max_pool2d", (2, 3, 8, 6), window=2, stride=2),
    of("max_pool2d", (1, 3, 7, 19), window=3, stride=2, padding=1),
    of("max_pool2d", (1, 2, 9, 9), window=3, stride=1, padding=1, dilation=2),
    of("max_pool2d_nhwc", (2, 7, 5, 35), window=3, stride=2, padding=1),
    of("max_pool3d", (1, 2, 4, 5, 6), window=2, stride=1),
    of("max_pool3d", (1, 2, 5, 5, 5), window=3, stride=2, padding=1),
    of("avg_pool1d", (2, 3, 11), window=3, stride=2),
    of(
        "avg_pool1d", (2, 3, 11), window=4, stride=1, padding=2, count_include_pad=False
    ),
    of("avg_pool2d", (2, 3, 7, 9), window=3, stride=2, padding=1),
    of(
        "avg_pool2d",
        (2, 3, 7, 9),
        window=3,
        stride=2,
        padding=1,
        count_include_pad=False,
    ),
    of(
        "avg_pool2d_nhwc",
        (1, 7, 5, 33),
        window=3,
        stride=1,
        padding=1,
        count_include_pad=False,
    ),
    of("avg_pool2d_nhwc", (1, 7, 5, 3), window=2, stride=2),
    of("global_max_pool2d", (2, 3, 7, 5)),
    of("global_avg_pool2d", (2, 3, 7, 5)),
    of("global_avg_pool2d_nhwc", (2, 7, 5, 35)),
    of("max_pool1d_nlc", (2, 11, 19), window=3, stride=2, padding=1),
    of("max_pool3d_ndhwc", (1, 4, 5, 6, 3), window=2, stride=2, padding=1, dilation=2),
    of("max_pool2d_ceil", (2, 3, 8, 6), window=3, stride=2, padding=1),
    of("max_pool2d_ceil", (1, 2, 5, 7), window=2, stride=3, padding=1),
    of("max_pool1d_indices", (2, 3, 11), window=3, stride=2, padding=1),
    of("max_pool2d_indices", (2, 3, 7, 9), window=3, stride=2, padding=1),
    of("max_pool2d_indices", (1, 2, 9, 8), window=2, stride=1, padding=1, dilation=3),
    of(
        "max_pool3d_indices", (1, 2, 5, 4, 6), window=2, stride=2, padding=1, dilation=2
    ),
    of("avg_pool3d", (1, 2, 5, 4, 6), window=3, stride=2, padding=1),
    of("global_avg_pool1d", (2, 3, 7)),
    of("global_avg_pool3d", (2, 3, 4, 5, 2)),
    of("adaptive_avg_pool1d", (2, 3, 11), length=4),
    of("adaptive_avg_pool1d", (1, 2, 3), length=7),
    of("adaptive_avg_pool2d", (2, 3, 7, 10), height=3, width=4),
    of("adaptive_avg_pool3d", (1, 2, 5, 4, 7), depth=2, height=3, width=4),
    of("adaptive_max_pool1d", (2, 3, 11), length=4),
    of("adaptive_max_pool2d", (2, 3, 7, 10), height=3, width=4),
    of("lp_pool2d", Uniform((2, 3, 7, 9), 0.1), p=3.0, window=3, stride=2),
)
