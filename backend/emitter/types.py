"""Types, folded address arithmetic and lanes: small things every part needs.

Integer arithmetic on addresses is folded where both operands are known, so that
register tiles have constant subscripts as soon as they are emitted.
"""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.llvm_types import Splat

I1 = ir.IntType(1)
I8 = ir.IntType(8)
I32 = ir.IntType(32)
I64 = ir.IntType(64)
POINTER = ir.PointerType()
VOID = ir.VoidType()

NULL = ir.Constant(POINTER, None)

_LONGEST_NAME = 100


def number(value: int) -> ir.Constant:
    """Return an i64 constant."""
    return ir.Constant(I64, value)


def zeros(kind: ir.Type) -> ir.Constant:
    """Return 0, in every lane of a vector."""
    return ir.Constant(kind, None)


def constant_of(value: ir.Value) -> int | None:
    """Return the number that an integer is known to be, or None."""
    if isinstance(value, ir.Constant) and isinstance(value.constant, int):
        return int(value.constant)
    return None


def ir_name(name: str) -> str:
    """Return the beginning of a name: LLVM keeps no more than 1024 characters of the
    names of values, and then takes them for others."""
    return name[:_LONGEST_NAME]


def reserve(entry: ir.IRBuilder, kind: ir.Type, name: str = "") -> ir.Value:
    """Reserve stack space for a value of *kind*, aligned to a cache line."""
    place = entry.alloca(kind, name=ir_name(name))
    place.align = 64
    return untyped(place)


def untyped(place: ir.Value) -> ir.Value:
    """Return an address without the pointee that llvmlite would check stores by."""
    place.type = POINTER
    return place


def add(builder: ir.IRBuilder, left: ir.Value, right: ir.Value) -> ir.Value:
    """Add two i64 subscripts, which never overflow."""
    x, y = constant_of(left), constant_of(right)
    if x is not None and y is not None:
        return number(x + y)
    if x == 0 or y == 0:
        return right if x == 0 else left
    return builder.add(left, right, flags=("nsw",))


def scale(builder: ir.IRBuilder, value: ir.Value, factor: int) -> ir.Value:
    """Multiply an i64 subscript, which never overflows, by a number."""
    known = constant_of(value)
    if known is not None:
        return number(known * factor)
    if factor == 1:
        return value
    return builder.mul(value, number(factor), flags=("nsw",))


def offset(
    builder: ir.IRBuilder, start: ir.Value, elements: ir.Value, element: ir.Type
) -> ir.Value:
    """Return the address *elements* after *start*; it may lie outside the buffer."""
    if constant_of(elements) == 0:
        return start
    return builder.gep(start, [elements], source_etype=element)


def splat(builder: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    """Return a vector with *scalar* in every lane."""
    kind = ir.VectorType(scalar.type, lanes)
    if isinstance(scalar, ir.Constant):
        return Splat(kind, scalar)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, scalar, I32(0))
    return builder.shuffle_vector(first, nothing, zeros(ir.VectorType(I32, lanes)))


def counting(
    element: ir.IntType, lanes: int, step: int = 1, first: int = 0
) -> ir.Constant:
    """Return the vector first, first + step, first + 2*step, ..."""
    steps = [first + i * step for i in range(lanes)]
    return ir.Constant(ir.VectorType(element, lanes), steps)


def without_constant(value: ir.Value) -> tuple[ir.Value, int]:
    """Return a value and a number whose sum is *value*: the number that it adds."""
    if isinstance(value, ir.Instruction) and value.opname == "add":
        rest, last = value.operands
        number = constant_of(last)
        if number is not None:
            return rest, number
    return value, 0


def shuffle(
    builder: ir.IRBuilder, left: ir.Value, right: ir.Value, picks: list[int]
) -> ir.Value:
    """Return the picked lanes of *left* followed by *right*."""
    mask = ir.Constant(ir.VectorType(I32, len(picks)), picks)
    return builder.shuffle_vector(left, right, mask)


def any_lane(builder: ir.IRBuilder, mask: ir.Value) -> ir.Value:
    """Return whether any lane of a mask is set, as an i1."""
    bits = ir.IntType(mask.type.count)
    return builder.icmp_unsigned("!=", builder.bitcast(mask, bits), bits(0))


def every_lane(builder: ir.IRBuilder, mask: ir.Value) -> ir.Value:
    """Return whether every lane of a mask is set, as an i1."""
    bits = ir.IntType(mask.type.count)
    return builder.icmp_unsigned("==", builder.bitcast(mask, bits), bits(-1))
