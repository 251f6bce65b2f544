"""Proof (c): every access lies in its buffer.

A subscript is bounded by its interval over the box of its loops, narrowed by the
conditions of the `Select`s around it, and by the exact points where that is not enough.
One that depends on data is inside whatever the data are.
The tiles of a product are bounded in `verify_products`, with the elements that they
stand for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import I64
from polydsl.loops.nest import (
    Accumulate,
    Buffer,
    Call,
    Cast,
    Expr,
    GuardedRows,
    Load,
    LoopNest,
    Offsets,
    Rows,
    Select,
    Store,
    Table,
    operands,
)
from polydsl.loops.terms import conjuncts
from polydsl.loops.verify_conditions import Condition, negation
from polydsl.loops.verify_forms import interval
from polydsl.loops.verify_points import Leaf
from polydsl.loops.verify_search import outside_point
from polydsl.loops.verify_translate import nest_condition, nest_form
from polydsl.poly.terms import Interval, in_64_bits, interval_of

Place = tuple[str, tuple[Expr, ...], tuple[Condition, ...]]
"""An access: the buffer, its subscripts, the conditions under which it is made."""


def check_bounds(nest: LoopNest, leaves: Sequence[Leaf]) -> None:
    """Raise unless every store and every load is inside its buffer."""
    buffers = {b.name: b for b in nest.buffers}
    for leaf in leaves:
        for name, index, where in accesses(leaf):
            if name not in buffers:
                bug(f"no buffer {name} exists, {leaf.place({})}")
            check_inside(leaf, buffers[name], index, where)


def accesses(leaf: Leaf) -> Iterator[Place]:
    """Yield every subscripted access of a leaf, the written one first."""
    match leaf.node:
        case Store(buffer, index, value) | Accumulate(buffer, index, _, value):
            yield buffer, index, ()
            for expr in (*index, value):
                yield from loads(leaf, expr, ())
        case _:
            for expr in product_terms(leaf):
                yield from loads(leaf, expr, ())


def product_terms(leaf: Leaf) -> Iterator[Expr]:
    """Yield the terms of a product's places."""
    node = leaf.node
    if isinstance(node, Store | Accumulate):
        return
    for side in (node.c, node.a, node.b):
        yield side.base
    tables: list[Offsets] = [node.c.row, node.b.batch]
    match node.a:
        case GuardedRows(start=start):
            yield start
        case Rows(batch=batch, row=row):
            tables += [batch, row]
    for offsets in tables:
        if isinstance(offsets, Table):
            yield offsets.start


def loads(leaf: Leaf, expr: Expr, where: tuple[Condition, ...]) -> Iterator[Place]:
    """Yield every load in an expression with the conditions around it."""
    match expr:
        case Load(buffer, index):
            yield buffer, index, where
            for term in index:
                yield from loads(leaf, term, where)
        case Select(condition, then, otherwise):
            yes, no = arms(leaf, condition)
            yield from loads(leaf, condition, where)
            yield from loads(leaf, then, (*where, *yes))
            yield from loads(leaf, otherwise, (*where, *no))
        case _:
            for operand in operands(expr):
                yield from loads(leaf, operand, where)


def arms(
    leaf: Leaf, condition: Expr
) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
    """Return the conditions that surely hold in the two arms of a selection."""
    whole = nest_condition(condition, leaf.names, leaf.hull)
    if whole is not None:
        return (whole,), (negation(whole),)
    leading: list[Condition] = []
    for part in conjuncts(condition):
        found = nest_condition(part, leaf.names, leaf.hull)
        if found is None:
            break
        leading.append(found)
    return tuple(leading), ()


def data_interval(leaf: Leaf, expr: Expr) -> Interval:
    """Return bounds of a subscript that depends on data, whatever these are."""
    form = nest_form(expr, leaf.names, leaf.hull)
    if form is not None:
        return in_64_bits(interval(form, leaf.hull))
    match expr:
        case Load(dtype=dtype) if dtype.is_int:
            return dtype.least, dtype.greatest
        case Cast(operand, dtype) if dtype == I64 and operand.dtype.is_int:
            return data_interval(leaf, operand)
        case Call(function, arguments, dtype) if dtype == I64 and _is_known(leaf, expr):
            ends = [data_interval(leaf, argument) for argument in arguments]
            return in_64_bits(interval_of(function, ends))
        case _:
            bug(f"a subscript is no term, {leaf.place({})}")


def _is_known(leaf: Leaf, call: Call) -> bool:
    """Whether a call has the operands of a term: at most two, and a plain divisor."""
    if call.function in ("floordiv", "mod"):
        divisor = nest_form(call.arguments[1], leaf.names, leaf.hull)
        return divisor is not None and divisor.is_constant and divisor.constant != 0
    return (
        len(call.arguments) == 3
        if call.function == "clamp"
        else (call.function in _TERMS and len(call.arguments) <= 2)
    )


_TERMS = frozenset(("add", "sub", "neg", "pos", "mul", "min", "max", "abs", "inside"))


def check_inside(
    leaf: Leaf, buffer: Buffer, index: tuple[Expr, ...], where: tuple[Condition, ...]
) -> None:
    """Raise unless subscripts are inside a buffer at every point of a leaf."""
    if len(index) != len(buffer.shape):
        bug(f"{buffer.name} has {len(buffer.shape)} dimensions, {leaf.place({})}")
    for axis, (expr, extent) in enumerate(zip(index, buffer.shape)):
        form = nest_form(expr, leaf.names, leaf.hull)
        if form is None:
            least, greatest = data_interval(leaf, expr)
            if least < 0 or greatest >= extent:
                bug(
                    f"{buffer.name} has extent {extent} on axis {axis}, and its "
                    f"subscript may be {least} to {greatest}, {leaf.place({})}"
                )
            continue
        for piece in leaf.pieces:
            conditions = (*where, *piece.conditions)
            point = outside_point(form, 0, extent - 1, conditions, piece.space)
            if point is not None:
                bug(
                    f"{buffer.name} has extent {extent} on axis {axis}, and is "
                    f"accessed outside {leaf.place(point)}"
                )
