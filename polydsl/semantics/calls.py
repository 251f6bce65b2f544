"""Kernel calls: which argument goes to which parameter, and is it a whole tensor?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polydsl.base.dtypes import BOOL, F64, I64, DType
from polydsl.base.source import Span
from polydsl.semantics.affine import affine
from polydsl.semantics.context import Context, text_of
from polydsl.semantics.expressions import elaborate
from polydsl.semantics.program import Expr
from polydsl.semantics.scope import FUNCTION_NAMES, suggest
from polydsl.semantics.sizes import is_constant
from polydsl.semantics.types import convert
from polydsl.syntax import ast

CONSTANT_TYPES: dict[str, DType] = {"int": I64, "float": F64, "bool": BOOL}
"""The types of constants; a weak float is computed in f64."""


@dataclass(frozen=True, slots=True)
class CallStatement:
    """`targets = function(arguments)` as it stands in a kernel."""

    targets: tuple[ast.Name, ...]
    call: ast.Call
    span: Span


def call_statement(
    statement: ast.Statement, kernels: frozenset[str]
) -> CallStatement | None:
    """Return the kernel call that a statement is, or None if it is another one.

    The call of an unknown name is one too: whole tensors are what it may be given.
    """
    match statement:
        case ast.Assign(ast.Name() as target, "=", ast.Call() as call, span):
            if call.function in kernels or call.function not in FUNCTION_NAMES:
                return CallStatement((target,), call, span)
            return None
        case ast.MultiAssign(targets, ast.Call() as call, span):
            return CallStatement(targets, call, span)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class BoundCall:
    """The arguments of a call by parameter: tensors by name, constants as written."""

    tensors: tuple[ast.Name, ...]
    constants: Mapping[str, ast.Argument]


def bind_call(call: ast.Call, callee: ast.Kernel, context: Context) -> BoundCall | None:
    """Give every argument to its parameter; report those missing or too many."""
    name = call.function
    tensors: dict[str, ast.Argument] = {}
    constants: dict[str, ast.Argument] = {}
    parameters = [parameter.name.name for parameter in callee.parameters]
    allowed = {constant.name.name: constant for constant in callee.constants}
    good = True
    positional = [argument for argument in call.arguments if argument.name is None]
    if len(positional) > len(parameters):
        good = _too_many(call, positional[len(parameters)], callee, context)
    for parameter, argument in zip(parameters, positional):
        tensors[parameter] = argument
    for argument in call.arguments:
        if argument.name is None:
            continue
        if argument.name in tensors or argument.name in constants:
            good = _twice(name, argument, context)
        elif argument.name in parameters:
            tensors[argument.name] = argument
        elif argument.name in allowed:
            constants[argument.name] = argument
        else:
            good = _unknown(name, argument, (*parameters, *allowed), context)
    missing = [p for p in parameters if p not in tensors]
    missing += [c for c in allowed if allowed[c].default is None and c not in constants]
    if missing and len(positional) <= len(parameters):
        good = _missing(call, missing, context)
    if not good:
        return None
    names = _whole_tensors(name, [(p, tensors[p]) for p in parameters], context)
    return None if names is None else BoundCall(names, constants)


def _too_many(
    call: ast.Call, extra: ast.Argument, callee: ast.Kernel, context: Context
) -> bool:
    count = len(callee.parameters)
    context.error(
        "E0403",
        f"{call.function} takes {count} tensor{'' if count == 1 else 's'}, and "
        f"{sum(1 for a in call.arguments if a.name is None)} positional arguments "
        "are given",
        extra.span,
        label="one too many",
        hint="constants are passed by name: "
        + ", ".join(f"{c.name.name}=..." for c in callee.constants)
        if callee.constants
        else "",
    )
    return False


def _twice(kernel: str, argument: ast.Argument, context: Context) -> bool:
    context.error(
        "E0403",
        f"{kernel} is given {argument.name} twice",
        argument.span,
        label=f"{argument.name} again",
        hint="leave out one of the two",
    )
    return False


def _unknown(
    kernel: str, argument: ast.Argument, known: tuple[str, ...], context: Context
) -> bool:
    context.error(
        "E0403",
        f"{kernel} has no parameter {argument.name}",
        argument.span,
        label="an unknown keyword",
        hint=suggest(argument.name or "", known)
        or f"its parameters are {', '.join(known)}",
    )
    return False


def _missing(call: ast.Call, missing: list[str], context: Context) -> bool:
    one = len(missing) == 1
    context.error(
        "E0403",
        f"{call.function} needs {' and '.join(missing)}, which "
        f"{'is' if one else 'are'} not given",
        call.span,
        label=f"no {' and no '.join(missing)}",
        hint="pass "
        + ("it" if one else "them")
        + ", for example "
        + ", ".join(f"{name}=..." for name in missing),
    )
    return False


def _whole_tensors(
    kernel: str, pairs: list[tuple[str, ast.Argument]], context: Context
) -> tuple[ast.Name, ...] | None:
    names: list[ast.Name] = []
    for parameter, argument in pairs:
        value = argument.value
        if isinstance(value, ast.Name) and context.scope.kind(value.name) == "tensor":
            names.append(value)
        else:
            _refuse_argument(kernel, parameter, value, context)
    return tuple(names) if len(names) == len(pairs) else None


def _refuse_argument(
    kernel: str, parameter: str, value: ast.Expr, context: Context
) -> None:
    if isinstance(value, ast.Name) and not context.scope.is_known(value.name):
        tensors = [n for n, k in context.scope.kinds.items() if k == "tensor"]
        context.error(
            "E0103",
            f"the tensor {value.name} is not defined",
            value.span,
            label="no parameter or statement defines it",
            hint=suggest(value.name, tensors) or f"define it: {value.name}[...] = ...",
        )
        return
    context.error(
        "E0404",
        f"{kernel} takes whole tensors, and {text_of(value.span)} is not the name "
        "of one",
        value.span,
        label=f"given for {parameter}",
        hint="name the tensor alone (x, not x[i]); a value is stored in a tensor first",
    )


def constant_argument(
    kernel: str, constant: ast.Constant, value: ast.Expr, context: Context
) -> Expr | None:
    """Elaborate an argument for a constant, over the caller's sizes and constants."""
    dtype = CONSTANT_TYPES[constant.type]
    if dtype == I64:
        return affine(value, context, "size")
    operand = elaborate(value, context)
    if operand is None:
        return None
    fits = operand.dtype == BOOL if dtype == BOOL else operand.dtype != BOOL
    if operand.weak and fits and is_constant(operand.expr):
        return convert(operand.expr, dtype)
    context.error(
        "E0404",
        f"the constant {constant.name.name} of {kernel} is a {constant.type}, and "
        f"{text_of(value.span)} is not",
        value.span,
        label="not a constant expression"
        if not operand.weak or not is_constant(operand.expr)
        else f"{operand.type_name} here",
        hint="a constant may be computed from numbers, sizes and constants",
    )
    return None
