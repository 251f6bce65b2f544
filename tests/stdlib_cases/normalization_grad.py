"""Sizes for `stdlib.normalization_grad`; the statistics are those of x."""

import numpy as np

from stdlib_cases.case import Array, Made, Of, Shape, text_of

of = Of("normalization_grad")


def fixed_x(shape: Shape) -> Array:
    """The same numbers wherever they are asked for."""
    return np.random.default_rng(len(shape)).standard_normal(shape)


def statistics(shape: Shape, axes: Shape) -> tuple[Made, Made, Made]:
    """x, its mean and its variance over some axes."""
    x = fixed_x(shape)
    mean, variance = x.mean(axes), x.var(axes)
    return (
        Made(text_of(shape), lambda rng: x),
        Made("mean", lambda rng: mean),
        Made("var", lambda rng: variance),
    )


def scales(shape: Shape, axes: Shape, seen: Shape = ()) -> tuple[Made, Made, Made]:
    """x, its mean and 1 / sqrt(variance + 1e-5); x is seen in another shape."""
    _, mean, _ = statistics(shape, axes)
    given = fixed_x(shape)
    return (
        Made(text_of(seen or shape), lambda rng: given.reshape(seen or shape)),
        mean,
        Made("scale", lambda rng: 1 / np.sqrt(given.var(axes) + 1e-5)),
    )


CASES = (
    of("batch_norm1d_grad", (7, 19), *statistics((7, 19), (0,)), (19,)),
    of("batch_norm2d_grad", (2, 3, 5, 7), *statistics((2, 3, 5, 7), (0, 2, 3)), (3,)),
    of(
        "batch_norm2d_nhwc_grad",
        (2, 5, 7, 3),
        *statistics((2, 5, 7, 3), (0, 1, 2)),
        (3,),
    ),
    of("layer_norm_grad", (2, 3, 17), *scales((2, 3, 17), (2,)), (17,)),
    of("rms_norm_grad", (2, 3, 17), (2, 3, 17), (17,)),
    of(
        "group_norm_grad",
        (2, 6, 5, 3),
        *scales((2, 2, 3, 5, 3), (2, 3, 4), (2, 6, 5, 3)),
        (6,),
    ),
    of("instance_norm2d_grad", (2, 3, 5, 7), (2, 3, 5, 7), (3,)),
    of("l2_normalize_grad", (5, 17), (5, 17)),
    of("weight_norm_grad", (5, 17), (5, 17), (5,)),
)
