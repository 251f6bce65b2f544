"""What the oracle refuses: bounds, definedness, bad subscripts, wrong results."""

from __future__ import annotations

import numpy as np
import pytest
from oracle_text import run, typed

from polydsl.base.diagnostics import (
    ArgumentError,
    ProgramError,
    SubscriptError,
    VerificationError,
)
from polydsl.semantics.oracle import compare, evaluate

X = np.arange(1, 6, dtype=np.float32)


def refused(text: str, **given: object) -> tuple[str, str, str]:
    with pytest.raises(ProgramError) as error:
        run(text, **given)
    (found,) = error.value.diagnostics
    return found.code, found.message, found.label


def test_an_access_outside_its_bounds() -> None:
    text = "kernel k(x: f32[N]) -> f32[N]:\n    y[i] = x[i + 2]\n    return y\n"
    assert refused(text, x=X) == (
        "E0312",
        "x is accessed outside its bounds",
        "i = 3 gives 5, but dimension 0 of x has extent 5",
    )


def test_both_arms_of_a_data_dependent_condition_are_read() -> None:
    text = """
kernel k(x: f32[N]) -> f32[N]:
    y[i] = x[i - 1] if x[i] > 1 and i > 0 else 0
    return y
"""
    assert refused(text, x=X)[2].startswith("i = 0 gives -1")


def test_the_other_arm_is_not_restricted_by_affine_conjuncts() -> None:
    text = """
kernel k(x: f32[N]) -> f32[N]:
    y[i] = 0 if i == 0 and x[i] > 1 else x[i - 1]
    return y
"""
    assert refused(text, x=X)[2].startswith("i = 0 gives -1")


def test_reading_what_no_statement_defines() -> None:
    text = """
kernel k(x: f32[N]) -> f32[N]:
    i in range(1, N - 1)
    t[i] = x[i]
    y[j] = t[j] if j < N - 1 else 0
    return y
"""
    assert refused(text, x=X) == (
        "E0313",
        "t[0] is read but never defined",
        "read at j = 0",
    )


def test_a_result_must_be_defined_everywhere() -> None:
    text = """
kernel k(x: f32[N]) -> f32[N]:
    i in range(0, N - 1)
    y[i] = x[i]
    return y
"""
    assert refused(text, x=X)[1] == "y[4] is read but never defined"


def test_writing_outside_a_declared_tensor() -> None:
    text = """
kernel k(x: f32[N]) -> f32[N]:
    i in range(0, N + 1)
    y[i] = pad(x[i])
    return y
"""
    assert refused(text, x=X) == (
        "E0312",
        "y is accessed outside its bounds",
        "i = 5 gives 5, but dimension 0 of y has extent 5",
    )


def test_argmax_over_nothing() -> None:
    text = "kernel k(x: f32[N]) -> i64:\n    a = argmax[i](x[i])\n    return a\n"
    assert refused(text, x=X[:0])[0] == "E0315"
    rows = """
kernel k(x: f32[N]) -> i64[N]:
    j in range(i, N - 1)
    a[i] = argmax[j](x[j])
    return a
"""
    assert refused(rows, x=X)[2] == "no term at i = 4"


GATHER = """
kernel k(t: f32[V], ids: i32[N]) -> f32[N]:
    y[n] = t[ids[n]]
    return y
"""


@pytest.mark.parametrize("value", [-1, 3])
def test_an_indirect_subscript_must_be_inside(value: int) -> None:
    ids = np.array([0, 2, value], np.int32)
    with pytest.raises(SubscriptError) as error:
        run(GATHER, t=X[:3], ids=ids)
    assert isinstance(error.value, IndexError)
    assert str(error.value) == (
        f"subscript 0 of t is {value} at (n = 2), but the dimension has extent 3"
    )


def test_a_sum_of_nothing_reads_nothing() -> None:
    """The oracle could not name a point where there is none."""
    text = """
kernel k(t: f32[V], ids: i32[N], x: f32[M]) -> f32[N]:
    v in range(1, V)
    u[v] = t[v]
    y[n] += sum[m](x[m] * t[ids[n]] * u[0])
    return y
"""
    found = run(text, t=X[:3], ids=np.array([0, 9], np.int32), x=X[:0])
    assert not found["y"].value.any()


def test_of_several_subscripts_outside_the_first_point_is_named() -> None:
    """In the order of the program's indices, and with those of the subscript alone."""
    text = """
kernel k(t: f32[V], ids: i32[N, M], x: f32[D]) -> f32[N]:
    y[n] += sum[m, d](t[ids[n, m]] * x[d])
    return y
"""
    ids = np.array([[0, 0, 8], [9, 0, 0]], np.int32)
    with pytest.raises(SubscriptError, match=r"is 8 at \(n = 0, m = 2\)"):
        run(text, t=X[:3], ids=ids, x=X[:2])


def test_an_indirect_subscript_of_a_scatter_must_be_inside() -> None:
    text = """
kernel k(ids: i32[N]) -> i32[3]:
    h[ids[n]] += 1
    return h
"""
    with pytest.raises(SubscriptError, match="subscript 0 of h is 3"):
        run(text, ids=np.array([0, 3], np.int32))


def test_inside_pad_the_index_tensor_is_an_ordinary_access() -> None:
    text = GATHER.replace("t[ids[n]]", "pad(t[ids[n + 1]])")
    with pytest.raises(ProgramError, match="n = 2 gives 3"):
        run(text, t=X, ids=np.array([0, 9, 1], np.int32))


def test_arguments_of_another_shape() -> None:
    program, _ = typed(GATHER, t=X, ids=np.zeros(2, np.int32))
    with pytest.raises(ArgumentError, match=r"ids needs shape \(2,\)"):
        evaluate(program, {"t": X, "ids": np.zeros(3, np.int32)})


COPY = "kernel k(x: f32[N, M]) -> f32[N, M]:\n    y[i, j] = x[i, j] * 2\n    return y\n"


def test_a_wrong_element_is_named() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    program, given = typed(COPY, x=x)
    outcome = evaluate(program, given)
    assert compare(program, outcome, [2 * x]).ratio == 0
    wrong = 2 * x
    wrong[1, 2] = 11
    with pytest.raises(VerificationError) as error:
        compare(program, outcome, [wrong])
    assert str(error.value) == (
        "k: y[1, 2] is 11.0, but the oracle expects 10.0 within 0; "
        "1 of 6 elements differ too much"
    )


@pytest.mark.parametrize("got", [np.nan, np.inf])
def test_nan_and_infinity_are_wrong_where_a_number_is_expected(got: float) -> None:
    x = np.ones((2, 2), np.float32)
    program, given = typed(COPY, x=x)
    wrong = 2 * x
    wrong[0, 1] = got
    with pytest.raises(VerificationError, match=r"y\[0, 1\]"):
        compare(program, evaluate(program, given), [wrong])


def test_nan_and_infinity_match_themselves_only() -> None:
    x = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    program, given = typed(COPY, x=x)
    outcome = evaluate(program, given)
    assert compare(program, outcome, [2 * x]).ratio == 0
    with pytest.raises(VerificationError):
        compare(program, outcome, [-2 * x])


def test_a_result_of_another_shape_is_wrong() -> None:
    program, given = typed(COPY, x=np.ones((2, 2), np.float32))
    with pytest.raises(VerificationError, match="shape"):
        compare(program, evaluate(program, given), [np.ones(4, np.float32)])


def test_integers_are_compared_exactly() -> None:
    text = "kernel k(x: i64[N]) -> i64[N]:\n    y[i] = x[i] + 1\n    return y\n"
    x = np.array([2**62, 5])
    program, given = typed(text, x=x)
    outcome = evaluate(program, given)
    assert compare(program, outcome, [x + 1]).ratio == 0
    with pytest.raises(VerificationError, match=str(2**62 + 2)):
        compare(program, outcome, [x + np.array([2, 1])])


def test_too_many_undecided_elements_are_a_failure() -> None:
    text = """
kernel k(x: f32[N]) -> f32[N]:
    y[i] = floor(x[i] * 0.1 * 10)
    return y
"""
    x = np.linspace(0.3, 90.2, 200, dtype=np.float32)
    program, given = typed(text, x=x)
    outcome = evaluate(program, given)
    assert not outcome["y"].undecided.any()
    margins = compare(program, outcome, [np.floor(x)])
    assert margins.results[0].undecided == 0
    x[:3] = 7
    outcome = evaluate(program, {"x": x})
    assert outcome["y"].undecided.sum() == 3
    with pytest.raises(VerificationError, match="3 of 200 elements of y are undecided"):
        compare(program, outcome, [np.floor(x)])
