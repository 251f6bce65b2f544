"""Sizes for `stdlib.sparse`."""

import numpy as np

from stdlib_cases.case import Integers, Made, Of, Uniform

of = Of("sparse")

ROWS = Made("5r", lambda rng: np.array([0, 3, 0, 1, 3]))
SLOTS = Made("5o", lambda rng: np.array([2, 7, 0, 8, 4]))
CIRCLE = (
    Made("9e", lambda rng: np.array([0, 1, 2, 3, 4, 0, 2, 2, 1])),
    Made("9f", lambda rng: np.array([1, 2, 3, 4, 0, 3, 1, 0, 1])),
)
"""Nine edges, so that every node has one that leads to it."""

CASES = (
    of("block_sparse_matmul", (5, 2, 3), ROWS, Integers((5,), 4), (4, 3, 7), rows=4),
    of("block_sparse_rows_matmul", (4, 2, 3, 5), Integers((4, 2), 6), (6, 5, 7)),
    of(
        "sampled_matmul",
        (5, 3),
        (7, 3),
        Integers((9,), 5),
        Integers((9,), 7, 0, "int32"),
    ),
    of("sparse_matmul", (9,), Integers((9,), 5), Integers((9,), 7), (7, 3), rows=5),
    of("sparse_matvec_ell", (5, 3), Integers((5, 3), 7), (7,)),
    of("graph_sum", (5, 3), Integers((9,), 5), Integers((9,), 5)),
    of("graph_conv", (5, 3), Integers((9,), 5), Integers((9,), 5), (4, 3)),
    of("graph_attention", (5, 3), *CIRCLE, (4, 3), (4,), (4,)),
    of("graph_isomorphism", (5, 3), Integers((9,), 5), Integers((9,), 5), ()),
    of("expert_linear", (7, 3), Integers((7,), 4), (4, 5, 3), (4, 5)),
    of(
        "mixture_of_experts",
        (7, 3),
        Integers((7, 2), 4),
        Uniform((7, 2)),
        (4, 5, 3),
        (4, 5, 3),
        (4, 2, 5),
    ),
    of("top_expert", (7, 3), (4, 3)),
    of("dispatch", (5, 3), SLOTS, slots=9),
    of("combine", (9, 3), SLOTS, (5,)),
    of("low_bit_linear", (3, 7), Integers((5, 7), 16, 0, "uint8"), (5, 16)),
)
