"""Elaboration of expressions: from syntax to typed nodes with every cast written out.

`elaborate` returns None where something is wrong; the error is recorded then, and
whatever contains the expression is silent about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import BOOL, F64, I64
from polydsl.base.functions import REDUCTIONS
from polydsl.base.source import Span
from polydsl.semantics.affine import elaborate_access, literal
from polydsl.semantics.context import Context, text_of
from polydsl.semantics.function_calls import call_function, refuse_kernel
from polydsl.semantics.operators import binary, compare, select, unary
from polydsl.semantics.program import Access, Expr, Index, Literal, Pad, Size
from polydsl.semantics.reductions import bind_indices, check_indices, reduction
from polydsl.semantics.scope import suggest
from polydsl.semantics.types import Operand, convert, meet
from polydsl.syntax import ast


def elaborate(expr: ast.Expr, context: Context) -> Operand | None:
    """Return the typed form of an expression, or None where it is wrong."""
    match expr:
        case ast.Number(value, span):
            return _number(value, span, context)
        case ast.Name():
            return _name(expr, context)
        case ast.Access():
            access = elaborate_access(expr, context)
            return None if access is None else _read(access, context)
        case ast.Pad():
            return _pad(expr, context)
        case ast.Unary(op, operand, span):
            parts = _parts((operand,), context)
            return None if parts is None else unary(op, parts[0], span, context)
        case ast.Binary(op, left, right, span):
            parts = _parts((left, right), context)
            return None if parts is None else binary(op, parts, span, context)
        case ast.Compare(ops, operands, span):
            parts = _parts(operands, context)
            return None if parts is None else compare(ops, parts, span)
        case ast.Conditional(then, condition, otherwise, span):
            parts = _parts((condition, then, otherwise), context)
            return None if parts is None else _choose(parts, span, context)
        case ast.Call():
            return _call(expr, context)
        case ast.Reduce():
            return _reduce(expr, context)
        case _:
            assert_never(expr)


def _parts(exprs: Sequence[ast.Expr], context: Context) -> list[Operand] | None:
    """Elaborate all operands, so that each reports its errors; None if one is wrong."""
    parts = [elaborate(expr, context) for expr in exprs]
    good = [part for part in parts if part is not None]
    return good if len(good) == len(parts) else None


def _choose(parts: list[Operand], span: Span, context: Context) -> Operand | None:
    condition, then, otherwise = parts
    return select(condition, then, otherwise, span, context)


def _number(value: int | float | bool, span: Span, context: Context) -> Operand | None:
    if isinstance(value, bool):
        return Operand(Literal(value, BOOL, span), True)
    if isinstance(value, float):
        return Operand(Literal(value, F64, span), True)
    number = literal(value, span, context)
    return None if number is None else Operand(number, True)


def _name(expr: ast.Name, context: Context) -> Operand | None:
    name, span = expr.name, expr.span
    match context.scope.kinds.get(name):
        case "size" | "constant":
            dtype = context.sizes.get(name)
            return None if dtype is None else Operand(Size(name, dtype, span), True)
        case "tensor":
            access = elaborate_access(ast.Access(name, (), span, span), context)
            return None if access is None else _read(access, context)
        case _ if context.scope.is_known(name):
            return Operand(Index(context.renamed.get(name, name), span), True)
        case _:
            return _unknown(expr, context)


def _unknown(expr: ast.Name, context: Context) -> Operand | None:
    context.error(
        "E0103",
        f"{expr.name} is not defined",
        expr.span,
        label="no size, constant, tensor or index has this name",
        hint=f"{suggest(expr.name, context.names())} an index needs a range: "
        f"{expr.name} in range(n)".strip(),
    )
    return None


def _read(access: Access, context: Context) -> Operand:
    return Operand(access, context.tensors[access.tensor].weak)


def _pad(expr: ast.Pad, context: Context) -> Operand | None:
    value = None if expr.value is None else elaborate(expr.value, context)
    inner = expr.access
    if isinstance(inner, ast.Name) and context.scope.kind(inner.name) == "tensor":
        inner = ast.Access(inner.name, (), inner.span, inner.span)
    if not isinstance(inner, ast.Access):
        elaborate(inner, context)
        context.error(
            "E0212",
            f"pad takes one access of a tensor, and {text_of(inner.span)} is none",
            inner.span,
            label="not an access",
            hint="put pad around the access alone: pad(x[i - 1]) * 2",
        )
        return None
    access = elaborate_access(inner, context)
    if access is None or (expr.value is not None and value is None):
        return None
    read = _read(access, context)
    if value is None:
        zero: Expr = Literal(0, I64, expr.span)
        kind = Literal(False, BOOL, expr.span) if read.dtype == BOOL else zero
        value = Operand(kind, True)
    dtype, weak = meet((read, value), keep=True)
    return Operand(Pad(access, convert(value.expr, dtype), dtype, expr.span), weak)


def _call(expr: ast.Call, context: Context) -> Operand | None:
    if expr.function in context.kernels:
        # A kernel's arguments are whole tensors: nothing to say about them here.
        return refuse_kernel(expr, context)
    arguments = [elaborate(argument.value, context) for argument in expr.arguments]
    return call_function(expr, arguments, context)


def _reduce(expr: ast.Reduce, context: Context) -> Operand | None:
    names = bind_indices(expr, context)
    indices = [index.name for index in expr.indices]
    inner = replace(
        context,
        outer=context.outer | set(indices),
        renamed={**context.renamed, **dict(zip(indices, names))},
    )
    body = elaborate(expr.body, inner)
    if expr.op not in REDUCTIONS:
        bug(f"{expr.op} is no reduction")
    if body is None or not check_indices(expr, context):
        return None
    return reduction(expr.op, names, body, expr.span, context)
