"""Scalar functions as the loops use them: contracted, and in the type they combine.

Which sums become fused multiply-adds is decided here. LLVM, if it may, contracts one
copy of a loop's body and not another, and then bits depend on which of them runs.
"""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.llvm_types import intrinsic, lanes_of, register_type, suffix
from polydsl.backend.scalar import emit_cast, emit_function, operand_type
from polydsl.backend.target import Target
from polydsl.base.dtypes import DType

_PRODUCT = "contract"
"""The flag by which a product of the program's is known. Alone it lets LLVM do nothing:
a sum would need it, too."""


def emit_call(
    builder: ir.IRBuilder,
    function: str,
    operands: list[ir.Value],
    dtype: DType,
    target: Target,
) -> ir.Value:
    """Emit a row of the function table on operands of *dtype*.

    Where the ISA has a fused multiply-add, a sum of a product becomes one.
    """
    if target.isa.has_fma and function in ("add", "sub"):
        fused = _fused(builder, function, operands)
        if fused is not None:
            return fused
    result = emit_function(builder, function, operands, dtype, target)
    is_product = isinstance(result, ir.Instruction) and result.opname == "fmul"
    if function == "mul" and is_product:
        result.flags = [_PRODUCT]
    return result


def _fused(
    builder: ir.IRBuilder, function: str, operands: list[ir.Value]
) -> ir.Value | None:
    """Return a sum or difference with a product as one operation, the first operand's
    where both are products; None where neither is."""
    left, right = operands
    if _is_product(left):
        x, y = left.operands
        z = builder.fneg(right) if function == "sub" else right
    elif _is_product(right):
        x, y = right.operands
        x = builder.fneg(x) if function == "sub" else x
        z = left
    else:
        return None
    return intrinsic(builder, f"llvm.fma.{suffix(z.type)}", z.type, (x, y, z))


def _is_product(value: ir.Value) -> bool:
    return (
        isinstance(value, ir.Instruction)
        and value.opname == "fmul"
        and _PRODUCT in value.flags
    )


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
