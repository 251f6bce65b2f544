"""Where the operands of a microkernel lie: from table entries to addresses.

`Body` is what every part of a microkernel's emission needs to know. Rows of A that lie
at a constant distance share one address register and differ in displacements; rows
from a table have a pointer each, formed once for each position of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llvmlite import ir

from polydsl.backend.carried_loop import I64
from polydsl.backend.isa import VectorISA
from polydsl.backend.microkernel_spec import GUARDED, TABLE, Microkernel, Step
from polydsl.backend.target import Target
from polydsl.backend.vector_memory import I32, VectorRow, element_type
from polydsl.loops.nest import OUTSIDE


@dataclass(frozen=True, slots=True)
class Body:
    """A microkernel under construction: its specification, target and arguments.

    `row` describes a row of B or C in vectors, `pointers` holds the arguments by name.
    """

    builder: ir.IRBuilder
    spec: Microkernel
    target: Target
    row: VectorRow
    pointers: dict[str, ir.Value]

    @property
    def isa(self) -> VectorISA:
        """The row of the ISA table that the code is for."""
        return self.target.isa

    def advance(self, pointer: ir.Value, elements: ir.Value) -> ir.Value:
        """Return *pointer* moved by a number of elements that is an i64 value."""
        return self.builder.gep(pointer, [elements], source_etype=self.row.element)


def body_of(
    builder: ir.IRBuilder,
    spec: Microkernel,
    target: Target,
    pointers: dict[str, ir.Value],
) -> Body:
    """Return the body of *spec* for a target."""
    lanes, has_masks = target.isa.lanes(spec.dtype), target.isa.has_masks
    row = VectorRow(element_type(spec.dtype), lanes, spec.columns, has_masks)
    return Body(builder, spec, target, row, pointers)


def row_pointers(body: Body, t: ir.Value) -> Iterator[ir.Value]:
    """Yield the address of element 0 of each row of A at batch position *t*."""
    spec, pointers = body.spec, body.pointers
    if spec.a_row == GUARDED:
        yield from _guarded_rows(body, t)
        return
    start = _move(body, pointers["a"], spec.a_batch, "a_batch", t)
    for m in range(spec.rows):
        yield _move(body, start, spec.a_row, "a_rows", I64(m))


def column_pointer(body: Body, t: ir.Value) -> ir.Value:
    """Return the address of element (0, 0) of B at batch position *t*."""
    return _move(body, body.pointers["b"], body.spec.b_batch, "b_batch", t)


def tile_pointer(body: Body, m: int) -> ir.Value:
    """Return the address of element 0 of row *m* of C."""
    return _move(body, body.pointers["c"], body.spec.c_row, "c_rows", I64(m))


def _guarded_rows(body: Body, t: ir.Value) -> Iterator[ir.Value]:
    """Yield the rows at *t*; a padded one is the line of zeros, without a branch.

    The address of a padded row is formed too, but nothing is loaded from it.
    """
    builder, pointers = body.builder, body.pointers
    first = builder.mul(t, I64(body.spec.rows))
    for m in range(body.spec.rows):
        offset = _table_entry(body, "a_rows", builder.add(first, I64(m)))
        is_outside = builder.icmp_signed("==", offset, I32(OUTSIDE))
        inside = body.advance(pointers["a"], builder.sext(offset, I64))
        yield builder.select(is_outside, pointers["zeros"], inside)


def _move(
    body: Body, pointer: ir.Value, step: Step, table: str, at: ir.Value
) -> ir.Value:
    """Return *pointer* moved to position *at* of a strided or tabulated sequence."""
    if step == TABLE:
        offset = _table_entry(body, table, at)
        return body.advance(pointer, body.builder.sext(offset, I64))
    return body.advance(pointer, body.builder.mul(at, I64(step)))


def _table_entry(body: Body, table: str, at: ir.Value) -> ir.Value:
    address = body.builder.gep(body.pointers[table], [at], source_etype=I32)
    return body.builder.load(address, typ=I32, align=4)
