"""Sizes for `stdlib.state_space`."""

from stdlib_cases.case import Of, Uniform

of = Of("state_space")

NEGATIVE = Uniform((5, 3), -2.0, -0.5)

CASES = (
    of(
        "selective_scan",
        (2, 6, 5),
        Uniform((2, 6, 5)),
        NEGATIVE,
        (2, 6, 3),
        (2, 6, 3),
        (5,),
    ),
    of(
        "selective_scan",
        (1, 1, 5),
        Uniform((1, 1, 5)),
        NEGATIVE,
        (1, 1, 3),
        (1, 1, 3),
        (5,),
    ),
    of(
        "mamba_inner",
        (2, 6, 5),
        (2, 6, 5),
        (2, 6, 5),
        (5,),
        (5, 3),
        (2, 6, 3),
        (2, 6, 3),
        (5,),
    ),
    of(
        "state_space_dual",
        (2, 6, 3, 4),
        Uniform((2, 6, 3), -1, 0),
        (2, 6, 3, 5),
        (2, 6, 3, 5),
    ),
    of(
        "state_space_dual_quadratic",
        (2, 6, 3, 4),
        Uniform((2, 6, 3), -1, 0),
        (2, 6, 3, 5),
        (2, 6, 3, 5),
    ),
    of(
        "gated_linear_attention",
        (2, 3, 6, 4),
        (2, 3, 6, 4),
        (2, 3, 6, 5),
        Uniform((2, 3, 6, 4)),
    ),
    of("linear_attention_causal", (2, 6, 4), (2, 6, 4), (2, 6, 5)),
    of("retention", (2, 3, 6, 4), (2, 3, 6, 4), (2, 3, 6, 5), Uniform((3,), 0.5)),
    of(
        "retention_parallel",
        (2, 3, 6, 4),
        (2, 3, 6, 4),
        (2, 3, 6, 5),
        Uniform((3,), 0.5),
    ),
    of(
        "delta_rule",
        (2, 3, 6, 4),
        Uniform((2, 3, 6, 4), -0.5, 0.5),
        (2, 3, 6, 5),
        Uniform((2, 3, 6)),
    ),
    of("rwkv", (2, 6, 5), (2, 6, 5), Uniform((5,)), (5,)),
    of("griffin_recurrence", (2, 6, 5), (2, 6, 5), (2, 6, 5), Uniform((5,), -4, -2)),
    of("diagonal_state_space", (2, 6, 5), NEGATIVE, (5, 3), (5, 3), Uniform((5,), 0.1)),
)
