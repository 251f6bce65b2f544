"""Elaboration of expressions: from syntax to typed nodes with every cast written out.

`elaborate` returns None where something is wrong; the error is recorded then, and
whatever contains the expression is silent about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import BOOL, DTYPES, F64, I64, DType
from polydsl.base.functions import FUNCTIONS, REDUCTIONS, Function, Reduction
from polydsl.base.source import Span
from polydsl.semantics.affine import elaborate_access, literal
from polydsl.semantics.context import Context, text_of
from polydsl.semantics.program import (
    Access,
    Cast,
    Expr,
    Index,
    Literal,
    Pad,
    Reduce,
    Select,
    Size,
    walk,
)
from polydsl.semantics.scope import FUNCTION_NAMES, suggest
from polydsl.semantics.typed import Copy
from polydsl.semantics.types import (
    UNKNOWN,
    Operand,
    accumulator,
    apply,
    as_float,
    convert,
    meet,
)
from polydsl.syntax import ast

_BY_SYMBOL: dict[tuple[str, int], Function] = {
    (row.symbol, row.arity): row for row in FUNCTIONS.values() if row.is_operator
}
_LARGEST_PRODUCT = 4
_LARGEST_COPIED = 60


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
            return _unary(op, elaborate(operand, context), span, context)
        case ast.Binary(op, left, right, span):
            sides = [elaborate(left, context), elaborate(right, context)]
            return _binary(op, sides, span, context)
        case ast.Compare():
            return _compare(expr, context)
        case ast.Conditional(then, condition, otherwise, span):
            return _select((condition, then, otherwise), span, context)
        case ast.Call():
            return _call(expr, context)
        case ast.Reduce():
            return _reduce(expr, context)
        case _:
            assert_never(expr)


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
        hint=suggest(expr.name, context.names())
        or f"an index that is only a value needs a range: {expr.name} in range(n)",
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


def _unary(
    op: str, operand: Operand | None, span: Span, context: Context
) -> Operand | None:
    if operand is None:
        return None
    if op == "not":
        return _logical("not", (operand,), span, context)
    if isinstance(operand.expr, Literal) and not isinstance(operand.expr.value, bool):
        value = -operand.expr.value if op == "-" else operand.expr.value
        return Operand(Literal(value, operand.dtype, span), operand.weak)
    return apply(_BY_SYMBOL[op, 1], (operand,), span)


def _binary(
    op: str, sides: Sequence[Operand | None], span: Span, context: Context
) -> Operand | None:
    operands = [side for side in sides if side is not None]
    if len(operands) < len(sides):
        return None
    if op in ("and", "or"):
        return _logical(op, operands, span, context)
    if op == "**":
        return _power(operands[0], operands[1], span)
    return apply(_BY_SYMBOL[op, 2], operands, span)


def _power(base: Operand, exponent: Operand, span: Span) -> Operand:
    """`x**2` is a product, so that it is as exact as one."""
    match exponent.expr:
        case Literal(int() as value) if 2 <= value <= _LARGEST_PRODUCT:
            size = sum(1 for _ in walk(base.expr))
            if size <= _LARGEST_COPIED and not _has_reduction(base.expr):
                return _product(base, value, span)
    return apply(FUNCTIONS["power"], (base, exponent), span)


def _product(base: Operand, count: int, span: Span) -> Operand:
    if count == 1:
        return base
    half = _product(base, count // 2, span)
    rest = _product(base, count - count // 2, span)
    return apply(FUNCTIONS["mul"], (rest, half), span)


def _has_reduction(expr: Expr) -> bool:
    return any(isinstance(node, Reduce) for node in walk(expr))


def is_bool(operand: Operand, what: str, context: Context) -> bool:
    """Report an operand that should be a bool and is a number."""
    if operand.dtype in (BOOL, UNKNOWN):
        return True
    text = text_of(operand.expr.span)
    context.error(
        "E0207",
        f"{what} must be a bool, and {text} is {operand.type_name}",
        operand.expr.span,
        label=f"{operand.type_name} here",
        hint=f"compare it: {text} != 0",
    )
    return False


def _logical(
    op: str, operands: Sequence[Operand], span: Span, context: Context
) -> Operand | None:
    good = [is_bool(operand, f"an operand of {op}", context) for operand in operands]
    return apply(FUNCTIONS[op], operands, span) if all(good) else None


def _compare(expr: ast.Compare, context: Context) -> Operand | None:
    """Write a chain as comparisons joined by `and`."""
    elaborated = [elaborate(operand, context) for operand in expr.operands]
    operands = [operand for operand in elaborated if operand is not None]
    if len(operands) < len(elaborated):
        return None
    result: Operand | None = None
    for op, left, right in zip(expr.ops, operands, operands[1:]):
        span = left.expr.span.to(right.expr.span)
        pair = apply(_BY_SYMBOL[op, 2], (left, right), span)
        result = (
            pair
            if result is None
            else apply(FUNCTIONS["and"], (result, pair), expr.span)
        )
    return result


def _select(
    parts: tuple[ast.Expr, ast.Expr, ast.Expr], span: Span, context: Context
) -> Operand | None:
    condition, then, otherwise = (elaborate(part, context) for part in parts)
    good = condition is None or is_bool(condition, "a condition", context)
    if condition is None or then is None or otherwise is None or not good:
        return None
    dtype, weak = meet((then, otherwise), keep=True)
    arms = convert(then.expr, dtype), convert(otherwise.expr, dtype)
    return Operand(Select(condition.expr, *arms, dtype, span), weak)


# Calls


def _call(expr: ast.Call, context: Context) -> Operand | None:
    name = expr.function
    arguments = [elaborate(a.value, context) for a in _evaluated(expr, context)]
    operands = [operand for operand in arguments if operand is not None]
    if name in context.kernels:
        return _refuse_kernel(expr, context)
    wanted = _arity(name)
    if wanted is None:
        return _refuse_function(expr, context)
    if not _check_arity(expr, wanted, context) or len(operands) < len(expr.arguments):
        return None
    if name in DTYPES:
        return _cast(operands[0], DTYPES[name], expr.span)
    if name == "where":
        parts = tuple(argument.value for argument in expr.arguments)
        return _select((parts[0], parts[1], parts[2]), expr.span, context)
    if name == "isnan" and not _is_float(operands[0], context):
        return None
    return apply(FUNCTIONS[name], operands, expr.span)


def _evaluated(expr: ast.Call, context: Context) -> tuple[ast.Argument, ...]:
    """The arguments to elaborate: a kernel's are whole tensors, not expressions."""
    return () if expr.function in context.kernels else expr.arguments


def _arity(name: str) -> tuple[int, bool] | None:
    """Return how many arguments a function takes, and whether more are allowed."""
    if name in DTYPES:
        return 1, False
    if name == "where":
        return 3, False
    row = FUNCTIONS.get(name)
    if row is None or row.is_operator:
        return None
    return row.arity, row.variadic


def _check_arity(expr: ast.Call, wanted: tuple[int, bool], context: Context) -> bool:
    count, (needs, more) = len(expr.arguments), wanted
    named = next((a for a in expr.arguments if a.name is not None), None)
    if named is not None:
        context.error(
            "E0210",
            f"{expr.function} takes positional arguments only",
            named.span,
            label="a keyword argument here",
            hint=f"leave out {named.name}=",
        )
        return False
    if count == needs or (more and count > needs):
        return True
    hint = f"write {_usage(expr.function, needs)}"
    if expr.function in REDUCTIONS and count == 1:
        hint = f"to reduce, name the indices: {expr.function}[k](...)"
    context.error(
        "E0210",
        f"{expr.function} takes {needs}{' or more' if more else ''} "
        f"argument{'' if needs == 1 and not more else 's'}, and {count} "
        f"{'is' if count == 1 else 'are'} given",
        expr.span,
        label=f"{count} here",
        hint=hint,
    )
    return False


def _usage(function: str, count: int) -> str:
    if function == "where":
        return "where(condition, a, b)"
    return f"{function}({', '.join(('x', 'y', 'z')[:count])})"


def _refuse_function(expr: ast.Call, context: Context) -> Operand | None:
    name = expr.function
    context.error(
        "E0211",
        f"there is no function {name}",
        expr.function_span,
        label="not a function, a dtype or a kernel in scope",
        hint=suggest(name, (*FUNCTION_NAMES, *context.kernels, *REDUCTIONS))
        or f"import it, if {name} is a kernel of another file",
    )
    return None


def _refuse_kernel(expr: ast.Call, context: Context) -> Operand | None:
    context.error(
        "E0402",
        f"the kernel {expr.function} is called inside an expression",
        expr.span,
        label="a kernel gives whole tensors",
        hint=f"call it in a statement of its own: t = {text_of(expr.span)}",
    )
    return None


def _cast(operand: Operand, dtype: DType, span: Span) -> Operand:
    return Operand(Cast(operand.expr, dtype, True, span), False)


def _is_float(operand: Operand, context: Context) -> bool:
    if operand.dtype.is_float:
        return True
    text = text_of(operand.expr.span)
    context.error(
        "E0217",
        f"isnan takes a float, and {text} is {operand.type_name}",
        operand.expr.span,
        label=f"{operand.type_name} here",
        hint="only a float can be NaN: leave isnan out",
    )
    return False


# Reductions


def _reduce(expr: ast.Reduce, context: Context) -> Operand | None:
    names = _bind(expr, context)
    indices = [index.name for index in expr.indices]
    inner = replace(
        context,
        outer=context.outer | set(indices),
        renamed={**context.renamed, **dict(zip(indices, names))},
    )
    body = elaborate(expr.body, inner)
    if expr.op not in REDUCTIONS:
        bug(f"{expr.op} is no reduction")
    if body is None or not _check_indices(expr, context):
        return None
    return _reduction(expr.op, names, body, expr.span, context)


def _reduction(
    op: Reduction,
    names: tuple[str, ...],
    body: Operand,
    span: Span,
    context: Context,
) -> Operand | None:
    dtype, weak = accumulate(body, keep=op in ("max", "min"))
    match op:
        case "any" | "all":
            if not is_bool(body, f"the body of {op}", context):
                return None
            return Operand(Reduce(op, names, body.expr, BOOL, span), body.weak)
        case "argmax" | "argmin":
            return Operand(Reduce(op, names, body.expr, I64, span), False)
        case "mean":
            dtype = F64 if weak and dtype != UNKNOWN else as_float(dtype)
        case "sum" | "prod" | "max" | "min":
            pass
        case _:
            assert_never(op)
    expr = Reduce(op, names, convert(body.expr, dtype), dtype, span)
    return Operand(expr, weak)


def accumulate(body: Operand, *, keep: bool = False) -> tuple[DType, bool]:
    """Return the type in which a reduction of *body* accumulates, and if it is weak."""
    if keep:
        return body.dtype, body.weak
    if not body.weak:
        return accumulator(body.dtype), False
    return (F64 if body.dtype.is_float else I64), True


def _check_indices(expr: ast.Reduce, context: Context) -> bool:
    """Report bound names that are no indices, or bound twice."""
    good = True
    seen: set[str] = set()
    for index in expr.indices:
        kind = context.scope.kind(index.name)
        if kind != "index":
            # The scope has reported that the name is two things.
            good = False
        if index.name in seen:
            good = False
            context.error(
                "E0121",
                f"{expr.op} runs over {index.name} twice",
                index.span,
                label=f"{index.name} again",
                hint="name every index once",
            )
        seen.add(index.name)
    return good


def _bind(expr: ast.Reduce, context: Context) -> tuple[str, ...]:
    """Return names for the indices of a reduction: new ones for those that hide others.

    An index whose declared range follows a renamed one gets a new name as well.
    """
    bound = [index.name for index in expr.indices]
    hiding = {name for name in bound if name in context.outer}
    _check_hidden(expr, hiding, context)
    fresh = set(hiding)
    stale = hiding | {old for old, new in context.renamed.items() if old != new}
    for name in bound:
        if any(name in context.follows.get(old, ()) for old in stale):
            fresh.add(name)
    new = {name: context.notes.fresh(name) for name in bound if name in fresh}
    names = tuple(new.get(name, name) for name in bound)
    renamed = {**context.renamed, **dict(zip(bound, names))}
    changed = tuple(sorted((a, b) for a, b in renamed.items() if a != b))
    context.notes.copies += [Copy(new[name], name, changed) for name in new]
    return names


def _check_hidden(expr: ast.Reduce, hidden: set[str], context: Context) -> None:
    """Refuse to hide an index on which an outer one depends that the body uses.

    The outer one's range holds for the hidden index, so it could not hold for the new.
    """
    used = {node.name for node in ast.walk(expr.body) if isinstance(node, ast.Name)}
    bound = {index.name for index in expr.indices}
    for index in expr.indices:
        if index.name not in hidden:
            continue
        followers = context.follows.get(index.name, frozenset())
        for follower in sorted((followers & used & context.outer) - bound):
            context.error(
                "E0115",
                f"{expr.op} hides {index.name}, and the range of {follower} "
                f"depends on {index.name}",
                index.span,
                label=f"hides the {index.name} outside",
                hint=f"name another index, and give it a range in terms of {follower}",
            )
