"""Batch-reduce GEMM microkernels: an internal function for each distinct tile.

`emit_gemm` turns a `BatchReduceGemm` node into a call: addresses are computed at the
call, everything else is static and belongs to the function. The function stays a
function (`noinline`), so that what surrounds the call cannot disturb its registers.
Where more follows on the tile in registers, `begin_gemm` emits the same without a
call, into a function of those nodes (`emitter/tiles.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from llvmlite import ir

from polydsl.backend.microkernel_body import products, store_tile
from polydsl.backend.microkernel_operands import body_of
from polydsl.backend.microkernel_spec import Microkernel, microkernel_of
from polydsl.backend.providers.foreign import Body
from polydsl.backend.providers.table import implementation
from polydsl.backend.target import Target
from polydsl.backend.vector_memory import I32, element_type
from polydsl.base.providers import BUILT_IN
from polydsl.loops.nest import BatchReduceGemm, Expr, GuardedRows, LoopNest, Table

__all__ = [
    "GemmContext",
    "Microkernel",
    "define_microkernel",
    "emit_gemm",
    "microkernel_of",
]


class GemmContext(Protocol):
    """What the emitter of a kernel offers to the emission of a microkernel call."""

    @property
    def module(self) -> ir.Module:
        """The module that is being emitted."""

    @property
    def target(self) -> Target:
        """The machine that the code is for."""

    @property
    def nest(self) -> LoopNest:
        """The loop nest that is being emitted."""

    def value(self, expr: Expr) -> ir.Value:
        """Return the i64 value of a subscript expression at the builder's position."""

    def address(self, buffer: str) -> ir.Value:
        """Return the address of element 0 of a buffer."""


def define_microkernel(
    module: ir.Module, spec: Microkernel, target: Target
) -> ir.Function:
    """Return the module's function for *spec*, defined if it is new there.

    It takes pointers only, those that `spec.parameters` names, and returns nothing. Its
    body is what the provider of *spec* emits.
    """
    known = module.globals.get(spec.name)
    if isinstance(known, ir.Function):
        return known
    pointer = ir.PointerType()
    kind = ir.FunctionType(ir.VoidType(), [pointer] * len(spec.parameters))
    function = ir.Function(module, kind, spec.name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    for argument, name in zip(function.args, spec.parameters):
        argument.name = name
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    pointers = dict(zip(spec.parameters, function.args))
    implementation(spec.provider).emit(Body(builder, spec, target, pointers))
    return function


def emit_gemm(
    builder: ir.IRBuilder, node: BatchReduceGemm, context: GemmContext
) -> None:
    """Emit one register tile: the addresses of its operands and a call."""
    spec = microkernel_of(node)
    function = define_microkernel(context.module, spec, context.target)
    addresses = _addresses(builder, node, context)
    builder.call(function, [addresses[name] for name in spec.parameters])


def begin_gemm(
    builder: ir.IRBuilder, node: BatchReduceGemm, context: GemmContext
) -> Callable[[], None]:
    """Emit the sums of one register tile; return what emits the rest of it, in which C
    is read and stored. All of a library's kernel is in the rest."""
    if node.provider != BUILT_IN:
        return lambda: emit_gemm(builder, node, context)
    addresses = _addresses(builder, node, context)
    body = body_of(builder, microkernel_of(node), context.target, addresses)
    totals = products(body)
    return lambda: store_tile(body, totals)


def _addresses(
    builder: ir.IRBuilder, node: BatchReduceGemm, context: GemmContext
) -> dict[str, ir.Value]:
    """Return the operands' addresses by parameter name."""
    element = element_type(node.dtype)

    def at(buffer: str, offset: Expr, type_: ir.Type) -> ir.Value:
        start, elements = context.address(buffer), context.value(offset)
        return builder.gep(start, [elements], source_etype=type_)

    found = {
        "c": at(node.c.buffer, node.c.base, element),
        "a": at(node.a.buffer, node.a.base, element),
        "b": at(node.b.buffer, node.b.base, element),
    }
    tables = {"c_rows": node.c.row, "b_batch": node.b.batch}
    if isinstance(node.a, GuardedRows):
        found["a_rows"] = at(node.a.table, node.a.start, I32)
        found["zeros"] = context.address(node.a.zeros)
    else:
        tables |= {"a_batch": node.a.batch, "a_rows": node.a.row}
    for name, offsets in tables.items():
        if isinstance(offsets, Table):
            found[name] = at(offsets.buffer, offsets.start, I32)
    return found
