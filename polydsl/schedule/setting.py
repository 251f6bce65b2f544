"""What a statement is scheduled for: the program, the layout and the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polydsl.base.machine import Machine
from polydsl.base.providers import BUILT_IN
from polydsl.base.source import Span
from polydsl.poly.scop import Scop, Statement, TensorInfo
from polydsl.poly.terms import Interval
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.operand import Layout, Operand
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

    def source(self, operand: Operand) -> TensorInfo | None:
        """Return the tensor that holds the elements of an operand, None where they are
        computed."""
        return None if operand.computed else self.scop.tensor(operand.tensor)

    def is_bound(self, operand: Operand) -> bool:
        """Whether the elements of an operand are known once and for ever."""
        return {read.tensor for read in operand.reads} <= self.bound

    def overhangs(
        self, operand: Operand, box: Mapping[str, Interval]
    ) -> tuple[bool, ...]:
        """Return for each axis of an operand whether it leaves its tensor somewhere;
        what is computed leaves none."""
        tensor = self.source(operand)
        if tensor is None:
            return (False,) * len(operand.subscripts)
        return operand.overhangs(tensor.shape, box)

    def deciding(self, operand: Operand, contraction: Contraction) -> frozenset[str]:
        """Return the indices that decide whether an access is inside its tensor."""
        sizes = contraction.sizes
        overhang = self.overhangs(operand, contraction.box)
        return frozenset(
            d
            for subscript, leaves in zip(operand.subscripts, overhang)
            if leaves
            for d, _ in subscript.coefficients
            if sizes[d] > 1
        )

    @property
    def span(self) -> Span:
        """The place of the statement in its source."""
        return self.statement.span
