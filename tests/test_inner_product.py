"""Inner products: what is matched, what is refused and why, what exchanging factors
does, what a step costs, and what the proofs say to another function."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from verify_harness import Case, case, in_body, nodes_of, once, run

from polydsl.base.functions import FUNCTIONS
from polydsl.base.inner_product import (
    COMMUTATIVE,
    MULTIPLY_ADD,
    A,
    Apply,
    B,
    InnerProduct,
    Number,
    Side,
    Term,
    Work,
    fold,
    formula,
    label,
    ordered,
    work,
)
from polydsl.loops.nest import BatchReduceGemm
from polydsl.schedule.contraction import Contraction, NoContraction, match
from polydsl.schedule.matrix_plan import MatrixPlan

SHAPES = {"a": (40, 32), "b": (32, 48), "v": (40,)}


def kernel(statement: str) -> Case:
    text = (
        f"kernel f(a: T[M, K], b: T[K, N], v: T[M], *, s: float = 0.5):\n"
        f"    {statement}\n"
        f"    return y\n"
    )
    return case(text, SHAPES)


def matched(statement: str) -> Contraction | NoContraction:
    """Match the update of the first tensor that has one."""
    scop = kernel(statement).scop
    return match(scop, next(s for s in scop.statements if s.combine is not None))


@pytest.mark.parametrize(
    ("statement", "combine", "text"),
    [
        ("y[i, j] += a[i, k] * b[k, j]", "add", "A * B"),
        ("y[i, j] += abs(b[k, j] - a[i, k])", "add", "abs(A - B)"),
        ("y[i, j] += (a[i, k] - b[k, j])**2", "add", "(A - B) * (A - B)"),
        ("y[i, j] = max[k](a[i, k] + b[k, j])", "max", "A + B"),
        ("y[i, j] = min[k](-a[i, k] * (b[k, j] + 1))", "min", "-A * (B + 1.0)"),
        ("y[i, j] *= relu(a[i, k] - b[k, j])", "mul", "relu(A - B)"),
        ("y[i, j] += min(a[i, k], b[k, j], 2)", "add", "min(min(A, B), 2.0)"),
        ("y[i, j] += clamp(a[i, k] * s, 0, b[k, j])", "add", "clamp(A * 0.5, 0.0, B)"),
        ("y[i, j] += pad(a[i, k], 3) - b[k, j]", "add", "A - B"),
        ("y[i, j] += a[i, k] * b[k, j] * K", "add", "(A * B) * 32.0"),
    ],
)
def test_functions_of_two_accesses_match(
    statement: str, combine: str, text: str
) -> None:
    found = matched(statement)
    assert isinstance(found, Contraction), found
    assert found.inner.combine == combine
    assert formula(found.inner.function, "A", "B") == text


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("y[i, j] += a[i, k] * b[k, j] + a[i, k] * b[0, j]", "two accesses"),
        ("y[i] += a[i, k] * a[i, k]", "two accesses"),
        ("y[i, j] += a[i, k] * b[k, j] * v[i]", "two accesses"),
        ("y[i, j] += exp(a[i, k] * b[k, j])", "exp takes so long"),
        ("y[i, j] += a[i, k] / b[k, j]", "div takes so long"),
        ("y[i, j] += a[i, k] * b[k, j] * k", "not arithmetic on two accesses"),
        ("y[i, j] += a[i, k] if a[i, k] > b[k, j] else 0", "not arithmetic on two"),
        ("y[i, j] = any[k](a[i, k] > b[k, j])", "greatest or least"),
        ("y[i, j] += pad(a[i, k], v[0]) * b[k, j]", "accesses|no number"),
    ],
)
def test_what_is_refused_says_why(statement: str, reason: str) -> None:
    found = matched(statement)
    assert isinstance(found, NoContraction)
    assert any(part in found.reason for part in reason.split("|")), found.reason


# Terms


_LEAVES = st.one_of(
    st.sampled_from((A, B)), st.builds(Number, st.sampled_from((-2.0, 0.5)))
)
_BINARY = st.sampled_from(("add", "sub", "mul", "min", "max"))


def _larger(inside: st.SearchStrategy[Term]) -> st.SearchStrategy[Term]:
    two = st.tuples(inside, inside)
    return st.one_of(
        st.builds(Apply, st.sampled_from(("neg", "abs", "relu")), st.tuples(inside)),
        st.builds(Apply, _BINARY, two),
        st.builds(Apply, st.sampled_from(("min", "max")), st.tuples(*[inside] * 3)),
    )


terms = st.recursive(_LEAVES, _larger, max_leaves=8)


def value(term: Term, a: float, b: float) -> float:
    def apply(function: str, operands: tuple[float, ...]) -> float:
        row = FUNCTIONS[function].numpy
        many = FUNCTIONS[function].variadic
        return float(reduce(row, operands) if many else row(*operands))

    def leaf(side: Side) -> float:
        return a if side == "A" else b

    return fold(term, leaf, float, apply)


numbers = st.integers(-9, 9).map(float)


@given(terms, numbers, numbers)
def test_exchanged_factors_give_the_same_value(term: Term, a: float, b: float) -> None:
    inner = InnerProduct("add", term)
    assert value(inner.exchanged().function, b, a) == value(term, a, b)
    assert value(ordered(term), a, b) == value(term, a, b)
    assert inner.exchanged().exchanged().function == ordered(term)


@given(terms, terms)
def test_labels_tell_terms_apart(one: Term, other: Term) -> None:
    assert (one == other) == (label(one) == label(other))
    assert label(one).replace("_", "").replace(".", "").isalnum()


def test_multiplication_is_its_own_exchange() -> None:
    assert MULTIPLY_ADD.exchanged() == MULTIPLY_ADD


def call(function: str, *arguments: Term) -> Term:
    return Apply(function, arguments)


def test_work_by_example() -> None:
    difference = call("sub", A, B)

    def of(combine: str, term: Term, has_fma: bool = True) -> Work:
        return work(InnerProduct(combine, term), has_fma=has_fma)  # type: ignore[arg-type]

    assert work(MULTIPLY_ADD, has_fma=True) == Work(1, 0, 0, 1, 1, 0)
    assert work(MULTIPLY_ADD, has_fma=False) == Work(2, 0, 0, 1, 1, 1)
    assert of("max", call("add", A, B)) == Work(2, 0, 0, 1, 1, 1)
    assert of("add", call("abs", difference)) == Work(3, 0, 0, 1, 1, 2)
    # A square is taken of one difference, and by the multiply-add.
    assert of("add", call("mul", difference, difference)) == Work(2, 0, 0, 1, 1, 1)
    # What has one factor only is computed once for a row, or a column.
    doubled = call("mul", Number(2.0), A)
    assert of("max", call("sub", doubled, call("neg", B))) == Work(2, 1, 1, 1, 1, 3)
    assert of("max", call("add", doubled, call("mul", A, B))).row_values == 2


# Orientation and proofs


def test_the_order_of_operands_decides_nothing() -> None:
    one, other = (
        kernel(f"y[i, j] = max[k]({value})")
        for value in ("a[i, k] + b[k, j]", "b[k, j] + a[i, k]")
    )
    assert one.scop.tensor("y_max").shape == other.scop.tensor("y_max").shape
    products = [
        [n for n in nodes_of(found.nest.body) if isinstance(n, BatchReduceGemm)]
        for found in (one, other)
    ]
    assert products[0] == products[1] != []


def test_exchanged_factors_keep_their_places_in_the_function() -> None:
    """The result is contiguous along the rows of `a`, which become the columns."""
    found = kernel("y[j, i] += abs(a[i, k] - b[k, j]) - a[i, k]")
    (plan,) = (p for p in found.schedule.plans if isinstance(p, MatrixPlan))
    assert plan.contraction.b.tensor == "a"
    assert formula(plan.contraction.inner.function, "A", "B") == "abs(B - A) - B"
    found.verify()
    arrays = run(found, found.nest)
    a, b = arrays["a"][:, :, None], arrays["b"][None]
    wanted = (abs(a - b) - a).sum(1).T
    np.testing.assert_allclose(arrays["y"], wanted, rtol=1e-4)


def _other(inner: InnerProduct, **changed: object) -> object:
    return once(BatchReduceGemm, lambda n: replace(n, inner=replace(inner, **changed)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"function": call("sub", B, call("mul", Number(2.0), A))}, "is read|is not"),
        ({"function": call("sub", A, call("mul", Number(3.0), B))}, "another function"),
        ({"function": call("add", A, call("mul", Number(2.0), B))}, "another function"),
        ({"function": call("sub", A, call("mul", Number(2.0), A))}, "another function"),
        ({"combine": "min"}, "is no min into"),
    ],
)
def test_another_inner_product_is_refused(
    changed: dict[str, object], message: str
) -> None:
    found = kernel("y[i, j] = max[k](a[i, k] - 2 * b[k, j])")
    inner = InnerProduct("max", call("sub", A, call("mul", Number(2.0), B)))
    same = in_body(found.nest, _other(inner, combine="add"))  # type: ignore[arg-type]
    assert same != found.nest
    found.verify()
    found.refuses(in_body(found.nest, _other(inner, **changed)), message)  # type: ignore[arg-type]


def test_commutative_functions_may_change_places() -> None:
    found = kernel("y[i, j] += abs(a[i, k] + b[k, j])")
    assert "add" in COMMUTATIVE
    inner = InnerProduct("add", call("abs", call("add", B, A)))
    found.verify(in_body(found.nest, _other(inner)))  # type: ignore[arg-type]


def test_a_product_begins_with_the_neutral_element_of_its_combination() -> None:
    found = kernel("y[i, j] = max[k](a[i, k] + b[k, j])")
    (plan,) = (p for p in found.schedule.plans if isinstance(p, MatrixPlan))
    assert plan.initialize is not None
    scop = found.scop
    first = scop.statement(plan.initialize)
    zero = replace(first, value=replace(first.value, value=0.0))  # type: ignore[arg-type]
    statements = tuple(zero if s.name == first.name else s for s in scop.statements)
    wrong = replace(found, scop=replace(scop, statements=statements))
    wrong.refuses(found.nest, "does not set .* to -inf")
