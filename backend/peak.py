"""What one core of this machine can do: arithmetic without memory, memory without
arithmetic.

Both are loops compiled for the target, so "percent of peak" is relative to what this
machine does at this moment and not to a data sheet. A round takes well under a
millisecond or streams once through memory; the best of many rounds counts, since
others may be using the machine too.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from llvmlite import ir

from polydsl.backend.carried_loop import Values, carried_loop
from polydsl.backend.jit import NativeKernel, compile_object, load
from polydsl.backend.target import Target
from polydsl.backend.vector_memory import (
    VectorRow,
    element_type,
    load_vector,
    multiply_add,
    store_vector,
)
from polydsl.base.dtypes import F32, DType

_CHAINS = 12
"""Independent sums: they cover 2 units with a latency of 4 (or 3 + 3 unfused) and,
with the two constants, fit 16 registers."""

_TRIPS = 100_000
_STREAMED_BYTES = 1 << 27
_ENTRY = "polydsl_measure"


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A compiled loop that does `work` operations, or moves `work` bytes, in a call."""

    work: int
    _kernel: NativeKernel = field(repr=False)
    _memory: np.ndarray[tuple[int], np.dtype[np.uint8]] = field(repr=False)

    def round(self) -> float:
        """Run once; return billions of operations or bytes for each second."""
        entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._kernel.address(_ENTRY))
        start = time.perf_counter()
        entry(self._memory.ctypes.data)
        return self.work / (time.perf_counter() - start) / 1e9


def measure_peak(target: Target, dtype: DType, *, rounds: int = 40) -> float:
    """Return the GFLOP/s of one core with vectors of *dtype* in registers."""
    probe = arithmetic_probe(target, dtype)
    return max(probe.round() for _ in range(rounds))


def measure_bandwidth(target: Target, *, rounds: int = 5) -> float:
    """Return the GB/s at which one core reads memory that is in no cache."""
    probe = bandwidth_probe(target)
    return max(probe.round() for _ in range(rounds))


def arithmetic_probe(target: Target, dtype: DType) -> Probe:
    """Return a loop of independent vector multiply-adds, for interleaved measuring."""
    count = _vectors(target, dtype, _CHAINS).columns
    # x becomes x/2 + 1/2: it stays near 1, away from overflow and from denormals.
    memory = np.full(count, 0.5, dtype.numpy).view(np.uint8)
    kernel = _compiled(target, arithmetic_text(target, dtype))
    return Probe(2 * count * _TRIPS, kernel, memory)


def arithmetic_text(target: Target, dtype: DType) -> str:
    """Return the LLVM IR of that loop."""
    row = _vectors(target, dtype, _CHAINS)

    def emit(builder: ir.IRBuilder, memory: ir.Value) -> None:
        factor = load_vector(builder, row, memory, 0)
        starts = tuple(load_vector(builder, row, memory, v) for v in range(_CHAINS))

        def step(_: ir.Value, sums: Values) -> Values:
            fused = target.isa.has_fma
            return tuple(
                multiply_add(builder, x, factor, factor, fused=fused) for x in sums
            )

        _store_all(builder, row, memory, carried_loop(builder, _TRIPS, 1, starts, step))

    return _module_text(target, emit)


def bandwidth_probe(target: Target, size: int = _STREAMED_BYTES) -> Probe:
    """Return a loop that adds up *size* bytes of memory."""
    row = _vectors(target, F32, _CHAINS)
    trips = size // (row.columns * F32.bytes)

    def emit(builder: ir.IRBuilder, memory: ir.Value) -> None:
        starts = (ir.Constant(row.type, None),) * _CHAINS

        def step(index: ir.Value, sums: Values) -> Values:
            here = builder.gep(memory, [index], source_etype=row.element)
            return tuple(
                builder.fadd(total, load_vector(builder, row, here, v))
                for v, total in enumerate(sums)
            )

        end = trips * row.columns
        sums = carried_loop(builder, end, row.columns, starts, step)
        _store_all(builder, row, memory, sums)

    # Ones and not zeros: pages that were never written share one page of zeros.
    memory = np.ones(trips * row.columns, np.float32).view(np.uint8)
    return Probe(memory.nbytes, _compiled(target, _module_text(target, emit)), memory)


def _vectors(target: Target, dtype: DType, count: int) -> VectorRow:
    lanes = target.isa.lanes(dtype)
    return VectorRow(element_type(dtype), lanes, count * lanes, target.isa.has_masks)


def _store_all(
    builder: ir.IRBuilder, row: VectorRow, memory: ir.Value, values: Values
) -> None:
    """Store the results, so that the loop is not dead code."""
    for v, value in enumerate(values):
        store_vector(builder, row, value, memory, v)


def _module_text(target: Target, emit: Callable[[ir.IRBuilder, ir.Value], None]) -> str:
    """Return a module with one function that takes a pointer, filled by *emit*."""
    module = ir.Module("measure")
    module.triple = target.triple
    kind = ir.FunctionType(ir.VoidType(), [ir.PointerType()])
    function = ir.Function(module, kind, _ENTRY)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit(builder, function.args[0])
    builder.ret_void()
    return str(module)


def _compiled(target: Target, text: str) -> NativeKernel:
    return load(compile_object(text, target), exports=(_ENTRY,))
