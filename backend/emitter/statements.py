"""Stores and accumulations at one point."""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.emitter.access import load_element, store_element
from polydsl.backend.emitter.calls import emit_combination
from polydsl.backend.emitter.expressions import Memo, emit_place, emit_value
from polydsl.backend.emitter.scope import Scope
from polydsl.base.diagnostics import bug
from polydsl.loops.nest import Accumulate, Store


def emit_statement(scope: Scope, node: Store | Accumulate) -> None:
    """Emit a store or an accumulation at the point of the scope."""
    check_types(scope, node)
    memo: Memo = {}
    buffer = scope.kernel.buffer(node.buffer)
    value = emit_value(scope, node.value, memo)
    place = emit_place(scope, node.buffer, node.index, memo)
    if isinstance(node, Accumulate):
        value = combined(scope, node, load_element(scope, buffer, place), value)
    store_element(scope, buffer, place, value)


def combined(
    scope: Scope, node: Accumulate, total: ir.Value, value: ir.Value
) -> ir.Value:
    """Combine two values, or vectors of them, as *node* does."""
    dtype = node.value.dtype
    operands = [total, value]
    return emit_combination(scope.builder, node.combine, operands, dtype, scope.target)


def check_types(scope: Scope, node: Store | Accumulate) -> None:
    """Check that what is stored has the type of its buffer."""
    scope.kernel.buffer(node.buffer)
    # The nest's own type: a narrow float has another one in registers.
    dtype = scope.nest.buffer(node.buffer).dtype
    if node.value.dtype != dtype:
        bug(f"{scope.nest.name}: a {node.value.dtype} is stored in {node.buffer}")
