"""Checking a file when it is loaded: everything that can be said without numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polydsl.base.diagnostics import (
    Diagnostic,
    Diagnostics,
    ProgramError,
    errors_in,
)
from polydsl.semantics.calls import call_statement
from polydsl.semantics.elaborate import elaborate_kernel
from polydsl.semantics.frame import Session
from polydsl.semantics.instance import (
    Mismatch,
    match_instance,
    representative,
    variables_of,
)
from polydsl.semantics.library import Imported, Library
from polydsl.syntax import ast


def check_module(
    module: ast.Module, imports: Mapping[str, Imported] | None = None
) -> Library:
    """Check all kernels of a file and return them as a library.

    *imports* gives the kernels of other files by the name they have here. Raises
    `ProgramError` with every error of the file.
    """
    found = Diagnostics()
    imported = dict(imports or {})
    own = _own_kernels(module, imported, found)
    library = Library(own, imported)
    _check_recursion(library, found)
    session = Session()
    findings: list[Diagnostic] = list(found)
    for kernel in own.values():
        findings += _check_kernel(library, kernel, session)
    ordered = _sort(findings)
    if errors := errors_in(ordered):
        raise ProgramError(errors)
    return Library(own, imported, ordered)


def _check_kernel(
    library: Library, kernel: ast.Kernel, session: Session
) -> Sequence[Diagnostic]:
    """Check a kernel for dtypes that suit it.

    Its dtype variables are floats, but for those that make less errors of types as
    integers: the indices in `table[ids[n]]`, say.
    """
    matched = match_instance(kernel, representative(kernel))
    if isinstance(matched, Mismatch):
        return (_disagreeing(kernel, matched),)
    integers: frozenset[str] = frozenset()
    best = elaborate_kernel(library, kernel, representative(kernel), session).findings
    for variable in variables_of(kernel):
        if not _type_errors(best):
            break
        instance = representative(kernel, integers | {variable})
        found = elaborate_kernel(library, kernel, instance, session).findings
        if _type_errors(found) < _type_errors(best):
            integers, best = integers | {variable}, found
    return best


def _type_errors(findings: Sequence[Diagnostic]) -> int:
    return sum(error.code.startswith("E02") for error in errors_in(findings))


def _sort(findings: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda d: (d.span.source.name, d.span.start)))


def _disagreeing(kernel: ast.Kernel, wrong: Mismatch) -> Diagnostic:
    """A signature that nothing fits: `x: f32[...]`, but `...` not in front."""
    parameter = kernel.parameters[wrong.position]
    return Diagnostic(
        "E0213",
        f"no argument fits {parameter.name.name}: {wrong.reason}",
        parameter.span,
        "... here",
        "... stands once, for the leading dimensions",
    )


def _own_kernels(
    module: ast.Module, imported: dict[str, Imported], found: Diagnostics
) -> dict[str, ast.Kernel]:
    own: dict[str, ast.Kernel] = {}
    for kernel in module.kernels:
        name, span = kernel.name.name, kernel.name.span
        if name in own or name in imported:
            first = "imported" if name in imported else "defined"
            found.error(
                "E0411",
                f"the kernel {name} is defined twice",
                span,
                label=f"{name} is {first} already",
                hint="give one of the two another name",
            )
        own.setdefault(name, kernel)
    return own


def _check_recursion(library: Library, found: Diagnostics) -> None:
    """Report each call that closes a circle of kernels of the file."""
    own = library.kernels
    calls = {name: _calls_of(kernel, library) for name, kernel in own.items()}
    for name in own:
        for call in calls[name]:
            path = _path(call.function, name, calls)
            if path is not None:
                found.error(
                    "E0408",
                    f"the kernel {name} calls itself"
                    + (f" through {', '.join(path)}" if path else ""),
                    call.span,
                    label="recursion",
                    hint="kernels are inlined, so none may call itself; "
                    "a tensor may read itself instead: h[t] = ... h[t - 1] ...",
                )


def _calls_of(kernel: ast.Kernel, library: Library) -> list[ast.Call]:
    found = (call_statement(s, library.names()) for s in kernel.body)
    return [
        statement.call
        for statement in found
        if statement is not None and statement.call.function in library.kernels
    ]


def _path(
    start: str, goal: str, calls: Mapping[str, list[ast.Call]]
) -> list[str] | None:
    """Return the kernels on a way from *start* to *goal*, without the goal."""
    pending: list[tuple[str, list[str]]] = [(start, [])]
    seen: set[str] = set()
    while pending:
        name, path = pending.pop(0)
        if name == goal:
            return path
        if name not in seen:
            seen.add(name)
            pending += [(call.function, [*path, name]) for call in calls[name]]
    return None
