"""Scalar functions as the loops use them: contracted, and in the type they combine."""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.llvm_types import lanes_of, register_type
from polydsl.backend.scalar import emit_cast, emit_function, operand_type
from polydsl.backend.target import Target
from polydsl.base.dtypes import DType

_CONTRACTED = {"add": "fadd", "sub": "fsub", "mul": "fmul"}


def emit_call(
    builder: ir.IRBuilder,
    function: str,
    operands: list[ir.Value],
    dtype: DType,
    target: Target,
) -> ir.Value:
    """Emit a row of the function table on operands of *dtype*.

    Where the ISA has a fused multiply-add, sums and products may become one.
    """
    result = emit_function(builder, function, operands, dtype, target)
    wanted = _CONTRACTED.get(function) if target.isa.has_fma else None
    if isinstance(result, ir.Instruction) and result.opname == wanted:
        result.flags = ["contract"]
    return result


def emit_combination(
    builder: ir.IRBuilder,
    combine: str,
    operands: list[ir.Value],
    dtype: DType,
    target: Target,
) -> ir.Value:
    """Combine two values of *dtype* into one of the same type; integers wrap."""
    result = emit_call(builder, combine, operands, dtype, target)
    if dtype.is_float:
        inner = operand_type(combine, dtype)
        return emit_cast(builder, result, inner, dtype, target.isa)
    kind = register_type(dtype, lanes_of(operands[0].type))
    return result if result.type == kind else builder.trunc(result, kind)
