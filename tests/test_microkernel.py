"""Batch-reduce GEMM microkernels against NumPy and the interpreter, on every ISA row,
with guard pages around all operands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import numpy as np
import pytest
from crash_process import crash_process
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir
from microkernel_cases import (
    INNER,
    Case,
    Place,
    compare,
    interpreted,
    module_text,
    native,
    number,
    overrun,
    problem,
)

from polydsl.backend.isa import GENERIC, ISAS
from polydsl.backend.jit import assembly
from polydsl.backend.microkernel import define_microkernel, emit_gemm, microkernel_of
from polydsl.backend.target import host_target, machine_of, target_for
from polydsl.base.diagnostics import CompilerBug
from polydsl.base.dtypes import BF16, DTYPES, F32
from polydsl.base.inner_product import work
from polydsl.loops.nest import BatchReduceGemm
from polydsl.schedule.register_tile import tile_shapes

_BEST = host_target().isa
ROWS_HERE = tuple(isa.name for isa in ISAS[ISAS.index(_BEST) :])
"""The ISA rows that this machine runs."""


class Worker:
    """Runs cases in another process, so that a crash is a finding."""

    def __init__(self) -> None:
        self._pool = crash_process()

    def run(self, check: Callable[[Case, str], str], case: Case, isa: str) -> str:
        """Return what *check* says, or that it crashed."""
        try:
            return self._pool.submit(check, case, isa).result()
        except BrokenProcessPool:
            self._pool = crash_process()
            return "crashed"

    def stop(self) -> None:
        self._pool.shutdown()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    running = Worker()
    yield running
    running.stop()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any small tile in any mode; some do not fit the registers, which costs speed."""
    modes = st.sampled_from(("strided", "table"))
    return Case(
        rows=draw(st.integers(1, 15)),
        columns=draw(st.integers(1, 70)),
        batch=draw(st.integers(1, 9)),
        depth=draw(st.integers(1, 70)),
        accumulate=draw(st.booleans()),
        dtype=draw(st.sampled_from(("f32", "f64"))),
        a_row=draw(st.sampled_from(("strided", "table", "guarded"))),
        a_batch=draw(modes),
        b_batch=draw(modes),
        c_row=draw(modes),
        a_depth=draw(st.integers(1, 3)),
        gap=draw(st.integers(0, 2)),
        seed=draw(st.integers(0, 99)),
        inner=draw(st.sampled_from(("a * b", *INNER))),
    )


@pytest.mark.parametrize("isa", ROWS_HERE)
def test_random_tiles_are_exact(worker: Worker, isa: str) -> None:
    @settings(max_examples=20, deadline=None, derandomize=True)
    @given(cases())
    def check(case: Case) -> None:
        assert worker.run(compare, case, isa) == ""

    check()


# The tiles that the scheduler wants on each row: (rows, columns) in f32.
WANTED = {
    "avx512": ((6, 64), (9, 48), (14, 32), (28, 16)),
    "avx2": ((6, 16), (3, 32), (4, 24), (12, 8)),
    "generic": ((6, 8), (4, 12), (12, 4)),
}


@pytest.mark.parametrize("isa", ROWS_HERE)
@pytest.mark.parametrize("mode", ["strided", "table", "guarded"])
@pytest.mark.parametrize("accumulate", [False, True], ids=["set", "add"])
def test_wanted_tiles(worker: Worker, isa: str, mode: str, accumulate: bool) -> None:
    for rows, columns in WANTED[isa]:
        plain = "strided" if mode == "guarded" else mode
        case = Case(rows, columns, 9, 25, accumulate, a_row=mode, a_batch=plain)
        case = replace(case, b_batch=plain, c_row=plain)
        assert worker.run(compare, case, isa) == "", case


@pytest.mark.parametrize("isa", ROWS_HERE)
@pytest.mark.parametrize("inner", INNER)
def test_every_inner_product(worker: Worker, isa: str, inner: str) -> None:
    """In the tile that the scheduler likes best, in one of few rows, and in a tail."""
    machine = machine_of(host_target(isa))
    tall, vectors = tile_shapes(machine, F32, INNER[inner][0])[0]
    columns = vectors * machine.lanes(F32)
    for rows, accumulate in ((tall, False), (1, True), (2, False)):
        case = Case(rows, columns, 3, 21, accumulate, a_row="guarded", inner=inner)
        assert worker.run(compare, case, isa) == "", case
        tail = replace(case, columns=columns - 3, dtype="f64")
        assert worker.run(compare, tail, isa) == "", tail


@pytest.mark.parametrize("isa", ROWS_HERE)
@pytest.mark.parametrize("inner", INNER)
def test_what_the_scheduler_counts_is_what_runs(isa: str, inner: str) -> None:
    """The instructions of a step are those of the function, and nothing spills."""
    target, product = host_target(isa), INNER[inner][0]
    machine = machine_of(target)
    rows, vectors = tile_shapes(machine, F32, product)[0]
    columns, depth = vectors * machine.lanes(F32), 200
    case = Case(rows, columns, 1, depth, inner=inner)
    code = assembly(module_text(problem(case), target), target)
    body = code.split(f"{microkernel_of(problem(case).node).name}:")[1]
    loop = re.search(r"\n(\.LBB\d+_1):(.*?)\n\tj\w+\t\1\n", body, re.DOTALL)
    assert loop is not None
    # Moves and cleared registers are no arithmetic.
    others = r"v?(?:mov|broadcast|shuf|perm)|xorps\t(%\w+), \1\n"
    wide = rf"\n\t(?!{others})(v?\w+[ps][sdq])\b[^\n]*%[xyz]mm"
    found = len(re.findall(wide, loop[2]))
    needed = work(product, has_fma=machine.has_fma)
    step = rows * vectors * needed.point + rows * needed.row + vectors * needed.column
    assert found % step == 0 and found > 0, (found, step)
    assert not re.search(r"[xyz]mm[^\n]*\(%rsp\)|\(%rsp\)[^\n]*[xyz]mm", body)


@pytest.mark.parametrize("isa", ROWS_HERE)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_every_column_tail(worker: Worker, isa: str, dtype: str) -> None:
    lanes = host_target(isa).isa.lanes(DTYPES[dtype])
    for columns in range(1, 2 * lanes + 2):
        case = Case(3, columns, 2, 5, columns % 2 == 0, dtype, gap=columns % 3)
        assert worker.run(compare, case, isa) == "", case


@pytest.mark.parametrize("isa", ROWS_HERE)
@pytest.mark.parametrize("inner", INNER)
def test_tiles_of_one_element(worker: Worker, isa: str, inner: str) -> None:
    """LLVM aborted on sums of clamped products in vectors of one lane."""
    for accumulate in (False, True):
        case = Case(1, 1, 1, 1, accumulate, inner=inner)
        assert worker.run(compare, case, isa) == "", case


@pytest.mark.parametrize("isa", ROWS_HERE)
def test_every_row_count_and_short_depth(worker: Worker, isa: str) -> None:
    for rows in range(1, 29):
        case = Case(rows, 9, 1 + rows % 2, 1 + rows % 11, a_row="guarded", seed=rows)
        assert worker.run(compare, case, isa) == "", case


def test_tall_tiles_of_short_depth(worker: Worker) -> None:
    for rows, columns in ((14, 32), (9, 48), (13, 30)):
        for depth in (1, 2, 3):
            case = Case(rows, columns, 3, depth, a_row="guarded", b_batch="table")
            assert worker.run(compare, case, _BEST.name) == "", case


def test_guard_pages_catch_one_element_too_many(worker: Worker) -> None:
    case = Case(3, 7, 1, 4)
    assert worker.run(compare, case, _BEST.name) == ""
    assert worker.run(overrun, case, _BEST.name) == "crashed"


@settings(max_examples=25, deadline=None)
@given(cases())
def test_reference_is_the_interpreter(case: Case) -> None:
    case = replace(case, rows=min(case.rows, 4), columns=min(case.columns, 5))
    case = replace(case, batch=min(case.batch, 3), depth=min(case.depth, 6))
    found = problem(case)
    np.testing.assert_array_equal(interpreted(found), found.expected)


@pytest.mark.parametrize("isa", ROWS_HERE)
def test_nothing_calls_a_library(isa: str) -> None:
    """No `fma` or `memset` call: an ISA row without an instruction gets other code."""
    text = module_text(problem(Case(3, 11, 2, 30, accumulate=True)), host_target(isa))
    code = assembly(text, host_target(isa))
    calls = [line for line in code.splitlines() if "\tcall" in line or "@PLT" in line]
    assert all("gemm_" in line for line in calls)
    assert ("vfmadd" in code) == host_target(isa).isa.has_fma


def test_generic_row_serves_another_architecture() -> None:
    target = target_for(GENERIC, "aarch64-unknown-linux-gnu")
    case = Case(3, 11, 2, 30, accumulate=True, a_row="guarded")
    code = assembly(module_text(problem(case), target), target)
    assert "fmul\tv" in code
    assert all("gemm_" in line for line in code.splitlines() if "\tbl\t" in line)


@pytest.mark.parametrize("isa", ROWS_HERE)
def test_infinity_and_nan_stay_in_their_rows(isa: str) -> None:
    found = problem(Case(4, 7, 1, 5))
    found.arrays["a"][[0, 5, 14]] = np.inf, np.nan, -np.inf
    a, b = found.arrays["a"].reshape(4, 5), found.arrays["b"].reshape(5, 7)
    with np.errstate(invalid="ignore"):
        expected = (a[:, :, None] * b).sum(axis=1)
    result = native(found, isa, at_end=True).reshape(4, 7)
    np.testing.assert_array_equal(result, expected)
    assert np.isfinite(result[3]).all() and np.isnan(result[1]).all()


def test_full_tiles_need_no_mask_and_do_not_spill() -> None:
    target = host_target()
    rows, columns = WANTED[target.isa.name][0]
    found = problem(Case(rows, columns, 4, 64, a_batch="table", b_batch="table"))
    code = assembly(module_text(found, target), target)
    assert "(%rsp)" not in code.split(f"gemm_f32_{rows}x{columns}")[1].split("ret")[0]
    assert "{%k" not in code and "maskmov" not in code


def test_equal_tiles_share_one_function() -> None:
    found = problem(Case(2, 8, 2, 3))
    text = module_text(found, host_target(), times=3)
    assert text.count("define internal") == 1
    assert text.count('call void @"gemm_') == 3


def test_bases_and_starts_are_not_part_of_the_function() -> None:
    node = problem(Case(2, 8, 2, 3, b_batch="table")).node
    moved = replace(node, c=replace(node.c, base=number(64)))
    assert microkernel_of(moved) == microkernel_of(node)


def test_steps_that_are_never_taken_tell_nothing_apart() -> None:
    one, other = (microkernel_of(problem(Case(1, 8, 1, 1, gap=g)).node) for g in (0, 2))
    assert one == other


@settings(max_examples=120, deadline=None)
@given(cases(), cases())
def test_names_tell_specifications_apart(one: Case, other: Case) -> None:
    first, second = (microkernel_of(problem(c).node) for c in (one, other))
    assert (first == second) == (first.name == second.name)


def test_an_empty_reduction_stores_zeros_or_keeps_c() -> None:
    found = problem(Case(2, 5, 1, 1))
    for accumulate in (False, True):
        node = replace(found.node, batch=0, accumulate=accumulate)
        module = ir.Module()
        function = define_microkernel(module, microkernel_of(node), host_target())
        assert "llvm.fma" not in str(module)
        assert len(function.blocks) == 1


def test_other_element_types_are_refused() -> None:
    node = replace(problem(Case(1, 1, 1, 1)).node, dtype=BF16)
    assert isinstance(node, BatchReduceGemm)
    place = Place(ir.Module(), host_target(), problem(Case(1, 1, 1, 1)).nest, {})
    builder = ir.IRBuilder(
        ir.Function(
            place.module, ir.FunctionType(ir.VoidType(), []), "f"
        ).append_basic_block()
    )
    with pytest.raises(CompilerBug, match="bf16"):
        emit_gemm(builder, node, place)
