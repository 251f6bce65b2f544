"""Indirect subscripts in native code: values, checks, what an error leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from emitter_harness import Worker
from gather_kernels import CHECKED, IDS, LINE, ROWS, UNCHECKED, T, changed, gather
from program_harness import ROWS as ISA_ROWS
from program_harness import tools_for

import polydsl
from polydsl.backend.arrays import ArrayLayout, layout_of
from polydsl.driver.compiler import begin
from polydsl.driver.random_subscripts import subscript_limits
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import compile_until
from polydsl.loops.interpret import Outside
from polydsl.loops.nest import LoopNest, contiguous
from polydsl.semantics.oracle.compare import compare
from polydsl.semantics.oracle.evaluate import evaluate


def kernel(text: str) -> Any:
    return polydsl.loads(text).f


@pytest.mark.parametrize("name", {**CHECKED, **UNCHECKED})
def test_values_are_the_oracles(name: str) -> None:
    case = {**CHECKED, **UNCHECKED}[name]
    kernel(case.text).verify(**case.given)


@pytest.mark.parametrize("name", CHECKED)
def test_a_subscript_outside_is_an_error_as_in_the_oracle(name: str) -> None:
    case = CHECKED[name]
    found = kernel(case.text)
    assert case.wrong is not None
    for call in (found.reference, found):
        with pytest.raises(polydsl.SubscriptError) as error:
            call(**case.wrong)
        assert str(error.value) == case.error
    # The next call is as good as new.
    found.verify(**case.given)


@pytest.mark.parametrize("name", UNCHECKED)
def test_what_is_inside_whatever_the_data_needs_no_check(name: str) -> None:
    case = UNCHECKED[name]
    assert "check" not in kernel(case.text).emit("scop", **case.given)


@pytest.mark.parametrize("isa", ISA_ROWS)
@pytest.mark.parametrize("name", ("i64", "i16", "u8"))
def test_every_row_of_the_table_checks(isa: str, name: str) -> None:
    case = ROWS[name]
    assert case.wrong is not None
    found = kernel(case.text)
    layouts = {n: layout_of(a) for n, a in case.given.items()}
    request = Request(found.library, "f", layouts, {}, (), frozenset())
    special = Specialization(request, tools_for(isa), {})
    wanted = case.given["t"][case.given["ids"]]
    np.testing.assert_array_equal(special(*case.given.values()), wanted)
    for threads in (1, 2):
        with pytest.raises(polydsl.SubscriptError) as error:
            special(*case.wrong.values(), threads=threads)
        assert str(error.value) == case.error


@pytest.mark.parametrize("isa", ISA_ROWS)
@pytest.mark.parametrize("name", {**CHECKED, **UNCHECKED})
def test_loads_stay_in_their_arguments(name: str, isa: str, worker: Worker) -> None:
    """Between guard pages, also where a subscript is outside."""
    case = {**CHECKED, **UNCHECKED}[name]
    found = kernel(case.text)
    nest = nest_for(found, case.given, isa)
    results = worker.run(nest, isa, case.given)
    outcome = evaluate(found.program(**case.given), case.given)
    compare(found.program(**case.given), outcome, list(results.values()))
    if case.wrong is not None:
        shapes = [{n: a.shape for n, a in g.items()} for g in (case.given, case.wrong)]
        if shapes[0] != shapes[1]:
            nest = nest_for(found, case.wrong, isa)
        with pytest.raises(Outside):
            worker.run(nest, isa, case.wrong)


def nest_for(found: Any, arrays: dict[str, Any], isa: str) -> LoopNest:
    layouts = {
        n: ArrayLayout(layout_of(a).dtype, a.shape, contiguous(a.shape))
        for n, a in arrays.items()
    }
    request = Request(found.library, "f", layouts, {}, (), frozenset())
    nest = compile_until(begin(request, tools_for(isa)), "nest").nest
    assert nest is not None
    return nest


BOTH = """
kernel f(t: f32[V], ids: i64[N], x: f32[N]) -> (f32[N], f32[N]):
    z[n] = x[n] * 2
    i[n] = {index}
    y[n] = t[i[n]]
    return z, y
"""


@pytest.mark.parametrize("index", ("ids[n]", "i64(x[n])"))
def test_results_that_were_given_are_untouched(index: str) -> None:
    found = kernel(BOTH.format(index=index))
    out = (np.full(37, 5.0, np.float32), np.full(74, 6.0, np.float32)[::2])
    ids, x = changed(IDS, 3, 7), changed(IDS, 3, 7).astype(np.float32)
    with pytest.raises(polydsl.SubscriptError):
        found(LINE, ids, x, out=out)
    assert (out[0] == 5).all() and (out[1].base == 6).all()
    found(LINE, IDS, IDS.astype(np.float32), out=out)
    np.testing.assert_array_equal(out[1], LINE[IDS])


def test_checks_of_parameters_come_before_anything_is_written() -> None:
    text = gather(
        "t: f32[V], ids: i64[N], x: f32[N]",
        "z[n] = i32(x[n] * 2)",
        "w[n] = t[z[n]]",
        "y[n] = w[n] + t[ids[n]]",
    )
    nest = kernel(text).emit("nest", LINE, IDS, LINE[IDS] % 3)
    places = [nest.index(part) for part in ("check 0", "  z[n", "check 1", "  y[n")]
    assert places == sorted(places)


def test_the_same_subscript_is_checked_once() -> None:
    text = gather("t: f32[V], i: i64[N]", "y[n] = t[i[n]] * t[i[n]] + t[i[n] + 1]")
    assert kernel(text).emit("scop", LINE, IDS % 6).count("  check ") == 2


def test_a_check_of_rows_looks_at_no_column() -> None:
    text = gather("t: f32[V, D], ids: i64[N]", "y[n, d] = t[ids[n], d]")
    scop = kernel(text).emit("scop", T, IDS)
    assert "check t_check: subscript 0 of t at [n]" in scop


def test_a_bound_table_and_bound_subscripts() -> None:
    text = gather("t: f32[V, D], ids: i64[N]", "y[n, d] = t[ids[n], d]")
    np.testing.assert_array_equal(kernel(text).bind(t=T)(IDS), T[IDS])
    bound = kernel(text).bind(ids=changed(IDS, 2, -5))
    with pytest.raises(polydsl.SubscriptError, match="is -5 at"):
        bound(T)


def test_strided_tables_and_subscripts() -> None:
    text = gather("t: f32[V, D], ids: i64[N]", "y[n, d] = t[ids[n], d]")
    table = np.asfortranarray(T)[::-1]
    ids = np.repeat(IDS, 2)[::-2]
    np.testing.assert_array_equal(kernel(text)(table, ids), table[ids])


def test_a_kernel_is_found_in_the_cache_with_its_checks() -> None:
    text = gather("t: f32[V], ids: i64[N]", "y[n] = t[ids[n]] * 3.25")
    for _ in range(2):
        with pytest.raises(polydsl.SubscriptError, match="is 7 at"):
            kernel(text)(LINE, changed(IDS, 11, 7))


def test_an_axis_outside_for_sure_is_still_a_program_error() -> None:
    text = gather("t: f32[V, D], ids: i64[N]", "y[n] = t[ids[n], D]")
    with pytest.raises(polydsl.ProgramError, match="E0312"):
        kernel(text)(T, IDS)


LIMITED = """
kernel f(t: f32[V, D], i: i64[N], j: i8[N], k: i32[M], x: f32[N]) -> f32[N]:
    m[n] = i32(x[n])
    y[n] = t[i[k[n % M]] + 1, 2*j[n]] + pad(t[m[n], 0])
    return y
"""


def test_random_subscripts_are_inside() -> None:
    """Of those inside pad, too: padding everywhere would be another kernel."""
    given = np.zeros((9, 20)), np.zeros(7), np.zeros(7), np.zeros(5), np.zeros(7)
    kinds = (np.float32, np.int64, np.int8, np.int32, np.float32)
    arrays = [a.astype(kind) for a, kind in zip(given, kinds)]
    program = kernel(LIMITED).program(*arrays)
    assert subscript_limits(program) == {"i": 8, "j": 10, "k": 7}


def test_a_gather_is_timed_and_tuned() -> None:
    found = kernel(gather("t: f32[3, D], ids: i64[N]", "y[n, d] = t[ids[n], d]"))
    assert "measured" in found.explain(T[:3], IDS % 3, measure=True)
    special = found.specialize(T[:3], IDS % 3, tune=0.05)
    np.testing.assert_array_equal(special(T[:3], IDS % 3), T[IDS % 3])
