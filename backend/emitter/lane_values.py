"""The expressions of a vector loop, `count` points at a time."""

from __future__ import annotations

from typing import assert_never

from llvmlite import ir

from polydsl.backend.emitter.branches import branch
from polydsl.backend.emitter.calls import emit_call
from polydsl.backend.emitter.expressions import (
    conjunction,
    operand_type,
)
from polydsl.backend.emitter.lane_indices import (
    index_vector,
    is_narrow,
    is_narrow_expr,
    split,
    widen,
)
from polydsl.backend.emitter.lane_memory import load_lanes
from polydsl.backend.emitter.lanes import Lanes, uniform_value
from polydsl.backend.emitter.padding import emit_padded
from polydsl.backend.emitter.ranges import affine, open_conjuncts
from polydsl.backend.scalar import emit_cast
from polydsl.base.dtypes import I32, I64
from polydsl.loops.nest import Call, Cast, Expr, Literal, Load, Select, Var


def emit_lanes(lanes: Lanes, expr: Expr) -> ir.Value:
    """Return the value of *expr* in every lane, a vector."""
    known = lanes.memo.get(id(expr))
    if known is None:
        if lanes.varies(expr):
            known = _emit(lanes, expr)
        else:
            known = lanes.wide(uniform_value(lanes, expr))
        lanes.memo[id(expr)] = known
    return known


def _emit(lanes: Lanes, expr: Expr) -> ir.Value:
    match expr:
        case Var():
            return _index(lanes, expr)
        case Load(buffer, index):
            return load_lanes(lanes, buffer, index, lanes.mask_for(expr), emit_lanes)
        case Call():
            return _emit_call(lanes, expr)
        case Select():
            return _emit_select(lanes, expr)
        case Cast(operand, dtype):
            builder, isa = lanes.builder, lanes.scope.target.isa
            if is_narrow_expr(lanes, operand):
                return emit_cast(builder, _narrow(lanes, operand), I32, dtype, isa)
            value = emit_lanes(lanes, operand)
            return emit_cast(builder, value, operand.dtype, dtype, isa)
        case Literal():
            return lanes.wide(uniform_value(lanes, expr))
        case _:
            assert_never(expr)


def _index(lanes: Lanes, expr: Expr) -> ir.Value:
    """Return a loop variable or arithmetic on some as an i64 vector.

    Counting takes one addition in either width; what is computed lane by lane is
    computed in i32 where that suffices.
    """
    form = affine(expr, lanes.scope.ranges)
    if split(lanes, form).irregular.terms and is_narrow(lanes, form):
        return widen(lanes, index_vector(lanes, form, I32, emit_lanes))
    return index_vector(lanes, form, I64, emit_lanes)


def _narrow(lanes: Lanes, expr: Expr) -> ir.Value:
    form = affine(expr, lanes.scope.ranges)
    return index_vector(lanes, form, I32, emit_lanes)


def _emit_call(lanes: Lanes, call: Call) -> ir.Value:
    builder, target = lanes.builder, lanes.scope.target
    dtype = operand_type(lanes.scope, call)
    if dtype == I64:
        if is_narrow_expr(lanes, call):
            return _index(lanes, call)
        if call.dtype != I64 and _are_narrow(lanes, call.arguments):
            values = [_narrow(lanes, argument) for argument in call.arguments]
            return emit_call(builder, call.function, values, I32, target)
    values = [emit_lanes(lanes, argument) for argument in call.arguments]
    return emit_call(builder, call.function, values, dtype, target)


def _are_narrow(lanes: Lanes, operands: tuple[Expr, ...]) -> bool:
    """Return whether all operands, i64, can be computed as i32 vectors."""
    return all(
        is_narrow(lanes, affine(operand, lanes.scope.ranges)) for operand in operands
    )


def _emit_select(lanes: Lanes, select: Select) -> ir.Value:
    """Compute both arms under their masks, or branch where all lanes agree."""
    parts = open_conjuncts(select.condition, lanes.scope.ranges)
    if parts is None or not parts:
        return emit_lanes(lanes, select.otherwise if parts is None else select.then)
    padded = emit_padded(lanes, select, parts, emit_lanes)
    if padded is not None:
        return padded
    builder = lanes.builder
    if not any(lanes.varies(part) for part in parts):
        return branch(
            builder,
            conjunction(builder, [uniform_value(lanes, part) for part in parts]),
            lambda: emit_lanes(lanes.branch(), select.then),
            lambda: emit_lanes(lanes.branch(), select.otherwise),
        )
    condition = conjunction(builder, [emit_lanes(lanes, part) for part in parts])
    then = emit_lanes(lanes.under(condition), select.then)
    otherwise = emit_lanes(lanes.under(builder.not_(condition)), select.otherwise)
    return builder.select(condition, then, otherwise)
