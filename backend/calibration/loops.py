"""The loops that are timed, as native functions.

Each is a few instructions that one resource bounds: the clock, the latency of a
multiply-add, loads, stores, dependent loads, a fork and join. What they run over and
how long they run is given in each call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field

from llvmlite import ir

from polydsl.backend.carried_loop import I64, Values, carried_loop
from polydsl.backend.jit import NativeKernel, compile_object, load
from polydsl.backend.llvm_types import Callee
from polydsl.backend.target import Target
from polydsl.backend.vector_memory import I32, VectorRow, load_vector, multiply_add

BLOCK_VECTORS = 16
"""Vectors that `load` and `store` move in one iteration."""
CHAIN = 16
"""Dependent steps in one iteration of `chase`, `clock` and `multiply_adds`."""

_NAMES = ("clock", "multiply_adds", "load", "store", "chase", "forks", "load_part")
_POINTER = ir.PointerType()
_I8 = ir.IntType(8)
_VOID = ir.VoidType()
_Native = Callable[[int, int, int], None]
_Body = Callable[[ir.IRBuilder, tuple[ir.Value, ...]], None]


@dataclass(frozen=True, slots=True, eq=False)
class Loops:
    """The compiled loops; addresses are integers, and `passes` and `count` positive.

    `load` and `store` take the address of memory, aligned to vectors, its bytes (a
    multiple of `block`), and how often to go through them. `chase`, `clock` and
    `multiply_adds` take the address of what they begin with and end with, and a
    number of iterations of `CHAIN` steps. `forks` takes the `parallel` function of
    kernels, how often to call it, and the threads; they do nothing.
    """

    block: int
    load: _Native
    store: _Native
    chase: _Native
    clock: _Native
    multiply_adds: _Native
    forks: _Native
    load_part: int = field(repr=False)
    """Address of a body of parallel loops. Its context is an address and the bytes of
    each thread's share, which it loads once."""
    _kernel: NativeKernel = field(repr=False)


def compile_loops(target: Target) -> Loops:
    """Return the loops with the vectors of *target*."""
    kernel = load(compile_object(loops_text(target), target), exports=_NAMES)

    def native(name: str) -> _Native:
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        function: _Native = kind(kernel.address(name))
        return function

    return Loops(
        block=BLOCK_VECTORS * target.isa.vector_bytes,
        load=native("load"),
        store=native("store"),
        chase=native("chase"),
        clock=native("clock"),
        multiply_adds=native("multiply_adds"),
        forks=native("forks"),
        load_part=kernel.address("load_part"),
        _kernel=kernel,
    )


def loops_text(target: Target) -> str:
    """Return the LLVM IR of all loops."""
    module = ir.Module("calibration")
    module.triple = target.triple
    vector = ir.VectorType(I32, target.isa.vector_bytes // 4)
    floats = VectorRow(ir.FloatType(), vector.count, vector.count, target.isa.has_masks)
    integers = [_POINTER, I64, I64]
    sink = ir.GlobalVariable(module, vector, "sink")
    sink.initializer = ir.Constant(vector, None)
    loader = _function(module, "load", integers, _loads(vector, sink))
    _function(module, "store", integers, _stores(vector))
    _function(module, "chase", integers, _chase)
    _function(module, "clock", integers, _clock)
    fused = target.isa.has_fma
    _function(module, "multiply_adds", integers, _multiply_adds(floats, fused=fused))
    body = [_POINTER, I32, I32]
    nothing = _function(module, "nothing", body, lambda builder, arguments: None)
    _function(module, "forks", integers, _forks(nothing))
    _function(module, "load_part", body, _load_part(loader))
    return str(module)


def _function(
    module: ir.Module, name: str, parameters: list[ir.Type], emit: _Body
) -> ir.Function:
    function = ir.Function(module, ir.FunctionType(_VOID, parameters), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit(builder, function.args)
    builder.ret_void()
    return function


def _blocks(
    builder: ir.IRBuilder,
    arguments: tuple[ir.Value, ...],
    carried: Values,
    emit: Callable[[ir.Value, Values], Values],
    vector: ir.VectorType,
) -> Values:
    """Emit the passes over memory; *emit* gets the address of each block."""
    memory, size, passes = arguments
    step = BLOCK_VECTORS * vector.count * 4

    def block(offset: ir.Value, values: Values) -> Values:
        return emit(builder.gep(memory, [offset], source_etype=_I8), values)

    return carried_loop(
        builder,
        passes,
        1,
        carried,
        lambda _, values: carried_loop(builder, size, step, values, block),
    )


def _loads(vector: ir.VectorType, sink: ir.Value) -> _Body:
    """Loads joined by exclusive or, which every CPU does as fast as it loads."""

    def emit(builder: ir.IRBuilder, arguments: tuple[ir.Value, ...]) -> None:
        def block(start: ir.Value, values: Values) -> Values:
            return tuple(
                builder.xor(value, _at(builder, vector, start, v))
                for v, value in enumerate(values)
            )

        zeros = (ir.Constant(vector, None),) * BLOCK_VECTORS
        first, *rest = _blocks(builder, arguments, zeros, block, vector)
        for value in rest:
            first = builder.xor(first, value)
        # Stored where anyone may look, so that the loop is not dead code.
        builder.store(first, sink, align=4)

    return emit


def _at(
    builder: ir.IRBuilder, vector: ir.VectorType, start: ir.Value, number: int
) -> ir.Value:
    address = builder.gep(start, [I64(number)], source_etype=vector)
    return builder.load(address, align=vector.count * 4, typ=vector)


def _stores(vector: ir.VectorType) -> _Body:
    """Stores of what is first in memory, since constants would become `memset`."""

    def emit(builder: ir.IRBuilder, arguments: tuple[ir.Value, ...]) -> None:
        value = _at(builder, vector, arguments[0], 0)

        def block(start: ir.Value, values: Values) -> Values:
            for number in range(BLOCK_VECTORS):
                address = builder.gep(start, [I64(number)], source_etype=vector)
                builder.store(value, address, align=vector.count * 4)
            return values

        _blocks(builder, arguments, (), block, vector)

    return emit


def _steps(
    builder: ir.IRBuilder,
    count: ir.Value,
    start: ir.Value,
    step: Callable[[ir.Value], ir.Value],
) -> ir.Value:
    """Emit *count* iterations of `CHAIN` steps, each of which needs the one before."""

    def iteration(_: ir.Value, values: Values) -> Values:
        (value,) = values
        for _step in range(CHAIN):
            value = step(value)
        return (value,)

    (end,) = carried_loop(builder, count, 1, (start,), iteration)
    return end


def _chase(builder: ir.IRBuilder, arguments: tuple[ir.Value, ...]) -> None:
    """Follow pointers from the one at the first argument; leave the last one there."""
    place, count, _ = arguments
    start = builder.load(place, typ=_POINTER)
    end = _steps(builder, count, start, lambda p: builder.load(p, typ=_POINTER))
    builder.store(end, place)


def _clock(builder: ir.IRBuilder, arguments: tuple[ir.Value, ...]) -> None:
    """Steps of an addition and an exclusive or: one cycle each on all our CPUs."""
    place, count, unknown = arguments
    start = builder.load(place, typ=I64)
    end = _steps(
        builder, count, start, lambda x: builder.xor(builder.add(x, unknown), start)
    )
    builder.store(end, place)


def _multiply_adds(row: VectorRow, *, fused: bool) -> _Body:
    def emit(builder: ir.IRBuilder, arguments: tuple[ir.Value, ...]) -> None:
        place, count, _ = arguments
        half = load_vector(builder, row, place, 0)

        # x becomes x/2 + 1/2: it stays near 1, away from overflow and denormals.
        def step(value: ir.Value) -> ir.Value:
            return multiply_add(builder, value, half, half, fused=fused)

        builder.store(_steps(builder, count, half, step), place, align=4)

    return emit


def _forks(nothing: ir.Function) -> _Body:
    def emit(builder: ir.IRBuilder, arguments: tuple[ir.Value, ...]) -> None:
        parallel, count, threads = arguments
        kind = ir.FunctionType(_VOID, [_POINTER, _POINTER, I32])
        few, none = builder.trunc(threads, I32), ir.Constant(_POINTER, None)

        def call(_: ir.Value, values: Values) -> Values:
            builder.call(Callee(parallel, kind), [nothing, none, few])
            return values

        carried_loop(builder, count, 1, (), call)

    return emit


def _load_part(loader: ir.Function) -> _Body:
    def emit(builder: ir.IRBuilder, arguments: tuple[ir.Value, ...]) -> None:
        context, part, _ = arguments
        memory = builder.load(context, typ=_POINTER)
        size_at = builder.gep(context, [I64(1)], source_etype=I64)
        size = builder.load(size_at, typ=I64)
        offset = builder.mul(size, builder.zext(part, I64))
        share = builder.gep(memory, [offset], source_etype=_I8)
        builder.call(loader, [share, size, I64(1)])

    return emit
