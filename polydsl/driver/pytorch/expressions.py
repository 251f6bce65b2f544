"""Expressions as functions of tensors, by a table of PyTorch's operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, assert_never

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import DType
from polydsl.driver.pytorch.box import Box
from polydsl.driver.pytorch.views import Run, Tensors, padded_view, view
from polydsl.poly.scop import Scop
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Pad,
    Reduce,
    Select,
    Size,
    accesses,
)

_TYPES = {
    "f64": "float64",
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "i64": "int64",
    "i32": "int32",
    "i16": "int16",
    "i8": "int8",
    "u8": "uint8",
    "bool": "bool",
}


_SAME_NAME = (
    *("exp", "exp2", "expm1", "log", "log2", "log1p", "sqrt", "rsqrt", "tanh"),
    *("sigmoid", "erf", "sin", "cos", "floor", "ceil", "round", "sign", "abs"),
    *("eq", "ne", "lt", "le", "gt", "ge", "isnan", "relu", "clamp"),
)


def torch_type(torch: Any, dtype: DType) -> Any:
    """Return PyTorch's dtype."""
    return getattr(torch, _TYPES[dtype.name])


def operations(torch: Any) -> Mapping[str, Callable[..., Any]]:
    """Return PyTorch's operation for every row of the function table."""
    functional = torch.nn.functional
    return {name: getattr(torch, name) for name in _SAME_NAME} | {
        "add": torch.add,
        "sub": torch.sub,
        "mul": torch.mul,
        "div": torch.true_divide,
        "floordiv": torch.floor_divide,
        "mod": torch.remainder,
        "power": torch.pow,
        "pow": torch.pow,
        "neg": torch.neg,
        "pos": torch.positive,
        "and": torch.logical_and,
        "or": torch.logical_or,
        "not": torch.logical_not,
        "gelu": functional.gelu,
        "silu": functional.silu,
        "softplus": functional.softplus,
        "min": lambda *given: reduce(torch.minimum, given),
        "max": lambda *given: reduce(torch.maximum, given),
        "fma": lambda x, y, z: torch.addcmul(z, x, y),
        "inside": lambda x, n: torch.where((x >= 0) & (x < n), x, n - 1),
    }


@dataclass(frozen=True, slots=True)
class Translator:
    """The expressions of one box of points."""

    torch: Any
    scop: Scop
    box: Box

    def translate(self, expr: Expr) -> Run:
        """Return what computes an expression at all points, constants at once."""
        run = self._translate(expr)
        if any(accesses(expr)):
            return run
        constant = run({})
        return lambda tensors: constant

    def _translate(self, expr: Expr) -> Run:
        torch, box = self.torch, self.box
        match expr:
            case Literal(value, dtype):
                return self._constant(value, dtype)
            case Size(name, dtype):
                return self._constant(box.sizes[name], dtype)
            case Index(name):
                shape = [box.extents[a] if a == name else 1 for a in box.axes]
                return lambda tensors: torch.arange(box.extents[name]).reshape(shape)
            case Access(name):
                shape_of = self.scop.tensor(name).shape
                return view(torch, box, expr, shape_of, self.translate)
            case Pad(access):
                shape_of = self.scop.tensor(access.tensor).shape
                run = padded_view(torch, box, expr, shape_of, self.translate)
                return self._cast(run, access.dtype, expr.dtype)
            case Call(function, arguments):
                return self._call(function, arguments)
            case Select(condition, then, otherwise):
                return self._apply(torch.where, (condition, then, otherwise))
            case Cast(operand, dtype):
                return self._cast(self.translate(operand), operand.dtype, dtype)
            case Reduce():
                bug("a reduction is a statement of its own")
            case _:
                assert_never(expr)

    def _constant(self, value: Any, dtype: DType) -> Run:
        shape = (1,) * len(self.box.axes)
        wanted = torch_type(self.torch, dtype)
        return lambda tensors: self.torch.full(shape, value, dtype=wanted)

    def _cast(self, run: Run, source: DType, dtype: DType) -> Run:
        if source == dtype:
            return run
        wanted = torch_type(self.torch, dtype)
        return lambda tensors: run(tensors).to(wanted)

    def _call(self, function: str, arguments: tuple[Expr, ...]) -> Run:
        return self._apply(operations(self.torch)[function], arguments)

    def _apply(self, operation: Callable[..., Any], operands: tuple[Expr, ...]) -> Run:
        runs = tuple(self.translate(operand) for operand in operands)

        def run(tensors: Tensors) -> Any:
            return operation(*(r(tensors) for r in runs))

        return run
