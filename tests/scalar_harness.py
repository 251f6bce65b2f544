"""Compiles one scalar function into a loop over arrays, on any ISA row, for tests."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir

from polydsl.backend.isa import ISAS, VectorISA
from polydsl.backend.jit import NativeKernel, compile_object, load
from polydsl.backend.llvm_types import memory_type
from polydsl.backend.memory_form import from_memory, to_memory
from polydsl.backend.scalar import emit_cast, emit_function, operand_type
from polydsl.backend.target import Target, host_target
from polydsl.base.dtypes import BOOL, DType
from polydsl.base.functions import FUNCTIONS

HOST_ROWS = tuple(
    isa for isa in ISAS if isa.vector_bits <= host_target().isa.vector_bits
)
"""The ISA rows that this machine runs."""


def widths(isa: VectorISA) -> tuple[int, ...]:
    """Return the lanes to test: full vectors (0), and one on the best row."""
    return (0, 1) if isa is HOST_ROWS[0] else (0,)


Emission = Callable[[ir.IRBuilder, list[ir.Value]], ir.Value]

_I64 = ir.IntType(64)


def module_text(
    emission: Emission,
    operands: list[DType],
    result: DType,
    lanes: int,
    isa: VectorISA,
) -> str:
    """Return a module whose `run(inputs..., output, count)` maps arrays."""
    module = ir.Module()
    add_map(module, "run", emission, operands, result, lanes, isa)
    return str(module)


def add_map(
    module: ir.Module,
    name: str,
    emission: Emission,
    operands: list[DType],
    result: DType,
    lanes: int,
    isa: VectorISA,
) -> None:
    """Define a function that maps arrays, *lanes* elements at a time."""
    pointers = [ir.PointerType()] * (len(operands) + 1)
    function = ir.Function(
        module, ir.FunctionType(ir.VoidType(), [*pointers, _I64]), name
    )
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    entry, loop = builder.block, function.append_basic_block("loop")
    done = function.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    place = builder.phi(_I64)
    values = []
    for dtype, pointer in zip(operands, function.args):
        element = memory_type(dtype)
        address = builder.gep(pointer, [place], source_etype=element)
        loaded = builder.load(address, typ=memory_type(dtype, lanes), align=1)
        values.append(from_memory(builder, loaded, dtype, isa))
    value = to_memory(builder, emission(builder, values), result, isa)
    address = builder.gep(function.args[-2], [place], source_etype=memory_type(result))
    builder.store(value, address, align=1)
    following = builder.add(place, ir.Constant(_I64, lanes))
    place.add_incoming(ir.Constant(_I64, 0), entry)
    place.add_incoming(following, builder.block)
    more = builder.icmp_signed("<", following, function.args[-1])
    builder.cbranch(more, loop, done)
    builder.position_at_end(done)
    builder.ret_void()


def result_type(name: str, dtype: DType) -> DType:
    """Return the type of the function *name* on operands of *dtype*."""
    is_bool = FUNCTIONS[name].rule in ("compare", "logical", "test")
    return BOOL if is_bool else operand_type(name, dtype)


def add_function(
    module: ir.Module, name: str, dtype: DType, target: Target, lanes: int
) -> None:
    """Define a map of the function *name*, called by that name and the lanes."""
    add_map(
        module,
        f"{name}_{lanes}",
        lambda builder, values: emit_function(builder, name, values, dtype, target),
        [dtype] * FUNCTIONS[name].arity,
        result_type(name, dtype),
        lanes,
        target.isa,
    )


@dataclass(frozen=True)
class Mapped:
    """A compiled map over arrays."""

    kernel: NativeKernel
    result: DType
    lanes: int

    def __call__(self, *arrays: Any) -> Any:
        count = max(len(a) for a in arrays)
        padded = -(-max(count, 1) // self.lanes) * self.lanes
        inputs = [np.resize(np.ascontiguousarray(a), padded) for a in arrays]
        output = np.empty(padded, self.result.numpy)
        prototype = ctypes.CFUNCTYPE(
            None, *[ctypes.c_void_p] * (len(arrays) + 1), ctypes.c_int64
        )
        run = prototype(self.kernel.address("run"))
        run(*[a.ctypes.data for a in (*inputs, output)], padded)
        return output[:count]


def compiled(
    emission: Emission,
    operands: list[DType],
    result: DType,
    target: Target,
    lanes: int,
) -> Mapped:
    """Compile any emission for a row of this machine."""
    text = module_text(emission, operands, result, lanes, target.isa)
    image = compile_object(text, target)
    return Mapped(load(image, exports=("run",)), result, lanes)


@cache
def mapped(
    name: str, dtype: DType, isa: VectorISA, lanes: int = 0, arity: int = 0
) -> Mapped:
    """Compile the function *name* for an ISA row of this machine."""
    target = host_target(isa.name)
    return compiled(
        lambda builder, values: emit_function(builder, name, values, dtype, target),
        [dtype] * (arity or FUNCTIONS[name].arity),
        result_type(name, dtype),
        target,
        lanes or isa.lanes(dtype),
    )


@cache
def mapped_cast(source: DType, target: DType, isa: VectorISA, lanes: int = 0) -> Mapped:
    """Compile a cast for an ISA row of this machine."""
    return compiled(
        lambda builder, values: emit_cast(builder, values[0], source, target, isa),
        [source],
        target,
        host_target(isa.name),
        lanes or isa.lanes(source),
    )
