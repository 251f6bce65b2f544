"""Typical kernels against NumPy and the interpreter, on every ISA row."""

from __future__ import annotations

import emitter_kernels as kernels
import numpy as np
import pytest
from emitter_harness import Worker
from hypothesis import given, settings
from hypothesis import strategies as st

from polydsl.backend.emitter.module import emit_module
from polydsl.backend.isa import ISAS
from polydsl.backend.target import host_target
from polydsl.base.diagnostics import CompilerBug
from polydsl.base.dtypes import BOOL, DTYPES, F32, F64, I32, I64, U8, DType
from polydsl.base.functions import Combine
from polydsl.loops.interpret import interpret
from polydsl.loops.memory import Array
from polydsl.loops.nest import Call, Expr, Literal, Load, LoopNest, Node, Store, Var

ROWS = tuple(isa.name for isa in ISAS[ISAS.index(host_target().isa) :])
TARGET = host_target()
SIZES = st.one_of(st.integers(0, 70), st.sampled_from([97, 128, 131]))
LANES = st.sampled_from([4, 8, 16])


@pytest.fixture(params=ROWS)
def isa(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def interpreted(nest: LoopNest, arguments: dict[str, Array]) -> dict[str, Array]:
    arrays = {name: array.copy() for name, array in arguments.items()}
    interpret(nest, arrays, shuffle=1)
    return {n: a for n, a in arrays.items() if nest.buffer(n).is_written}


def check(worker: Worker, nest: LoopNest, isa: str, threads: int = 1) -> None:
    arguments = kernels.random_arguments(nest)
    found = worker.run(nest, isa, arguments, threads)
    for name, wanted in interpreted(nest, arguments).items():
        np.testing.assert_allclose(found[name], wanted, rtol=3e-5, atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(n=SIZES, lanes=LANES)
def test_maps_and_windows(worker: Worker, n: int, lanes: int) -> None:
    for nest in (
        kernels.axpy(n, lanes),
        kernels.window(n, lanes),
        kernels.row_sum(2, n, lanes),
    ):
        for isa in ROWS:
            check(worker, nest, isa)


@settings(max_examples=8, deadline=None)
@given(n=st.integers(1, 70), step=st.integers(2, 6), lanes=st.sampled_from([2, 4, 16]))
def test_strides(worker: Worker, n: int, step: int, lanes: int) -> None:
    for isa in ROWS:
        check(worker, kernels.every(n, step, lanes), isa)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_softmax_on_any_number_of_threads(
    worker: Worker, isa: str, threads: int
) -> None:
    nest = kernels.softmax(5, 67, 16)
    check(worker, nest, isa, threads)
    arguments = kernels.random_arguments(nest)
    alone = worker.run(nest, isa, arguments, 1)["z"]
    np.testing.assert_array_equal(worker.run(nest, isa, arguments, threads)["z"], alone)


def test_long_functions_have_the_same_bits_in_every_copy_of_a_loop(
    worker: Worker, isa: str
) -> None:
    """Two vectors side by side, one that is left, and a masked rest."""
    value = Call("sigmoid", (Load("x", (Var("i"),), F32),), F32)
    body = (Store("z", (Var("i"),), value),)
    found = []
    for n in (8, 61):
        buffers = [kernels.array("x", n), kernels.array("z", n, written=True)]
        nest = kernels.nest(buffers, kernels.vector("i", n, 8, *body))
        x = np.resize(np.linspace(-90, 9, 8, dtype=np.float32), n)
        found.append(worker.run(nest, isa, {"x": x, "z": np.zeros_like(x)}, 1)["z"])
    np.testing.assert_array_equal(np.resize(found[0], 61), found[1])


@settings(max_examples=6, deadline=None)
@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 40),
    lanes=LANES,
    dtype=st.sampled_from([F32, F64, I32]),
)
def test_register_tiles(
    worker: Worker, rows: int, columns: int, lanes: int, dtype: DType
) -> None:
    for isa in ROWS:
        check(worker, kernels.register_tile(rows, columns, 5, lanes, dtype), isa)


@settings(max_examples=6, deadline=None)
@given(columns=st.integers(1, 60), lanes=LANES, dtype=st.sampled_from([F32, F64, I32]))
def test_partial_register_tiles(
    worker: Worker, columns: int, lanes: int, dtype: DType
) -> None:
    for isa in ROWS:
        check(worker, kernels.partial_tiles(columns, 7, lanes, dtype), isa)


REDUCTIONS: list[tuple[Combine, str]] = [
    *(
        (c, t)
        for c in ("max", "min")
        for t in ("f64", "f32", "i64", "i32", "i16", "i8", "u8")
    ),
    *((c, t) for c in ("max", "min") for t in ("f16", "bf16")),
    *((c, t) for c in ("add", "mul") for t in ("f64", "f32", "i64", "i32", "i8")),
    ("and", "bool"),
    ("or", "bool"),
]  # type: ignore[misc]


@pytest.mark.parametrize(("combine", "dtype"), REDUCTIONS)
@pytest.mark.parametrize("n", [1, 16, 75])
def test_reductions_of_every_type(
    worker: Worker, isa: str, combine: Combine, dtype: str, n: int
) -> None:
    check(worker, kernels.reduction(n, 16, combine, DTYPES[dtype]), isa)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("n", [1, 16, 75])
def test_narrow_floats_are_rounded(
    worker: Worker, isa: str, dtype: str, n: int
) -> None:
    check(worker, kernels.rounded(n, 8, DTYPES[dtype]), isa)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 21),
    n=st.sampled_from([16, 37]),
    lanes=LANES,
    combine=st.sampled_from(["add", "mul", "max", "min"]),
    dtype=st.sampled_from([F32, F64, I32, U8]),
)
def test_rows_are_combined_together_as_each_alone(
    worker: Worker, rows: int, n: int, lanes: int, combine: Combine, dtype: DType
) -> None:
    """Their lanes are combined side by side, in the same order: the same bits."""
    both = [
        kernels.row_reductions(rows, n, lanes, combine, dtype, together=together)
        for together in (True, False)
    ]
    arguments = kernels.random_arguments(both[0])
    for isa in ROWS:
        found, alone = (worker.run(nest, isa, arguments)["z"] for nest in both)
        np.testing.assert_array_equal(found, alone)
        wanted = interpreted(both[0], arguments)["z"]
        np.testing.assert_allclose(found, wanted, rtol=3e-5, atol=1e-5)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_sums_keep_nan_and_infinity(worker: Worker, isa: str, special: float) -> None:
    nest = kernels.reduction(37, 16, "add", F32)
    arguments = kernels.random_arguments(nest)
    for place in (0, 17, 36):
        x = arguments["x"].copy()
        x[place] = special
        found = worker.run(nest, isa, {**arguments, "x": x})["z"]
        np.testing.assert_array_equal(found, np.float32(special))


def test_a_sum_of_negative_zeros_is_negative_zero(worker: Worker, isa: str) -> None:
    nest = kernels.reduction(37, 16, "add", F64)
    zeros = {"x": np.full(37, -0.0), "z": np.zeros(())}
    assert np.signbit(worker.run(nest, isa, zeros)["z"])


@pytest.mark.parametrize("threads", [1, 3])
def test_microkernels_with_packing_and_scratch(
    worker: Worker, isa: str, threads: int
) -> None:
    nest = kernels.packed_product(4, 5, 21, 13)
    arguments = kernels.random_arguments(nest)
    found = worker.run(nest, isa, arguments, threads)["c"]
    wanted = np.maximum(arguments["a"] @ arguments["b"].T, 0)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        interpreted(nest, arguments)["c"], wanted, rtol=1e-4, atol=1e-4
    )


def test_index_values_beyond_32_bits(worker: Worker, isa: str) -> None:
    big = kernels.call("mul", kernels.J, kernels.number(2**31 - 5))
    above = kernels.call("gt", big, kernels.number(2**32))
    z, w = (
        kernels.array(n, 21, dtype=t, written=True)
        for n, t in (("z", I64), ("w", BOOL))
    )
    body = (Store("z", (kernels.J,), big), Store("w", (kernels.J,), above))
    check(worker, kernels.nest([z, w], kernels.vector("j", 21, 8, *body)), isa)


def test_shared_expressions_are_emitted_once() -> None:
    value: Expr = Load("x", (kernels.J,), F32)
    for _ in range(40):
        value = kernels.call("add", value, value)
    buffers = [kernels.array("x", 8), kernels.array("z", 8, written=True)]
    statement = Store("z", (kernels.J,), value)
    for node in (kernels.vector("j", 8, 8, statement), kernels.loop("j", 8, statement)):
        assert emit_module(kernels.nest(buffers, node), TARGET).count("fadd") == 40


WRONG: dict[str, Node] = {
    "lane count": kernels.vector(
        "j", 8, 12, Store("z", (kernels.J,), Literal(1.0, F32))
    ),
    "stored type": Store("z", (kernels.J,), Literal(1, I32)),
    "variable": Store("z", (kernels.J,), Literal(1.0, F32)),
    "buffer": Store("y", (), Literal(1.0, F32)),
    "rank": Store("z", (), Literal(1.0, F32)),
    "operands": Store(
        "z",
        (kernels.number(0),),
        kernels.call("add", Literal(1.0, F32), Literal(1, I32)),
    ),
    "subscript": Store(
        "z", (Literal(1, U8),), kernels.Load("z", (Load("z", (Var("q"),), I64),), F32)
    ),
    "unrolled": kernels.loop("j", Load("n", (), I64), kind="unrolled"),
    "inner": kernels.vector("j", 8, 8, kernels.loop("k", 2)),
}


@pytest.mark.parametrize("node", WRONG.values(), ids=WRONG.keys())
def test_broken_nests_are_bugs(node: Node) -> None:
    buffers = [
        kernels.array("z", 8, written=True),
        kernels.array("n", dtype=I64),
    ]
    with pytest.raises(CompilerBug, match="kernel"):
        emit_module(kernels.nest(buffers, node), TARGET)
