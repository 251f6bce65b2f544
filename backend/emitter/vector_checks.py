"""What a vector loop may hold, and what of it runs a vector at a time."""

from __future__ import annotations

from collections.abc import Iterator

from llvmlite import ir

from polydsl.backend.emitter.access import Mask
from polydsl.backend.emitter.lane_indices import split
from polydsl.backend.emitter.lanes import Lanes
from polydsl.backend.emitter.ranges import Interval, open_conjuncts
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.statements import check_types
from polydsl.base.diagnostics import bug
from polydsl.loops.nest import (
    Accumulate,
    Expr,
    Load,
    Loop,
    Node,
    Select,
    Store,
)
from polydsl.loops.touched import parts

Statement = Store | Accumulate


def lanes_of(
    scope: Scope, loop: Loop, first: ir.Value, ends: Interval, tail: Mask | None
) -> Lanes:
    """Return a block of the loop's points, the first at *first*, all within *ends*."""
    # A range of one value would make the variable a constant, the same in all lanes.
    ends = ends[0], max(ends[1], ends[0] + 1)
    inner = scope.bind(loop.var, first, ends)
    return Lanes(inner, loop.var, loop.step, loop.lanes, tail, {}, {})


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


def scalar_reason(lanes: Lanes, loop: Loop) -> str:
    """Return why a vector loop must run point by point, or nothing."""
    if loop.lanes == 1:
        return "it has one lane"
    for node in statements_of(lanes.scope, loop):
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


def is_reduction(lanes: Lanes, node: Statement) -> bool:
    """Return whether all points of the loop accumulate into one element."""
    if not isinstance(node, Accumulate):
        return False
    parts = split(lanes, lanes.scope.position(node.buffer, node.index))
    return not parts.stride and not parts.irregular.terms


def _is_used_elsewhere(loop: Loop, reduction: Accumulate) -> bool:
    """Return whether the loop does anything else with what *reduction* writes."""
    name = reduction.buffer
    for node in loop.body:
        if any(isinstance(e, Load) and e.buffer == name for e in parts_of(node)):
            return True
        is_same = isinstance(node, Accumulate) and node.combine == reduction.combine
        if isinstance(node, Store | Accumulate) and node.buffer == name and not is_same:
            return True
    return False


def names_registers(lanes: Lanes, loop: Loop) -> bool:
    """Return whether a register buffer is subscripted by the loop's variable."""
    places = [
        (part.buffer, part.index)
        for node in loop.body
        for part in (node, *parts_of(node))
        if isinstance(part, Load | Store | Accumulate)
    ]
    return any(
        lanes.scope.kernel.buffer(name).memory == "register"
        and any(lanes.varies(expr) for expr in index)
        for name, index in places
    )


def open_conditions(lanes: Lanes, loop: Loop) -> int:
    """Return how many conditions need a mask where the variable is in its range."""
    total = 0
    for node in loop.body:
        for part in parts_of(node):
            if isinstance(part, Select):
                parts = open_conjuncts(part.condition, lanes.scope.ranges)
                total += sum(lanes.varies(p) for p in parts or ())
    return total


def parts_of(node: Node) -> Iterator[Expr]:
    """Yield every expression in a statement, each shared one once."""
    if isinstance(node, Store | Accumulate):
        yield from parts(node.value, *node.index)
