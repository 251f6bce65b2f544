"""The interpreter of loop nests: what it computes, and every wrong access it finds."""

from __future__ import annotations

import emitter_kernels as kernels
import numpy as np
import pytest
from emitter_kernels import array, call, loop, nest, number, vector

from polydsl.base.diagnostics import CompilerBug
from polydsl.base.dtypes import BF16, BOOL, F16, F32, F64, I8, I32, I64, U8, DType
from polydsl.loops.evaluate import Access, cast
from polydsl.loops.interpret import interpret
from polydsl.loops.nest import (
    OUTSIDE,
    Accumulate,
    BatchReduceGemm,
    Buffer,
    Call,
    Columns,
    Guard,
    GuardedRows,
    Literal,
    Load,
    LoopNest,
    Node,
    Rows,
    Select,
    Store,
    Strided,
    Table,
    Tile,
    Var,
)

I = Var("i")  # noqa: E741
ONE = Literal(1.0, F32)
X, Y = array("x", 4), array("y", 4, written=True)


def run(*body: Node, extra: tuple[Buffer, ...] = ()) -> np.ndarray:
    """Run a body on x = 1, 2, 3, 4 and return y."""
    y = np.full(4, -1.0, np.float32)
    x = np.arange(1, 5, dtype=np.float32)
    interpret(nest([X, Y, *extra], *body), {"x": x, "y": y})
    return y


def test_a_row_sum_is_numpys() -> None:
    kernel = kernels.row_sum(3, 7, 4)
    x = np.arange(21, dtype=np.float32).reshape(3, 7)
    z = np.zeros(3, np.float32)
    interpret(kernel, {"x": x, "z": z})
    np.testing.assert_array_equal(z, x.sum(axis=1))


def test_a_select_evaluates_the_arm_it_takes() -> None:
    before = call("sub", I, number(1))
    shifted = Select(
        call("gt", I, number(0)), Load("x", (before,), F32), Literal(9.0, F32), F32
    )
    y = run(loop("i", 4, Store("y", (I,), shifted)))
    np.testing.assert_array_equal(y, [9, 1, 2, 3])


def test_a_guard_leaves_elements_alone() -> None:
    body = Guard(call("lt", I, number(2)), (Store("y", (I,), ONE),))
    np.testing.assert_array_equal(run(loop("i", 4, body)), [1, 1, -1, -1])


def test_narrow_integers_are_computed_in_i32() -> None:
    byte = Literal(100, I8)
    store = Store("y", (number(0),), Call("add", (byte, byte), I32))
    y = np.zeros(1, np.int32)
    interpret(nest([array("y", 1, dtype=I32, written=True)], store), {"y": y})
    assert y[0] == 200


@pytest.mark.parametrize(
    ("value", "dtype", "wanted"),
    [
        (np.float32(np.nan), I32, 0),
        (np.float64(1e30), I64, 2**63 - 1),
        (np.float32(-1e30), I8, -128),
        (np.float32(-2.7), I8, -2),
        (np.int32(300), U8, 255),
        (np.int32(-1), U8, 0),
        (np.float32(0.5), BOOL, True),
        (np.bool_(True), F64, 1.0),
        # More than half a step above 1, which an f32 does not know.
        (np.float64(1 + 2**-8 + 2**-40), BF16, 1 + 2**-7),
        (np.int64(2**62 + 2**54 + 1), BF16, 2.0**62 + 2**55),
        (np.int64(-(2**62) - 2**54), BF16, -(2.0**62)),
        (np.float32(65520), F16, np.inf),
        (np.float32(2**-25), F16, 0.0),
        (BF16.numpy.type(0.1), F16, 0.10009765625),
    ],
)
def test_casts_saturate(value: np.generic, dtype: DType, wanted: object) -> None:
    found = cast(value, dtype)
    assert found == wanted and found.dtype == dtype.numpy


STORE = Store("y", (I,), ONE)
PRIVATE = array("p", 1, memory="scratch", written=True, private=True)
SHARED = array("s", 1, memory="scratch", written=True)
REGISTER = array("r", memory="register", written=True)
FIRST = (number(0),)
WRONG: dict[str, tuple[Node, str]] = {
    "outside": (loop("i", 5, STORE), r"y\[4\] is outside \(4,\), at i = 4, in y\[i\]"),
    "negative": (
        Store("y", (number(-1),), ONE),
        r"y\[-1\] is outside \(4,\), at the top level",
    ),
    "rank": (Store("y", (), ONE), r"y\[\] is outside"),
    "results are undefined": (
        loop("i", 4, Accumulate("y", (I,), "add", ONE)),
        "element 0 of y was never written",
    ),
    "registers are undefined": (
        Store("y", FIRST, Load("r", (), F32)),
        "element 0 of r was never written",
    ),
    "inputs are read-only": (Store("x", FIRST, ONE), "x is read-only"),
    "types": (Store("y", FIRST, Literal(1, I32)), "a int32 is stored in y"),
    "operands": (
        Store("y", FIRST, call("add", ONE, Literal(1, I32))),
        "operands of add have several dtypes",
    ),
    "variables": (STORE, "the variable i is not in scope"),
    "steps": (
        kernels.Loop("i", number(0), number(4), (STORE,), step=0),
        "loop i has step 0",
    ),
    "private scratch is lost": (
        loop(
            "i",
            2,
            Guard(call("eq", I, number(0)), (Store("p", FIRST, ONE),)),
            Store("y", (I,), Load("p", FIRST, F32)),
            kind="parallel",
        ),
        "element 0 of p was never written, at i = 1",
    ),
    "flow between parallel iterations": (
        loop(
            "i",
            2,
            Guard(call("eq", I, number(0)), (Store("s", FIRST, ONE),)),
            Store("y", (I,), Load("s", FIRST, F32)),
            kind="parallel",
        ),
        "s is written in another parallel iteration, at i = 1",
    ),
    "two parallel iterations write": (
        loop("i", 2, Store("s", FIRST, ONE), kind="parallel"),
        "s is used in another parallel iteration, at i = 1",
    ),
}


@pytest.mark.parametrize(("node", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_accesses_are_found(node: Node, message: str) -> None:
    with pytest.raises(CompilerBug, match=message):
        run(node, extra=(PRIVATE, SHARED, REGISTER))


def test_reading_then_writing_in_parallel_is_found() -> None:
    body = (
        Store("s", FIRST, ONE),
        loop(
            "i",
            2,
            Store("y", (I,), Load("s", FIRST, F32)),
            Guard(call("eq", I, number(1)), (Store("s", FIRST, ONE),)),
            kind="parallel",
        ),
    )
    with pytest.raises(CompilerBug, match="s is used in another parallel iteration"):
        run(*body, extra=(SHARED,))


def test_what_every_iteration_reads_is_fine_in_any_order() -> None:
    order: list[Access] = []
    body = (
        Store("s", FIRST, ONE),
        loop("i", 4, Store("y", (I,), Load("s", FIRST, F32)), kind="parallel"),
    )
    kernel = nest([Y, SHARED], *body)
    y = np.zeros(4, np.float32)
    interpret(kernel, {"y": y}, shuffle=5, trace=order)
    written = [element for name, element, is_write in order if name == "y" and is_write]
    assert sorted(written) == [0, 1, 2, 3] and written != [0, 1, 2, 3]
    np.testing.assert_array_equal(y, np.ones(4))


def test_the_trace_has_every_access_in_order() -> None:
    trace: list[Access] = []
    body = (
        Store("r", (), Load("x", (number(2),), F32)),
        Store("y", FIRST, Load("r", (), F32)),
    )
    interpret(
        nest([X, Y, REGISTER], *body),
        {"x": np.ones(4, np.float32), "y": np.ones(4, np.float32)},
        trace=trace,
    )
    assert trace == [("x", 2, False), ("y", 0, True)]


def test_addresses_follow_the_strides() -> None:
    buffer = Buffer("x", F32, (2, 3), (-4, 1), "argument", False)
    trace: list[Access] = []
    store = Store("y", FIRST, Load("x", (number(1), number(2)), F32))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    y = np.zeros(4, np.float32)
    interpret(nest([buffer, Y], store), {"x": x, "y": y}, trace=trace)
    assert y[0] == 5 and trace[0] == ("x", -2, False)


def test_prepared_buffers_are_kept_and_then_read_only() -> None:
    kernel = kernels.packed_product(2, 3, 5, 4)
    arguments = kernels.random_arguments(kernel)
    prepared = interpret(kernel, arguments)
    np.testing.assert_array_equal(prepared["p"], arguments["b"].T)
    again = {**arguments, "b": np.zeros_like(arguments["b"]), "c": arguments["c"] * 0}
    interpret(kernel, again, prepared)
    np.testing.assert_array_equal(again["c"], arguments["c"])
    broken = nest(
        [array("y", 4, written=True), array("p", 1, memory="prepared", written=True)],
        Store("p", FIRST, ONE),
    )
    with pytest.raises(CompilerBug, match="p is read-only here"):
        interpret(broken, {"y": np.zeros(4, np.float32)})


# Batch-reduce GEMM


def table(name: str, *entries: int) -> Buffer:
    data = np.array(entries, np.int32).tobytes()
    shape = (len(entries),)
    return Buffer(name, I32, shape, (1,), "constant", False, data=data)


def product(
    a: Rows | GuardedRows, batch: int, *tables: Buffer, accumulate: bool = False
) -> LoopNest:
    b = Columns("b", number(0), Table("bt", number(1)), 3)
    c = Tile("c", number(1), Table("ct", number(0)))
    gemm = BatchReduceGemm(c, a, b, 2, 3, batch, 2, accumulate, F32)
    start = loop("i", 12, Store("c", (I,), ONE))
    buffers = [
        array("a", 20),
        array("b", 15),
        array("zeros", 4),
        array("c", 12, written=True),
        table("ct", 0, 6),
        table("bt", 99, 0, 9),
        *tables,
    ]
    return nest(buffers, start, gemm)


def arguments_of(kernel: LoopNest) -> dict[str, np.ndarray]:
    found = {n: np.zeros(kernel.buffer(n).shape, np.float32) for n in kernel.arguments}
    for name in ("a", "b", "zeros"):
        found[name][:] = np.arange(1, found[name].size + 1)
    return found


def test_a_gemm_sums_over_batch_and_depth() -> None:
    a = Rows("a", number(2), Strided(8), Table("at", number(0)), 1)
    kernel = product(a, 2, table("at", 0, 4), accumulate=True)
    arrays = arguments_of(kernel)
    interpret(kernel, arrays)
    wanted = np.ones(12, np.float32)
    for m in range(2):
        for n in range(3):
            for t, k in np.ndindex(2, 2):
                left = arrays["a"][2 + 8 * t + 4 * m + k]
                right = arrays["b"][(0, 9)[t] + 3 * k + n]
                wanted[1 + 6 * m + n] += left * right
    np.testing.assert_array_equal(arrays["c"], wanted)


def test_guarded_rows_read_the_zero_line_outside() -> None:
    a = GuardedRows("a", number(0), "rows", number(0), "zeros", 1)
    kernel = product(a, 1, table("rows", 3, OUTSIDE))
    arrays = arguments_of(kernel)
    interpret(kernel, arrays)
    b = arrays["b"][:6].reshape(2, 3)
    np.testing.assert_array_equal(arrays["c"][1:4], arrays["a"][3:5] @ b)
    np.testing.assert_array_equal(arrays["c"][7:10], arrays["zeros"][:2] @ b)


def test_a_gemm_outside_its_buffer_is_found() -> None:
    a = Rows("a", number(17), Strided(0), Strided(2), 1)
    kernel = product(a, 1)
    with pytest.raises(
        CompilerBug, match=r"a has no element at address 20.* in gemm f32"
    ):
        interpret(kernel, arguments_of(kernel))


def test_vector_loops_mean_sequential_ones() -> None:
    body = Store("y", (I,), Load("x", (I,), F32))
    np.testing.assert_array_equal(run(vector("i", 4, 16, body)), [1, 2, 3, 4])
