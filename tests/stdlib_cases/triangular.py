"""Sizes for `stdlib.triangular`: matrices whose solves are well conditioned."""

import numpy as np

from stdlib_cases.case import Array, Made, Of, Random, Uniform

of = Of("triangular")


def dominant(size: int, *lead: int) -> Made:
    """A matrix whose diagonal outweighs the rest."""

    def make(rng: Random) -> Array:
        rest = rng.uniform(-1, 1, (*lead, size, size))
        return rest + 2 * size * np.eye(size)

    return Made("x".join(map(str, (*lead, size, size))) + "d", make)


def definite(size: int) -> Made:
    """A symmetric, positive definite matrix."""

    def make(rng: Random) -> Array:
        half = rng.standard_normal((size, size))
        return np.asarray(half @ half.T + size * np.eye(size))

    return Made(f"{size}x{size}p", make)


CASES = (
    of("lower_part", (5, 7)),
    of("lower_part", (2, 7, 5), offset=-2),
    of("upper_part", (5, 7), offset=1),
    of("lower_matvec", (7, 7), (7,)),
    of("lower_matvec", (1, 1), (1,)),
    of("upper_matvec", (7, 7), (7,)),
    of("lower_matmul", (7, 7), (7, 19)),
    of("lower_matmul", (0, 0), (0, 3)),
    of("upper_matmul", (7, 7), (7, 19)),
    of("lower_times_upper", (7, 7), (7, 7)),
    of("lower_times_lower", (7, 7), (7, 7)),
    of("symmetric_matmul", (7, 7), (7, 19)),
    of("symmetric_gram", (7, 5)),
    of("solve_lower", dominant(9), (9, 5)),
    of("solve_lower", dominant(1), (1, 3)),
    of("solve_lower_unit", dominant(9), (9, 5)),
    of("solve_lower_transposed", dominant(9), (9, 5)),
    of("solve_upper", dominant(9), (9, 5)),
    of("solve_lower_vector", dominant(7, 2, 3), (2, 3, 7)),
    of("solve_upper_vector", dominant(7), (7,)),
    of(
        "solve_tridiagonal", Uniform((9,)), Uniform((9,), 3.0, 4.0), Uniform((9,)), (9,)
    ),
    of(
        "solve_tridiagonal", Uniform((1,)), Uniform((1,), 3.0, 4.0), Uniform((1,)), (1,)
    ),
    of("inverse_lower", dominant(9)),
    of("cholesky", definite(7)),
    of("cholesky", definite(1)),
    of("lu", dominant(7)),
    of("solve", dominant(7), (7, 3)),
    of("solve_positive_definite", definite(7), (7, 3)),
)
