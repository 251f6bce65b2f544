"""The factors of a contraction as operands: stored ones, and computed ones.

A stored factor is an access at linear subscripts, perhaps padded or widened. Any other
value is computed: its operand has its own indices for subscripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from polydsl.poly.conditions import ordered_indices
from polydsl.poly.substitute import resolve, substitute, with_parts
from polydsl.poly.terms import Interval, Linear
from polydsl.schedule.inner_product import factor_access, widened_access
from polydsl.schedule.operand import Computed, Operand
from polydsl.semantics.program import (
    Access,
    Expr,
    Literal,
    Pad,
    Size,
    Value,
    accesses,
)


def stored_operand(
    factor: Expr,
    terms: Mapping[str, Expr],
    sizes: Mapping[str, Value],
    box: Mapping[str, Interval],
) -> Operand | None:
    """Return an access with linear subscripts; None for any other factor."""
    if (access := factor_access(factor)) is None:
        return None
    forms = [resolve(substitute(s, terms), sizes, box) for s in access.subscripts]
    linear = tuple(form for form in forms if form is not None)
    if len(linear) < len(forms):
        return None
    whole = widened_access(factor)
    pad = whole.value if isinstance(whole, Pad) else None
    return Operand(access.tensor, linear, pad)


def computed_operand(
    factor: Expr,
    terms: Mapping[str, Expr],
    sizes: Mapping[str, Value],
    box: Mapping[str, Interval],
) -> Operand:
    """Return a factor whose elements are computed. It moves with its indices, in the
    order in which most of what it reads lies."""
    value = _with_numbers(substitute(factor, terms), sizes)
    reads = [_read(access, sizes, box) for access in accesses(value)]
    reads.sort(key=lambda r: -prod(box[d][1] + 1 for d in r.dims))
    lying = [d for s in reads[0].subscripts for d in _outer_first(s)]
    every = ordered_indices(value)
    dims = (*(d for d in every if d not in lying), *dict.fromkeys(lying))
    return Operand(
        reads[0].tensor,
        tuple(Linear(((d, 1),), 0) for d in dims),
        None,
        Computed(value, dims, tuple(reads)),
    )


def _with_numbers(expr: Expr, sizes: Mapping[str, Value]) -> Expr:
    """Return a value with numbers for sizes, as all other operands have them."""
    if isinstance(expr, Size) and expr.dtype.is_int:
        return Literal(sizes[expr.name], expr.dtype, expr.span)
    return with_parts(expr, lambda part: _with_numbers(part, sizes))


def _outer_first(subscript: Linear) -> Iterator[str]:
    """Yield the indices of a subscript, those that move it most first."""
    terms = sorted(subscript.coefficients, key=lambda term: -abs(term[1]))
    yield from (d for d, _ in terms)


def _read(
    access: Access, sizes: Mapping[str, Value], box: Mapping[str, Interval]
) -> Operand:
    """Return an access that is read for a value: as if each index moved a subscript by
    one that is not linear. No more than its axis is touched."""
    forms = []
    for subscript in access.subscripts:
        form = resolve(subscript, sizes, box)
        if form is None:
            moving = ordered_indices(subscript)
            form = Linear(tuple((d, 1) for d in moving), 0)
        forms.append(form)
    return Operand(access.tensor, tuple(forms))
