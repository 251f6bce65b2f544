"""Where the operands of a batch are: from steps and tables to addresses."""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.carried_loop import I64, Values, carried_loop
from polydsl.backend.emitter.types import reserve
from polydsl.backend.microkernel_spec import TABLE, Step
from polydsl.backend.providers.foreign import Body
from polydsl.backend.vector_memory import I32, element_type


def position(body: Body, operand: str, step: Step, t: ir.Value) -> ir.Value:
    """Return the address of *operand*, "a" or "b", at batch position *t*."""
    builder, start = body.builder, body.pointers[operand]
    if step == TABLE:
        table = body.pointers[f"{operand}_batch"]
        entry = builder.load(builder.gep(table, [t], source_etype=I32), typ=I32)
        offset = builder.sext(entry, I64)
    else:
        offset = builder.mul(t, I64(step))
    return builder.gep(start, [offset], source_etype=element_type(body.spec.dtype))


def address_tables(body: Body) -> tuple[ir.Value, ir.Value]:
    """Emit tables of the addresses of A and B at every position, on the stack."""
    builder, spec = body.builder, body.spec
    pointer = ir.PointerType()
    tables = tuple(
        reserve(builder, ir.ArrayType(pointer, spec.batch)) for _ in ("a", "b")
    )

    def fill(t: ir.Value, none: Values) -> Values:
        for table, operand, step in zip(
            tables, ("a", "b"), (spec.a_batch, spec.b_batch)
        ):
            at = builder.gep(table, [t], source_etype=pointer)
            builder.store(position(body, operand, step, t), at)
        return none

    carried_loop(builder, spec.batch, 1, (), fill)
    return tables[0], tables[1]
