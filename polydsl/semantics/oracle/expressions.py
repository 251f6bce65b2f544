"""Expressions: what each node of the typed program is worth on a grid of points.

Subexpressions are evaluated on just the axes along which they vary, so an operand of
a product stays as small as its own indices allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import assert_never

import numpy as np

from polydsl.base.dtypes import DType
from polydsl.base.functions import FUNCTIONS
from polydsl.base.rounding import round_to
from polydsl.semantics.oracle.arithmetic import apply_float
from polydsl.semantics.oracle.casts import convert
from polydsl.semantics.oracle.discrete import apply_discrete, logical, select
from polydsl.semantics.oracle.errors import nothing_to_choose, outside
from polydsl.semantics.oracle.folds import fold
from polydsl.semantics.oracle.grids import Grid
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
from polydsl.semantics.oracle.reductions import finish
from polydsl.semantics.oracle.scope import Scope
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Pad,
    Reduce,
    Select,
    Size,
    Value,
    is_affine,
)


def evaluate_expr(expr: Expr, grid: Grid, scope: Scope) -> Num:
    """Return the values of *expr* at the points of *grid*."""
    match expr:
        case Literal(value, dtype):
            return Num(_number(value, dtype))
        case Size(name, dtype):
            return Num(_number(scope.sizes[name], dtype))
        case Index(name):
            return Num(grid.indices[name])
        case Access():
            return _access(expr, grid, scope)
        case Pad():
            return _pad(expr, grid, scope)
        case Call():
            return _call(expr, grid, scope)
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


def _number(value: Value, dtype: DType) -> Array:
    """Return a number as its type holds it: 0.1 of f32 is not 0.1 of f64."""
    number: Array = np.asarray(value, dtype=_KINDS[dtype.kind])
    return np.asarray(round_to(dtype, number)) if dtype.is_float else number


def _call(call: Call, grid: Grid, scope: Scope) -> Num:
    """Apply a row of the function table."""
    function, arguments = call.function, call.arguments
    operands = tuple(evaluate_expr(a, grid, scope) for a in arguments)
    if function == "power" and _is_two(arguments[1]):
        function, operands = "mul", (operands[0], operands[0])
    row = FUNCTIONS[function]
    if not call.dtype.is_float:
        return apply_discrete(row, operands, call.dtype)
    result = apply_float(row, operands, call.dtype)
    pole = _POLES.get(function)
    if pole is None or np.isfinite(result.value).all():
        return result
    if _has_sure_sign(arguments[pole], scope):
        return result
    # An order of evaluation may give a zero either sign, and the infinity with it.
    unsure = np.isinf(result.value) & (operands[pole].value == 0)
    return _with_doubt(result, unsure, result.missing)


_POLES = {"div": 1, "floordiv": 1, "rsqrt": 0, "power": 0, "pow": 0}


def _is_two(expr: Expr) -> bool:
    """Whether a power is written as a square, which is a product."""
    while isinstance(expr, Cast):
        expr = expr.operand
    return isinstance(expr, Literal) and expr.value == 2


def _has_sure_sign(expr: Expr, scope: Scope) -> bool:
    """Whether a zero has the sign that it was given: literals, parameters."""
    match expr:
        case Literal() | Size():
            return True
        case Access(tensor):
            return tensor in scope.program.parameters
        case Cast(operand) | Call("neg" | "abs", (operand,)):
            return _has_sure_sign(operand, scope)
        case _:
            return False


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
            if grid.points and beyond.any():
                subscript = access.subscripts[axis]
                outside(
                    access.tensor,
                    subscript,
                    axis,
                    extent,
                    num.value,
                    grid,
                    beyond,
                    scope.order,
                )
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
        taken = Num(_number(0, pad.dtype))
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
    nothing = Num(_number(0, node.dtype))
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
