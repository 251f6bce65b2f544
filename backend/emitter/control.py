"""Loops and branches of the emitted code.

A loop tests once before it is entered and then at its end; its variable is a phi. The
body is emitted by a function of the scope inside, so that whatever runs many times is
made of the same pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llvmlite import ir

from polydsl.backend.emitter.expressions import emit_affine
from polydsl.backend.emitter.ranges import Interval, affine, bounds
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.types import add, constant_of, ir_name, number
from polydsl.base.diagnostics import bug
from polydsl.loops.nest import Call, Expr, Loop

Body = Callable[[Scope], None]


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a loop runs: from `lo` up to `hi`, in `trips` iterations if that is known.

    There are never more than `most` iterations; `ends` holds every value of the
    loop's variable.
    """

    lo: ir.Value
    hi: ir.Value
    trips: int | None
    most: int
    ends: Interval


def loop_extent(scope: Scope, loop: Loop) -> Extent:
    """Return the extent of *loop*, with its bounds emitted here."""
    if loop.step < 1:
        bug(f"{scope.nest.name}: loop {loop.var} has step {loop.step}")
    lo, hi = affine(loop.lo, scope.ranges), affine(loop.hi, scope.ranges)
    span = hi - lo
    trips = None if span.terms else max(0, -(-span.constant // loop.step))
    ends = bounds(lo, scope.ranges)[0], bounds(hi, scope.ranges)[1] - 1
    first = emit_affine(scope, lo, {})
    if trips is None:
        most = max(0, -(-_longest(scope, loop) // loop.step))
        return Extent(first, emit_affine(scope, hi, {}), None, most, ends)
    # The end is taken from the start, so that both are known or none is.
    last = add(scope.builder, first, number(trips * loop.step))
    return Extent(first, last, trips, trips, ends)


def _longest(scope: Scope, loop: Loop) -> int:
    """Return how far apart the ends of a loop may be: an end that is the least of some
    is at most each of them.

    max(0, a)..min(96, a + 28)  ->  at most min(96 - 0, a + 28 - a)
    """
    firsts = [affine(e, scope.ranges) for e in _arms(loop.lo, "max")]
    lasts = [affine(e, scope.ranges) for e in _arms(loop.hi, "min")]
    return min(bounds(hi - lo, scope.ranges)[1] for lo in firsts for hi in lasts)


def _arms(expr: Expr, function: str) -> Iterator[Expr]:
    """Yield the operands of an extremum of extrema."""
    if isinstance(expr, Call) and expr.function == function:
        for argument in expr.arguments:
            yield from _arms(argument, function)
    else:
        yield expr


def emit_trips(scope: Scope, extent: Extent, step: int) -> ir.Value:
    """Return the number of iterations of a loop that runs at least once."""
    if extent.trips is not None:
        return number(extent.trips)
    builder = scope.builder
    span = builder.sub(extent.hi, extent.lo, flags=("nsw",))
    if step == 1:
        return span
    return builder.udiv(add(builder, span, number(step - 1)), number(step))


def emit_for(
    scope: Scope,
    var: str,
    bounds: tuple[ir.Value, ir.Value],
    step: int,
    ends: Interval,
    body: Body,
) -> None:
    """Emit `for var in lo..hi step step: body`; *ends* holds every value of var."""
    lo, hi = bounds
    first, last = constant_of(lo), constant_of(hi)
    if first is None or last is None:
        builder = scope.builder
        with builder.if_then(builder.icmp_signed("<", lo, hi)):
            _emit_loop(scope, var, bounds, step, ends, body)
    elif last - first > step:
        inside = max(ends[0], first), min(ends[1], last - 1)
        _emit_loop(scope, var, bounds, step, inside, body)
    elif last > first:
        body(scope.bind(var, lo, (first, first)))


def _emit_loop(
    scope: Scope,
    var: str,
    bounds: tuple[ir.Value, ir.Value],
    step: int,
    ends: Interval,
    body: Body,
) -> None:
    """Emit a loop that runs at least once."""
    builder, (lo, hi) = scope.builder, bounds
    before = builder.block
    head = builder.append_basic_block(f"for.{ir_name(var)}")
    builder.branch(head)
    builder.position_at_end(head)
    value = builder.phi(lo.type, name=ir_name(var))
    body(scope.bind(var, value, ends))
    following = builder.add(value, number(step), flags=("nsw",))
    value.add_incoming(lo, before)
    value.add_incoming(following, builder.block)
    after = builder.append_basic_block(f"after.{var}")
    builder.cbranch(builder.icmp_signed("<", following, hi), head, after)
    builder.position_at_end(after)
