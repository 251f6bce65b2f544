"""The arithmetic of a microkernel: its inner product on vectors.

A sum of products is a fused multiply-add where the ISA has one. Everything else is
emitted from the table of scalar functions; what occurs twice, or for a whole row or
column, is left to LLVM, which computes equal values once.
"""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.llvm_types import constant
from polydsl.backend.microkernel_operands import Body
from polydsl.backend.scalar import emit_function
from polydsl.backend.vector_memory import multiply_add
from polydsl.base.functions import identity
from polydsl.base.inner_product import Apply, Term, fold


def neutral(body: Body) -> ir.Constant:
    """Return a vector of what accumulators start with."""
    return constant(body.row.type, identity(body.spec.inner.combine, body.spec.dtype))


def combined(body: Body, first: ir.Value, second: ir.Value) -> ir.Value:
    """Combine two vectors of results."""
    return _apply(body, body.spec.inner.combine, (first, second))


def with_term(body: Body, total: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
    """Combine a vector of results with the term of a broadcast and a vector of B."""
    inner = body.spec.inner
    if inner.adds_products:
        assert isinstance(inner.function, Apply)
        left, right = (_value(body, t, a, b) for t in inner.function.arguments)
        fused = body.isa.has_fma
        return multiply_add(body.builder, left, right, total, fused=fused)
    return combined(body, total, _value(body, inner.function, a, b))


def _value(body: Body, term: Term, a: ir.Value, b: ir.Value) -> ir.Value:
    return fold(
        term,
        lambda side: a if side == "A" else b,
        lambda number: constant(body.row.type, number),
        lambda function, operands: _apply(body, function, operands),
    )


def _apply(body: Body, function: str, operands: tuple[ir.Value, ...]) -> ir.Value:
    return emit_function(
        body.builder, function, list(operands), body.spec.dtype, body.target
    )
