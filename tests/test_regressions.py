"""The smallest programs of bugs that random programs have found, one each.

They run on the best ISA row of the machine, with the cheapest plan and with others.
"""

from __future__ import annotations

import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

SHUFFLES = (None, 0, 1, 2, 3, 4, 5)

WIDER_PADDING = Program(
    """\
kernel f(x: i64[A]):
    k in range(A)
    y[k] = pad(x[k - 1], 0.5)
    return y
""",
    (("x", "i64", (11,)),),
)
NEVER_NEEDED = Program(
    """\
kernel f(x: f32[A]):
    k in range(A)
    y = 1 if True else max[k](x[k]) + 2
    z[k] = x[k] if 2 < 1 else min[k](x[k])
    return y, z
""",
    (("x", "f32", (2,)),),
)
IDLE_CHUNK = Program(
    """\
kernel f(a: f64[B, C], b: f64[C, D], z: i8[A]):
    i in range(A)
    y[m, i, n] += pad(a[m, k + i]) * b[k, n]
    return y
""",
    (("a", "f64", (11, 19)), ("b", "f64", (19, 11)), ("z", "i8", (2,))),
)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_padding_that_is_wider_than_its_tensor(shuffle: int | None) -> None:
    """The proof of values refused the conversion of the element."""
    run_case(Case(WIDER_PADDING, ROWS[0], shuffle=shuffle))


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_reduction_in_an_arm_that_is_never_taken(shuffle: int | None) -> None:
    """The proof of instances missed the point of a domain whose condition is False."""
    run_case(Case(NEVER_NEEDED, ROWS[0], shuffle=shuffle))


@pytest.mark.parametrize("shuffle", range(40))
def test_threads_without_a_tile_of_rows(shuffle: int) -> None:
    """A chunk of rows without any filled the packed columns for nobody."""
    run_case(Case(IDLE_CHUNK, ROWS[0], shuffle=shuffle))
