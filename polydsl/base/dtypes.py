"""The element types of the language and what is known about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import ml_dtypes
import numpy as np

Kind = Literal["float", "int", "bool"]


@dataclass(frozen=True, slots=True)
class DType:
    """An element type: its name in the language, kind, width in bits and signedness."""

    name: str
    kind: Kind
    bits: int
    signed: bool = True

    @property
    def bytes(self) -> int:
        """The size of one element in memory, in bytes."""
        return max(1, self.bits // 8)

    @property
    def is_float(self) -> bool:
        """Whether values are floating-point numbers."""
        return self.kind == "float"

    @property
    def is_int(self) -> bool:
        """Whether values are integers (bool is not)."""
        return self.kind == "int"

    @property
    def is_narrow(self) -> bool:
        """Whether values are floats of 16 bits, which are computed with as f32."""
        return self.kind == "float" and self.bits < 32

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of arrays of this type (bf16 comes from ml_dtypes)."""
        return _NUMPY[self.name]

    @property
    def eps(self) -> float:
        """The distance from 1 to the next larger number of a float type."""
        return _EPS[self.name]

    @property
    def least(self) -> int:
        """The least value of an integer type."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def greatest(self) -> int:
        """The greatest value of an integer type."""
        return (1 << (self.bits - self.signed)) - 1

    def __str__(self) -> str:
        return self.name


F64 = DType("f64", "float", 64)
F32 = DType("f32", "float", 32)
F16 = DType("f16", "float", 16)
BF16 = DType("bf16", "float", 16)
I64 = DType("i64", "int", 64)
I32 = DType("i32", "int", 32)
I16 = DType("i16", "int", 16)
I8 = DType("i8", "int", 8)
U8 = DType("u8", "int", 8, signed=False)
BOOL = DType("bool", "bool", 8, signed=False)

DTYPES: dict[str, DType] = {
    dtype.name: dtype for dtype in (F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL)
}

_NUMPY: dict[str, np.dtype[Any]] = {
    "f64": np.dtype(np.float64),
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "i64": np.dtype(np.int64),
    "i32": np.dtype(np.int32),
    "i16": np.dtype(np.int16),
    "i8": np.dtype(np.int8),
    "u8": np.dtype(np.uint8),
    "bool": np.dtype(np.bool_),
}
_EPS = {"f64": 2.0**-52, "f32": 2.0**-23, "f16": 2.0**-10, "bf16": 2.0**-7}


def from_numpy(dtype: np.dtype[Any]) -> DType | None:
    """Return the type of NumPy arrays of *dtype*, or None if the language has none."""
    return next((d for name, d in DTYPES.items() if _NUMPY[name] == dtype), None)


def widen(dtype: DType) -> DType:
    """Return the type that operators compute in: f32 from f16 and bf16, i32 from less.

    (`docs/reference/language.md`, "Types and numbers".)
    """
    if dtype.is_float:
        return dtype if dtype.bits >= 32 else F32
    return dtype if dtype.bits >= 32 and dtype.is_int else I32


def promote(left: DType, right: DType) -> DType:
    """Return the type of an arithmetic operator on two strong operands."""
    left, right = widen(left), widen(right)
    if left.is_float != right.is_float:
        return left if left.is_float else right
    return left if left.bits >= right.bits else right
