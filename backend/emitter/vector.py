"""Vector loops: blocks of `lanes` points, and a masked block for the rest.

    for i in 0..n [vector 16]: S(i)
        ->
    for i in 0..n - n % 16 step 16: S(i .. i + 16)
    S(n - n % 16 .. n) under a mask

A loop that subscripts register buffers by its variable is written out, so that every
register has a name. Sums run in several vectors to hide the latency of addition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llvmlite import ir

from polydsl.backend.emitter.access import Mask
from polydsl.backend.emitter.control import (
    Extent,
    emit_for,
    emit_trips,
    loop_extent,
    when,
)
from polydsl.backend.emitter.lane_indices import split
from polydsl.backend.emitter.lane_memory import load_lanes, store_lanes
from polydsl.backend.emitter.lane_values import emit_lanes
from polydsl.backend.emitter.lanes import Lanes
from polydsl.backend.emitter.reductions import (
    Reduction,
    close_reduction,
    open_reduction,
    reduce_lanes,
)
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.statements import check_types, combined, emit_statement
from polydsl.backend.emitter.types import I1, I32, add, counting, number, splat
from polydsl.base.diagnostics import bug
from polydsl.base.functions import FUNCTIONS
from polydsl.loops.nest import (
    Accumulate,
    Call,
    Expr,
    Load,
    Loop,
    Node,
    Store,
    operands,
)

Statement = Store | Accumulate

_CHEAP, _MODERATE = 16, 48
"""Sums of at most so many instructions run in four vectors, or in two."""

_LONG = 16
"""The instructions of a function such as exp, about."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a vector loop is emitted: its statements and the blocks in one iteration.

    `is_written_out` says that no loop is left of it.
    """

    loop: Loop
    extent: Extent
    statements: tuple[Statement, ...]
    reductions: tuple[Reduction | None, ...]
    unroll: int
    is_written_out: bool

    @property
    def lanes(self) -> int:
        """The points of one block."""
        return self.loop.lanes

    @property
    def stride(self) -> int:
        """How far the variable moves in one block."""
        return self.loop.lanes * self.loop.step


def emit_vector_loop(scope: Scope, loop: Loop) -> None:
    """Emit a vector loop, or a scalar one if its points depend on their order."""
    extent = loop_extent(scope, loop)
    if extent.trips == 0:
        return
    if scalar_reason(scope, loop, extent):
        _emit_points(scope, loop, (extent.lo, extent.hi), extent)
        return
    builder = scope.builder
    runs = builder.icmp_signed("<", extent.lo, extent.hi)
    with when(builder, runs if extent.trips is None else None):
        plan = _plan(scope, loop, extent)
        rest = _emit_blocks(scope, plan)
        for reduction in plan.reductions:
            if reduction is not None:
                close_reduction(scope, reduction)
        if rest is not None:
            _emit_points(scope, loop, (rest, extent.hi), extent)


def _emit_points(
    scope: Scope, loop: Loop, bounds: tuple[ir.Value, ir.Value], extent: Extent
) -> None:
    """Emit the loop, or what is left of it, point by point."""

    def body(inner: Scope) -> None:
        for node in statements_of(scope, loop):
            emit_statement(inner, node)

    emit_for(scope, loop.var, bounds, loop.step, extent.ends, body)


def _plan(scope: Scope, loop: Loop, extent: Extent) -> Plan:
    statements = statements_of(scope, loop)
    written_out = extent.trips is not None and _names_registers(scope, loop, extent)
    lanes = _lanes(scope, loop, extent.lo, extent, None)
    is_reduced = [_is_reduction(lanes, node) for node in statements]
    unroll = _unroll(statements, extent, loop.lanes) if any(is_reduced) else 1
    reductions = [
        open_reduction(scope, node, loop.lanes, unroll)
        if reduced and isinstance(node, Accumulate)
        else None
        for node, reduced in zip(statements, is_reduced)
    ]
    return Plan(loop, extent, statements, tuple(reductions), unroll, written_out)


def _unroll(statements: tuple[Statement, ...], extent: Extent, lanes: int) -> int:
    cost = sum(_cost(expr) for node in statements for expr in _parts(node))
    wanted = 4 if cost <= _CHEAP else 2 if cost <= _MODERATE else 1
    if extent.trips is None:
        return wanted
    return max(1, min(wanted, extent.trips // lanes))


def _cost(expr: Expr) -> int:
    """Return about how many instructions one node of an expression makes."""
    is_long = isinstance(expr, Call) and FUNCTIONS[expr.function].rule == "float"
    return _LONG if is_long else 1


# Blocks


def _emit_blocks(scope: Scope, plan: Plan) -> ir.Value | None:
    """Emit all blocks; return where scalar iterations go on, if any are left."""
    if plan.extent.trips is None:
        return _emit_unknown(scope, plan)
    full, rest = divmod(plan.extent.trips, plan.lanes)
    lo, stride = plan.extent.lo, plan.stride
    looped = 0 if plan.is_written_out else full - full % plan.unroll
    end = add(scope.builder, lo, number(looped * stride))
    _emit_unrolled(scope, plan, lo, end)
    for block in range(looped, full):
        at = add(scope.builder, lo, number(block * stride))
        _emit_block(scope, plan, at, None, block % plan.unroll)
    if rest:
        active = ir.Constant(ir.VectorType(I1, plan.lanes), _prefix(plan.lanes, rest))
        at = add(scope.builder, lo, number(full * stride))
        _emit_block(scope, plan, at, Mask(active, rest), full % plan.unroll)
    return None


def _prefix(lanes: int, count: int) -> list[int]:
    return [int(lane < count) for lane in range(lanes)]


def _emit_unknown(scope: Scope, plan: Plan) -> ir.Value | None:
    """Emit the blocks of a loop whose trip count is known at run time only."""
    builder = scope.builder
    trips = emit_trips(scope, plan.extent, plan.loop.step)

    def end_of(points: int) -> ir.Value:
        whole = builder.udiv(trips, number(points))
        moved = builder.mul(whole, number(points * plan.loop.step), flags=("nsw",))
        return builder.add(plan.extent.lo, moved, flags=("nsw",))

    unrolled, full = end_of(plan.lanes * plan.unroll), end_of(plan.lanes)
    _emit_unrolled(scope, plan, plan.extent.lo, unrolled)
    if plan.unroll > 1:
        _emit_single(scope, plan, unrolled, full)
    if not scope.target.isa.has_masks:
        return full
    rest = builder.urem(trips, number(plan.lanes))
    with builder.if_then(builder.icmp_unsigned("!=", rest, number(0))):
        count = splat(builder, builder.trunc(rest, I32), plan.lanes)
        active = builder.icmp_signed("<", counting(I32, plan.lanes), count)
        _emit_block(scope, plan, full, Mask(active), 0)
    return None


def _emit_unrolled(scope: Scope, plan: Plan, lo: ir.Value, hi: ir.Value) -> None:
    """Emit the loop over groups of blocks, each with its own partial sums."""

    def body(inner: Scope) -> None:
        for block in range(plan.unroll):
            first = inner.variable(plan.loop.var)
            at = add(inner.builder, first, number(block * plan.stride))
            _emit_block(scope, plan, at, None, block)

    step = plan.stride * plan.unroll
    emit_for(scope, plan.loop.var, (lo, hi), step, plan.extent.ends, body)


def _emit_single(scope: Scope, plan: Plan, lo: ir.Value, hi: ir.Value) -> None:
    """Emit the loop over blocks that do not make a group."""

    def body(inner: Scope) -> None:
        _emit_block(scope, plan, inner.variable(plan.loop.var), None, 0)

    emit_for(scope, plan.loop.var, (lo, hi), plan.stride, plan.extent.ends, body)


def _emit_block(
    scope: Scope, plan: Plan, first: ir.Value, tail: Mask | None, slot: int
) -> None:
    """Emit the statements of one block, whose variable starts at *first*."""
    for node, reduction in zip(plan.statements, plan.reductions):
        lanes = _lanes(scope, plan.loop, first, plan.extent, tail)
        value = emit_lanes(lanes, node.value)
        if reduction is not None:
            reduce_lanes(lanes, reduction, value, slot)
            continue
        if isinstance(node, Accumulate):
            old = load_lanes(lanes, node.buffer, node.index, tail, emit_lanes)
            value = combined(scope, node, old, value)
        store_lanes(lanes, node.buffer, node.index, value, emit_lanes)


def _lanes(
    scope: Scope, loop: Loop, first: ir.Value, extent: Extent, tail: Mask | None
) -> Lanes:
    # A range of one value would make the variable a constant, the same in all lanes.
    ends = extent.ends[0], max(extent.ends[1], extent.ends[0] + 1)
    inner = scope.bind(loop.var, first, ends)
    return Lanes(inner, loop.var, loop.step, loop.lanes, tail, {}, {}, {})


# What a vector loop may hold


def statements_of(scope: Scope, loop: Loop) -> tuple[Statement, ...]:
    """Return the statements of a vector loop, which holds nothing else."""
    statements = tuple(n for n in loop.body if isinstance(n, Store | Accumulate))
    if len(statements) != len(loop.body):
        bug(f"{scope.nest.name}: the vector loop {loop.var} is not innermost")
    if loop.lanes < 1 or loop.lanes & (loop.lanes - 1):
        bug(f"{scope.nest.name}: {loop.lanes} lanes are no power of two")
    for node in statements:
        check_types(scope, node)
    return statements


def scalar_reason(scope: Scope, loop: Loop, extent: Extent) -> str:
    """Return why a vector loop must run point by point, or nothing."""
    if loop.lanes == 1:
        return "it has one lane"
    lanes = _lanes(scope, loop, extent.lo, extent, None)
    for node in statements_of(scope, loop):
        parts = split(lanes, lanes.scope.position(node.buffer, node.index))
        is_fixed = not parts.stride and not parts.irregular.terms
        if isinstance(node, Store) and is_fixed:
            return f"every point stores to one element of {node.buffer}"
        if isinstance(node, Accumulate):
            if parts.irregular.terms:
                return f"points may share elements of {node.buffer}"
            if is_fixed and _is_used_elsewhere(loop, node):
                return f"{node.buffer} is used while it is accumulated"
    return ""


def _is_reduction(lanes: Lanes, node: Statement) -> bool:
    """Return whether all points of the loop accumulate into one element."""
    if not isinstance(node, Accumulate):
        return False
    parts = split(lanes, lanes.scope.position(node.buffer, node.index))
    return not parts.stride and not parts.irregular.terms


def _is_used_elsewhere(loop: Loop, reduction: Accumulate) -> bool:
    """Return whether the loop does anything else with what *reduction* writes."""
    name = reduction.buffer
    for node in loop.body:
        if any(isinstance(e, Load) and e.buffer == name for e in _parts(node)):
            return True
        is_same = isinstance(node, Accumulate) and node.combine == reduction.combine
        if isinstance(node, Store | Accumulate) and node.buffer == name and not is_same:
            return True
    return False


def _names_registers(scope: Scope, loop: Loop, extent: Extent) -> bool:
    """Return whether a register buffer is subscripted by the loop's variable."""
    lanes = _lanes(scope, loop, extent.lo, extent, None)
    places = [
        (part.buffer, part.index)
        for node in loop.body
        for part in (node, *_parts(node))
        if isinstance(part, Load | Store | Accumulate)
    ]
    return any(
        scope.kernel.buffer(name).memory == "register"
        and any(lanes.varies(expr) for expr in index)
        for name, index in places
    )


def _parts(node: Node) -> Iterator[Expr]:
    """Yield every expression in a statement, each shared one once."""
    seen: set[int] = set()
    stack: list[Expr] = []
    if isinstance(node, Store | Accumulate):
        stack = [node.value, *node.index]
    while stack:
        expr = stack.pop()
        if id(expr) not in seen:
            seen.add(id(expr))
            yield expr
            stack.extend(operands(expr))
