"""Loops whose running values stay in registers, as phi nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from llvmlite import ir

I64 = ir.IntType(64)

Values: TypeAlias = tuple[ir.Value, ...]


def carried_loop(
    builder: ir.IRBuilder,
    end: int | ir.Value,
    step: int,
    carried: Values,
    emit: Callable[[ir.Value, Values], Values],
) -> Values:
    """Emit `for index in 0..end step step`, run at least once; return its results.

    `carried` enters the first iteration, what *emit* returns enters the next one. A
    single pass is no loop, unless *end* is an i64 value.
    """
    if isinstance(end, int):
        if end <= step:
            return emit(I64(0), carried)
        end = I64(end)
    before, head = builder.block, builder.append_basic_block("loop")
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(I64)
    phis = tuple(builder.phi(value.type) for value in carried)
    results = emit(index, phis)
    following = builder.add(index, I64(step))
    again = builder.icmp_signed("<", following, end)
    for phi, start, result in zip(
        (index, *phis), (I64(0), *carried), (following, *results)
    ):
        phi.add_incoming(start, before)
        phi.add_incoming(result, builder.block)
    after = builder.append_basic_block("done")
    builder.cbranch(again, head, after)
    builder.position_at_end(after)
    return results


def opaque(builder: ir.IRBuilder, value: int) -> ir.Value:
    """Return *value* as an i64 of which LLVM does not know that it is constant."""
    kind = ir.FunctionType(I64, [I64])
    # An empty instruction that is said to turn its operand into its result.
    return builder.asm(kind, "", "=r,0", [I64(value)], side_effect=False)
