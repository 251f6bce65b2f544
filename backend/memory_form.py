"""Values between memory and registers, and numbers in either form.

What differs between the two is said in `llvm_types`: a bool is a byte or a bit, an f16
or bf16 16 bits or an f32.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from polydsl.backend.half_precision import decoded, encoded
from polydsl.backend.isa import VectorISA
from polydsl.backend.llvm_types import constant, like, memory_type, register_type
from polydsl.base.dtypes import BOOL, DType
from polydsl.base.rounding import round_number


def from_memory(
    builder: ir.IRBuilder, value: ir.Value, dtype: DType, isa: VectorISA
) -> ir.Value:
    """Return a loaded value in its register form."""
    if dtype.is_narrow:
        return decoded(builder, value, dtype, isa)
    if dtype != BOOL:
        return value
    return builder.icmp_unsigned("!=", value, constant(value.type, 0))


def to_memory(
    builder: ir.IRBuilder, value: ir.Value, dtype: DType, isa: VectorISA
) -> ir.Value:
    """Return a value in the form that is stored."""
    if dtype.is_narrow:
        return encoded(builder, value, dtype, isa)
    if dtype != BOOL:
        return value
    return builder.zext(value, like(value.type, ir.IntType(8)))


def register_number(dtype: DType, number: float, lanes: int = 1) -> ir.Constant:
    """Return a number of *dtype* as a constant in a register, in every lane."""
    kind = register_type(dtype, lanes)
    return constant(kind, round_number(dtype, number) if dtype.is_narrow else number)


def memory_number(dtype: DType, number: float) -> ir.Constant:
    """Return a number of *dtype* as a constant in memory."""
    if not dtype.is_narrow:
        return constant(memory_type(dtype), number)
    bits = dtype.numpy.type(round_number(dtype, number)).view(np.uint16)
    return constant(memory_type(dtype), int(bits))
