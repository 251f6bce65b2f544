"""Vector loops: blocks of `lanes` points, and a masked block for the rest.

    for i in 0..n [vector 16]: S(i)
        ->
    for i in 0..n - n % 16 step 16: S(i .. i + 16)
    S(n - n % 16 .. n) under a mask

Blocks at the borders, where padding needs masks, are written out if the blocks between
need none. A loop that subscripts register buffers by its variable is written out as a
whole, so that every register has a name. Sums run in several vectors to hide the
latency of addition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llvmlite import ir

from polydsl.backend.emitter.access import Mask
from polydsl.backend.emitter.branches import when
from polydsl.backend.emitter.control import Extent, emit_for, emit_trips, loop_extent
from polydsl.backend.emitter.lane_memory import load_lanes, store_lanes
from polydsl.backend.emitter.lane_values import emit_lanes
from polydsl.backend.emitter.lanes import Lanes
from polydsl.backend.emitter.ranges import Interval
from polydsl.backend.emitter.reductions import (
    Reduction,
    close_reductions,
    open_reduction,
    reduce_lanes,
)
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.statements import combined, emit_statement
from polydsl.backend.emitter.types import (
    I1,
    I32,
    add,
    constant_of,
    counting,
    number,
    splat,
)
from polydsl.backend.emitter.vector_checks import (
    Statement,
    is_reduction,
    lanes_of,
    names_registers,
    open_conditions,
    parts_of,
    scalar_reason,
    statements_of,
)
from polydsl.base.functions import FUNCTIONS
from polydsl.loops.nest import Accumulate, Call, Loop

_BORDERS = ((0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 2), (2, 1), (1, 2), (2, 2))
"""How many blocks may be written out before and after the loop, fewest first."""


SHORT_LOOP = 2
"""A loop of at most so many blocks is written out, all of them masked: testing how many
there are would take longer."""


LONG_CHAINS = 2
"""So many blocks of an assignment are computed side by side where each instruction
waits for the one before, in functions that take dozens. A core holds a few of these at
a time if they come one after the other, since what is finished leaves in order."""

LIGHT_CHAINS = 4
LIGHT_FUNCTIONS = frozenset({"exp", "sigmoid", "silu", "tanh"})
"""So many of these, which hold two or three numbers at a time: registers are enough."""


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

    def widened(self, blocks: int) -> Plan:
        """Return the plan with blocks that are so many of these side by side."""
        return replace(self, loop=replace(self.loop, lanes=self.lanes * blocks))


def emit_vector_loop(scope: Scope, loop: Loop) -> None:
    """Emit a vector loop, or a scalar one if its points depend on their order."""
    extent = loop_extent(scope, loop)
    if extent.trips == 0:
        return
    lanes = lanes_of(scope, loop, extent.lo, extent.ends, None)
    if scalar_reason(lanes, loop):
        _emit_points(scope, loop, (extent.lo, extent.hi), extent)
        return
    builder = scope.builder
    runs = builder.icmp_signed("<", extent.lo, extent.hi)
    with when(builder, runs if extent.trips is None else None):
        plan = _plan(lanes, loop, extent)
        rest = _emit_blocks(scope, plan)
        close_reductions(scope, [r for r in plan.reductions if r is not None])
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


def _plan(lanes: Lanes, loop: Loop, extent: Extent) -> Plan:
    scope = lanes.scope
    statements = statements_of(scope, loop)
    is_reduced = [is_reduction(lanes, node) for node in statements]
    most = max(1, extent.most // loop.lanes)
    unroll = min(_unroll(loop, reduces=any(is_reduced)), most)
    reductions = [
        open_reduction(scope, node, loop.lanes, unroll)
        if reduced and isinstance(node, Accumulate)
        else None
        for node, reduced in zip(statements, is_reduced)
    ]
    is_written_out = extent.trips is not None and names_registers(lanes, loop)
    return Plan(loop, extent, statements, tuple(reductions), unroll, is_written_out)


def _unroll(loop: Loop, *, reduces: bool) -> int:
    if reduces:
        return loop.vectors
    calls = [
        part.function
        for node in loop.body
        for part in parts_of(node)
        if isinstance(part, Call) and FUNCTIONS[part.function].is_long
    ]
    if len(calls) == 1 and calls[0] in LIGHT_FUNCTIONS:
        return LIGHT_CHAINS
    return LONG_CHAINS if calls else 1


# Blocks


def _emit_blocks(scope: Scope, plan: Plan) -> ir.Value | None:
    """Emit all blocks; return where scalar iterations go on, if any are left."""
    if plan.extent.trips is None:
        return _emit_unknown(scope, plan)
    full, rest = divmod(plan.extent.trips, plan.lanes)
    front, looped = _looped_blocks(scope, plan, full)

    def start_of(block: int) -> ir.Value:
        return add(scope.builder, plan.extent.lo, number(block * plan.stride))

    def emit(block: int, tail: Mask | None = None) -> None:
        slot = block % plan.unroll
        _emit_block(scope, plan, start_of(block), plan.extent.ends, tail, slot)

    for block in range(front):
        emit(block)
    _emit_groups(scope, plan, (start_of(front), start_of(front + looped)), plan.unroll)
    for block in range(front + looped, full):
        emit(block)
    if rest:
        active = [int(lane < rest) for lane in range(plan.lanes)]
        emit(full, Mask(ir.Constant(ir.VectorType(I1, plan.lanes), active), rest))
    return None


def _looped_blocks(scope: Scope, plan: Plan, full: int) -> tuple[int, int]:
    """Return how many blocks come before the loop, and how many are in it."""
    if plan.is_written_out:
        return full, 0
    front, back = _borders(scope, plan, full)
    inside = full - front - back
    return front, inside - inside % plan.unroll


def _borders(scope: Scope, plan: Plan, full: int) -> tuple[int, int]:
    """Return the blocks before and after those that need the fewest masks."""
    lo = constant_of(plan.extent.lo)
    if lo is None:
        return 0, 0

    def masks(border: tuple[int, int]) -> int:
        last = lo + (full - border[1]) * plan.stride - plan.loop.step
        ends = lo + border[0] * plan.stride, last
        lanes = lanes_of(scope, plan.loop, plan.extent.lo, ends, None)
        return open_conditions(lanes, plan.loop)

    if masks((0, 0)) == 0:
        return 0, 0
    return min(
        (border for border in _BORDERS if sum(border) < full), key=masks, default=(0, 0)
    )


def _emit_unknown(scope: Scope, plan: Plan) -> ir.Value | None:
    """Emit the blocks of a loop whose trip count is known at run time only."""
    builder = scope.builder
    trips = emit_trips(scope, plan.extent, plan.loop.step)
    if plan.extent.most <= plan.lanes:
        _emit_partial(scope, plan, trips)
        return None
    is_short = plan.extent.most <= SHORT_LOOP * plan.lanes
    if is_short and scope.target.isa.has_masks and not any(plan.reductions):
        for block in range(-(-plan.extent.most // plan.lanes)):
            at = add(builder, plan.extent.lo, number(block * plan.stride))
            left = builder.sub(trips, number(block * plan.lanes), flags=("nsw",))
            tail = _first_lanes(builder, plan, left)
            _emit_block(scope, plan, at, plan.extent.ends, tail, 0)
        return None

    def end_of(points: int) -> ir.Value:
        whole = builder.udiv(trips, number(points))
        moved = builder.mul(whole, number(points * plan.loop.step), flags=("nsw",))
        return builder.add(plan.extent.lo, moved, flags=("nsw",))

    unrolled, full = end_of(plan.lanes * plan.unroll), end_of(plan.lanes)
    _emit_groups(scope, plan, (plan.extent.lo, unrolled), plan.unroll)
    if plan.unroll > 1:
        _emit_groups(scope, plan, (unrolled, full), 1)
    if not scope.target.isa.has_masks:
        return full
    rest = builder.urem(trips, number(plan.lanes))
    with builder.if_then(builder.icmp_unsigned("!=", rest, number(0))):
        tail = _first_lanes(builder, plan, rest)
        _emit_block(scope, plan, full, plan.extent.ends, tail, 0)
    return None


def _emit_partial(scope: Scope, plan: Plan, trips: ir.Value) -> None:
    """Emit the one block of a loop that has at most as many points as lanes."""
    builder, first, ends = scope.builder, plan.extent.lo, plan.extent.ends
    if scope.target.isa.has_masks:
        tail = _first_lanes(builder, plan, trips)
        _emit_block(scope, plan, first, ends, tail, 0)
        return
    is_full = builder.icmp_signed("==", trips, number(plan.lanes))
    with builder.if_else(is_full) as (whole, part):
        with whole:
            _emit_block(scope, plan, first, ends, None, 0)
        with part:
            tail = _first_lanes(builder, plan, trips)
            _emit_block(scope, plan, first, ends, tail, 0)


def _first_lanes(builder: ir.IRBuilder, plan: Plan, count: ir.Value) -> Mask:
    """Return the mask of the first *count* lanes."""
    limit = splat(builder, builder.trunc(count, I32), plan.lanes)
    return Mask(builder.icmp_signed("<", counting(I32, plan.lanes), limit))


def _emit_groups(
    scope: Scope, plan: Plan, bounds: tuple[ir.Value, ir.Value], blocks: int
) -> None:
    """Emit the loop over groups of *blocks*: each with its own partial sums, or all as
    one wide block, so that LLVM emits them instruction by instruction."""
    var, lo, hi = plan.loop.var, *(constant_of(end) for end in bounds)
    ends = plan.extent.ends
    if lo is not None and hi is not None:
        ends = lo, hi - plan.loop.step

    def body(inner: Scope) -> None:
        first = inner.variable(var)
        if not any(plan.reductions):
            _emit_block(inner, plan.widened(blocks), first, ends, None, 0)
            return
        for block in range(blocks):
            at = add(inner.builder, first, number(block * plan.stride))
            _emit_block(inner, plan, at, ends, None, block)

    emit_for(scope, var, bounds, plan.stride * blocks, ends, body)


def _emit_block(
    scope: Scope,
    plan: Plan,
    first: ir.Value,
    ends: Interval,
    tail: Mask | None,
    slot: int,
) -> None:
    """Emit the statements of one block, whose variable starts at *first*."""
    known = constant_of(first)
    if known is not None:
        ends = known, min(ends[1], known + plan.stride - plan.loop.step)
    for node, reduction in zip(plan.statements, plan.reductions):
        lanes = lanes_of(scope, plan.loop, first, ends, tail)
        value = emit_lanes(lanes, node.value)
        if reduction is not None:
            reduce_lanes(lanes, reduction, value, slot)
            continue
        if isinstance(node, Accumulate):
            old = load_lanes(lanes, node.buffer, node.index, tail, emit_lanes)
            value = combined(scope, node, old, value)
        store_lanes(lanes, node.buffer, node.index, value, emit_lanes)
