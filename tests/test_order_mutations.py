"""The proofs refuse nests of triangles, recurrences and scatters with a mistake: bounds
that are off, times that run backward, threads and lanes that meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from verify_harness import Case, case, in_body, once
from verify_orders import ORDERS

from polydsl.base.dtypes import I64
from polydsl.loops.nest import (
    Call,
    Guard,
    Literal,
    Load,
    Loop,
    LoopNest,
    Select,
    Store,
    Var,
    walk,
)

Change = Callable[[LoopNest], LoopNest]


def plus(expr: Any, amount: int) -> Any:
    return Call("add", (expr, Literal(amount, I64)), I64)


def loop(var: str, change: Callable[[Loop], Any]) -> Change:
    """Change the first loop of a name; of parts that follow on one another, the
    longest, in which iterations need each other."""

    def apply(nest: LoopNest) -> LoopNest:
        named = (n for n in walk(nest.body) if isinstance(n, Loop) and n.var == var)
        chosen = max(named, key=_iterations)
        change_it = once(Loop, lambda n: change(n) if n == chosen else n)
        return in_body(nest, change_it)

    return apply


def _iterations(node: Loop) -> int:
    """How often a loop runs; 0 where that depends on other loops."""
    match node:
        case Loop(lo=Literal(first), hi=Literal(end)):
            return int(end) - int(first)
    return 0


def bounds(var: str, lo: int = 0, hi: int = 0) -> Change:
    """Move the ends of the first loop of a name."""
    return loop(var, lambda n: replace(n, lo=plus(n.lo, lo), hi=plus(n.hi, hi)))


def kind(var: str, name: Any, lanes: int = 1) -> Change:
    return loop(var, lambda n: replace(n, kind=name, lanes=lanes))


def swapped(var: str) -> Change:
    """Exchange the first two nodes in a loop's body."""
    return loop(var, lambda n: replace(n, body=(n.body[1], n.body[0], *n.body[2:])))


def inside_out(var: str) -> Change:
    """Exchange a loop with the only one inside of it, which becomes sequential."""

    def change(outer: Loop) -> Loop:
        (inner,) = outer.body
        assert isinstance(inner, Loop)
        inside = replace(outer, body=inner.body)
        return replace(inner, body=(inside,), kind="sequential", lanes=1)

    return loop(var, change)


def reversed_loop(var: str) -> Change:
    """Run a loop whose bounds are numbers from its end on."""

    def change(node: Loop) -> Loop:
        assert isinstance(node.lo, Literal) and isinstance(node.hi, Literal)
        last = Literal(int(node.lo.value) + int(node.hi.value) - 1, I64)
        there = Call("sub", (last, Var(var)), I64)
        return replace(node, body=_substituted(node.body, var, there))

    return loop(var, change)


def _substituted(value: Any, name: str, term: Any) -> Any:
    """Return nodes or expressions with a loop variable replaced by a term."""
    if isinstance(value, Var):
        return term if value.name == name else value
    if isinstance(value, tuple):
        return tuple(_substituted(v, name, term) for v in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    parts = {f.name: getattr(value, f.name) for f in fields(value)}
    changed = {n: _substituted(v, name, term) for n, v in parts.items()}
    return replace(value, **changed) if changed != parts else value


def reads(buffer: str, axis: int, amount: int) -> Change:
    """Read every element of a buffer so much further on."""

    def change(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(change(v) for v in value)
        if not is_dataclass(value) or isinstance(value, type):
            return value
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
        value = replace(value, **{n: change(v) for n, v in parts.items()})
        if isinstance(value, Load) and value.buffer == buffer:
            index = list(value.index)
            index[axis] = plus(index[axis], amount)
            value = replace(value, index=tuple(index))
        return value

    def apply(nest: LoopNest) -> LoopNest:
        return replace(nest, body=change(nest.body))

    return apply


def unpadded(nest: LoopNest) -> LoopNest:
    """Drop the first condition of a padded access."""

    def change(value: Any) -> Any:
        if isinstance(value, Select):
            return value.then
        if isinstance(value, Call):
            return replace(value, arguments=tuple(map(change, value.arguments)))
        return value

    return in_body(nest, once(Store, lambda n: replace(n, value=change(n.value))))


def unguarded(nest: LoopNest) -> LoopNest:
    return in_body(nest, once(Guard, lambda g: g.body))


def first_is_last(nest: LoopNest) -> LoopNest:
    first, *rest = nest.body
    return replace(nest, body=(*rest, first))


def without_first(nest: LoopNest) -> LoopNest:
    return replace(nest, body=nest.body[1:])


ORDER = "before|several iterations|parallel|thread"
MUTATIONS: tuple[tuple[str, str, Change, str], ...] = (
    # ranges
    ("band", "a point too many", bounds("j", hi=1), "outside its domain"),
    ("band", "a point too early", bounds("j", lo=-1), "outside its domain"),
    ("band", "the last point is missing", bounds("j", hi=-1), "never executed"),
    ("band", "the first point is missing", bounds("j", lo=1), "never executed"),
    ("band", "the last row is missing", bounds("i", hi=-1), "never executed"),
    ("substitution", "the diagonal is summed", bounds("j", hi=1), "outside"),
    ("substitution", "a term is missing", bounds("j", hi=-1), "never executed"),
    ("skewed", "a wave is too long", bounds("j", hi=1), "outside"),
    ("skewed", "a wave is too short", bounds("j", lo=1), "never executed"),
    ("skewed", "the last wave is missing", bounds("wave", hi=-1), "never executed"),
    # times
    *(
        (name, f"{var} runs backward", reversed_loop(var), ORDER)
        for name, var in (
            ("scan", "t"), ("backward", "t_back"), ("mutual", "t"),
            ("renamed", "t_time"), ("wavefront", "wave"),
            ("substitution", "i"), ("stencil", "t"),
        )
    ),
    *(
        (name, f"threads share {var}", kind(var, "parallel"), ORDER)
        for name, var in (
            ("scan", "t"), ("backward", "t_back"), ("mutual", "t"),
            ("renamed", "t_time"), ("wavefront", "wave"),
            ("skewed", "wave"), ("substitution", "i"), ("stencil", "t"),
            ("in_place", "q"),
        )
    ),
    ("scan", "t is a vector", lambda n: kind("t", "vector", 4)(inside_out("t")(n)),
     ORDER),
    ("stencil", "time is inside", inside_out("t"), ORDER),
    ("mutual", "a state is made before its sum", lambda n: loop("t",
     lambda t: replace(t, body=(t.body[-1], *t.body[:-1])))(n), ORDER),
    ("renamed", "two tensors are swapped", swapped("t_time"), ORDER),
    ("substitution", "an element comes before its sum", lambda n: loop("i",
     lambda i: replace(i, body=(i.body[-1], *i.body[:-1])))(n), ORDER),
    ("scan", "the step before that", reads("h", 0, -1), "not the value|outside"),
    ("scan", "its own step", reads("h", 0, 1), "not the value|outside|before"),
    ("backward", "the next step", reads("h", 0, -1), "not the value|outside"),
    ("mutual", "the state of another unit", reads("h", 1, 1), "outside|not the value"),
    ("skewed", "a shift is lost", reads("y", 1, 1), "outside|not the value"),
    ("scan", "the first step is not padded", unpadded, "outside|not the value"),
    # sums
    ("mutual", "a sum is set after its updates", swapped("t"), "filled|before|never"),
    ("in_place", "zero comes last", first_is_last, "before|never"),
    ("in_place", "no zero", without_first, "never executed"),
    ("strided", "zero comes last", first_is_last, "before|never"),
    ("strided", "elements in between are not set", without_first, "never executed"),
    ("turned", "a sum begins too early", bounds("p", lo=-1), "outside|more than once"),
    ("turned", "a sum ends too early", bounds("p", hi=-1), "never executed"),
)  # fmt: skip


def kernel(name: str) -> Case:
    return case(*ORDERS[name])


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [(name, change, match) for name, _, change, match in MUTATIONS],
    ids=[f"{name}: {mistake}" for name, mistake, _, _ in MUTATIONS],
)
def test_a_mistake_is_refused(name: str, change: Change, match: str) -> None:
    found = kernel(name)
    found.verify()
    changed = change(found.nest)
    assert changed != found.nest
    found.refuses(changed, match)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("skewed", kind("j", "parallel")),
        ("stencil", kind("n", "parallel")),
        ("scan", kind("d", "parallel")),
        ("scan", reversed_loop("d")),
        ("scan", inside_out("t")),
        ("mutual", kind("d", "parallel")),
        ("band", kind("i", "parallel")),
        ("in_place", kind("p", "parallel")),
        ("skewed", bounds("wave", hi=1)),
        ("strided", kind("y_0", "parallel")),
    ],
)
def test_what_is_legal_is_accepted(name: str, change: Change) -> None:
    found = kernel(name)
    found.verify(change(found.nest))


def test_isl_is_asked_about_many_points() -> None:
    """Too many to look at one by one: what comes too late is found all the same."""
    found = case(ORDERS["scan"][0], {"x": (700, 500)})
    found.verify()
    found.refuses(reversed_loop("t")(found.nest), ORDER)
