"""Sizes for `stdlib.embedding`."""

import numpy as np

from stdlib_cases.case import Integers, Made, Of, Uniform

of = Of("embedding")

SEGMENTS = Made("11s", lambda rng: np.array([0, 3, 0, 0, 4, 1, 1, 3, 0, 4, 4]))
OFFSETS = Made("5o", lambda rng: np.array([0, 3, 3, 7, 10]))

CASES = (
    of("embedding", Integers((2, 5), 7), (7, 17)),
    of("embedding", Integers((), 7, 0, "int32"), (7, 3)),
    of("embedding", Integers((0,), 7), (7, 3)),
    of("embedding_grad", (2, 5, 17), Integers((2, 5), 7), rows=7),
    of("embedding_padded", Integers((2, 9), 4), (4, 5), padding=1),
    of("embedding_padded_grad", (2, 9, 5), Integers((2, 9), 4), rows=4, padding=1),
    of("embedding_lenient", Integers((2, 9), 9, -2), (4, 5)),
    of("embedding_with_position", Integers((2, 5), 7), (7, 3), (9, 3)),
    of("embedding_bag_sum", Integers((11,), 7), SEGMENTS, (7, 5), bags=5),
    of("embedding_bag_weighted", Integers((11,), 7), SEGMENTS, (11,), (7, 5), bags=5),
    of("embedding_bag_mean", Integers((11,), 7), SEGMENTS, (7, 5), bags=5),
    of("embedding_bag_max", Integers((11,), 7), SEGMENTS, (7, 5), bags=5),
    of("embedding_bag_sum_grad", (5, 3), Integers((11,), 7), SEGMENTS, rows=7),
    of("embedding_bag_mean_grad", (5, 3), Integers((11,), 7), SEGMENTS, rows=7),
    of("segments_of_offsets", OFFSETS, length=11),
    of("segment_sum", (11, 3), SEGMENTS, count=5),
    of("segment_softmax", (11,), SEGMENTS, count=5),
    of("gather_rows", (7, 5), Integers((9,), 7)),
    of("gather_last", (2, 3, 7), Integers((2, 3, 4), 7)),
    of("scatter_add", (7, 5), Integers((9,), 7), (9, 5)),
    of("scatter_add_last", (2, 3, 4), Integers((2, 3, 4), 7), size=7),
    of("one_hot", Integers((2, 5), 7), classes=7),
    of("nearest_code", (2, 5, 3), (7, 3)),
    of("hash_embedding", Integers((2, 5, 2), 7), (7, 2), (7, 3)),
    of("sinusoidal_positions", length=7, width=6),
    of("sinusoidal_positions", length=3, width=5),
    of("add_sinusoidal_positions", (2, 7, 6)),
    of("time_embedding", Uniform((5,), 0, 50), width=6),
    of("fourier_features", (2, 5, 3), (4, 3)),
)
