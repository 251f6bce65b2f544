"""Calls of functions and casts: how many arguments, of which kind."""

from __future__ import annotations

from collections.abc import Sequence

from polydsl.base.dtypes import DTYPES, DType
from polydsl.base.functions import FUNCTIONS, REDUCTIONS
from polydsl.base.source import Span
from polydsl.semantics.context import Context, text_of
from polydsl.semantics.operators import select
from polydsl.semantics.program import Cast
from polydsl.semantics.scope import FUNCTION_NAMES, suggest
from polydsl.semantics.types import Operand, apply
from polydsl.syntax import ast


def call_function(
    expr: ast.Call, arguments: Sequence[Operand | None], context: Context
) -> Operand | None:
    """Type the call of a function, a cast or `where` on its elaborated arguments."""
    name = expr.function
    wanted = _arity(name)
    if wanted is None:
        return _refuse_function(expr, context)
    operands = [argument for argument in arguments if argument is not None]
    if not _check_arity(expr, wanted, context) or len(operands) < len(arguments):
        return None
    if name in DTYPES:
        return _cast(operands[0], DTYPES[name], expr.span)
    if name == "where":
        condition, then, otherwise = operands
        return select(condition, then, otherwise, expr.span, context)
    if name == "isnan" and not _is_float(operands[0], context):
        return None
    return apply(FUNCTIONS[name], operands, expr.span)


def _arity(name: str) -> tuple[int, bool] | None:
    """Return how many arguments a function takes, and whether more are allowed."""
    if name in DTYPES:
        return 1, False
    if name == "where":
        return 3, False
    row = FUNCTIONS.get(name)
    if row is None or not row.is_named:
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


def refuse_kernel(expr: ast.Call, context: Context) -> Operand | None:
    """Report a kernel that is called inside an expression."""
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
