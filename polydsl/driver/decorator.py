"""`@polydsl.kernel`: a Python function as a kernel definition."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FunctionType
from typing import Any, overload

from polydsl.base.diagnostics import Diagnostic, ProgramError
from polydsl.driver.kernel import Kernel
from polydsl.driver.kernel_module import KernelModule
from polydsl.driver.settings import DEFAULTS, Settings
from polydsl.semantics.check import check_module
from polydsl.semantics.library import Imported, Library
from polydsl.syntax import ast
from polydsl.syntax.host import parse_function
from polydsl.syntax.words import reserved_as

Decorator = Callable[[Callable[..., Any]], Kernel]


@overload
def kernel(function: Callable[..., Any]) -> Kernel: ...


@overload
def kernel(
    *,
    ranker: str | None = ...,
    microkernel: str | None = ...,
    tune: float | None = ...,
    fuse: str | None = ...,
) -> Decorator: ...


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    ranker: str | None = None,
    microkernel: str | None = None,
    tune: float | None = None,
    fuse: str | None = None,
) -> Kernel | Decorator:
    """Return the kernel that a Python function defines.

    The function is never executed: its source text is parsed by the grammar of the
    language, and errors point into the user's file. Kernels in scope of the function
    may be called in it by their plain names. With options, as in
    `@polydsl.kernel(ranker="polyrank")`, it is compiled as `Kernel.configure` says.
    Raises `ProgramError`, with everything that is wrong with the text, and
    `ArgumentError` for an option that does not exist.
    """
    settings = DEFAULTS.changed(ranker, microkernel, tune, fuse)
    if function is not None:
        return _define(function, settings)
    return lambda defined: _define(defined, settings)


def _define(function: Callable[..., Any], settings: Settings) -> Kernel:
    module = parse_function(function)
    own = module.kernels[0].name.name
    imports: dict[str, Imported] = {}
    others: dict[str, object] = {}
    for call in _calls(module):
        if call.function == own or reserved_as(call.function):
            continue
        value = _in_scope(function, call.function)
        if isinstance(value, Kernel):
            _check_unbound(value, call)
            imports[call.function] = Imported(value.name, value.library)
        elif value is not None:
            others[call.function] = value
    made = Kernel(_check(module, imports, others), own, settings=settings)
    made.__module__ = function.__module__
    made.__qualname__ = function.__qualname__
    return made


def _check(
    module: ast.Module, imports: dict[str, Imported], others: dict[str, object]
) -> Library:
    """Check the kernel; of what it calls and is no kernel say what it is in Python."""
    try:
        return check_module(module, imports)
    except ProgramError as error:
        raise ProgramError(
            tuple(_with_remedy(d, others) for d in error.diagnostics)
        ) from None


def _with_remedy(found: Diagnostic, others: dict[str, object]) -> Diagnostic:
    name = found.span.text
    if found.code != "E0401" or name not in others:
        return found
    value = others[name]
    if isinstance(value, KernelModule):
        remedy = f"it is a module of kernels; give one of them a name: g = {name}.g"
    elif isinstance(value, FunctionType):
        remedy = "it is a Python function: make it a kernel with @polydsl.kernel"
    else:
        remedy = f"it is a {type(value).__name__} of Python, and no kernel"
    return replace(found, hint=remedy)


def _check_unbound(value: Kernel, call: ast.Call) -> None:
    if not value.is_bound:
        return
    raise ProgramError(
        (
            Diagnostic(
                "E0412",
                f"{call.function} is a kernel with bound arguments",
                call.function_span,
                "it cannot be inlined here",
                f"call {value.name} itself and give it these arguments",
            ),
        )
    )


def _calls(module: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls in a module's kernels."""
    for definition in module.kernels:
        for statement in definition.body:
            if isinstance(statement, ast.Assign | ast.MultiAssign):
                for node in ast.walk(statement.value):
                    if isinstance(node, ast.Call):
                        yield node


def _in_scope(function: Callable[..., Any], name: str) -> object:
    """Return what a plain name means to a function: a global, or one around it."""
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    names = code.co_freevars if code is not None else ()
    cells = getattr(function, "__closure__", None) or ()
    around = dict(zip(names, cells))
    if name in around:
        try:
            return around[name].cell_contents
        except ValueError:
            return None
    return getattr(function, "__globals__", {}).get(name)
