"""The arrays that candidates for a product use: factors, copies of them, the result.

Candidates of several families are treated together, so that what reads a factor may be
its tensor for some of them, a padded copy for others, and a packed one for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polydsl.schedule.matrix_batch import Batch, Flags, Numbers
from polydsl.schedule.matrix_plan import Copy, Factor
from polydsl.schedule.matrix_point import Axis
from polydsl.schedule.operand import Operand, row_major
from polydsl.schedule.reuse.footprint import Axis as ArrayAxis
from polydsl.schedule.reuse.footprint import (
    Progression,
    Reference,
    lines,
    runs,
    spread,
)
from polydsl.schedule.reuse.traffic import Table
from polydsl.schedule.setting import Setting

INNER: tuple[Axis, ...] = ("taps", "depth")
"""The loops inside the microkernel."""


@dataclass(frozen=True, slots=True)
class Array:
    """An array that candidates use: elements of a tensor, or a packed copy.

    `references` say where the elements are, and for which candidates; `is_packed` which
    ones use a packed copy, that is dense. `axes` move it: names of axes of the product,
    and outer dimensions. `place` is the number of loops around its accesses, `anew`
    that of the loops outside of which it is the same memory (a copy that is filled
    anew): 0 for what is not. `is_filled` says for which candidates every call fills it.
    """

    name: str
    references: tuple[tuple[Reference, Flags], ...]
    axes: tuple[str, ...]
    place: Numbers
    anew: Numbers
    is_packed: Flags
    is_filled: Flags
    is_written: bool = False


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a reference touches along its axes, for m different spans; `inverse` tells
    which of these the loops of each candidate have, shape (D + 3, n)."""

    reference: Reference
    along: tuple[Progression, ...]
    inverse: Numbers

    def lines(self, line: int) -> Table:
        """Return how many lines of so many bytes, (D + 3, n)."""
        found = lines(self.along, self.reference.element, line)
        return np.broadcast_to(found, self._count)[self.inverse]

    def spread(self, line: int) -> Table:
        """Return the share of the sets of a cache that they may lie in, (D + 3, n)."""
        found = spread(self.along, self.reference.element, line)
        return np.broadcast_to(found, self._count)[self.inverse]

    def run_bytes(self, line: int) -> Table:
        """Return how many bytes lie in one run of lines, (D + 3, n)."""
        found = runs(self.along, self.reference.element, line).span
        return np.broadcast_to(found, self._count)[self.inverse]

    @property
    def _count(self) -> int:
        return int(self.inverse.max()) + 1


def arrays_of(batch: Batch, setting: Setting, depth: int) -> tuple[Array, ...]:
    """Return everything that *depth* loops and the microkernel inside of them read or
    write: each factor, the source of copies of it if there are any, and the result."""
    plans, running = [family.plan for family in batch.families], batch.running
    a, b = [plan.a for plan in plans], [plan.b for plan in plans]
    result = plans[0].contraction.c
    reference = _reference(batch, setting, result, None)
    place, never = np.full(len(batch), depth), np.zeros(len(batch), dtype=bool)
    axes = ("rows", "columns", *_moving(batch, result))
    references = ((reference, ~never),)
    return (
        *_factor(batch, setting, "rows", a, running.a_loops, depth + len(INNER)),
        *_factor(batch, setting, "columns", b, running.b_loops, depth + len(INNER)),
        Array("result", references, axes, place, 0 * place, never, never, True),
    )


def _factor(
    batch: Batch,
    setting: Setting,
    axis: Axis,
    factors: list[Factor],
    loops: Numbers,
    depth: int,
) -> Iterator[Array]:
    """Yield a factor as every family reads it, and the sources of its copies."""
    never = np.zeros(len(batch), dtype=bool)
    is_packed, is_filled = never, never
    reads: tuple[Operand, ...] = ()
    found: dict[Reference, Flags] = {}
    for number, factor in enumerate(factors):
        here = batch.member == number
        if factor.pack is None:
            reference = _reference(batch, setting, factor.operand, factor.padded)
            found[reference] = found.get(reference, never) | here
            continue
        is_packed = is_packed | here
        if not factor.pack.prepared:
            is_filled = is_filled | here
            reads = factor.operand.reads
    axes = (axis, *INNER, *_moving(batch, factors[0].operand))
    place, anew = np.full(len(batch), depth), np.where(is_packed, loops, 0)
    yield Array(
        "operand", tuple(found.items()), axes, place, anew, is_packed, is_filled
    )
    for read in dict.fromkeys(reads):
        source = _reference(batch, setting, read, None)
        moving = tuple(_axes(batch, axis, read))
        if moving:
            of_source = ((source, is_filled),)
            yield Array("source", of_source, moving, loops, 0 * loops, never, never)


def _axes(batch: Batch, axis: Axis, operand: Operand) -> Iterator[str]:
    """Yield what moves an operand of a side: axes, and outer dimensions."""
    for name in (axis, *INNER):
        if operand.dims & {*batch.plan.side(name).dims}:
            yield name
    yield from _moving(batch, operand)


def _moving(batch: Batch, operand: Operand) -> Iterator[str]:
    """Yield the outer dimensions that move an operand."""
    dims = operand.dims
    yield from (d for d in batch.plan.outer if d in dims)


def _reference(
    batch: Batch, setting: Setting, operand: Operand, padded: Copy | None
) -> Reference:
    """Return an operand in its tensor, or in a padded copy."""
    if padded is not None:
        shape, strides = padded.shape, row_major(padded.shape)
        element = padded.dtype.bytes
    else:
        strides, tensor = setting.layout[operand.tensor], setting.scop.tensor
        shape = tensor(operand.tensor).shape
        element = tensor(operand.tensor).dtype.bytes
    axes = tuple(
        ArrayAxis(stride * element, extent, subscript.coefficients)
        for subscript, extent, stride in zip(operand.subscripts, shape, strides)
    )
    return Reference(operand.tensor, element, axes)
