"""Branches: values and instructions that depend on a condition."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from llvmlite import ir

from polydsl.backend.emitter.types import zeros


def branch(
    builder: ir.IRBuilder,
    condition: ir.Value,
    then: Callable[[], ir.Value],
    otherwise: Callable[[], ir.Value],
) -> ir.Value:
    """Emit one of two values, by a branch."""
    with builder.if_else(condition) as (taken, other):
        with taken:
            first = then()
            from_first = builder.block
        with other:
            second = otherwise()
            from_second = builder.block
    value = builder.phi(first.type)
    value.add_incoming(first, from_first)
    value.add_incoming(second, from_second)
    return value


def value_if(
    builder: ir.IRBuilder, condition: ir.Value, emit: Callable[[], ir.Value]
) -> ir.Value:
    """Emit a value where a condition holds; elsewhere it is 0."""
    before = builder.block
    with builder.if_then(condition):
        inside = emit()
        from_inside = builder.block
    value = builder.phi(inside.type)
    value.add_incoming(zeros(inside.type), before)
    value.add_incoming(inside, from_inside)
    return value


def when(
    builder: ir.IRBuilder, condition: ir.Value | None
) -> AbstractContextManager[object]:
    """Emit what follows under a condition; None holds always."""
    if condition is None:
        return nullcontext()
    taken: AbstractContextManager[object] = builder.if_then(condition)
    return taken
