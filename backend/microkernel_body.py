"""The body of a batch-reduce GEMM microkernel: loops, terms, the tile of results.

    for t in 0..batch:
        row and column pointers of t
        for k in 0..depth, unrolled:
            load the vectors of B[t, k, :]
            for m in rows: broadcast A[t, m, k]; multiply and add to the vectors of m
    add the accumulator sets, add C if asked, store C

where "multiply" and "add" are those of the inner product (`microkernel_terms`).

The accumulators pass through the loops as phi nodes, so they live in vector registers.
Tiles with few rows keep several accumulator sets and give the steps of the depth to
them in turn: a chain of dependent multiply-adds must not be longer than the hardware
can overlap. The order of every sum is fixed by the specification and the ISA row.
"""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.carried_loop import I64, Values, carried_loop, opaque
from polydsl.backend.microkernel_operands import (
    Body,
    column_pointer,
    row_pointers,
    tile_pointer,
)
from polydsl.backend.microkernel_spec import GUARDED, TABLE
from polydsl.backend.microkernel_terms import combined, neutral, with_term
from polydsl.backend.vector_memory import (
    broadcast,
    element_address,
    load_vector,
    prefetch,
    store_vector,
)
from polydsl.base.inner_product import work

_WHOLE_PRODUCTS = 72
_LOOP_PRODUCTS = 24
_INDEPENDENT_SUMS = 12
_LINE_BYTES = 64


def accumulator_sets(body: Body) -> int:
    """Return how many accumulator sets hide the latency of a multiply-add.

    Two units with a latency of 4 cycles need 8 independent sums at every moment; 12
    measured up to a tenth faster. A term of several instructions needs fewer. More than
    the registers hold would spill.
    """
    sums, vectors = body.spec.rows * body.row.vectors, body.row.vectors
    needed = work(body.spec.inner, has_fma=True)
    operands = min(body.spec.rows, vectors) + 2 + needed.registers
    sets = 1
    while sets < 4 and sets * sums * needed.point < _INDEPENDENT_SUMS:
        if 2 * sets * sums + operands > body.isa.registers:
            break
        sets *= 2
    return min(sets, body.spec.depth)


def depth_unroll(body: Body, sets: int) -> int:
    """Return how many steps of the depth one pass of the inner loop takes.

    About `_LOOP_PRODUCTS` vector products hide the loop's own instructions. More only
    cost compile time, and with full registers they cost speed: LLVM's allocator then
    moves accumulators between registers or spills them (a one-vector tile of 12 rows
    on 16 registers fell from 94 % of peak to 45 %). A short depth needs no loop.
    """
    spec = body.spec
    sums = spec.rows * body.row.vectors * work(spec.inner, has_fma=True).point
    if spec.depth * sums <= _WHOLE_PRODUCTS:
        return spec.depth
    if body.row.vectors == 1 or not body.isa.has_fma:
        return sets
    steps = sets
    while steps < 8 and steps * sums < _LOOP_PRODUCTS:
        steps *= 2
    return min(steps, spec.depth)


def emit_body(body: Body) -> None:
    """Emit the whole microkernel at the builder's position, up to its `ret void`."""
    if body.spec.accumulate:
        _prefetch_tile(body)
    store_tile(body, products(body))
    body.builder.ret_void()


def products(body: Body) -> Values:
    """Emit the reduction over batch and depth; return its sums, row by row."""
    spec = body.spec
    if not spec.batch * spec.depth:
        return (neutral(body),) * (spec.rows * body.row.vectors)
    sets = accumulator_sets(body)
    sums = body.spec.rows * body.row.vectors

    def step(t: ir.Value, totals: Values) -> Values:
        return _batch_step(body, t, totals, sets)

    start = (neutral(body),) * (sums * sets)
    totals = carried_loop(body.builder, body.spec.batch, 1, start, step)
    return _combine_sets(body, totals, sets)


def _batch_step(body: Body, t: ir.Value, totals: Values, sets: int) -> Values:
    """Emit the products of one position of the batch."""
    rows, column = tuple(row_pointers(body, t)), column_pointer(body, t)
    depth = body.spec.depth
    unroll = depth_unroll(body, sets)
    whole = depth - depth % unroll
    end: int | ir.Value = whole
    if whole <= unroll and _must_loop(body):
        unroll, whole, end = 1, depth, opaque(body.builder, depth)

    def step(k: ir.Value, sums: Values) -> Values:
        return _depth_steps(body, (rows, column), k, unroll, sums, sets)

    totals = carried_loop(body.builder, end, unroll, totals, step)
    if whole == depth:
        return totals
    rest = depth - whole
    return _depth_steps(body, (rows, column), I64(whole), rest, totals, sets)


def _must_loop(body: Body) -> bool:
    """Return whether even a short depth is a loop, which keeps addresses apart.

    Where a tile of many rows fills the registers and each row has its own pointer,
    LLVM schedules the pointers together with the products and spills accumulators: a
    14x32 tile of depth 2 ran at 55 % of peak, and at 85 % with the loop.
    """
    spec, vectors = body.spec, body.row.vectors
    is_full = spec.rows * vectors >= body.isa.registers - 6
    has_pointers = spec.a_row in (TABLE, GUARDED)
    return has_pointers and is_full and spec.rows > 8 and vectors > 1


def _depth_steps(
    body: Body,
    operands: tuple[Values, ir.Value],
    k: ir.Value,
    count: int,
    totals: Values,
    sets: int,
) -> Values:
    """Emit the products of the depths `k .. k + count`."""
    spec, builder = body.spec, body.builder
    a_offset = builder.mul(k, I64(spec.a_depth))
    rows = tuple(body.advance(pointer, a_offset) for pointer in operands[0])
    column = body.advance(operands[1], builder.mul(k, I64(spec.b_depth)))
    sums, size = list(totals), len(totals) // sets
    for i in range(count):
        used = slice(i % sets * size, (i % sets + 1) * size)
        a = tuple(element_address(builder, body.row, p, i * spec.a_depth) for p in rows)
        b = element_address(builder, body.row, column, i * spec.b_depth)
        sums[used] = _outer_product(body, a, b, sums[used])
    return tuple(sums)


def _outer_product(
    body: Body, rows: Values, column: ir.Value, sums: list[ir.Value]
) -> list[ir.Value]:
    """Combine the accumulators with the terms of a column of A and a row of B.

    The side with fewer vectors is held in registers, the other passes one at a time.
    """
    builder, vectors = body.builder, body.row.vectors
    results = list(sums)

    def add_term(m: int, v: int, a: ir.Value, b: ir.Value) -> None:
        at = m * vectors + v
        results[at] = with_term(body, results[at], a, b)

    if body.spec.rows >= vectors:
        held = tuple(load_vector(builder, body.row, column, v) for v in range(vectors))
        for m, pointer in enumerate(rows):
            a = broadcast(builder, body.row, pointer)
            for v, b in enumerate(held):
                add_term(m, v, a, b)
    else:
        held = tuple(broadcast(builder, body.row, pointer) for pointer in rows)
        for v in range(vectors):
            b = load_vector(builder, body.row, column, v)
            for m, a in enumerate(held):
                add_term(m, v, a, b)
    return results


def _combine_sets(body: Body, totals: Values, sets: int) -> Values:
    """Combine the accumulator sets pairwise: (0 + 1) + (2 + 3)."""
    size = len(totals) // sets
    left = [totals[i * size : (i + 1) * size] for i in range(sets)]
    while len(left) > 1:
        pairs = zip(left[::2], left[1::2])
        odd = left[-1:] if len(left) % 2 else []
        left = [
            tuple(combined(body, a, b) for a, b in zip(first, second))
            for first, second in pairs
        ] + odd
    return left[0]


def store_tile(body: Body, totals: Values) -> None:
    """Emit the store of the sums, to which C is added if the kernel accumulates."""
    builder, row = body.builder, body.row
    for m in range(body.spec.rows):
        pointer = tile_pointer(body, m)
        for v in range(row.vectors):
            total = totals[m * row.vectors + v]
            if body.spec.accumulate:
                total = combined(body, load_vector(builder, row, pointer, v), total)
            store_vector(builder, row, total, pointer, v)


def _prefetch_tile(body: Body) -> None:
    """Ask for the lines of C, which are read only after the last product.

    Measured with C outside L1: 3 to 20 % faster; a tile that is only stored gains
    nothing, so it is not prefetched.
    """
    per_line = _LINE_BYTES // body.spec.dtype.bytes
    for m in range(body.spec.rows):
        pointer = tile_pointer(body, m)
        for n in range(0, body.spec.columns, per_line):
            address = element_address(body.builder, body.row, pointer, n)
            prefetch(body.builder, address, for_write=True)
