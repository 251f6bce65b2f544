"""Values that products compute while they copy their factors, as the nest they become
and as numbers on every ISA row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from copied_programs import VALUES
from program_harness import Case, run_case
from test_emitter import ROWS
from verify_harness import Shapes, case

from polydsl.poly.substitute import with_parts
from polydsl.schedule.matrix_plan import Copy, MatrixPlan
from polydsl.semantics import program as typed

FUSED = "fused, computed while it is copied for the product"


@pytest.mark.parametrize("name", VALUES)
def test_values_are_computed_in_copies(name: str) -> None:
    value = VALUES[name]
    state = run_case(Case(value.program, ROWS[0])).state
    assert state.schedule is not None
    fused = [d.subject for d in state.schedule.decisions if d.chosen == FUSED]
    assert fused == list(value.fused)
    products = [p for p in state.schedule.plans if isinstance(p, MatrixPlan)]
    assert len(products) == value.products
    assert state.scop is not None
    stored = {tensor.name for tensor in state.scop.tensors}
    assert not stored & {pair.split()[0] for pair in fused}
    number = [*VALUES].index(name)
    row = ROWS[number % len(ROWS)]
    run_case(Case(value.program, row, shuffle=number, seed=number))


def test_unfused_every_value_is_stored() -> None:
    value = VALUES["weights with zero points and scales"]
    state = run_case(Case(value.program, ROWS[0], fuse="none")).state
    assert state.scop is not None and state.schedule is not None
    assert "h" in {tensor.name for tensor in state.scop.tensors}
    assert not any(c.sources >= {"q", "z"} for c in _copies(state.schedule.plans))


def test_unfused_no_factor_is_computed() -> None:
    value = VALUES["columns of a table, some of them outside"]
    state = run_case(Case(value.program, ROWS[0], fuse="none")).state
    assert state.schedule is not None
    assert not any(isinstance(p, MatrixPlan) for p in state.schedule.plans)


@pytest.mark.parametrize("bound", [("q", "z", "s"), ("q", "s")])
def test_what_is_bound_is_computed_once(bound: tuple[str, ...]) -> None:
    value = VALUES["weights with zero points and scales"]
    state = run_case(Case(value.program, ROWS[0], bound=frozenset(bound))).state
    assert state.schedule is not None
    (copy,) = (c for c in _copies(state.schedule.plans) if "q" in c.sources)
    assert copy.sources == {"q", "z", "s"}
    assert copy.prepared == ("z" in bound)


def _copies(plans: object) -> list[Copy]:
    assert isinstance(plans, tuple)
    matrix = (p for p in plans if isinstance(p, MatrixPlan))
    return [c for p in matrix for f in (p.a, p.b) for c in f.copies]


DEQUANTISED = """\
kernel f(x: f32[N, C], q: i8[C, K], z: f32[K], t: f32[K], ids: i32[K]) -> f32[N, K]:
    y[i, k] += x[i, c] * (exp(q[c, ids[k]] - z[k]) * 3 if c < k else z[K - 1 - k])
    return y
"""
SHAPES: Shapes = {
    "x": (12, 40),
    "q": ("i8", (40, 32)),
    "z": (32,),
    "t": (32,),
    "ids": ("i32", (32,)),
}


def _with(old: typed.Expr, new: typed.Expr) -> Callable[[typed.Expr], typed.Expr]:
    def change(expr: typed.Expr) -> typed.Expr:
        return new if expr == old else with_parts(expr, change)

    return change


def _parts(value: typed.Expr) -> Iterator[tuple[str, typed.Expr, typed.Expr]]:
    """Yield what is wrong in an altered value, the part and what is there instead."""
    for part in typed.walk(value):
        match part:
            case typed.Call("exp"):
                yield "holds a exp2", part, replace(part, function="exp2")
            case typed.Call("inside", (subscript, _)):
                yield "q has extent 32", part, subscript
            case typed.Access("z", (typed.Index(),)):
                yield "holds t, not z", part, replace(part, tensor="t")
            case typed.Access("z", (reverse,)):
                index = next(
                    n for n in typed.walk(reverse) if isinstance(n, typed.Index)
                )
                yield "another element of z", part, replace(part, subscripts=(index,))
            case typed.Literal(3.0):
                yield "holds the number 4.0", part, replace(part, value=4.0)
            case typed.Call("lt", (left, right)):
                yield "another term", part, replace(part, arguments=(right, left))
            case _:
                pass


def test_another_value_in_a_copy_is_refused() -> None:
    """The nest fills the copy with what the plan says, which is not the factor."""
    found = case(DEQUANTISED, SHAPES)
    found.verify()
    (copy,) = _copies(found.schedule.plans)
    altered = [*_parts(copy.value)]
    assert len({message for message, _, _ in altered}) == 6
    for message, old, new in altered:
        changed = replace(copy, value=_with(old, new)(copy.value))

        def other(copies: Copy | None, changed: Copy = changed) -> Copy | None:
            return None if copies is None else changed

        def planned(plan: MatrixPlan) -> MatrixPlan:
            padded, pack = other(plan.b.padded), other(plan.b.pack)
            return replace(plan, b=replace(plan.b, padded=padded, pack=pack))

        wrong = found.planned(planned)
        wrong.refuses(wrong.nest, message)
