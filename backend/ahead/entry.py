"""The functions that do the work: `NAME`, and `NAME_prepare` where something is bound.

    i32 NAME(passed arguments..., [ptr prepared,] ptr call)
    i32 NAME_prepare(bound arguments..., ptr prepared, i64 prepared_bytes, ptr call)

`call` points at a `CALL` or is null. Both check everything that a caller can get wrong
before anything runs, fill the array of buffers that nests expect, and run the version
that fits this CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llvmlite import ir

from polydsl.backend.ahead.call import (
    DATA,
    PARALLEL,
    POSITION,
    VALUE,
    WHICH,
    Call,
    Helpers,
    checked_scratch,
    field_of,
    load_field,
    open_call,
    passed_type,
)
from polydsl.backend.ahead.interface import Interface, Version, prepared_layout
from polydsl.backend.ahead.status import Status
from polydsl.backend.emitter.layout import ALIGNMENT
from polydsl.backend.emitter.module import ENTRY
from polydsl.backend.emitter.parallel import RUN
from polydsl.backend.emitter.types import I1, I8, I32, I64, NULL, POINTER, VOID, untyped
from polydsl.backend.llvm_types import Callee, intrinsic

_RUNNER = ir.FunctionType(VOID, [POINTER, POINTER, POINTER, I32])


def declare_parts(
    module: ir.Module, versions: Sequence[Version]
) -> dict[str, ir.Function]:
    """Declare what the modules of the versions define."""
    names = [name for v in versions for name in (v.main, v.prepare)]
    return {name: ir.Function(module, ENTRY, name) for name in names}


def define_entries(
    module: ir.Module,
    interface: Interface,
    versions: Sequence[Version],
    helpers: Helpers,
) -> None:
    """Define the function of the kernel, and the one that prepares if it is needed."""
    run = _define_runner(module, _last_slot(interface, versions))
    _define_main(module, interface, versions, helpers, run)
    if interface.bound:
        _define_prepare(module, interface, versions, helpers, run)


def _last_slot(interface: Interface, versions: Sequence[Version]) -> int:
    """Return how many buffers the array has room for."""
    prepared = max(len(version.prepared) for version in versions)
    return len(interface.arguments) + prepared


def _define_runner(module: ir.Module, last: int) -> ir.Function:
    """Define what nests call for parallel loops, and what calls the caller's runner.

    A nest hands over nothing of the caller's but its context, which begins with the
    array of buffers: behind these lies the address of the call.
    """
    function = ir.Function(module, RUN, "polydsl_run")
    body, context, threads = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    buffers = builder.load(context, typ=POINTER)
    place = builder.gep(buffers, [I64(last)], source_etype=POINTER)
    call = builder.load(place, typ=POINTER)
    runner = load_field(builder, call, PARALLEL)
    data = load_field(builder, call, DATA)
    builder.call(Callee(runner, _RUNNER), [data, body, context, threads])
    builder.ret_void()
    return function


def _define_main(
    module: ir.Module,
    interface: Interface,
    versions: Sequence[Version],
    helpers: Helpers,
    run: ir.Function,
) -> None:
    """Define the function of the kernel."""
    prepared_type = [POINTER] if interface.bound else []
    kinds = [*map(passed_type, interface.passed), *prepared_type, POINTER]
    function = ir.Function(module, ir.FunctionType(I32, kinds), interface.symbol)
    last = _last_slot(interface, versions)
    call = open_call(function, interface.passed, last, helpers)
    scratch = checked_scratch(call, helpers)
    prepared = function.args[-2] if interface.bound else None
    if prepared is not None:
        call.refusals.refuse(call.refusals.is_bad(prepared, ALIGNMENT), Status.PREPARED)
    for version in _cases(call, versions):
        if prepared is not None:
            mark = call.builder.load(prepared, typ=I64)
            is_other = call.builder.icmp_unsigned("!=", mark, I64(version.mark))
            call.refusals.refuse(is_other, Status.PREPARED)
        _fill(call, interface, version, prepared)
        _run(call, helpers.parts[version.main], scratch, run)


def _define_prepare(
    module: ir.Module,
    interface: Interface,
    versions: Sequence[Version],
    helpers: Helpers,
    run: ir.Function,
) -> None:
    """Define the function that fills prepared memory; its mark is written last."""
    kinds = [*map(passed_type, interface.bound), POINTER, I64, POINTER]
    name = f"{interface.symbol}_prepare"
    function = ir.Function(module, ir.FunctionType(I32, kinds), name)
    last = _last_slot(interface, versions)
    call = open_call(function, interface.bound, last, helpers)
    scratch = checked_scratch(call, helpers)
    builder = call.builder
    prepared, size = function.args[-3:-1]
    needed = builder.call(helpers.prepared_bytes, [call.version])
    is_short = builder.icmp_unsigned("<", size, needed)
    is_bad = builder.or_(is_short, call.refusals.is_bad(prepared, ALIGNMENT))
    call.refusals.refuse(is_bad, Status.PREPARED)
    sizes = {argument.name: argument.bytes for argument in interface.bound}
    for version in _cases(call, versions):
        for bound, start in prepared_layout(interface, version).copies:
            target = _after(builder, prepared, start)
            _copy(builder, target, call.addresses[bound], sizes[bound])
        _fill(call, interface, version, prepared)
        _run(call, helpers.parts[version.prepare], scratch, run, ends=False)
        builder.store(I64(version.mark), prepared)
        builder.ret(I32(Status.OK))


def _cases(call: Call, versions: Sequence[Version]) -> Iterator[Version]:
    """Yield each version with the builder where its code goes if it was chosen."""
    builder = call.builder
    function = builder.function
    nowhere = function.append_basic_block("nowhere")
    choose = builder.switch(call.version, nowhere)
    builder.position_at_end(nowhere)
    builder.unreachable()
    for number, version in enumerate(versions):
        block = function.append_basic_block(version.target.isa.name)
        choose.add_case(I32(number), block)
        builder.position_at_end(block)
        yield version


def _fill(
    call: Call, interface: Interface, version: Version, prepared: ir.Value | None
) -> None:
    """Fill the array of buffers: the nest's arguments, then what is prepared.

    Bound arguments are read where they were copied to.
    """
    builder = call.builder
    layout = prepared_layout(interface, version)
    places = dict(call.addresses)
    starts: list[ir.Value] = []
    if prepared is not None:
        for name, start in layout.copies:
            places.setdefault(name, _after(builder, prepared, start))
        starts = [_after(builder, prepared, start) for start in layout.buffers]
    found = (places.get(name, NULL) for name in version.slots)
    for number, place in enumerate((*found, *starts)):
        builder.store(place, call.slot(number))


def _run(
    call: Call,
    part: ir.Function,
    scratch: ir.Value,
    run: ir.Function,
    *,
    ends: bool = True,
) -> None:
    """Run a part of a version; return what came of it, where that is an error or the
    function ends here.

    A nest returns 1 + the number of the check that failed, and says more at the start
    of its scratch: that number, a position, and a value.
    """
    builder = call.builder
    status = builder.call(part, [call.buffers, scratch, call.threads, run])
    failed = builder.icmp_signed("!=", status, I32(0))
    with builder.if_then(failed, likely=False):
        for number, target in enumerate((WHICH, POSITION, VALUE)):
            place = untyped(builder.gep(scratch, [I64(number)], source_etype=I64))
            told = builder.load(place, typ=I64)
            builder.store(told, field_of(builder, call.given, target))
        builder.ret(I32(Status.SUBSCRIPT))
    if ends:
        builder.ret(I32(Status.OK))


def _after(builder: ir.IRBuilder, start: ir.Value, count: int) -> ir.Value:
    return untyped(builder.gep(start, [I64(count)], source_etype=I8))


def _copy(builder: ir.IRBuilder, target: ir.Value, source: ir.Value, size: int) -> None:
    arguments = (target, source, I64(size), I1(0))
    intrinsic(builder, "llvm.memcpy.p0.p0.i64", VOID, arguments)
