"""`@polydsl.kernel`: a Python function as a kernel definition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, overload

from polydsl.base.diagnostics import Diagnostic, ProgramError
from polydsl.driver.kernel import Kernel
from polydsl.driver.settings import DEFAULTS, Settings
from polydsl.semantics.check import check_module
from polydsl.semantics.library import Imported
from polydsl.syntax import ast
from polydsl.syntax.host import parse_function

Decorator = Callable[[Callable[..., Any]], Kernel]


@overload
def kernel(function: Callable[..., Any]) -> Kernel: ...


@overload
def kernel(
    *,
    ranker: str | None = ...,
    microkernel: str | None = ...,
    tune: float | None = ...,
) -> Decorator: ...


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    ranker: str | None = None,
    microkernel: str | None = None,
    tune: float | None = None,
) -> Kernel | Decorator:
    """Return the kernel that a Python function defines.

    The function is never executed: its source text is parsed by the grammar of the
    language, and errors point into the user's file. Kernels in scope of the function
    may be called in it by their plain names. With options, as in
    `@polydsl.kernel(ranker="polyrank")`, it is compiled as `Kernel.configure` says.
    Raises `ProgramError`, with everything that is wrong with the text, and
    `ArgumentError` for an option that does not exist.
    """
    settings = DEFAULTS.changed(ranker, microkernel, tune)
    if function is not None:
        return _define(function, settings)
    return lambda defined: _define(defined, settings)


def _define(function: Callable[..., Any], settings: Settings) -> Kernel:
    module = parse_function(function)
    imports: dict[str, Imported] = {}
    for call in _calls(module):
        value = _in_scope(function, call.function)
        if isinstance(value, Kernel):
            _check_unbound(value, call)
            imports[call.function] = Imported(value.name, value.library)
    own = module.kernels[0].name.name
    imports.pop(own, None)
    made = Kernel(check_module(module, imports), own, settings=settings)
    made.__module__ = function.__module__
    return made


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
