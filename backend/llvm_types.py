"""The language's element types as LLVM types, in registers and in memory.

A bool is one bit in a register (what comparisons give and selects take) and one byte,
0 or 1, in memory. An f16 or bf16 is an f32 in a register, always one of the numbers of
its type, and 16 bits in memory. Every other type is the same in both. Signedness is
not part of an LLVM type: it travels as the `DType`.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from polydsl.base.dtypes import BOOL, F64, DType


# llvmlite has no types, and a class of unknown type is refused as a base.
class Splat(ir.Constant):  # type: ignore[misc]
    """A vector constant with one value in all lanes; `element` is that value."""

    def __init__(self, vector: ir.VectorType, element: ir.Constant) -> None:
        super().__init__(vector, [element] * vector.count)
        self.element = element

    def _get_reference(self) -> str:
        return f"splat ({self.element})"


@dataclass(frozen=True, slots=True)
class Callee:
    """A pointer with the type of the function that it points at, for llvmlite."""

    pointer: ir.Value
    function_type: ir.FunctionType

    @property
    def type(self) -> ir.Type:
        """The type of the pointer."""
        return self.pointer.type

    def get_reference(self) -> str:
        """Return the pointer as it is written in the text."""
        return str(self.pointer.get_reference())


def register_type(dtype: DType, lanes: int = 1) -> ir.Type:
    """Return the type of a value of *dtype*, a vector if there are several *lanes*."""
    if dtype.is_float:
        return _vector(ir.DoubleType() if dtype == F64 else ir.FloatType(), lanes)
    return _vector(ir.IntType(1 if dtype == BOOL else dtype.bits), lanes)


def memory_type(dtype: DType, lanes: int = 1) -> ir.Type:
    """Return the type that is loaded and stored for a value of *dtype*."""
    if dtype.is_float and not dtype.is_narrow:
        return register_type(dtype, lanes)
    return _vector(ir.IntType(dtype.bits), lanes)


def register_bytes(dtype: DType) -> int:
    """Return how many bytes of a vector register an element takes."""
    return 4 if dtype.is_narrow else dtype.bytes


def constant(type_: ir.Type, number: float) -> ir.Constant:
    """Return a number as a constant of *type_*, in every lane of a vector."""
    if isinstance(type_, ir.VectorType):
        return Splat(type_, constant(type_.element, number))
    if isinstance(type_, ir.IntType):
        return ir.Constant(type_, _wrapped(int(number), type_.width))
    return ir.Constant(type_, float(number))


def constant_number(value: ir.Value) -> float | int | None:
    """Return the number of a constant (equal in every lane), or None."""
    if isinstance(value, Splat):
        return constant_number(value.element)
    if isinstance(value, ir.Constant) and isinstance(value.constant, int | float):
        return value.constant
    return None


def lanes_of(type_: ir.Type) -> int:
    """Return the number of lanes of a vector type, 1 for a scalar type."""
    return type_.count if isinstance(type_, ir.VectorType) else 1


def element_of(type_: ir.Type) -> ir.Type:
    """Return the type of one lane."""
    return type_.element if isinstance(type_, ir.VectorType) else type_


def like(shape: ir.Type, element: ir.Type) -> ir.Type:
    """Return the type with as many lanes as *shape* and the elements *element*."""
    return _vector(element, shape.count) if _is_vector(shape) else element


def intrinsic(
    builder: ir.IRBuilder, name: str, result: ir.Type, arguments: tuple[ir.Value, ...]
) -> ir.Value:
    """Call an LLVM intrinsic by its full name, declaring it in the module if needed."""
    module = builder.module
    function = module.globals.get(name)
    if function is None:
        signature = ir.FunctionType(result, [value.type for value in arguments])
        function = ir.Function(module, signature, name)
    return builder.call(function, arguments)


def suffix(type_: ir.Type) -> str:
    """Return how the name of an overloaded intrinsic spells *type_* (``v8f32``)."""
    if isinstance(type_, ir.VectorType):
        return f"v{type_.count}{suffix(type_.element)}"
    if isinstance(type_, ir.IntType):
        return f"i{type_.width}"
    return "f64" if isinstance(type_, ir.DoubleType) else "f32"


def _is_vector(type_: ir.Type) -> bool:
    return isinstance(type_, ir.VectorType)


def _vector(element: ir.Type, lanes: int) -> ir.Type:
    return element if lanes == 1 else ir.VectorType(element, lanes)


def _wrapped(number: int, width: int) -> int:
    """Return *number* as LLVM reads it: a signed number of *width* bits."""
    if width == 1:
        return number & 1
    half = 1 << (width - 1)
    return (number + half) % (2 * half) - half
