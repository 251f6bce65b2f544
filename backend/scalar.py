"""The emission of every row of the function table, for scalars and vectors alike.

`emit_function` takes operands of one type, as the checker makes them, and applies the
typing rule of the row: narrow integers are computed in i32, and a function of floats
takes integers as f32. It stays in the caller's basic block. A bool is one bit, in
operands and in results. The measured errors are in the docstrings of the functions;
the table promises no less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from polydsl.backend import elementwise
from polydsl.backend.casts import emit_cast
from polydsl.backend.division import (
    floor_divide_real,
    floor_divide_whole,
    modulo_real,
    modulo_whole,
)
from polydsl.backend.exponential import exp, exp2, expm1, sigmoid, silu, tanh
from polydsl.backend.lanes import Context, Real, Truth, Whole
from polydsl.backend.llvm_types import constant
from polydsl.backend.logarithm import log, log1p, log2, softplus
from polydsl.backend.normal import erf, gelu
from polydsl.backend.powers import pow_real, pow_whole
from polydsl.backend.rounding import ceil, floor, round_even
from polydsl.backend.target import Target
from polydsl.backend.trigonometric import cos, sin
from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import BOOL, F32, DType, widen
from polydsl.base.functions import FUNCTIONS

__all__ = ["EMITTED", "emit_cast", "emit_function", "error_note", "operand_type"]

Emission = Callable[..., Any]

_FLOATS: dict[str, Emission] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "floordiv": floor_divide_real,
    "mod": modulo_real,
    "power": pow_real,
    "pow": pow_real,
    "neg": lambda x: -x,
    "abs": lambda x: x.abs(),
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "log": log,
    "log2": log2,
    "log1p": log1p,
    "sqrt": elementwise.sqrt,
    "rsqrt": elementwise.rsqrt,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "erf": erf,
    "sin": sin,
    "cos": cos,
    "floor": floor,
    "ceil": ceil,
    "round": round_even,
    "sign": elementwise.sign_real,
    "relu": elementwise.relu_real,
    "gelu": gelu,
    "silu": silu,
    "softplus": softplus,
    "fma": elementwise.multiply_add,
    "isnan": lambda x: x.is_nan(),
    "min": elementwise.least_real,
    "max": elementwise.greatest_real,
}
_INTEGERS: dict[str, Emission] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "floordiv": floor_divide_whole,
    "mod": modulo_whole,
    "power": pow_whole,
    "neg": lambda x: -x,
    "abs": elementwise.absolute_whole,
    "floor": lambda x: x,
    "ceil": lambda x: x,
    "round": lambda x: x,
    "sign": elementwise.sign_whole,
    "relu": elementwise.relu_whole,
    "fma": lambda x, y, z: x * y + z,
    "isnan": lambda x: x.differs(x),
}
_RELATIONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_SHARED = ("pos", "and", "or", "not", "clamp", "inside", *_RELATIONS)

EMITTED = frozenset((*_FLOATS, *_INTEGERS, *_SHARED))
"""The names of all functions that are emitted."""


def error_note(name: str) -> str:
    """Return the description of a function of floats, with its measured error."""
    return _FLOATS[name].__doc__ or ""


def operand_type(name: str, dtype: DType) -> DType:
    """Return the type in which the function *name* computes on operands of *dtype*."""
    rule = FUNCTIONS[name].rule
    match rule:
        case "arithmetic":
            return widen(dtype)
        case "float":
            return widen(dtype) if dtype.is_float else F32
        case "logical":
            return BOOL
        case "keep" | "compare" | "test":
            return dtype


def emit_function(
    builder: ir.IRBuilder,
    name: str,
    arguments: list[ir.Value],
    dtype: DType,
    target: Target,
) -> ir.Value:
    """Emit the function *name* on operands of the type *dtype*; return its value."""
    if name not in FUNCTIONS or name not in EMITTED:
        bug(f"there is no scalar function {name}")
    inner = operand_type(name, dtype)
    operands = [
        emit_cast(builder, value, dtype, inner, target.isa) for value in arguments
    ]
    if name == "pos":
        return operands[0]
    if name in ("and", "or", "not"):
        return _logical(builder, name, operands)
    if name in _RELATIONS:
        return _comparison(builder, _RELATIONS[name], operands, inner)
    if name == "clamp":
        x, least, most = operands
        raised = emit_function(builder, "max", [x, least], inner, target)
        return emit_function(builder, "min", [raised, most], inner, target)
    if name == "inside":
        x, extent = operands
        last = builder.sub(extent, constant(extent.type, 1))
        return elementwise.extremum(builder, "min", [x, last], signed=False)
    context = Context(builder, target.isa.has_fma)
    if inner.is_float:
        return _folded(_FLOATS[name], [Real(context, v) for v in operands], name)
    if name in ("min", "max"):
        return elementwise.extremum(builder, name, operands, signed=inner.signed)
    return _folded(_INTEGERS[name], [Whole(context, v) for v in operands], name)


def _folded(emission: Emission, operands: list[Any], name: str) -> ir.Value:
    """Apply *emission*, a variadic one from the left."""
    if not FUNCTIONS[name].variadic:
        result = emission(*operands)
    else:
        result = operands[0]
        for operand in operands[1:]:
            result = emission(result, operand)
    assert isinstance(result, Real | Whole | Truth)
    return result.value


def _logical(builder: ir.IRBuilder, name: str, operands: list[ir.Value]) -> ir.Value:
    if name == "not":
        return builder.not_(operands[0])
    combine = builder.and_ if name == "and" else builder.or_
    return combine(operands[0], operands[1])


def _comparison(
    builder: ir.IRBuilder, relation: str, operands: list[ir.Value], dtype: DType
) -> ir.Value:
    left, right = operands
    if dtype.is_float:
        # NaN differs from everything, itself included.
        unordered = relation == "!="
        compare = builder.fcmp_unordered if unordered else builder.fcmp_ordered
    else:
        compare = builder.icmp_signed if dtype.signed else builder.icmp_unsigned
    return compare(relation, left, right)
