"""What a statement is scheduled for: the program, the layout and the machine."""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.machine import Machine
from polydsl.base.providers import BUILT_IN
from polydsl.base.source import Span
from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.operand import Layout
from polydsl.schedule.preference import Ranker


@dataclass(frozen=True, slots=True)
class Setting:
    """What a choice is made for: the program, the layout and the machine.

    `bound` are the tensors whose elements are known once and for ever, `microkernel`
    names the provider whose microkernels are planned for, `ranker` who orders the
    candidates. Loops over the indices that are `fixed` are around the statement.
    """

    scop: Scop
    statement: Statement
    layout: Layout
    machine: Machine
    bound: frozenset[str]
    microkernel: str = BUILT_IN
    ranker: Ranker = "reuse"
    fixed: tuple[str, ...] = ()

    @property
    def span(self) -> Span:
        """The place of the statement in its source."""
        return self.statement.span
