"""Statements on dense grids: blocks of the left-hand side, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod

import numpy as np

from polydsl.base.functions import Reduction
from polydsl.semantics.oracle.errors import outside
from polydsl.semantics.oracle.expressions import evaluate_expr
from polydsl.semantics.oracle.folds import fold, is_product, ranges_mask
from polydsl.semantics.oracle.grids import (
    Grid,
    Interval,
    box_grid,
    closure,
    index_names,
    used_indices,
)
from polydsl.semantics.oracle.numbers import (
    NO,
    YES,
    Bools,
    Ints,
)
from polydsl.semantics.oracle.reductions import Outcome
from polydsl.semantics.oracle.scope import Scope
from polydsl.semantics.program import Definition, Expr, Index, Reduce, children

BLOCK_POINTS = 1 << 20


def left_names(definition: Definition) -> tuple[str, ...]:
    """Return the indices on the left side, in order."""
    names: dict[str, None] = {}
    for subscript in definition.subscripts:
        names.update(dict.fromkeys(index_names(subscript)))
    return tuple(names)


def operation(definition: Definition) -> Reduction:
    """Return the reduction of a `+=` or `*=`."""
    return "prod" if definition.op == "*=" else "sum"


def terms_of(definition: Definition, grid: Grid, scope: Scope) -> Outcome:
    """Return what a statement that is no scatter contributes at points of its left."""
    left = left_names(definition)
    if definition.op == "=":
        mask = ranges_mask(left, grid, scope)
        return evaluate_expr(definition.value, grid.restricted(mask), scope)
    outcome, _ = fold(
        operation(definition), definition.reduced, left, definition.value, grid, scope
    )
    return outcome


def box_of(names: Sequence[str], scope: Scope) -> tuple[Interval, ...]:
    """Return the box of indices."""
    return tuple(scope.boxes[name] for name in names)


def blocks(
    definition: Definition, names: Sequence[str], scope: Scope
) -> Iterator[tuple[Interval, ...]]:
    """Cut the box of *names* so that what is computed at once stays small."""
    box = box_of(names, scope)
    lengths = lengths_of(scope)
    if any(high <= low for low, high in box):
        return
    for name in names:
        whole = _span(definition, names, lengths)
        if whole <= BLOCK_POINTS:
            break
        lengths[name] = max(1, lengths[name] * BLOCK_POINTS // whole)
    pieces = [
        [
            (start, min(start + lengths[name], high))
            for start in range(low, high, lengths[name])
        ]
        for name, (low, high) in zip(names, box, strict=True)
    ]
    yield from product(*pieces)


def _span(
    definition: Definition, names: Sequence[str], lengths: Mapping[str, int]
) -> int:
    """Estimate how many numbers a block makes at once."""
    bound = names if definition.is_scatter else (*names, *definition.reduced)
    own = prod(lengths[name] for name in names)
    if definition.op == "+=" and not definition.is_scatter:
        return max(own, span_of_sum(definition.value, bound, lengths))
    return max(own, span_of(definition.value, lengths))


def span_of_sum(body: Expr, names: Sequence[str], lengths: Mapping[str, int]) -> int:
    """Estimate the numbers that a sum makes; a matrix product needs only factors."""
    if is_product(body):
        # They are few arrays: let them be larger.
        return max(span_of(child, lengths) for child in children(body)) // 8
    return max(span_of(body, lengths), prod(lengths[n] for n in names))


def span_of(expr: Expr, lengths: Mapping[str, int]) -> int:
    """Estimate the size of the largest array made for an expression."""
    own = prod(lengths[name] for name in free_names(expr))
    if isinstance(expr, Reduce):
        names = tuple(dict.fromkeys((*free_names(expr), *expr.indices)))
        if expr.op in ("sum", "mean"):
            return max(own, span_of_sum(expr.body, names, lengths))
        own = max(own, prod(lengths[name] for name in names))
    return max([own, *(span_of(child, lengths) for child in children(expr))])


def terms_per_point(definition: Definition, lengths: Mapping[str, int]) -> int:
    """Estimate how many terms one point of a statement reduces."""
    reduced = prod(lengths[name] for name in definition.reduced)
    return reduced * _terms(definition.value, lengths)


def _terms(expr: Expr, lengths: Mapping[str, int]) -> int:
    inner = max((_terms(child, lengths) for child in children(expr)), default=1)
    if isinstance(expr, Reduce):
        return inner * prod(lengths[name] for name in expr.indices)
    return inner


def lengths_of(scope: Scope) -> dict[str, int]:
    """Return the extent of every index's box."""
    return {name: high - low for name, (low, high) in scope.boxes.items()}


def free_names(expr: Expr) -> frozenset[str]:
    """Return the indices of *expr* that no reduction inside binds."""
    if isinstance(expr, Index):
        return frozenset((expr.name,))
    inner = frozenset[str]().union(*(free_names(child) for child in children(expr)))
    return inner - frozenset(expr.indices) if isinstance(expr, Reduce) else inner


def work_of(definition: Definition, lengths: Mapping[str, int]) -> int:
    """Estimate the points of a statement; those of a matrix product are cheap."""
    names = (*left_names(definition), *definition.reduced)
    if definition.op == "+=" and not definition.is_scatter:
        return _work_of_sum(definition.value, names, lengths)
    own = prod(lengths[name] for name in names)
    return max(own, _work(definition.value, lengths))


def _work_of_sum(body: Expr, names: Sequence[str], lengths: Mapping[str, int]) -> int:
    points = prod(lengths[name] for name in names)
    if not is_product(body):
        return max(points, _work(body, lengths))
    return max([points // 32, *(_work(child, lengths) for child in children(body))])


def _work(expr: Expr, lengths: Mapping[str, int]) -> int:
    names = free_names(expr)
    if isinstance(expr, Reduce):
        if expr.op in ("sum", "mean"):
            return _work_of_sum(expr.body, (*names, *expr.indices), lengths)
        names = names | frozenset(expr.indices)
    own = prod(lengths[name] for name in names)
    return max([own, *(_work(child, lengths) for child in children(expr))])


def defined_by(definition: Definition, extents: tuple[int, ...], scope: Scope) -> Bools:
    """Return where a statement defines its tensor: everywhere, or a mask.

    Where a left-hand range depends on a summed index, that is the projection.
    """
    if definition.is_scatter:
        return YES
    left = left_names(definition)
    names = (*left, *(n for n in closure(scope.program, left) if n not in left))
    box = box_of(left, scope)
    covers = all(b == (0, extent) for b, extent in zip(box, extents, strict=True))
    if covers and not any(used_indices(scope.program.range(name)) for name in left):
        return YES
    grid = box_grid(names, box_of(names, scope))
    mask = np.broadcast_to(ranges_mask(names, grid, scope), grid.shape)
    mask = np.asarray(mask.any(axis=tuple(range(len(left), len(names)))))
    left_grid = box_grid(left, box)
    result = np.zeros(extents, np.bool_)
    for axis, (name, extent) in enumerate(zip(left, extents, strict=True)):
        values = left_grid.indices[name]
        beyond = mask & ((values < 0) | (values >= extent))
        if beyond.any():
            subscript = definition.subscripts[axis]
            outside(
                definition.tensor,
                subscript,
                axis,
                extent,
                values,
                left_grid,
                beyond,
                scope.order,
            )
    inside = tuple(
        slice(max(0, low), max(0, min(high, extent)))
        for (low, high), extent in zip(box, extents, strict=True)
    )
    own = tuple(
        slice(s.start - low, max(s.stop, s.start) - low)
        for s, (low, _) in zip(inside, box, strict=True)
    )
    result[inside] = mask[own]
    return result


def scatter_targets(
    definition: Definition, extents: tuple[int, ...], grid: Grid, scope: Scope
) -> tuple[Ints, Bools]:
    """Return the row-major number that each point of a scatter adds to.

    Also returns where a subscript is undecided. Subscripts must be inside.
    """
    flat: Ints = np.zeros((), np.int64)
    unsure = NO
    for axis, (subscript, extent) in enumerate(
        zip(definition.subscripts, extents, strict=True)
    ):
        num = evaluate_expr(subscript, grid, scope)
        values = num.value
        beyond = grid.active & ((values < 0) | (values >= extent))
        if (beyond & ~num.undecided).any():
            outside(
                definition.tensor,
                subscript,
                axis,
                extent,
                values,
                grid,
                beyond,
                scope.order,
            )
        flat = flat * extent + np.clip(values, 0, max(0, extent - 1))
        unsure = unsure | num.undecided
    return flat, unsure
