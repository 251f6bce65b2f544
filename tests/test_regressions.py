"""The smallest programs of bugs that random programs have found, one each.

They run on the best ISA row of the machine, with the cheapest plan and with others.
"""

from __future__ import annotations

import numpy as np
import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

import polydsl
from polydsl.backend.arrays import layout_of
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.toolchain import toolchain
from polydsl.schedule.matrix_point import MatrixPoint, Reading, TileLoop
from polydsl.schedule.vector_point import IndexLoop, Unrolled, VectorPoint

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
NOBODY = Program(
    """\
kernel f(x: i32[A, B]):
    y[i] = argmin[j](x[i, j])
    return y
""",
    (("x", "i32", (0, 5)),),
)
LITERAL = Program(
    """\
kernel f(k: i16[M, N]):
    y[i, j] = 1 + 0.01 * k[i, j]
    z[i, j] = -0.25 if k[i, j] > 0.1 else 1 + 0.01 * (0 * k[i, j] - 100)
    r[i] *= 1 + 0.01 * (0 * k[i, j] - 100)
    return y, z, r
""",
    (("k", "i16", (3, 17)),),
)
NARROWED = Program(
    """\
kernel f(a: i64[N], b: i32[N], c: u8[N], d: i8[N]):
    p[i] = i8(a[i]) + i16(b[i])
    q[i] = i32(a[i])
    r[i] = i8(c[i])
    s[i] = u8(d[i]) + u8(b[i])
    t[i] = i8(200 * i)
    u[i] = i16(sum[j](a[j]) + i)
    return p, q, r, s, t, u
""",
    tuple((n, t, (37,)) for n, t in zip("abcd", ("i64", "i32", "u8", "i8"))),
    large=True,
)
ROWS_SHARED = Program(
    """\
kernel f(x: f64[C, C, B], y: f64[B, C, C], z: i8[A, B, C]):
    i in range(C)
    m in range(C)
    b in range(B)
    a in range(A)
    t[i, m, b, a] += pad(x[c, i, 2*m + k + 1], -1) * pad(y[b, c, a + 2*k - 1], -2)
    k in range(B)
    c in range(C)
    return t
""",
    (("x", "f64", (19, 19, 11)), ("y", "f64", (11, 19, 19)), ("z", "i8", (19, 11, 19))),
)


ENDS_BEFORE_IT_BEGINS = Program(
    """\
kernel f(x: f32[A]):
    i in range(A)
    j in range(2, i)
    s[i] += x[j]
    B = A - 3
    k in range(B)
    w[k] = x[k + 3] - x[k]
    return s, w
""",
    (("x", "f32", (1,)),),
)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_range_that_ends_before_it_begins(shuffle: int | None) -> None:
    """The proof of the tree wanted a negative number of iterations."""
    run_case(Case(ENDS_BEFORE_IT_BEGINS, ROWS[0], shuffle=shuffle))


def test_the_position_of_an_extremum_for_nobody() -> None:
    """The oracle could not reshape values of which there are none."""
    run_case(Case(NOBODY, ROWS[0]))


@pytest.mark.parametrize("isa", ROWS)
def test_a_literal_has_the_bits_of_its_type(isa: str) -> None:
    """The oracle took 0.01 as it is in f64, and that times 100 for exactly 1."""
    run_case(Case(LITERAL, isa))


@pytest.mark.parametrize("isa", ROWS)
def test_casts_between_integers_wrap_around(isa: str) -> None:
    """They saturated, as stores do."""
    run_case(Case(NARROWED, isa))


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_padding_that_is_wider_than_its_tensor(shuffle: int | None) -> None:
    """The proof of values refused the conversion of the element."""
    run_case(Case(WIDER_PADDING, ROWS[0], shuffle=shuffle))


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_reduction_in_an_arm_that_is_never_taken(shuffle: int | None) -> None:
    """The proof of instances missed the point of a domain whose condition is False."""
    run_case(Case(NEVER_NEEDED, ROWS[0], shuffle=shuffle))


def test_threads_share_rows_beside_packed_columns() -> None:
    """The proof of flow took the packing of a chunk of rows for one that none uses."""
    point = MatrixPoint(
        is_swapped=False,
        rows=("i", "m"),
        columns=("b", "a"),
        depth=("c",),
        row_tile=4,
        column_tile=48,
        depth_block=19,
        taps_block=11,
        loops=(TileLoop("rows", 32), TileLoop("columns"), TileLoop("rows")),
        a=Reading("in place"),
        b=Reading("packed", 2),
        parallel=0,
    )
    rng = np.random.default_rng(0)
    arrays = {n: rng.standard_normal(shape) for n, _, shape in ROWS_SHARED.arguments}
    arrays["z"] = np.zeros(arrays["z"].shape, np.int8)
    kernel = polydsl.loads(ROWS_SHARED.text).f
    layouts = {name: layout_of(array) for name, array in arrays.items()}
    asked = Request(kernel.library, "f", layouts, {}).choosing({"S1 (t)": point})
    native = Specialization(asked, toolchain(), {})
    assert "parallel rows" in native.explain()
    wanted = kernel.reference(**arrays)
    for threads in (1, 2):
        found = native(*arrays.values(), threads=threads)
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)


PADDED_ROWS = """\
kernel f(x: f32[H, W, C], w: f32[R, S, C, K], z: i8[P, Q]) -> f32[P, Q, K]:
    p in range(P)
    q in range(Q)
    y[p, q, k] += pad(x[p*2 + r - 1, q + s - 1, c]) * w[r, s, c, k]
    return y
"""


def test_sums_are_contracted_alike_by_every_thread() -> None:
    """LLVM contracted the products of the loop that one thread runs, which it had
    inlined, and not those of the function that two threads call."""
    point = VectorPoint(
        vector="k",
        vectors=2,
        unrolled=(Unrolled("q", 6),),
        taps=(),
        reduction=("r", "s", "c"),
        loops=(IndexLoop("p"), IndexLoop("q"), IndexLoop("k")),
        cut=("p",),
        parallel=0,
    )
    rng = np.random.default_rng(0)
    shapes = {"x": (5, 6, 4), "w": (2, 3, 4, 9)}
    arrays = {n: np.float32(rng.standard_normal(s) + 4) for n, s in shapes.items()}
    arrays["z"] = np.zeros((3, 6), np.int8)
    kernel = polydsl.loads(PADDED_ROWS).f
    layouts = {name: layout_of(array) for name, array in arrays.items()}
    subject = "S0, S1 (y)"
    asked = Request(kernel.library, "f", layouts, {}).choosing({subject: point})
    native = Specialization(asked, toolchain(), {})
    one, two = (native(*arrays.values(), threads=threads) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


def test_a_subscript_without_an_index_is_outside() -> None:
    """The hint named the first index of the subscript, which has none."""
    kernel = polydsl.loads(
        "kernel f(x: f32[N]):\n    y[n] = x[n] + x[N]\n    return y\n"
    ).f
    with pytest.raises(polydsl.ProgramError, match="use a subscript from 0 to 2"):
        kernel(np.zeros(3, np.float32))
