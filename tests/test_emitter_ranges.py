"""Intervals and affine forms against the values at every point; the scratch layout."""

from __future__ import annotations

import itertools

from emitter_kernels import call, number
from hypothesis import given, settings
from hypothesis import strategies as st

from polydsl.backend.emitter.ranges import (
    Affine,
    Ranges,
    affine,
    bounds,
    decide,
    interval,
    open_conjuncts,
)
from polydsl.base.dtypes import BOOL, I8, I64
from polydsl.loops.nest import Call, Cast, Expr, Literal, Load, Select, Var

RANGES = Ranges({"i": (0, 6), "j": (-3, 2), "k": (4, 4)})
POINTS = [
    dict(zip(RANGES, values))
    for values in itertools.product(*(range(lo, hi + 1) for lo, hi in RANGES.values()))
]


def subscripts() -> st.SearchStrategy[Expr]:
    leaves: st.SearchStrategy[Expr] = st.one_of(
        st.sampled_from([Var(name) for name in RANGES]),
        st.integers(-7, 7).map(number),
    )

    def grow(below: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        pairs = st.tuples(below, below)
        names = st.sampled_from(["add", "sub", "mul", "min", "max"])
        divisors = st.integers(1, 5).map(number)
        kinds = st.sampled_from(["floordiv", "mod"])
        return st.one_of(
            st.tuples(names, pairs).map(lambda x: call(x[0], *x[1])),
            st.tuples(kinds, below, divisors).map(lambda x: call(*x)),
            below.map(lambda x: call("neg", x)),
            below.map(lambda x: call("abs", x)),
            st.tuples(below, below, below).map(
                lambda x: Select(call("lt", x[0], x[1]), x[1], x[2], I64)
            ),
            below.map(lambda x: Cast(Cast(x, I8), I64)),
        )

    return st.recursive(leaves, grow, max_leaves=8)


def value(expr: Expr, point: dict[str, int]) -> int:
    """Return the value of an index expression at a point."""
    match expr:
        case Literal(number_):
            return int(number_)
        case Var(name):
            return point[name]
        case Cast(operand, dtype):
            return min(max(value(operand, point), dtype.least), dtype.greatest)
        case Select(condition, then, otherwise):
            return value(then if value(condition, point) else otherwise, point)
        case Call(function, arguments):
            return int(_PYTHON[function](*(value(x, point) for x in arguments)))
        case Load():
            raise AssertionError
    raise AssertionError


_PYTHON = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "floordiv": lambda x, y: x // y,
    "mod": lambda x, y: x % y,
    "neg": lambda x: -x,
    "abs": abs,
    "min": min,
    "max": max,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "and": lambda x, y: x and y,
    "or": lambda x, y: x or y,
    "not": lambda x: not x,
}


def form_value(form: Affine, point: dict[str, int]) -> int:
    return form.constant + sum(f * value(atom, point) for atom, f in form.terms)


@settings(max_examples=150, deadline=None)
@given(expr=subscripts())
def test_forms_and_intervals_hold_at_every_point(expr: Expr) -> None:
    form, (low, high) = affine(expr, RANGES), interval(expr, RANGES)
    for point in POINTS:
        wanted = value(expr, point)
        assert form_value(form, point) == wanted
        assert low <= wanted <= high


@settings(max_examples=150, deadline=None)
@given(
    left=subscripts(),
    right=subscripts(),
    function=st.sampled_from(["lt", "le", "gt", "ge"]),
    joint=st.sampled_from(["and", "or", "not"]),
)
def test_what_is_decided_is_true(
    left: Expr, right: Expr, function: str, joint: str
) -> None:
    simple = Call(function, (left, right), BOOL)
    other = Call("lt", (Var("i"), number(3)), BOOL)
    joined = Call("not", (simple,), BOOL)
    if joint != "not":
        joined = Call(joint, (simple, other), BOOL)
    for condition in (simple, joined):
        known = decide(condition, RANGES)
        values = {bool(value(condition, point)) for point in POINTS}
        assert known is None or values == {known}
        parts = open_conjuncts(condition, RANGES)
        for point in POINTS:
            holds = parts is not None and all(value(p, point) for p in parts)
            assert holds == bool(value(condition, point))


def test_quotients_and_rests_of_blocks_are_folded() -> None:
    ranges = Ranges({"b": (0, 9), "u": (0, 3)})
    position = call("add", call("mul", Var("b"), number(4)), Var("u"))
    quotient = affine(call("floordiv", position, number(4)), ranges)
    rest = affine(call("mod", position, number(4)), ranges)
    assert quotient == Affine(0, ((Var("b"), 1),))
    assert rest == Affine(0, ((Var("u"), 1),))


def test_what_may_overflow_is_not_decided() -> None:
    loaded = Load("n", (), I64)
    greater = Call("lt", (loaded, call("add", loaded, number(1))), BOOL)
    assert decide(greater, Ranges({})) is None
    assert bounds(affine(loaded, Ranges({})), Ranges({})) == (-(2**63), 2**63 - 1)


def test_deep_quotients_are_looked_at_once() -> None:
    """Each level asked twice for the one below: 40 levels took for ever."""
    expr: Expr = Var("i")
    for level in range(20):
        expr = call("floordiv", call("add", expr, number(level)), number(2))
        expr = call("mod", call("mul", expr, number(3)), number(50))
    assert interval(expr, Ranges({"i": (0, 1000)})) == (0, 49)
