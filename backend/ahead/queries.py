"""The functions that answer questions: how much memory, which code, which sizes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from llvmlite import ir

from polydsl.backend.ahead.call import Helpers, clamp_threads
from polydsl.backend.ahead.interface import (
    Interface,
    Value,
    Version,
    prepared_layout,
)
from polydsl.backend.ahead.refusals import Refusals
from polydsl.backend.ahead.status import Status
from polydsl.backend.emitter.types import I8, I32, I64, NULL, POINTER, untyped


def define_scratch_bytes(module: ir.Module, versions: Sequence[Version]) -> ir.Function:
    """Define `i64 (i32 version, i32 threads)`: what a call needs of scratch."""
    kind = ir.FunctionType(I64, [I32, I32])
    function = ir.Function(module, kind, "polydsl_scratch_of")
    version, threads = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    shared = _pick(builder, version, [v.scratch.shared_bytes for v in versions])
    private = _pick(builder, version, [v.scratch.thread_bytes for v in versions])
    wide = builder.zext(threads, I64)
    # Where no loop is parallel, only the first thread's block is ever used.
    shares = _pick(builder, version, [int(v.is_parallel) for v in versions])
    is_shared = builder.icmp_unsigned("!=", shares, I64(0))
    blocks = builder.select(is_shared, wide, I64(1))
    builder.ret(builder.add(shared, builder.mul(private, blocks)))
    return function


def define_prepared_bytes(
    module: ir.Module, interface: Interface, versions: Sequence[Version]
) -> ir.Function:
    """Define `i64 (i32 version)`: how large prepared memory is."""
    kind = ir.FunctionType(I64, [I32])
    function = ir.Function(module, kind, "polydsl_prepared_of")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    sizes = [prepared_layout(interface, version).total for version in versions]
    builder.ret(_pick(builder, function.args[0], sizes))
    return function


def define_queries(
    module: ir.Module,
    interface: Interface,
    versions: Sequence[Version],
    helpers: Helpers,
) -> None:
    """Define the exported questions about an object."""

    def sized(name: str, kind: ir.FunctionType, answer: _Answer) -> None:
        function = ir.Function(module, kind, f"{interface.symbol}_{name}")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        version = builder.call(helpers.choice, [])
        is_none = builder.icmp_signed("<", version, I32(0))
        with builder.if_then(is_none, likely=False):
            builder.ret(ir.Constant(kind.return_type, None))
        builder.ret(answer(builder, function, version))

    def scratch(b: ir.IRBuilder, function: ir.Function, version: ir.Value) -> ir.Value:
        return b.call(
            helpers.scratch_bytes, [version, clamp_threads(b, function.args[0])]
        )

    def prepared(b: ir.IRBuilder, _: ir.Function, version: ir.Value) -> ir.Value:
        return b.call(helpers.prepared_bytes, [version])

    def name(b: ir.IRBuilder, _: ir.Function, version: ir.Value) -> ir.Value:
        return _row_name(b, module, versions, version)

    sized("scratch_bytes", ir.FunctionType(I64, [I32]), scratch)
    sized("isa", ir.FunctionType(POINTER, []), name)
    if interface.bound:
        sized("prepared_bytes", ir.FunctionType(I64, []), prepared)
    if interface.sizes:
        _define_check(module, interface)


_Answer = Callable[[ir.IRBuilder, ir.Function, ir.Value], ir.Value]


def _pick(builder: ir.IRBuilder, version: ir.Value, numbers: list[int]) -> ir.Value:
    """Return the number that belongs to a version."""
    found: ir.Value = I64(numbers[-1])
    for i in reversed(range(len(numbers) - 1)):
        is_it = builder.icmp_unsigned("==", version, I32(i))
        found = builder.select(is_it, I64(numbers[i]), found)
    return found


def _row_name(
    builder: ir.IRBuilder,
    module: ir.Module,
    versions: Sequence[Version],
    version: ir.Value,
) -> ir.Value:
    """Return the address of the name of the row that runs."""
    found: ir.Value = NULL
    for number, row in enumerate(versions):
        text = bytearray(f"{row.target.isa.name}\0".encode())
        kind = ir.ArrayType(I8, len(text))
        name = ir.GlobalVariable(module, kind, f"polydsl_name_{number}")
        name.linkage = "private"
        name.global_constant = True
        name.initializer = ir.Constant(kind, text)
        is_it = builder.icmp_unsigned("==", version, I32(number))
        found = builder.select(is_it, untyped(name), found)
    return found


def _define_check(module: ir.Module, interface: Interface) -> None:
    """Define `i32 NAME_check(ptr sizes)`: are these what the code is for?"""
    kind = ir.FunctionType(I32, [POINTER])
    function = ir.Function(module, kind, f"{interface.symbol}_check")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    refusals = Refusals(builder, untyped(builder.alloca(I64)))
    sizes = function.args[0]
    is_null = builder.icmp_unsigned("==", sizes, NULL)
    refusals.refuse(is_null, Status.NULL_POINTER)
    for number, (_, value) in enumerate(interface.sizes):
        place = builder.gep(sizes, [I64(number)], source_etype=I64)
        came = builder.load(untyped(place), typ=I64)
        is_other = builder.icmp_unsigned("!=", came, I64(_bits(value)))
        refusals.refuse(is_other, Status.SIZES)
    builder.ret(I32(Status.OK))


def _bits(value: Value) -> int:
    """Return how a size (int64_t) or a constant (double if it is a float) is stored."""
    kind = "<d" if isinstance(value, float) else "<q"
    return int(struct.unpack("<q", struct.pack(kind, value))[0])
