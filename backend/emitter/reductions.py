"""Accumulations of a vector loop into one location: vectors of partial results.

    for k in 0..n [vector]:          total = identity (several vectors)
      s[i] += x[k]              ->   for k in 0..n: total += x[k .. k + lanes]
                                     s[i] += combination of the lanes of total

The vectors are combined pairwise, then the halves of what is left, then the location:
an order that depends on the loop and the target only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from llvmlite import ir

from polydsl.backend.emitter.access import load_element, store_element
from polydsl.backend.emitter.expressions import Memo, emit_place
from polydsl.backend.emitter.lanes import Lanes
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.statements import combined
from polydsl.backend.emitter.types import I32, any_lane, every_lane, reserve, shuffle
from polydsl.backend.llvm_types import register_bytes, register_type
from polydsl.backend.memory_form import register_number
from polydsl.base.dtypes import DType
from polydsl.base.functions import Combine, identity
from polydsl.loops.nest import Accumulate

SHUFFLED_BYTES = 16
"""Every ISA shuffles freely within so many bytes of two vectors."""


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
    start = register_number(dtype, _start(node.combine, dtype), lanes)
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


def close_reductions(scope: Scope, reductions: Sequence[Reduction]) -> None:
    """Combine the partial results with the locations, in order."""
    alike = groupby(reductions, key=lambda r: (r.node.combine, str(r.kind)))
    for _, group in alike:
        found = tuple(group)
        node = found[0].node
        parts = [_one_vector(scope, reduction) for reduction in found]
        if node.combine in ("and", "or"):
            lanes = every_lane if node.combine == "and" else any_lane
            totals = [lanes(scope.builder, part) for part in parts]
        else:
            totals = totals_of(scope, node, parts)
        for reduction, total in zip(found, totals):
            _add_to_place(scope, reduction.node, total)


def _one_vector(scope: Scope, reduction: Reduction) -> ir.Value:
    """Combine the vectors of one accumulation pairwise."""
    load, node = scope.builder.load, reduction.node
    parts = [load(place, typ=reduction.kind) for place in reduction.slots]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2])
        rest = parts[len(parts) - len(parts) % 2 :]
        parts = [combined(scope, node, left, right) for left, right in pairs] + rest
    return parts[0]


def _add_to_place(scope: Scope, node: Accumulate, total: ir.Value) -> None:
    memo: Memo = {}
    buffer = scope.kernel.buffer(node.buffer)
    place = emit_place(scope, node.buffer, node.index, memo)
    result = combined(scope, node, load_element(scope, buffer, place), total)
    store_element(scope, buffer, place, result)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Partial results of several accumulations side by side in a vector, `width` lanes
    of each; `numbers` says of which."""

    value: ir.Value
    numbers: tuple[int, ...]
    width: int


def totals_of(
    scope: Scope, node: Accumulate, vectors: Sequence[ir.Value]
) -> list[ir.Value]:
    """Combine the lanes of each vector: its halves, then their halves.

    The halves of two vectors become one, so that each step halves what is left of all:
    16 vectors of 16 lanes take 15 combinations and 30 shuffles, not 64 of each.
    """
    lanes = vectors[0].type.count
    rows = [_Rows(vector, (n,), lanes) for n, vector in enumerate(vectors)]
    while rows[0].width > 1:
        rows = [_halved(scope, node, *pair) for pair in _pairs(rows)]
    found = {
        number: scope.builder.extract_element(part.value, I32(lane))
        if len(part.numbers) > 1
        else part.value
        for part in rows
        for lane, number in enumerate(part.numbers)
    }
    return [found[number] for number in range(len(vectors))]


def _pairs(rows: Sequence[_Rows]) -> Iterator[tuple[_Rows, ...]]:
    """Yield two vectors of equally many accumulations, or one that finds no other."""
    place = 0
    while place < len(rows):
        pair = tuple(rows[place : place + 2])
        if len({len(part.numbers) for part in pair}) > 1:
            pair = pair[:1]
        yield pair
        place += len(pair)


def _halved(scope: Scope, node: Accumulate, *parts: _Rows) -> _Rows:
    """Combine the halves of what one or two vectors hold.

    Where a half is shorter than 16 bytes, the two vectors alternate within each 16, for
    shuffles within these are cheapest.
    """
    width, count = parts[0].width, len(parts[0].numbers)
    size = register_bytes(node.value.dtype)
    is_short = width * size <= SHUFFLED_BYTES
    together = SHUFFLED_BYTES // size // width if is_short else count
    order = [
        (source, row)
        for block in range(0, count, together)
        for source in range(len(parts))
        for row in range(block, min(block + together, count))
    ]
    low = [
        (source * count + row) * width + lane
        for source, row in order
        for lane in range(width // 2)
    ]
    high = [lane + width // 2 for lane in low]
    halves = (_picked(scope, parts, picks) for picks in (low, high))
    numbers = tuple(parts[source].numbers[row] for source, row in order)
    return _Rows(combined(scope, node, *halves), numbers, width // 2)


def _picked(scope: Scope, parts: Sequence[_Rows], picks: list[int]) -> ir.Value:
    """Return the picked lanes of one or two vectors; a single one as a scalar."""
    first, last = parts[0].value, parts[-1].value
    if len(picks) == 1:
        return scope.builder.extract_element(first, I32(picks[0]))
    return shuffle(scope.builder, first, last, picks)


def _start(combine: Combine, dtype: DType) -> float:
    """Return what changes nothing when it is combined; of a float sum, -0."""
    is_sum = combine == "add" and dtype.is_float
    return -0.0 if is_sum else identity(combine, dtype)
