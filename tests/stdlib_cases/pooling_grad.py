"""Sizes for `stdlib.pooling_grad`."""

import numpy as np

from stdlib_cases.case import Array, Integers, Made, Of, Random

of = Of("pooling_grad")


def places(count: int, size: int, *shape: int) -> Made:
    """Different places among `size`, for each channel."""

    def make(rng: Random) -> Array:
        rows = [rng.permutation(size)[:count] for _ in range(shape[0] * shape[1])]
        return np.array(rows, np.int64).reshape(shape)

    return Made("x".join(map(str, shape)) + f"o{size}", make)


CASES = (
    of("max_pool1d_grad", (2, 3, 6), Integers((2, 3, 6), 11), length=11),
    of("max_pool2d_grad", (2, 3, 4, 5), Integers((2, 3, 4, 5), 63), height=7, width=9),
    of(
        "max_pool3d_grad",
        (1, 2, 3, 2, 2),
        Integers((1, 2, 3, 2, 2), 60),
        depth=5,
        height=4,
        width=3,
    ),
    of("max_unpool1d", (2, 3, 6), places(6, 11, 2, 3, 6), length=11),
    of("max_unpool2d", (2, 3, 4, 5), places(20, 63, 2, 3, 4, 5), height=7, width=9),
    of(
        "max_unpool3d",
        (1, 2, 3, 2, 2),
        places(12, 60, 1, 2, 3, 2, 2),
        depth=5,
        height=4,
        width=3,
    ),
    of("avg_pool1d_grad", (2, 3, 6), length=11, window=3, stride=2, padding=1),
    of(
        "avg_pool2d_grad",
        (2, 3, 4, 5),
        height=7,
        width=9,
        window=3,
        stride=2,
        padding=1,
    ),
    of(
        "avg_pool2d_grad",
        (1, 3, 4, 5),
        height=7,
        width=9,
        window=3,
        stride=2,
        padding=1,
        count_include_pad=False,
    ),
    of(
        "avg_pool3d_grad",
        (1, 2, 3, 2, 3),
        depth=5,
        height=4,
        width=6,
        window=3,
        stride=2,
        padding=1,
    ),
    of("global_avg_pool2d_grad", (2, 3), height=5, width=7),
    of("adaptive_avg_pool1d_grad", (2, 3, 4), length=11),
    of("adaptive_avg_pool1d_grad", (1, 2, 7), length=3),
    of("adaptive_avg_pool2d_grad", (2, 3, 3, 4), height=7, width=10),
)
