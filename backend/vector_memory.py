"""Loads and stores of a row of elements as vectors, exactly its bytes and no others.

A row of `columns` elements is a number of whole vectors and perhaps a *tail* of fewer
lanes. A tail of one lane is a scalar (LLVM aborts on some vectors of one lane), one of
another power of two a plain load of a shorter vector; other tails are masked where the
ISA has masks, and elsewhere a load of the odd vector type, which LLVM splits into exact
pieces. So nothing outside the row is ever touched.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from polydsl.backend.carried_loop import I64
from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import DType

I1 = ir.IntType(1)
I32 = ir.IntType(32)


def element_type(dtype: DType) -> ir.Type:
    """Return the LLVM type of the elements of a float type of at least 32 bits."""
    match dtype.name:
        case "f32":
            return ir.FloatType()
        case "f64":
            return ir.DoubleType()
        case _:
            bug(f"no vector registers for {dtype}")


@dataclass(frozen=True, slots=True)
class VectorRow:
    """A row of `columns` elements of one type, held in vectors of `lanes`."""

    element: ir.Type
    lanes: int
    columns: int
    has_masks: bool

    @property
    def vectors(self) -> int:
        """How many vectors hold the row; the last may be partial."""
        return -(-self.columns // self.lanes)

    @property
    def type(self) -> ir.VectorType:
        """The type of one vector."""
        return ir.VectorType(self.element, self.lanes)

    def width(self, vector: int) -> int:
        """Return how many lanes of the given vector hold elements."""
        return min(self.lanes, self.columns - vector * self.lanes)


def element_address(
    builder: ir.IRBuilder, row: VectorRow, start: ir.Value, at: int
) -> ir.Value:
    """Return the address of element *at* of what begins at *start*."""
    if at == 0:
        return start
    return builder.gep(start, [I64(at)], source_etype=row.element)


def load_vector(
    builder: ir.IRBuilder, row: VectorRow, start: ir.Value, vector: int
) -> ir.Value:
    """Load one vector of the row that begins at *start*; lanes past its end are 0."""
    address = element_address(builder, row, start, vector * row.lanes)
    width, align = row.width(vector), _alignment(row)
    if width == row.lanes:
        return builder.load(address, align=align, typ=row.type)
    if width == 1:
        scalar = builder.load(address, align=align, typ=row.element)
        return builder.insert_element(ir.Constant(row.type, None), scalar, I32(0))
    if row.has_masks and width.bit_count() > 1:
        kind = ir.FunctionType(
            row.type, [ir.PointerType(), I32, _mask_type(row), row.type]
        )
        function = declare(
            builder.module, f"llvm.masked.load.{mangled(row.type)}.p0", kind
        )
        zeros = ir.Constant(row.type, None)
        return builder.call(function, [address, I32(align), _mask(row, width), zeros])
    short = ir.VectorType(row.element, width)
    value = builder.load(address, align=align, typ=short)
    return _shuffle(builder, value, ir.Constant(short, None), row.lanes)


def store_vector(
    builder: ir.IRBuilder, row: VectorRow, value: ir.Value, start: ir.Value, vector: int
) -> None:
    """Store one vector of the row that begins at *start*, as far as the row reaches."""
    address = element_address(builder, row, start, vector * row.lanes)
    width, align = row.width(vector), _alignment(row)
    if width == row.lanes:
        builder.store(value, address, align=align)
    elif width == 1:
        builder.store(builder.extract_element(value, I32(0)), address, align=align)
    elif row.has_masks:
        arguments = [row.type, ir.PointerType(), I32, _mask_type(row)]
        kind = ir.FunctionType(ir.VoidType(), arguments)
        function = declare(
            builder.module, f"llvm.masked.store.{mangled(row.type)}.p0", kind
        )
        builder.call(function, [value, address, I32(align), _mask(row, width)])
    else:
        builder.store(_shuffle(builder, value, value, width), address, align=align)


def broadcast(builder: ir.IRBuilder, row: VectorRow, address: ir.Value) -> ir.Value:
    """Load the element at *address* into every lane of a vector."""
    scalar = builder.load(address, align=_alignment(row), typ=row.element)
    undefined = ir.Constant(row.type, ir.Undefined)
    first = builder.insert_element(undefined, scalar, I32(0))
    zeros = ir.Constant(ir.VectorType(I32, row.lanes), None)
    return builder.shuffle_vector(first, undefined, zeros)


def prefetch(builder: ir.IRBuilder, address: ir.Value, *, for_write: bool) -> None:
    """Ask the cache for the line at *address*, which will be read, or read and
    written."""
    kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(), I32, I32, I32])
    function = declare(builder.module, "llvm.prefetch.p0", kind)
    keep_close, is_data = I32(3), I32(1)
    builder.call(function, [address, I32(int(for_write)), keep_close, is_data])


def multiply_add(
    builder: ir.IRBuilder,
    left: ir.Value,
    right: ir.Value,
    total: ir.Value,
    *,
    fused: bool,
) -> ir.Value:
    """Return `left * right + total` by one fused instruction, or else by two."""
    if not fused:
        return builder.fadd(builder.fmul(left, right), total)
    kind = ir.FunctionType(total.type, [total.type] * 3)
    function = declare(builder.module, f"llvm.fma.{mangled(total.type)}", kind)
    return builder.call(function, [left, right, total])


def declare(module: ir.Module, name: str, kind: ir.FunctionType) -> ir.Function:
    """Return the function *name* of the module, declared if it is new there."""
    known = module.globals.get(name)
    return known if known is not None else ir.Function(module, kind, name)


def mangled(type_: ir.Type) -> str:
    """Return the suffix by which LLVM tells an intrinsic's types apart."""
    if isinstance(type_, ir.VectorType):
        return f"v{type_.count}{mangled(type_.element)}"
    return "f64" if type_ == ir.DoubleType() else "f32"


def _alignment(row: VectorRow) -> int:
    return 8 if row.element == ir.DoubleType() else 4


def _mask_type(row: VectorRow) -> ir.VectorType:
    return ir.VectorType(I1, row.lanes)


def _mask(row: VectorRow, width: int) -> ir.Constant:
    return ir.Constant(_mask_type(row), [lane < width for lane in range(row.lanes)])


def _shuffle(
    builder: ir.IRBuilder, low: ir.Value, high: ir.Value, width: int
) -> ir.Value:
    """Return the first *width* lanes of *low*, continued by those of *high*."""
    count = low.type.count
    # Lane `count` is the first one of `high`; where that is zeros, any of them will do.
    lanes = [I32(min(lane, count)) for lane in range(width)]
    return builder.shuffle_vector(
        low, high, ir.Constant(ir.VectorType(I32, width), lanes)
    )
