"""Bounds of loops enumerate the points of a domain; conditions say what a set holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations, product

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from polydsl.base.source import Source, Span
from polydsl.poly.extract import extract
from polydsl.poly.isl import domain_text, parse_set
from polydsl.poly.loop_bounds import (
    fits,
    inner_bounds,
    is_exact,
    loop_bounds,
)
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.set_conditions import condition_of
from polydsl.poly.terms import interval
from polydsl.semantics.check import check_module
from polydsl.semantics.program import Call, Expr, Literal
from polydsl.semantics.specialize import specialize
from polydsl.syntax.parser import parse

QUICK = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
SPAN = Span(Source("test.pdl", ""), 0, 0)
Point = tuple[int, ...]


def scop_of(body: str) -> Scop:
    """Return the scop of a kernel without arguments."""
    lines = "\n    ".join(body.strip().splitlines())
    text = f"kernel f():\n    {lines}\n"
    library = check_module(parse(Source("test.pdl", text)))
    return extract(specialize(library, "f", {}, {}))


def holds(condition: Expr, values: Mapping[str, int]) -> bool:
    """Whether a condition holds at a point."""
    match condition:
        case Literal(value):
            return bool(value)
        case Call("and", (left, right)):
            return holds(left, values) and holds(right, values)
        case Call("or", (left, right)):
            return holds(left, values) or holds(right, values)
        case Call(function, (left, right)):
            a, b = term(left, values), term(right, values)
            return {"ge": a >= b, "eq": a == b, "le": a <= b, "lt": a < b}[function]
    raise AssertionError(condition)


def term(expr: Expr, values: Mapping[str, int]) -> int:
    """Return the value of a term at a point."""
    low, high = interval(expr, {}, {n: (v, v) for n, v in values.items()})
    assert low == high
    return low


def box_points(statement: Statement, dims: Sequence[str]) -> Iterator[Point]:
    ends = (statement.ranges[d] for d in dims)
    return product(*(range(lo, hi + 1) for lo, hi in ends))


def domain_points(statement: Statement, dims: Sequence[str]) -> set[Point]:
    """Return the points of a domain by its conditions, one by one."""
    return {
        point
        for point in box_points(statement, dims)
        if all(holds(c, dict(zip(dims, point))) for c in statement.conditions)
    }


def looped(statement: Statement, order: Sequence[str]) -> set[Point]:
    """Return the points that nested loops over the bounds run over."""
    bounds = loop_bounds(statement, order)
    points: list[dict[str, int]] = [{}]
    for d in order:
        points = [
            {**outer, d: n}
            for outer in points
            for n in range(term(bounds[d].lo, outer), term(bounds[d].hi, outer))
        ]
    return {tuple(p[d] for d in order) for p in points}


@st.composite
def ranges(draw: st.DrawFn) -> str:
    """Draw ranges of three indices of which the later depend on the earlier."""
    number = st.integers(-2, 6)

    def one(names: Sequence[str]) -> str:
        terms = [f"{draw(st.integers(-2, 3))}*{n}" for n in names]
        text = " + ".join([*terms, str(draw(number))])
        form = draw(st.sampled_from(("{}", "({}) // 2", "({}) // 3", "({}) % 4")))
        return str(form.format(text))

    def bound(names: Sequence[str], function: str) -> str:
        inside = one(names)
        if draw(st.booleans()):
            return f"{function}({inside}, {one(names)})"
        return inside

    lines = [f"i in range({draw(st.integers(0, 5))})"]
    for index, names in (("j", "i"), ("k", "ij")):
        lo = f"max(0, {bound(names, draw(st.sampled_from(('min', 'max'))))})"
        hi = f"min(6, {bound(names, draw(st.sampled_from(('min', 'max'))))})"
        lines.append(f"{index} in range({lo}, {hi})")
    return "\n".join(lines)


@QUICK
@given(ranges())
def test_loops_run_over_the_domain(text: str) -> None:
    """Exactly where it is a polyhedron, whatever the order; else over what holds it."""
    scop = scop_of(f"{text}\ny: i64[9, 9, 9]\ny[i, j, k] = i\nz: i64\nz = 1\nreturn z")
    (statement,) = (s for s in scop.statements if s.tensor == "y")
    for order in permutations("ijk"):
        wanted, found = domain_points(statement, order), looped(statement, order)
        assert wanted <= found
        if is_exact(statement):
            assert wanted == found


@QUICK
@given(ranges())
@example("i in range(2)\nj in range(6)\nk in range(j, min(6, (3*j - i) // 2))").via(
    "one polyhedron in one order of its dimensions, two for isl in the other"
)
def test_loops_inside_of_others(text: str) -> None:
    """Loops of a reduction run over the points of the update, within loops over the
    result if it fits into them."""
    scop = scop_of(f"{text}\ny[i] += j + k\nreturn y")
    first, update = scop.statements
    assume(fits(first, update))
    for order in permutations("jk"):
        inner = inner_bounds(first, update, ("i",), order)
        found = set()
        for (i,) in box_points(first, ("i",)):
            points: list[dict[str, int]] = [{"i": i}]
            for d in order:
                b = inner[d]
                points = [
                    {**p, d: n}
                    for p in points
                    for n in range(term(b.lo, p), term(b.hi, p))
                ]
            found |= {tuple(p[d] for d in ("i", *order)) for p in points}
        wanted = domain_points(update, ("i", *order))
        assert wanted <= found
        if is_exact(update):
            assert wanted == found


def test_a_domain_of_several_parts_that_is_one_polyhedron() -> None:
    """isl writes `k >= i // 2` over 0 <= i < 3 as two parts."""
    ends = "k in range(min(i // 2, 5), min(5, i + 3))"
    scop = scop_of(
        f"i in range(3)\n{ends}\ny: i64[3, 5]\ny[i, k] = i\nz: i64\nz = 1\nreturn z"
    )
    (statement,) = (s for s in scop.statements if s.tensor == "y")
    assert is_exact(statement)
    assert looped(statement, "ik") == domain_points(statement, "ik")


def test_what_bounds_do_not_say_does_not_fit() -> None:
    ends = "i in range(2)\nj in range(min(i, 1), 1)"
    first, update = scop_of(f"{ends}\ny[i] += j\nreturn y").statements
    # j is 0 wherever there is one, and so is i.
    assert not fits(first, update)


TERM = st.tuples(*(st.integers(-3, 3) for _ in range(3)), st.integers(-6, 6))


@QUICK
@given(
    st.lists(
        st.lists(st.tuples(TERM, st.sampled_from((">=", "=", "mod 2 =", "mod 3 ="))),
                 min_size=1, max_size=3),
        min_size=1, max_size=2,
    )
)  # fmt: skip
def test_a_condition_is_true_in_the_set(
    parts: list[list[tuple[tuple[int, int, int, int], str]]],
) -> None:
    names = ("a", "b", "c")
    texts = []
    for part in parts:
        sides = [
            f"({a}*a + {b}*b + {c}*c + {n}) {relation} 0"
            for (a, b, c, n), relation in part
        ]
        texts.append(f"({' and '.join(sides)})")
    inside = [f"0 <= {n} < 5" for n in names]
    points = parse_set(domain_text("", names, [*inside, " or ".join(texts)]))
    condition = condition_of(points, names, SPAN)
    for point in product(range(-1, 6), repeat=3):
        at = [f"{n} = {v}" for n, v in zip(names, point)]
        here = parse_set(domain_text("", names, at))
        assert holds(condition, dict(zip(names, point))) == here.is_subset(points)
