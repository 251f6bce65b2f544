"""Single assignment, and the `return` at the end: rules that need no types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.source import Span
from polydsl.semantics.scope import Scope, suggest
from polydsl.syntax import ast


@dataclass(frozen=True, slots=True)
class Writing:
    """One place where a tensor gets its value; a kernel call counts as `=`."""

    op: str
    span: Span
    statement: ast.Statement


def writings(kernel: ast.Kernel, scope: Scope) -> dict[str, list[Writing]]:
    """Return for every tensor the places where it is defined, in order."""
    found: dict[str, list[Writing]] = {}

    def add(name: str, op: str, span: Span, statement: ast.Statement) -> None:
        if scope.kinds.get(name) == "tensor":
            found.setdefault(name, []).append(Writing(op, span, statement))

    for statement in kernel.body:
        match statement:
            case ast.Assign(ast.Access(tensor), op, _, span):
                add(tensor, op, span, statement)
            case ast.Assign(ast.Name(name), op, _, span):
                add(name, op, span, statement)
            case ast.MultiAssign(targets):
                for target in targets:
                    add(target.name, "=", target.span, statement)
            case _:
                pass
    return found


def check_assignments(
    kernel: ast.Kernel, scope: Scope, found: Diagnostics
) -> dict[str, list[Writing]]:
    """Report tensors that are defined twice, or in two ways, or not at all."""
    places = writings(kernel, scope)
    parameters = {parameter.name.name for parameter in kernel.parameters}
    for name, written in places.items():
        if name in parameters:
            _refuse_parameter(name, written[0], found)
        else:
            _check_writings(name, written, found)
    for statement in kernel.body:
        if isinstance(statement, ast.Declare):
            _check_declaration(statement, places, parameters, found)
    return places


def _refuse_parameter(name: str, writing: Writing, found: Diagnostics) -> None:
    found.error(
        "E0107",
        f"the parameter {name} is written",
        writing.span,
        label="parameters are only read",
        hint="give the result another name",
    )


def _check_writings(name: str, written: list[Writing], found: Diagnostics) -> None:
    first = written[0]
    for writing in written[1:]:
        if writing.op == first.op != "=":
            continue
        where = f"line {first.span.line}"
        if writing.op == first.op:
            found.error(
                "E0106",
                f"{name} is defined twice",
                writing.span,
                label=f"first defined in {where}",
                hint="a tensor is defined by one =; give one of the two another name",
            )
            continue
        both = {writing.op, first.op}
        hint = "use one operator for all statements of a tensor"
        if both == {"=", "+="}:
            hint = "write += in both: several += to one name add up"
        found.error(
            "E0106",
            f"{name} is defined by {first.op} and by {writing.op}",
            writing.span,
            label=f"{writing.op} here, but {first.op} in {where}",
            hint=hint,
        )


def _check_declaration(
    statement: ast.Declare,
    places: Mapping[str, list[Writing]],
    parameters: set[str],
    found: Diagnostics,
) -> None:
    name = statement.name.name
    if name in parameters:
        found.error(
            "E0215",
            f"the parameter {name} is declared again",
            statement.span,
            label="a parameter already",
            hint="leave out this line, or use another name",
        )
    elif name not in places:
        found.error(
            "E0108",
            f"{name} is declared and never defined",
            statement.span,
            label="declared here",
            hint=f"define it, for example {name}[...] = ..., or leave out this line",
        )


def check_return(
    kernel: ast.Kernel, scope: Scope, found: Diagnostics
) -> tuple[ast.Name, ...]:
    """Return the results of a kernel; report a `return` that is missing or wrong."""
    returns = [s for s in kernel.body if isinstance(s, ast.Return)]
    if not returns:
        found.error(
            "E0116",
            f"the kernel {kernel.name.name} returns nothing",
            kernel.name.span,
            label="no return in its body",
            hint="end the body with return and the names of the results",
        )
        return ()
    last = returns[-1]
    if kernel.body[-1] is not last or len(returns) > 1:
        found.error(
            "E0116",
            "return is not the last statement",
            returns[0].span,
            label="statements follow",
            hint="return stands once, at the end of the body",
        )
    good = tuple(name for name in last.names if _is_result(name, scope, found))
    if kernel.results is not None and len(kernel.results) != len(last.names):
        given, wanted = len(last.names), len(kernel.results)
        found.error(
            "E0214",
            f"{given} result{'' if given == 1 else 's'} {_is(given)} returned, and "
            f"{wanted} type{'' if wanted == 1 else 's'} {_is(wanted)} declared",
            last.span,
            label=f"{given} here",
            hint="give every result one type behind ->",
        )
        return ()
    return good if len(good) == len(last.names) else ()


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _is_result(name: ast.Name, scope: Scope, found: Diagnostics) -> bool:
    kind = scope.kinds.get(name.name)
    if kind == "tensor" or name.name in scope.conflicts:
        return kind == "tensor"
    tensors = [n for n, k in scope.kinds.items() if k == "tensor"]
    if kind is None:
        found.error(
            "E0103",
            f"the tensor {name.name} is not defined",
            name.span,
            label="no parameter or statement defines it",
            hint=suggest(name.name, tensors) or f"define it: {name.name}[...] = ...",
        )
        return False
    hint = "return takes the names of tensors"
    if name.name in scope.definitions:
        hint = f"declare it to make it a tensor: {name.name}: i64"
    found.error(
        "E0116",
        f"{name.name} is {'an' if kind == 'index' else 'a'} {kind} and cannot be "
        "returned",
        name.span,
        label=f"{'an' if kind == 'index' else 'a'} {kind} here",
        hint=hint,
    )
    return False
