"""Parallel loops: the body becomes a function that every thread calls.

    for i in lo..hi [parallel]: S(i)
        ->
    body(context, thread, threads):
        for i in (the thread's part of lo..hi): S(i)

The context holds the caller's pointers, `buffers` first (`backend/ahead` relies on
that), and the variables around the loop. Threads take contiguous parts of equal length;
what an iteration does depends on neither the thread nor their number, and private
scratch is the thread's own block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from polydsl.backend.emitter.branches import when
from polydsl.backend.emitter.control import Extent, emit_for, emit_trips
from polydsl.backend.emitter.scope import Function, Kernel, Scope
from polydsl.backend.emitter.types import (
    I8,
    I32,
    I64,
    NULL,
    POINTER,
    VOID,
    add,
    constant_of,
    number,
    reserve,
    scale,
)
from polydsl.backend.llvm_types import Callee
from polydsl.loops.nest import Loop

BODY = ir.FunctionType(VOID, [POINTER, I32, I32])
"""`void body(ptr context, i32 thread, i32 threads)`."""

RUN = ir.FunctionType(VOID, [POINTER, POINTER, I32])
"""`void parallel(ptr body, ptr context, i32 threads)`."""


def open_function(
    kernel: Kernel,
    function: ir.Function,
    pointers: Callable[[ir.IRBuilder], Sequence[ir.Value]],
) -> Function:
    """Begin a function: an entry for addresses, then the block that code goes to.

    *pointers* emits buffers, scratch, the thread's block, threads and the runner.
    """
    entry = ir.IRBuilder(function.append_basic_block("entry"))
    builder = ir.IRBuilder(function.append_basic_block("body"))
    buffers, scratch, private, threads, runner = pointers(entry)
    return Function(builder, entry, buffers, scratch, private, threads, runner)


def close_function(function: Function, result: ir.Value | None = None) -> None:
    """End a function: fall from the entry into the body, and return."""
    function.entry.branch(function.entry.function.blocks[1])
    if result is None:
        function.builder.ret_void()
    else:
        function.builder.ret(result)


def emit_parallel(
    scope: Scope, loop: Loop, extent: Extent, body: Callable[[Scope], None]
) -> None:
    """Emit a parallel loop as a function and a call that runs it on all threads."""
    builder = scope.builder
    runs = builder.icmp_signed("<", extent.lo, extent.hi)
    with when(builder, runs if extent.trips is None else None):
        trips = emit_trips(scope, extent, loop.step)
        outside = [extent.lo, extent.hi, trips, *scope.variables.values()]
        passed = [value for value in outside if constant_of(value) is None]
        context = _emit_context(scope, passed)
        function = _emit_body(scope, loop, extent, trips, passed, body)
        _emit_run(scope, function, context, trips)


def _context_type(count: int) -> ir.Type:
    return ir.LiteralStructType([POINTER, POINTER, ir.ArrayType(I64, max(1, count))])


def _emit_context(scope: Scope, passed: Sequence[ir.Value]) -> ir.Value:
    """Fill the context on the stack."""
    builder, kind = scope.builder, _context_type(len(passed))
    context = reserve(scope.function.entry, kind, "context")
    fields = [scope.function.buffers, scope.function.scratch]
    places = [[I32(0), I32(i)] for i in range(2)]
    places += [[I32(0), I32(2), I32(i)] for i in range(len(passed))]
    for value, place in zip([*fields, *passed], places):
        builder.store(value, builder.gep(context, place, source_etype=kind))
    return context


def _emit_run(
    scope: Scope, body: ir.Function, context: ir.Value, trips: ir.Value
) -> None:
    """Call the body, by as many threads as there are iterations at most."""
    builder, threads = scope.builder, scope.function.threads
    wide = builder.sext(threads, I64)
    is_few = builder.icmp_signed("<", trips, wide)
    used = builder.trunc(builder.select(is_few, trips, wide), I32)
    is_one = builder.icmp_signed("<=", used, I32(1))
    with builder.if_else(is_one) as (alone, together):
        with alone:
            builder.call(body, [context, I32(0), I32(1)])
        with together:
            runner = scope.function.parallel
            builder.call(Callee(runner, RUN), [body, context, used])


def _emit_body(
    scope: Scope,
    loop: Loop,
    extent: Extent,
    trips: ir.Value,
    passed: Sequence[ir.Value],
    body: Callable[[Scope], None],
) -> ir.Function:
    """Emit the function that runs one thread's part of the iterations."""
    module = scope.module
    name = module.get_unique_name(f"{scope.kernel.part}_{loop.var}")
    function = ir.Function(module, BODY, name)
    function.linkage = "internal"
    function.attributes.add("nounwind")
    inside, known = _open_body(scope.kernel, function, passed)
    variables = {v: known.get(id(x), x) for v, x in scope.variables.items()}
    inner = Scope(scope.kernel, inside, variables, scope.ranges, is_parallel=True)
    lo = known.get(id(extent.lo), extent.lo)
    count = known.get(id(trips), trips)
    bounds = _part(inside.builder, loop, lo, count, function.args[1:])
    emit_for(inner, loop.var, bounds, loop.step, extent.ends, body)
    close_function(inside)
    return function


def _open_body(
    kernel: Kernel, function: ir.Function, passed: Sequence[ir.Value]
) -> tuple[Function, dict[int, ir.Value]]:
    """Begin the body: unpack the context and find the thread's own scratch.

    The values that were passed are returned by the identity of the outer ones.
    """
    context, thread, _ = function.args
    kind = _context_type(len(passed))
    known: dict[int, ir.Value] = {}

    def pointers(entry: ir.IRBuilder) -> Sequence[ir.Value]:
        for i, value in enumerate(passed):
            place = entry.gep(context, [I32(0), I32(2), I32(i)], source_etype=kind)
            known[id(value)] = entry.load(place, typ=I64)
        buffers = entry.load(context, typ=POINTER)
        second = entry.gep(context, [I32(0), I32(1)], source_etype=kind)
        scratch = entry.load(second, typ=POINTER)
        block = scale(entry, entry.sext(thread, I64), kernel.layout.thread_bytes)
        begin = add(entry, block, number(kernel.layout.shared_bytes))
        private = entry.gep(scratch, [begin], source_etype=I8)
        return buffers, scratch, private, I32(1), NULL

    return open_function(kernel, function, pointers), known


def _part(
    builder: ir.IRBuilder,
    loop: Loop,
    lo: ir.Value,
    trips: ir.Value,
    thread: Sequence[ir.Value],
) -> tuple[ir.Value, ir.Value]:
    """Return where the iterations of one thread begin and end."""
    number_of, threads = (builder.zext(value, I64) for value in thread)

    def edge(position: ir.Value) -> ir.Value:
        shared = builder.mul(trips, position, flags=("nsw", "nuw"))
        moved = scale(builder, builder.udiv(shared, threads), loop.step)
        return add(builder, lo, moved)

    following = builder.add(number_of, I64(1), flags=("nsw", "nuw"))
    return edge(number_of), edge(following)
