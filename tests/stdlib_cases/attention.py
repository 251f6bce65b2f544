"""Sizes for `stdlib.attention`."""

import numpy as np

from stdlib_cases.case import Integers, Made, Of

of = Of("attention")

LENGTHS = Made("2n", lambda rng: np.array([9, 15]))

CASES = (
    of("attention", (7, 5), (11, 5), (11, 3)),
    of("attention", (2, 3, 7, 16), (2, 3, 9, 16), (2, 3, 9, 16)),
    of("attention", (2, 1, 4), (2, 1, 4), (2, 1, 4)),
    of("attention_masked", (2, 3, 7, 5), (2, 3, 9, 5), (2, 3, 9, 4), (7, 9)),
    of("attention_causal", (2, 3, 7, 5), (2, 3, 7, 5), (2, 3, 7, 4)),
    of("attention_causal", (1, 5, 3), (1, 9, 3), (1, 9, 2)),
    of("attention_grouped", (2, 6, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)),
    of("multi_head_attention", (2, 5, 12), (36, 12), (36,), (12, 12), (12,), heads=3),
    of("attention_causal", (1, 9, 3), (1, 5, 3), (1, 5, 2)),
    of("attention_causal", (7, 5), (7, 5), (7, 17)),
    of("attention_window", (2, 9, 5), (2, 9, 5), (2, 9, 3), window=3),
    of("attention_window", (5, 4), (5, 4), (5, 3), window=1),
    of("attention_window", (5, 4), (5, 4), (5, 3), window=9),
    of("attention_alibi", (2, 3, 7, 5), (2, 3, 7, 5), (2, 3, 7, 4), (3,)),
    of("attention_biased", (2, 3, 7, 5), (2, 3, 9, 5), (2, 3, 9, 4), (3, 7, 9)),
    of("attention_relative_bias", (2, 3, 7, 5), (2, 3, 7, 5), (2, 3, 7, 4), (3, 13)),
    of("attention_relative", (2, 7, 5), (2, 7, 5), (2, 7, 4), (5, 5), (5, 4), radius=2),
    of("attention_grouped_causal", (2, 6, 5, 4), (2, 3, 5, 4), (2, 3, 5, 3)),
    of(
        "attention_paged",
        (2, 6, 4),
        (7, 5, 3, 4),
        (7, 5, 3, 2),
        Integers((2, 3), 7),
        LENGTHS,
    ),
    of("linear_attention", (2, 7, 5), (2, 9, 5), (2, 9, 4)),
    of("attention_grad", (2, 7, 3), (2, 7, 5), (2, 9, 5), (2, 9, 3)),
    of("rotary", (2, 7, 6)),
    of("rotary", (5, 4), base=100.0, start=3),
    of("rotary_by_table", (2, 7, 6), (7, 3), (7, 3)),
    of("rotary_interleaved", (2, 7, 6)),
    of("rotary_interleaved", (5, 4), base=100.0, start=3),
    of("rotary_grad", (2, 7, 6)),
    of("split_heads", (2, 5, 12), heads=3),
    of("join_heads", (2, 3, 5, 4)),
    of(
        "multi_head_cross_attention",
        (2, 5, 12),
        (2, 7, 9),
        (12, 12),
        (12, 9),
        (12, 9),
        (12, 12),
        (12,),
        heads=3,
    ),
)
