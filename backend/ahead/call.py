"""The head of an exported function: what its caller passes, read and checked.

Memory on the stack is reserved first and in the first block, so that it is at fixed
places; then come the checks, each of which may end the function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llvmlite import ir

from polydsl.backend.ahead.interface import Argument
from polydsl.backend.ahead.refusals import Refusals
from polydsl.backend.ahead.status import Status
from polydsl.backend.emitter.layout import ALIGNMENT
from polydsl.backend.emitter.types import I32, I64, NULL, POINTER, untyped
from polydsl.backend.llvm_types import memory_type

CALL = ir.LiteralStructType([POINTER, I64, I32, POINTER, POINTER, I64, I64, I64])
"""`polydsl_call`: scratch, scratch_bytes, threads, parallel, data, which, position,
value."""

SCRATCH, SCRATCH_BYTES, THREADS, PARALLEL, DATA, WHICH, POSITION, VALUE = range(8)
"""The numbers of its fields."""

MOST_THREADS = 65536
"""More threads than this count as this many."""


@dataclass(frozen=True, slots=True)
class Helpers:
    """The internal functions of an object that its exported ones call.

    `choice` is `i32 ()`, `scratch_bytes` `i64 (i32 version, i32 threads)`,
    `prepared_bytes` `i64 (i32 version)`; `parts` are those of the versions, by symbol.
    """

    choice: ir.Function
    scratch_bytes: ir.Function
    prepared_bytes: ir.Function
    parts: Mapping[str, ir.Function]


@dataclass(frozen=True, slots=True)
class Call:
    """An exported function under construction, whose head is there.

    `buffers` is the array that nests expect, with room for `last` addresses; behind
    them lies the address of the caller's `CALL`. `addresses` are those of the
    arguments; numbers have been put on the stack.
    """

    builder: ir.IRBuilder
    refusals: Refusals
    given: ir.Value
    version: ir.Value
    threads: ir.Value
    buffers: ir.Value
    addresses: Mapping[str, ir.Value]

    def slot(self, number: int) -> ir.Value:
        """Return the place of a buffer's address."""
        place = self.builder.gep(self.buffers, [I64(number)], source_etype=POINTER)
        return untyped(place)


def open_call(
    function: ir.Function, arguments: Sequence[Argument], last: int, helpers: Helpers
) -> Call:
    """Begin a function that is passed *arguments* first and a `CALL` at the end."""
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    own = untyped(builder.alloca(CALL, name="own"))
    buffers = untyped(builder.alloca(ir.ArrayType(POINTER, last + 1), name="buffers"))
    passed = dict(zip((a.name for a in arguments), function.args))
    addresses = _addresses(builder, arguments, passed)
    builder.store(ir.Constant(CALL, None), own)
    is_null = builder.icmp_unsigned("==", function.args[-1], NULL)
    given = builder.select(is_null, own, function.args[-1])
    refusals = Refusals(builder, field_of(builder, given, WHICH))
    version = builder.call(helpers.choice, [])
    refusals.refuse(builder.icmp_signed("<", version, I32(0)), Status.NO_CODE)
    refusals.check_arguments(arguments, addresses)
    threads = _threads(builder, given)
    call = Call(builder, refusals, given, version, threads, buffers, addresses)
    builder.store(given, call.slot(last))
    return call


def checked_scratch(call: Call, helpers: Helpers) -> ir.Value:
    """Refuse scratch that is not enough, and return where it is."""
    builder = call.builder
    scratch = load_field(builder, call.given, SCRATCH)
    there = load_field(builder, call.given, SCRATCH_BYTES)
    needed = builder.call(helpers.scratch_bytes, [call.version, call.threads])
    is_needed = builder.icmp_unsigned(">", needed, I64(0))
    is_short = builder.icmp_unsigned("<", there, needed)
    is_bad = builder.or_(is_short, call.refusals.is_bad(scratch, ALIGNMENT))
    call.refusals.refuse(builder.and_(is_needed, is_bad), Status.SCRATCH)
    return scratch


def field_of(builder: ir.IRBuilder, call: ir.Value, number: int) -> ir.Value:
    """Return the place of a field of a `CALL`."""
    place = builder.gep(call, [I32(0), I32(number)], source_etype=CALL)
    return untyped(place)


def load_field(builder: ir.IRBuilder, call: ir.Value, number: int) -> ir.Value:
    """Return what stands in a field of a `CALL`."""
    kind = CALL.elements[number]
    return builder.load(field_of(builder, call, number), typ=kind)


def clamp_threads(builder: ir.IRBuilder, wanted: ir.Value) -> ir.Value:
    """Return a number of threads from 1 to the most there may be."""
    least = builder.select(builder.icmp_signed("<", wanted, I32(1)), I32(1), wanted)
    is_more = builder.icmp_signed(">", least, I32(MOST_THREADS))
    return builder.select(is_more, I32(MOST_THREADS), least)


def passed_type(argument: Argument) -> ir.Type:
    """Return the type by which C passes an argument: f16 and bf16 as their bits."""
    if not argument.is_value:
        return POINTER
    dtype = argument.dtype
    is_short = dtype.is_float and dtype.bits == 16
    return ir.IntType(16) if is_short else memory_type(dtype)


def _threads(builder: ir.IRBuilder, given: ir.Value) -> ir.Value:
    """Return how many threads a call has: 1 without a runner."""
    runner = load_field(builder, given, PARALLEL)
    is_alone = builder.icmp_unsigned("==", runner, NULL)
    wanted = clamp_threads(builder, load_field(builder, given, THREADS))
    return builder.select(is_alone, I32(1), wanted)


def _addresses(
    builder: ir.IRBuilder,
    arguments: Sequence[Argument],
    passed: Mapping[str, ir.Value],
) -> dict[str, ir.Value]:
    """Return the address of every argument; numbers are put on the stack."""
    found: dict[str, ir.Value] = {}
    for argument in arguments:
        value = passed[argument.name]
        if argument.is_value:
            place = untyped(builder.alloca(passed_type(argument)))
            builder.store(value, place, align=argument.dtype.bytes)
            value = place
        found[argument.name] = value
    return found
