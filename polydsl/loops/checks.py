"""Checks of indirect subscripts in the loop nest: what ends a call that must fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polydsl.loops import nest
from polydsl.loops.expressions import Translation
from polydsl.loops.terms import number as number_of
from polydsl.loops.terms import plus, unflatten
from polydsl.poly.defined import Defined
from polydsl.poly.scop import Check, Scop

POSITION = "position'"
"""The variable that a failed check's position is called, marked so that no index is
called like it."""


def check_nodes(
    scop: Scop, tensor: str, defined: Mapping[str, Defined]
) -> Iterator[nest.Check]:
    """Yield what follows the statements that define a tensor, if it is a check's."""
    for number, check in enumerate(scop.checks):
        if check.tensor == tensor:
            yield _check_node(scop, number, check, defined)


def _check_node(
    scop: Scop, number: int, check: Check, defined: Mapping[str, Defined]
) -> nest.Check:
    subject = check.subject
    sizes = dict(zip(subject.indices, subject.lengths))
    starts = dict(zip(subject.indices, subject.starts))
    steps = unflatten(nest.Var(POSITION), subject.indices, sizes)
    values = {name: plus(step, number_of(starts[name])) for name, step in steps.items()}
    box = {name: (lo, lo + sizes[name] - 1) for name, lo in starts.items()}
    value = Translation(scop, values, box, defined).expression(check.value)
    return nest.Check(number, check.tensor, POSITION, subject.positions, value)
