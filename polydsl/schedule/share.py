"""Threads around a recurrence: an index along which nothing in it depends on anything
else is cut into a block for each core.

    for t: A(t, b); B(t, b)    ->    for blocks of b [parallel]: for t: A(t, b); B(t, b)

So threads meet once and not in every step, and each keeps its part of the state. Where
one step of that is in memory, blocks are so short that it stays in the nearest cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polydsl.base.machine import Machine
from polydsl.poly.scop import Recurrence, Scop, Statement
from polydsl.poly.terms import isl_name
from polydsl.schedule.contraction import is_product
from polydsl.schedule.legality import Precedence

LEAST_POINTS = 32_768
"""Below so many points a second thread costs more than it saves."""

LEAST_PRODUCT = 65_536
"""Multiply-adds of a product in one iteration of a recurrence for which a microkernel
is better than threads that share the recurrence."""


@dataclass(frozen=True, slots=True)
class Share:
    """A loop of threads over blocks of `size` points of an index, from `lo` to `hi`."""

    index: str
    size: int
    lo: int
    hi: int

    @property
    def is_even(self) -> bool:
        """Whether all blocks have the same number of points."""
        return (self.hi - self.lo + 1) % self.size == 0

    @property
    def var(self) -> str:
        """The variable of the loop. Marked, so that no index is called like it."""
        return f"{self.index}_share'"


def has_products(scop: Scop, item: Recurrence) -> bool:
    """Whether each iteration has products that are worth a microkernel."""
    trips = max(item.hi - item.lo + 1, 1)
    statements = scop.statements_of(item.body)
    large = (s for s in statements if s.points >= LEAST_PRODUCT * trips)
    return any(is_product(scop, s) for s in large)


def choose_share(
    scop: Scop, item: Recurrence, known: Sequence[Precedence], machine: Machine
) -> Share | None:
    """Return what threads share in a recurrence, None if there is nothing to share or
    too little to do. An index that is not contiguous in the results comes first."""
    statements = scop.statements_of(item.body)
    names = {s.name for s in statements}
    if machine.cores < 2 or sum(s.points for s in statements) < LEAST_POINTS:
        return None
    inside = [k for k in known if {k.dependence.source, k.dependence.target} <= names]
    free = [
        d
        for d in statements[0].left
        if d != item.index and _is_free(d, statements, inside, machine.cores)
    ]
    # The last index is that of the vectors, as a rule; blocks of it are shorter.
    for d in free:
        lo, hi = statements[0].ranges[d]
        lanes = machine.vector_bytes if d == statements[0].left[-1] else 1
        size = -(-(hi - lo + 1) // machine.cores)
        size = min(size, _near(scop, item, hi - lo + 1, machine))
        size = -(-size // lanes) * lanes
        if size <= hi - lo:
            return Share(d, size, lo, hi)
    return None


def _near(scop: Scop, item: Recurrence, extent: int, machine: Machine) -> int:
    """Return for how many of the values of an index a step of the states stays in the
    nearest cache, beside as much of something else; 1 if for none."""
    steps = item.hi - item.lo + 1
    each = sum(scop.tensor(t).bytes for t in item.contracted) / (steps * extent)
    return int(machine.caches[0].capacity / 2 / each) or 1 if each else extent


def _is_free(
    d: str, statements: Sequence[Statement], known: Sequence[Precedence], cores: int
) -> bool:
    """Whether all statements have an index on their left side, with the same plain
    range, and nothing depends on another value of it."""
    first = statements[0].ranges[d]
    return (
        first[1] - first[0] + 1 >= cores
        and all(d in s.left and s.ranges[d] == first for s in statements)
        and all(isl_name(d) in k.equal for k in known)
    )
