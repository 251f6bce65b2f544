"""Sizes for `stdlib.factored`."""

import numpy as np

from stdlib_cases.case import Array, Made, Of, Random, Uniform

of = Of("factored")


def knots(count: int) -> Made:
    """Rising knots, not all as far apart, which cover -1 to 1 inside."""

    def make(rng: Random) -> Array:
        return np.linspace(-2, 2, count) + rng.uniform(0, 0.1, count)

    return Made(f"{count}k", make)


CASES = (
    of("low_rank_linear", (2, 5, 7), (3, 7), (9, 3)),
    of("lora_linear", (2, 5, 7), (9, 7), (9,), (3, 7), (9, 3), alpha=0.5),
    of("tucker_linear", (2, 3, 4), (2, 3, 2, 3), (3, 2), (4, 3), (5, 2), (7, 3)),
    of("tensor_train_linear", (2, 3, 4, 2), (5, 3, 2), (2, 3, 4, 3), (3, 4, 2)),
    of("cp_linear", (2, 3, 4), (5, 3), (5, 4), (5, 7)),
    of("kronecker_linear", (2, 3, 4), (5, 3), (7, 4)),
    of("block_diagonal_linear", (2, 3, 5), (3, 7, 5)),
    of("monarch_linear", (2, 3, 5), (3, 4, 5), (4, 7, 3)),
    of("factorized_bilinear", (2, 5), (2, 7), (5, 3, 4), (7, 3, 4)),
    of("factorization_machine", (3, 7), (7, 5)),
    of("cross_network", (3, 7), (3, 7), (7, 7), (7,)),
    of("chebyshev_basis", Uniform((3, 5), -1), degrees=6),
    of("chebyshev_basis", Uniform((3,), -1), degrees=1),
    of("kan_chebyshev", (3, 5), (4, 5, 6)),
    of("b_spline_basis", Uniform((3, 5), -1), knots(9), degree=3),
    of("b_spline_basis", Uniform((3, 2), -1), knots(4), degree=0),
    of("kan_spline", Uniform((3, 5), -1), (4, 5, 5), (4, 5), knots(9)),
    of("kan_spline", Uniform((3, 5), -1), (4, 5, 6), (4, 5), knots(9), degree=2),
    of("radial_basis", (3, 5), (7, 5), Uniform((7,)), (4, 7)),
    of("mixture_of_softmaxes", (3, 4, 5), (7, 5), (3, 4)),
)
