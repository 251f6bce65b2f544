"""Sizes for `stdlib.novel`."""

import numpy as np

from stdlib_cases.case import Array, Integers, Made, Of, Uniform

of = Of("novel")

BT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float64,
)
G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
AT = np.array(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ],
    np.float64,
)


def constant(name: str, array: Array) -> Made:
    """A matrix that is what it is."""
    return Made(name, lambda rng: array)


F43 = (constant("bt", BT), constant("g", G), constant("at", AT))
"""The matrices of F(4 x 4, 3 x 3), as Lavin and Gray give them."""

CASES = (
    of("involution", (1, 7, 5, 12), (1, 7, 5, 3, 3, 3), padding=1),
    of("involution", (2, 9, 9, 6), (2, 4, 4, 3, 3, 1), stride=2, padding=1, dilation=2),
    of("involution", (1, 6, 5, 34), (1, 4, 3, 3, 3, 2)),
    of(
        "involution_layer",
        (1, 5, 6, 8),
        (3, 8),
        (3,),
        (18, 3),
        (18,),
        window=3,
        groups=2,
    ),
    of("max_plus", (7, 5), (5, 37)),
    of("max_plus", (3, 0), (0, 4)),
    of("l1_distance", (7, 5), (5, 37)),
    of("adder_conv2d", (1, 5, 7, 3), (3, 3, 3, 17), padding=1),
    of("adder_conv2d", (2, 5, 7, 3), (2, 3, 3, 5), stride=2),
    of("dynamic_filter", (2, 3, 5, 19), (2, 3, 5, 5, 19)),
    of("correlation", (1, 7, 5, 19), (1, 7, 5, 19), radius=2),
    of("correlation_all_pairs", (1, 7, 3, 5), (1, 7, 4, 2)),
    of("locally_connected2d", (2, 3, 5, 7), (3, 5, 4, 3, 3, 3), (3, 5, 4)),
    of("locally_connected2d", (1, 2, 7, 7), (3, 3, 5, 2, 2, 3), (3, 3, 5), stride=2),
    of("locally_connected1d", (2, 3, 11), (5, 4, 3, 3), (5, 4), stride=2),
    of(
        "conditional_conv2d", (2, 3, 7, 5), (4, 5, 3, 3, 2), (2, 4), stride=2, padding=1
    ),
    of(
        "conditional_conv2d_layer",
        (2, 3, 7, 5),
        (4, 5, 3, 3, 2),
        (4, 3),
        (4,),
        padding=1,
    ),
    of(
        "bilinear_sample",
        (2, 3, 5, 7),
        Uniform((2, 4, 3), -1.5, 5.5),
        Uniform((2, 4, 3), -1.5, 7.5),
    ),
    of("grid_sample", (2, 3, 5, 7), Uniform((2, 4, 3, 2), -1.3, 1.3)),
    of(
        "deformable_conv2d",
        (2, 3, 7, 6),
        (2, 6, 2, 4, 4),
        Uniform((2, 6, 4, 4)),
        (5, 3, 3, 2),
        stride=2,
        padding=1,
    ),
    of(
        "deformable_conv2d",
        (1, 2, 5, 6),
        (1, 4, 2, 3, 4),
        Uniform((1, 4, 3, 4)),
        (3, 2, 2, 2),
        dilation=2,
    ),
    of("max_plus_conv2d", (2, 3, 7, 5), (4, 3, 3, 2), stride=2, padding=1),
    of("squash", (2, 3, 5)),
    of("routing_step", (2, 4, 3, 5), (2, 4, 3)),
    of("capsules", (2, 6, 4), (6, 3, 5, 4)),
    of(
        "capsule_conv2d",
        (2, 4, 3, 3, 4),
        Uniform((3, 2, 3, 2, 5, 4), -0.5, 0.5),
        stride=2,
        padding=1,
    ),
    of("squeeze_excitation", (2, 6, 3, 5), (3, 6), (3,), (6, 3), (6,)),
    of("shift2d", (2, 5, 4, 3), Integers((5,), 3, -2), Integers((5,), 3, -2)),
    of("octave_down", (2, 3, 6, 8), (5, 3, 3, 3)),
    of("winograd_conv2d", (1, 2, 9, 7), (3, 2, 3, 3), *F43, padding=1),
    of("winograd_conv2d", (1, 2, 7, 7), (3, 2, 3, 3), *F43),
    of("winograd_conv2d_3x3", (2, 3, 7, 6), (4, 3, 3, 3), padding=1),
    of("winograd_conv2d_3x3", (1, 2, 5, 5), (3, 2, 3, 3)),
)
