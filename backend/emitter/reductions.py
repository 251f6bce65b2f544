"""Accumulations of a vector loop into one location: vectors of partial results.

    for k in 0..n [vector]:          total = identity (several vectors)
      s[i] += x[k]              ->   for k in 0..n: total += x[k .. k + lanes]
                                     s[i] += combination of the lanes of total

The vectors are combined pairwise, then the halves of what is left, then the location:
an order that depends on the loop and the target only.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from polydsl.backend.emitter.access import load_element, store_element
from polydsl.backend.emitter.expressions import Memo, emit_place
from polydsl.backend.emitter.lanes import Lanes
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.statements import combined
from polydsl.backend.emitter.types import I32, any_lane, every_lane, reserve, shuffle
from polydsl.backend.llvm_types import constant, register_type
from polydsl.base.dtypes import DType
from polydsl.base.functions import Combine, identity
from polydsl.loops.nest import Accumulate


@dataclass(frozen=True, slots=True)
class Reduction:
    """An accumulation, and the stack places of its vectors; LLVM makes them values."""

    node: Accumulate
    slots: tuple[ir.Value, ...]
    kind: ir.Type


def open_reduction(scope: Scope, node: Accumulate, lanes: int, slots: int) -> Reduction:
    """Set up partial results with nothing in them."""
    dtype = node.value.dtype
    kind = register_type(dtype, lanes)
    start = constant(kind, _start(node.combine, dtype))
    places = tuple(reserve(scope.function.entry, kind) for _ in range(slots))
    for place in places:
        scope.builder.store(start, place)
    return Reduction(node, places, kind)


def reduce_lanes(
    lanes: Lanes, reduction: Reduction, value: ir.Value, slot: int
) -> None:
    """Add the active lanes of *value* to the partial results."""
    builder = lanes.builder
    place = reduction.slots[slot]
    old = builder.load(place, typ=reduction.kind)
    new = combined(lanes.scope, reduction.node, old, value)
    if lanes.tail is not None:
        new = builder.select(lanes.tail.lanes, new, old)
    builder.store(new, place)


def close_reduction(scope: Scope, reduction: Reduction) -> None:
    """Combine the partial results with the location."""
    node, builder = reduction.node, scope.builder
    parts = [builder.load(place, typ=reduction.kind) for place in reduction.slots]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2])
        rest = parts[len(parts) - len(parts) % 2 :]
        parts = [combined(scope, node, left, right) for left, right in pairs] + rest
    total = _across(scope, node, parts[0])
    memo: Memo = {}
    buffer = scope.kernel.buffer(node.buffer)
    place = emit_place(scope, node.buffer, node.index, memo)
    result = combined(scope, node, load_element(scope, buffer, place), total)
    store_element(scope, buffer, place, result)


def _across(scope: Scope, node: Accumulate, vector: ir.Value) -> ir.Value:
    """Combine the lanes of a vector: its halves, then their halves."""
    builder = scope.builder
    if node.combine in ("and", "or"):
        return (every_lane if node.combine == "and" else any_lane)(builder, vector)
    count = vector.type.count
    while count > 2:
        count //= 2
        low = shuffle(builder, vector, vector, list(range(count)))
        high = shuffle(builder, vector, vector, list(range(count, 2 * count)))
        vector = combined(scope, node, low, high)
    first, second = (builder.extract_element(vector, I32(i)) for i in range(2))
    return combined(scope, node, first, second)


def _start(combine: Combine, dtype: DType) -> float:
    """Return what changes nothing when it is combined; of a float sum, -0."""
    is_sum = combine == "add" and dtype.is_float
    return -0.0 if is_sum else identity(combine, dtype)
