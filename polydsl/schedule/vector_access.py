"""How far the accesses of an expression move in memory when one index moves."""

from __future__ import annotations

from collections.abc import Mapping

from polydsl.poly.conditions import ordered_indices
from polydsl.poly.substitute import resolve
from polydsl.poly.terms import Interval
from polydsl.schedule.operand import Layout
from polydsl.semantics.program import Access, Expr, Value, accesses


def steps(
    expr: Expr,
    dim: str,
    layout: Layout,
    binding: Mapping[str, Value],
    box: Mapping[str, Interval],
) -> tuple[int | None, ...]:
    """Return the step of each access along *dim*, in elements; None if irregular."""
    return tuple(step(a, dim, layout, binding, box) for a in accesses(expr))


def step(
    access: Access,
    dim: str,
    layout: Layout,
    binding: Mapping[str, Value],
    box: Mapping[str, Interval],
) -> int | None:
    """Return how many elements an access moves when *dim* moves by one."""
    total = 0
    strides = layout.get(access.tensor, (1,) * len(access.subscripts))
    for subscript, stride in zip(access.subscripts, strides):
        if dim not in ordered_indices(subscript):
            continue
        form = resolve(subscript, binding, box)
        if form is None:
            return None
        total += form.coefficient(dim) * stride
    return total
