"""The facade of the checker: from a library, dtypes and shapes to a `Program`."""

from __future__ import annotations

from collections.abc import Mapping

from polydsl.base.diagnostics import (
    ArgumentError,
    Diagnostic,
    ProgramError,
    errors_in,
)
from polydsl.base.dtypes import BOOL, DType
from polydsl.semantics.bind import bind
from polydsl.semantics.building import Misfit
from polydsl.semantics.calls import CONSTANT_TYPES
from polydsl.semantics.context import text_of
from polydsl.semantics.elaborate import elaborate_kernel
from polydsl.semantics.frame import Session
from polydsl.semantics.instance import Matched, Mismatch, match_instance
from polydsl.semantics.library import Library
from polydsl.semantics.program import Program, Value
from polydsl.semantics.scope import suggest
from polydsl.semantics.typed import ConstantParameter, TypedKernel
from polydsl.syntax import ast

Shapes = Mapping[str, tuple[DType, tuple[int, ...]]]
"""The dtype and shape of every tensor argument, by parameter."""


def specialize(
    library: Library, kernel: str, shapes: Shapes, constants: Mapping[str, Value]
) -> Program:
    """Specialise a kernel of a library on its arguments.

    *constants* may leave out those with a default. Raises `ArgumentError` where the
    arguments do not fit the signature, and `ProgramError` where the kernel is wrong
    for them.
    """
    found = library.find(kernel)
    if found is None:
        raise ArgumentError(_unknown_kernel(library, kernel))
    home, definition = found
    given = _check_names(definition, shapes, constants)
    typed = _typed(home, definition, given)
    values = _constants(definition, typed, constants)
    extents = tuple(given[name][1] for name in typed.parameters)
    try:
        return bind(typed, extents, values)
    except Misfit as misfit:
        raise ArgumentError(_misfit(definition, misfit, given)) from None


def _unknown_kernel(library: Library, kernel: str) -> str:
    hint = suggest(kernel, library.names())
    return f"there is no kernel {kernel}" + (f"; {hint}" if hint else "")


def _check_names(
    kernel: ast.Kernel, shapes: Shapes, constants: Mapping[str, Value]
) -> Shapes:
    """Report tensors and constants that are missing or unknown."""
    name = kernel.name.name
    tensors = [parameter.name.name for parameter in kernel.parameters]
    known = [*tensors, *(constant.name.name for constant in kernel.constants)]
    for given in (*shapes, *constants):
        if given not in known:
            hint = suggest(given, known) or f"it has {', '.join(known)}"
            raise ArgumentError(f"{name} has no parameter {given}; {hint}")
    for parameter in kernel.parameters:
        if parameter.name.name not in shapes:
            wanted = f"{parameter.name.name}: {text_of(parameter.type.span)}"
            raise ArgumentError(f"{name} needs {wanted}, which is missing")
    for constant in kernel.constants:
        if constant.default is None and constant.name.name not in constants:
            wanted = f"{constant.name.name}: {constant.type}"
            raise ArgumentError(f"{name} needs the constant {wanted}, which is missing")
    return shapes


def _typed(library: Library, kernel: ast.Kernel, shapes: Shapes) -> TypedKernel:
    given = [shapes[parameter.name.name] for parameter in kernel.parameters]
    instance = tuple((dtype, len(shape)) for dtype, shape in given)
    matched = match_instance(kernel, instance)
    if isinstance(matched, Mismatch):
        parameter = kernel.parameters[matched.position].name.name
        raise ArgumentError(_misfit(kernel, Misfit(parameter, matched.reason), shapes))
    result = elaborate_kernel(library, kernel, instance, Session())
    if result.kernel is None:
        if not errors_in(result.findings):
            # What is wrong is in a kernel that it calls.
            types = ", ".join(f"{n} = {d}" for n, d in matched.variables.items())
            raise ArgumentError(
                f"{kernel.name.name} has no meaning with {types or 'these types'}: a "
                "kernel that it calls does not fit; pass other types"
            )
        raise ProgramError(_with_types(result.findings, matched))
    return result.kernel


def _with_types(
    findings: tuple[Diagnostic, ...], matched: Matched
) -> tuple[Diagnostic, ...]:
    """Say for which dtypes a kernel that is right in general is wrong."""
    bound = [f"{name} = {dtype}" for name, dtype in matched.variables.items()]
    if matched.lead is not None:
        bound.append(f"{matched.lead} dimensions for ...")
    note = f" (with {', '.join(bound)})" if bound else ""
    return tuple(
        Diagnostic(f.code, f.message + note, f.span, f.label, f.hint)
        for f in errors_in(findings)
    )


def _constants(
    kernel: ast.Kernel, typed: TypedKernel, given: Mapping[str, Value]
) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for constant in typed.constants:
        value = given.get(constant.name, constant.default)
        if value is None or not _fits(value, constant):
            wanted = next(
                c.type for c in kernel.constants if c.name.name == constant.name
            )
            raise ArgumentError(
                f"{kernel.name.name} needs {constant.name}: {wanted}, and {value!r} "
                f"({type(value).__name__}) came"
            )
        values[constant.name] = float(value) if constant.dtype.is_float else value
    return values


def _fits(value: Value, constant: ConstantParameter) -> bool:
    if constant.dtype == BOOL or isinstance(value, bool):
        return constant.dtype == BOOL and isinstance(value, bool)
    if constant.dtype == CONSTANT_TYPES["int"]:
        return isinstance(value, int) and abs(value) <= constant.dtype.greatest
    return isinstance(value, int | float)


def _misfit(kernel: ast.Kernel, misfit: Misfit, shapes: Shapes) -> str:
    """Name the parameter, what it needs and what came."""
    name = kernel.name.name
    for parameter in kernel.parameters:
        if parameter.name.name == misfit.parameter:
            dtype, shape = shapes[misfit.parameter]
            came = f"{dtype}[{', '.join(map(str, shape))}]" if shape else str(dtype)
            wanted = text_of(parameter.type.span)
            return f"{name} needs {misfit.parameter}: {wanted}, and {came} came: " + (
                misfit.reason
            )
    return f"{name} cannot take these arguments: {misfit.reason}"
