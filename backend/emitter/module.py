"""A loop nest as the text of an LLVM module.

The module exports `polydsl_main` and `polydsl_prepare`, both

    i32 (ptr buffers, ptr scratch, i32 threads, ptr parallel)

`buffers` points at the addresses of the arguments and then of the prepared buffers,
`scratch` at an arena laid out by `layout`, `parallel` is the run time's function that
runs a body on every thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llvmlite import ir

from polydsl.backend.emitter.access import alias_scopes
from polydsl.backend.emitter.layout import scratch_layout
from polydsl.backend.emitter.loops import emit_nodes
from polydsl.backend.emitter.parallel import close_function, open_function
from polydsl.backend.emitter.scope import Kernel, Scope
from polydsl.backend.emitter.types import I8, I32, I64, POINTER
from polydsl.backend.emitter.vector_checks import parts_of
from polydsl.backend.target import Target
from polydsl.base.dtypes import F32
from polydsl.loops.nest import (
    Accumulate,
    Buffer,
    Load,
    Loop,
    LoopNest,
    Node,
    Store,
    walk,
)

ENTRY = ir.FunctionType(I32, [POINTER, POINTER, I32, POINTER])


def emit_module(nest: LoopNest, target: Target) -> str:
    """Return LLVM IR for *nest*: the whole kernel, unoptimised."""
    module = build_module(nest, target)
    text = str(module)
    _unlink(module)
    return text


def _unlink(module: ir.Module) -> None:
    """Take blocks and instructions apart, which hold one another: so they go at once,
    and not when Python looks for garbage."""
    for function in module.functions:
        for block in function.blocks:
            block.instructions.clear()
            block.terminator = None
        function.blocks.clear()


def build_module(nest: LoopNest, target: Target) -> ir.Module:
    """Return the module of *nest*, before it is text."""
    module = ir.Module(name=nest.name, context=ir.Context())
    module.triple = target.triple
    layout = scratch_layout(nest)
    for part, nodes in (("main", nest.body), ("prepare", nest.prepare)):
        kernel = Kernel(
            module,
            nest,
            target,
            layout,
            {buffer.name: _held(buffer) for buffer in nest.buffers},
            _padding(nest),
            alias_scopes(module, nest, layout),
            part,
        )
        _emit_part(kernel, nodes)
    return module


def _emit_part(kernel: Kernel, nodes: tuple[Node, ...]) -> None:
    function = ir.Function(kernel.module, ENTRY, f"polydsl_{kernel.part}")
    function.attributes.add("nounwind")
    for argument, name in zip(
        function.args, ("buffers", "scratch", "threads", "parallel")
    ):
        argument.name = name
    buffers, scratch, threads, parallel = function.args

    def pointers(entry: ir.IRBuilder) -> Sequence[ir.Value]:
        first = I64(kernel.layout.shared_bytes)
        private = entry.gep(scratch, [first], source_etype=I8)
        return buffers, scratch, private, threads, parallel

    inside = open_function(kernel, function, pointers)
    emit_nodes(Scope(kernel, inside), nodes)
    close_function(inside, I32(0))


def _held(buffer: Buffer) -> Buffer:
    """Return the buffer as it is kept: a register holds an f32 for a narrow float."""
    in_registers = buffer.memory == "register" and buffer.dtype.is_narrow
    return replace(buffer, dtype=F32) if in_registers else buffer


def _padding(nest: LoopNest) -> dict[str, int]:
    """Return the most lanes by which each register buffer is subscripted."""
    registers = {b.name for b in nest.buffers if b.memory == "register"}
    padding: dict[str, int] = {}
    for loop in walk((*nest.prepare, *nest.body)):
        if isinstance(loop, Loop) and loop.kind == "vector":
            for name in registers & _subscripted(loop):
                padding[name] = max(loop.lanes, padding.get(name, 1))
    return padding


def _subscripted(loop: Loop) -> set[str]:
    """Return the buffers that a vector loop reads or writes."""
    places = [
        part.buffer
        for node in loop.body
        for part in (node, *parts_of(node))
        if isinstance(part, Load | Store | Accumulate)
    ]
    return set(places)
