"""Typing a kernel call: the callee is typed for the arguments it is given."""

from __future__ import annotations

from collections.abc import Mapping

from polydsl.base.diagnostics import errors_in
from polydsl.base.source import Span
from polydsl.semantics.calls import CallStatement, bind_call, constant_argument
from polydsl.semantics.context import Context, TensorInfo
from polydsl.semantics.frame import Elaboration, Frame
from polydsl.semantics.instance import (
    Instance,
    Mismatch,
    match_instance,
    representative,
)
from polydsl.semantics.library import Library
from polydsl.semantics.program import Expr
from polydsl.semantics.scope import FUNCTION_NAMES, suggest
from polydsl.semantics.typed import KernelCall, TypedKernel
from polydsl.semantics.types import UNKNOWN
from polydsl.syntax import ast

DEEPEST = 24
"""How many kernels may be called by one another."""


def type_call(
    statement: CallStatement, frame: Frame, context: Context
) -> KernelCall | None:
    """Type a call and the callee for it; None, with the errors recorded, if wrong."""
    call = statement.call
    found = frame.library.find(call.function)
    if found is None:
        _refuse_unknown(call, context)
        return None
    library, callee = found
    bound = bind_call(call, callee, context)
    if bound is None:
        return None
    constants = _constants(call.function, callee, bound.constants, context)
    infos = [context.tensors.get(name.name) for name in bound.tensors]
    known = [info for info in infos if info is not None and info.dtype != UNKNOWN]
    if constants is None or len(known) < len(infos):
        return None
    instance = tuple((info.dtype, info.rank) for info in known)
    typed = _type_callee(statement, library, callee, instance, frame, context)
    if typed is None or not _check_targets(statement, typed, context):
        return None
    return KernelCall(
        typed,
        tuple(name.name for name in bound.tensors),
        constants,
        tuple(target.name for target in statement.targets),
        statement.span,
    )


def _refuse_unknown(call: ast.Call, context: Context) -> None:
    context.error(
        "E0401",
        f"there is no kernel or function {call.function}",
        call.function_span,
        label="not in this file, not imported, not a function",
        hint=suggest(call.function, (*context.kernels, *FUNCTION_NAMES))
        or f"define the kernel {call.function}, or import it",
    )


def _constants(
    name: str,
    callee: ast.Kernel,
    given: Mapping[str, ast.Argument],
    context: Context,
) -> tuple[tuple[str, Expr], ...] | None:
    result: list[tuple[str, Expr]] = []
    good = True
    for constant in callee.constants:
        if constant.name.name in given:
            value = given[constant.name.name].value
            expr = constant_argument(name, constant, value, context)
            good = good and expr is not None
            if expr is not None:
                result.append((constant.name.name, expr))
    return tuple(result) if good else None


def _type_callee(
    statement: CallStatement,
    library: Library,
    callee: ast.Kernel,
    instance: Instance,
    frame: Frame,
    context: Context,
) -> TypedKernel | None:
    session = frame.session
    if (id(library), callee.name.name) in session.active:
        # Recursion: the check of the module reports it, once for every cycle.
        context.notes.reported_elsewhere = True
        return None
    if len(session.active) >= DEEPEST:
        _refuse_depth(statement, context)
        return None
    matched = match_instance(callee, instance)
    if isinstance(matched, Mismatch):
        _refuse_instance(statement, callee, matched, context)
        return None
    typed = frame.elaborate(library, callee, instance, session)
    if typed.kernel is None:
        _refuse_inside(statement, library, callee, instance, typed, frame, context)
    elif typed.kernel.depth >= DEEPEST:
        _refuse_depth(statement, context)
        return None
    return typed.kernel


def _refuse_depth(statement: CallStatement, context: Context) -> None:
    context.error(
        "E0409",
        f"kernels call one another more than {DEEPEST} deep",
        statement.call.span,
        label="one call too many",
        hint="write some of the kernels in place",
    )


def _refuse_instance(
    statement: CallStatement, callee: ast.Kernel, wrong: Mismatch, context: Context
) -> None:
    parameter = callee.parameters[wrong.position]
    names = [p.name.name for p in callee.parameters]
    place = _argument_place(statement.call, names, wrong.position)
    name = parameter.name.name
    context.error(
        "E0405",
        f"{statement.call.function} needs {name}: {_type_text(parameter.type)}, and "
        f"{place.text} does not fit: {wrong.reason}",
        place,
        label=_given(place.text, context),
        hint="nothing is converted silently: define a tensor of the right type by it",
    )


def _given(name: str, context: Context) -> str:
    info = context.tensors.get(name)
    if info is None:
        return "given here"
    return f"{name}: {_info_text(info)}"


def _info_text(info: TensorInfo) -> str:
    if info.text:
        return info.text
    plural = "" if info.rank == 1 else "s"
    return f"{info.dtype} with {info.rank} dimension{plural}"


def _type_text(type: ast.TensorType) -> str:
    return " ".join(type.span.text.split())


def _argument_place(call: ast.Call, names: list[str], position: int) -> Span:
    for argument in call.arguments:
        if argument.name == names[position]:
            return argument.value.span
    return call.arguments[position].value.span


def _refuse_inside(
    statement: CallStatement,
    library: Library,
    callee: ast.Kernel,
    instance: Instance,
    typed: Elaboration,
    frame: Frame,
    context: Context,
) -> None:
    """Report a callee that is right in general and wrong for these dtypes."""
    general = representative(callee)
    if frame.elaborate(library, callee, general, frame.session).kernel is None:
        if library is not frame.library:
            # Another file was found right by itself: only the depth is new here.
            _refuse_depth(statement, context)
        context.notes.reported_elsewhere = True
        return
    errors = errors_in(typed.findings)
    if not errors:
        context.notes.reported_elsewhere = True
        return
    types = ", ".join(
        f"{parameter.name.name}: {dtype}"
        for parameter, (dtype, _) in zip(callee.parameters, instance)
    )
    context.error(
        "E0410",
        f"{statement.call.function} cannot be called with {types}: "
        f"{errors[0].message} ({errors[0].span})",
        statement.call.span,
        label="called here",
        hint=errors[0].hint,
    )


def _check_targets(
    statement: CallStatement, typed: TypedKernel, context: Context
) -> bool:
    given, results = len(statement.targets), len(typed.results)
    if given != results:
        context.error(
            "E0407",
            f"{typed.name} returns {results} result{'' if results == 1 else 's'}, and "
            f"{given} name{' is' if given == 1 else 's are'} on the left",
            statement.span,
            label=f"{given} here",
            hint="name every result: "
            + ", ".join(typed.results)
            + f" = {typed.name}(...)",
        )
        return False
    return all(
        _check_target(target, typed, result, context)
        for target, result in zip(statement.targets, typed.results)
    )


def _check_target(
    target: ast.Name, typed: TypedKernel, result: str, context: Context
) -> bool:
    tensor = typed.tensor(result)
    info = context.tensors.get(target.name)
    if info is None or info.dtype == UNKNOWN:
        return True
    if (info.dtype, info.rank) == (tensor.dtype, tensor.rank):
        return True
    came = TensorInfo(tensor.dtype, False, tensor.rank)
    context.error(
        "E0405",
        f"{target.name} is declared as {info.text}, and {typed.name} returns "
        f"{_info_text(came)}",
        target.span,
        label=f"{target.name}: {info.text}",
        hint=f"leave out the declaration of {target.name}, or convert the result",
    )
    return False
