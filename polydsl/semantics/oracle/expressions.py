"""Expressions: what each node of the typed program is worth on a grid of points.

Subexpressions are evaluated on just the axes along which they vary, so an operand of
a product stays as small as its own indices allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Protocol, assert_never

import numpy as np

from polydsl.base.functions import FUNCTIONS, Reduction
from polydsl.semantics.oracle.arithmetic import apply_float
from polydsl.semantics.oracle.casts import convert
from polydsl.semantics.oracle.contraction import contract
from polydsl.semantics.oracle.discrete import apply_discrete, logical, select
from polydsl.semantics.oracle.errors import nothing_to_choose, outside
from polydsl.semantics.oracle.grids import (
    Grid,
    Interval,
    index_names,
    used_indices,
)
from polydsl.semantics.oracle.numbers import (
    AVAILABLE_KEY,
    YES,
    Array,
    Bools,
    Ints,
    Num,
    missing_in,
    undecided_in,
)
from polydsl.semantics.oracle.reductions import (
    Outcome,
    finish,
    merge,
    reduce_terms,
)
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Pad,
    Program,
    Reduce,
    Select,
    Size,
    Value,
    is_affine,
)

FOLD_POINTS = 1 << 21
CONTRACTION_POINTS = 1 << 24


class Tensors(Protocol):
    """Where accesses find their elements."""

    def extents(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""

    def domain(self, tensor: str) -> Bools:
        """Return where a tensor is defined in the end: a mask, or one True."""

    def read(
        self, access: Access, subscripts: tuple[Ints, ...], grid: Grid, needed: Bools
    ) -> Num:
        """Return elements; `needed` says at which points the subscripts count."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression refers to: ranges, sizes and tensors."""

    program: Program
    sizes: Mapping[str, Value]
    boxes: Mapping[str, Interval]
    tensors: Tensors


def evaluate_expr(expr: Expr, grid: Grid, scope: Scope) -> Num:
    """Return the values of *expr* at the points of *grid*."""
    match expr:
        case Literal(value, dtype):
            return Num(_number(value, dtype.kind))
        case Size(name, dtype):
            return Num(_number(scope.sizes[name], dtype.kind))
        case Index(name):
            return Num(grid.indices[name])
        case Access():
            return _access(expr, grid, scope)
        case Pad():
            return _pad(expr, grid, scope)
        case Call(function, arguments, dtype):
            operands = tuple(evaluate_expr(a, grid, scope) for a in arguments)
            row = FUNCTIONS[function]
            if dtype.is_float:
                return apply_float(row, operands, dtype)
            return apply_discrete(row, operands, dtype)
        case Select():
            return _select(expr, grid, scope)
        case Reduce():
            return _reduce(expr, grid, scope)
        case Cast(operand, dtype, explicit):
            inner = evaluate_expr(operand, grid, scope)
            return convert(inner, operand.dtype, dtype, explicit=explicit)
        case _:
            assert_never(expr)


_KINDS = {"float": np.float64, "int": np.int64, "bool": np.bool_}


def _number(value: Value, kind: str) -> Array:
    return np.asarray(value, dtype=_KINDS[kind])


def _access(access: Access, grid: Grid, scope: Scope) -> Num:
    """Read elements; every subscript must be inside wherever the access is needed."""
    nums = [evaluate_expr(s, grid, scope) for s in access.subscripts]
    extents = scope.tensors.extents(access.tensor)
    unknown = undecided_in(nums)
    missing = missing_in(nums)
    needed = grid.active & ~unknown
    if missing.ndim:
        needed = needed & _available(missing)
    subscripts = []
    for axis, (num, extent) in enumerate(zip(nums, extents, strict=True)):
        inside = _inside(num.value, extent)
        if not inside.all():
            beyond = needed & ~inside
            if beyond.any():
                subscript = access.subscripts[axis]
                outside(access.tensor, subscript, axis, extent, num.value, grid, beyond)
        subscripts.append(
            np.where(inside, num.value, 0) if not inside.all() else num.value
        )
    result = scope.tensors.read(access, tuple(subscripts), grid, needed)
    return _with_doubt(result, unknown, missing)


def _available(missing: Ints) -> Bools:
    return np.asarray(missing == AVAILABLE_KEY)


def _inside(values: Ints, extent: int) -> Bools:
    return np.asarray((values >= 0) & (values < extent))


def _with_doubt(num: Num, unknown: Bools, missing: Ints) -> Num:
    if not unknown.any() and not missing.ndim:
        return num
    undecided = num.undecided | unknown
    nearest = np.minimum(num.missing, missing)
    return Num(num.value, num.error, undecided, num.overflow, nearest)


def _pad(pad: Pad, grid: Grid, scope: Scope) -> Num:
    """Read where all subscripts are inside and the element is defined."""
    tensor = pad.access.tensor
    nums = [evaluate_expr(s, grid, scope) for s in pad.access.subscripts]
    extents = scope.tensors.extents(tensor)
    inside = YES
    for num, extent in zip(nums, extents, strict=True):
        inside = inside & _inside(num.value, extent)
    domain = scope.tensors.domain(tensor)
    if domain.ndim and inside.any():
        at = tuple(np.where(inside, num.value, 0) for num in nums)
        inside = inside & domain[at]
    missing = missing_in(nums)
    if missing.ndim:
        inside = inside & _available(missing)
    condition = Num(inside, undecided=undecided_in(nums), missing=missing)
    # Inside the mask the access is in bounds, so it can be read as it stands.
    at = tuple(np.where(inside, num.value, 0) for num in nums)
    within = grid.restricted(inside)
    if inside.any():
        taken = scope.tensors.read(pad.access, at, within, within.active)
    else:
        taken = Num(_number(0, pad.dtype.kind))
    if inside.all():
        return _with_doubt(taken, condition.undecided, missing)
    value = evaluate_expr(pad.value, grid.restricted(~inside), scope)
    return select(condition, taken, value, is_float=pad.dtype.is_float)


def _select(node: Select, grid: Grid, scope: Scope) -> Num:
    """Evaluate each arm where it is needed, and choose."""
    condition, before = _condition(node.condition, grid, scope)
    then_grid, other_grid = grid.restricted(before), grid
    if is_affine(node.condition):
        then_grid = grid.restricted(condition.value)
        other_grid = grid.restricted(~condition.value)
    nothing = Num(_number(0, node.dtype.kind))
    then = otherwise = nothing
    if then_grid.active.any():
        then = evaluate_expr(node.then, then_grid, scope)
    if other_grid.active.any():
        otherwise = evaluate_expr(node.otherwise, other_grid, scope)
    return select(condition, then, otherwise, is_float=node.dtype.is_float)


def _condition(expr: Expr, grid: Grid, scope: Scope) -> tuple[Num, Bools]:
    """Evaluate a condition; affine conjuncts restrict the later, data-dependent ones.

    Also returns the conjunction of the affine ones before the first that is not.
    """
    result, before = Num(np.asarray(True)), YES
    leading = True
    for part in _conjuncts(expr):
        leading = leading and is_affine(part)
        num = evaluate_expr(part, grid.restricted(before), scope)
        if leading:
            before = before & num.value
        result = logical(FUNCTIONS["and"], (result, num))
    return result, before


def _conjuncts(expr: Expr) -> Iterator[Expr]:
    match expr:
        case Call("and", (left, right)):
            yield from _conjuncts(left)
            yield from _conjuncts(right)
        case _:
            yield expr


def _reduce(node: Reduce, grid: Grid, scope: Scope) -> Num:
    outcome, inner = fold(node.op, node.indices, (), node.body, grid, scope)
    if node.op in ("argmax", "argmin") and isinstance(outcome, Num):
        return _position(node, outcome, grid, inner, scope)
    return finish(node.op, outcome, node.dtype)


def _position(node: Reduce, outcome: Num, grid: Grid, inner: Grid, scope: Scope) -> Num:
    """Turn a place in the reduced box into a position in the box from 0."""
    axes = len(node.indices)
    terms = np.broadcast_to(inner.active, inner.shape).any(axis=tuple(range(axes)))
    empty = grid.active & ~terms
    if empty.any():
        nothing_to_choose(node, grid, empty)
    bounds = [scope.boxes[name] for name in node.indices]
    lengths = [high - low for low, high in bounds]
    places = outcome.value
    position = np.zeros((), np.int64)
    if prod(lengths):
        parts = np.unravel_index(places, lengths)
        for part, (low, high) in zip(parts, bounds, strict=True):
            position = position * high + (part + low)
    return Num(position, undecided=outcome.undecided, missing=outcome.missing)


def fold(
    op: Reduction,
    names: Sequence[str],
    joint: Sequence[str],
    body: Expr,
    grid: Grid,
    scope: Scope,
) -> tuple[Outcome, Grid]:
    """Reduce *body* over the indices *names*, in pieces if the grid is large.

    The ranges of *joint*, indices of the grid, are applied together with those of
    *names*. Also returns the (last) grid of the terms.
    """
    product = _as_contraction(op, names, joint, body, grid, scope)
    if product is not None:
        return product
    lengths = {name: scope.boxes[name][1] - scope.boxes[name][0] for name in names}
    points = grid.points * prod(lengths.values())
    pieces = 1
    if names and op not in ("argmax", "argmin"):
        pieces = min(-(-points // FOLD_POINTS), lengths[names[0]])
    low, high = scope.boxes[names[0]] if names else (0, 0)
    cuts = np.linspace(low, high, max(pieces, 1) + 1).astype(np.int64)
    total: Outcome | None = None
    for start, stop in pairwise(cuts):
        inner = _extended(names, (int(start), int(stop)), grid, scope)
        inner = inner.restricted(ranges_mask((*names, *joint), inner, scope))
        terms = evaluate_expr(body, inner, scope)
        part = reduce_terms(
            op, terms, body.dtype, inner.shape, len(names), inner.active
        )
        total = part if total is None else merge(op, total, part, body.dtype)
    assert total is not None
    return total, inner


def _extended(names: Sequence[str], first: Interval, grid: Grid, scope: Scope) -> Grid:
    """Add an axis for each of *names*, the first one outermost and cut to a piece."""
    for position in reversed(range(len(names))):
        low, high = first if position == 0 else scope.boxes[names[position]]
        values = np.arange(low, high, dtype=np.int64)
        grid = grid.with_axis(names[position], values)
    return grid


def ranges_mask(names: Sequence[str], grid: Grid, scope: Scope) -> Bools:
    """Return where the indices lie in ranges that depend on other indices."""
    mask = YES
    for name in names:
        bounds = scope.program.range(name)
        if used_indices(bounds):
            low = evaluate_expr(bounds.lo, grid, scope).value
            high = evaluate_expr(bounds.hi, grid, scope).value
            index = grid.indices[name]
            mask = mask & (low <= index) & (index < high)
    return mask


def _as_contraction(
    op: Reduction,
    names: Sequence[str],
    joint: Sequence[str],
    body: Expr,
    grid: Grid,
    scope: Scope,
) -> tuple[Outcome, Grid] | None:
    """Compute a sum of products as a matrix product, where that is the same."""
    if op not in ("sum", "mean") or not is_product(body) or not names:
        return None
    if grid.own is not None or any(
        used_indices(scope.program.range(name)) for name in (*names, *joint)
    ):
        return None
    inner = _extended(names, scope.boxes[names[0]], grid, scope)
    assert isinstance(body, Call)
    if max(footprint(a, inner) for a in body.arguments) > CONTRACTION_POINTS:
        return None
    left, right = (evaluate_expr(a, inner, scope) for a in body.arguments)
    partial = contract(left, right, inner.shape, len(names), body.dtype)
    return None if partial is None else (partial, inner)


def is_product(expr: Expr) -> bool:
    """Whether *expr* is a product of numbers."""
    return isinstance(expr, Call) and expr.function == "mul"


def footprint(expr: Expr, grid: Grid) -> int:
    """Return the number of points that *expr* varies over, of those of *grid*."""
    names = [name for name in index_names(expr) if name in grid.indices]
    shapes = [grid.indices[name].shape for name in names]
    return prod(np.broadcast_shapes(*shapes)) if shapes else 1
