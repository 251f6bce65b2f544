"""Statements in an order of execution, or what is wrong with them in plain words."""

from __future__ import annotations

from polydsl.base.diagnostics import (
    Diagnostic,
    NotCompiledError,
    PolydslError,
    ProgramError,
)
from polydsl.poly.cycles import TooMany, find_cycle
from polydsl.poly.ordering import Cycle, order_statements
from polydsl.poly.scatters import Stays, gathered
from polydsl.poly.scop import Scop


def ordered_scop(scop: Scop, stays: Stays) -> Scop:
    """Return the scop in an order of execution, its scatters turned round but for those
    that stay.

    Raises `ProgramError` E0314 where points need each other, and `NotCompiledError`
    E0502 for a recurrence that runs along no linear time and is too large to be
    ordered point by point.
    """
    try:
        return order_statements(gathered(scop, stays))
    except Cycle as cycle:
        raise _recurrence(cycle) from None


def _recurrence(cycle: Cycle) -> PolydslError:
    """Return what is wrong with statements for which no order was found."""
    first = cycle.statements[0]
    try:
        found = find_cycle(cycle.statements)
    except TooMany:
        found = None
    if found is None:
        refused = Diagnostic(
            "E0502",
            f"a recurrence without a linear order ({cycle}) is not compiled yet",
            first.span,
            f"{first.tensor} has too many points to be ordered one by one",
            "the oracle runs it: kernel.reference(...)",
        )
        return NotCompiledError((refused,))
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
