"""What of the language is compiled so far, and plain words for what is not."""

from __future__ import annotations

from polydsl.base.diagnostics import (
    Diagnostic,
    NotCompiledError,
    PolydslError,
    ProgramError,
)
from polydsl.base.source import Span
from polydsl.poly.cycles import TooMany, find_cycle
from polydsl.poly.ordering import Cycle, order_statements
from polydsl.poly.scatters import gathered
from polydsl.poly.scop import Scop
from polydsl.semantics.program import (
    Access,
    Definition,
    Expr,
    Program,
    accesses,
    is_affine,
)

_HINT = "the oracle runs it: kernel.reference(...)"


def ordered_scop(program: Program, scop: Scop) -> Scop:
    """Return the scop in an order of execution, its scatters turned round.

    Raises `ProgramError` E0314 where points need each other, and `NotCompiledError`.

    Not compiled yet: E0502 recurrences that run along no linear time, E0503 indirect
    subscripts.
    """
    found = _indirect(program)
    if found:
        raise NotCompiledError(tuple(sorted(found, key=lambda d: d.span.start)))
    try:
        return order_statements(gathered(scop))
    except Cycle as cycle:
        raise _recurrence(cycle) from None


def _refusal(code: str, what: str, span: Span, label: str = "") -> Diagnostic:
    return Diagnostic(code, f"{what} not compiled yet", span, label, _HINT)


def _indirect(program: Program) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for definition in program.definitions:
        for access in _all_accesses(definition):
            for subscript in access.subscripts:
                if not is_affine(subscript):
                    what = "a subscript that is read from a tensor is"
                    found.append(_refusal("E0503", what, subscript.span))
    return found


def _all_accesses(definition: Definition) -> list[Access]:
    exprs: tuple[Expr, ...] = (definition.value, *definition.subscripts)
    return [a for e in exprs for a in accesses(e)]


def _recurrence(cycle: Cycle) -> PolydslError:
    """Return what is wrong with statements for which no order was found."""
    first = cycle.statements[0]
    try:
        found = find_cycle(cycle.statements)
    except TooMany:
        found = None
    if found is None:
        what = f"a recurrence without a linear order ({cycle}) is"
        label = f"{first.tensor} needs elements of itself"
        return NotCompiledError((_refusal("E0502", what, first.span, label),))
    one, other = (instance.element for instance in found)
    message = f"{one} and {other} need each other"
    if one == other:
        message = f"{one} needs itself"
    return ProgramError(
        (
            Diagnostic(
                "E0314",
                f"no order of the points exists: {message}",
                found[0].statement.span,
                "the recurrence",
                "read only elements that an earlier point defines",
            ),
        )
    )
