"""Decisions as values: what was chosen, why, and what it was better than.

The scheduler returns them with the schedule, and `explain` prints them; nothing else
keeps a record of how a schedule came about.
"""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.schedule.point import Point


@dataclass(frozen=True, slots=True)
class LevelCost:
    """What a schedule moves at one level of the memory hierarchy: the bytes that come
    from it (registers, L1, L2, L3, memory), and the seconds that this alone takes."""

    name: str
    bytes: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """The predicted time of one candidate, in cycles of one core, by cause.

    `levels` are the traffic that the prediction rests on, from the registers outwards;
    `bound_by` names what limits the speed (arithmetic, or one of the levels). A model
    that does not know them leaves them empty.
    """

    parts: tuple[tuple[str, float], ...]
    levels: tuple[LevelCost, ...] = ()
    bound_by: str = ""

    @property
    def cycles(self) -> float:
        """The sum of all parts."""
        return sum(cycles for _, cycles in self.parts)

    def __str__(self) -> str:
        causes = ", ".join(f"{name} {_count(c)}" for name, c in self.parts if c)
        return f"{_count(self.cycles)} cycles ({causes})" if causes else "0 cycles"


def _count(cycles: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if cycles >= limit:
            return f"{cycles / limit:.3g} {unit}"
    return f"{cycles:.3g}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A candidate that was not taken. `cost` is None where it was not legal."""

    candidate: str
    cost: Cost | None
    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A legal schedule of one decision as a plain value, with its predicted cost."""

    point: Point
    cost: Cost


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice of the scheduler, about `subject` (a statement or a tensor).

    `alternatives` are the best candidates, the chosen one first: tuning measures them.
    """

    subject: str
    chosen: str
    reason: str
    cost: Cost | None = None
    rejected: tuple[Rejected, ...] = ()
    alternatives: tuple[Candidate, ...] = ()


def render(decision: Decision) -> str:
    """Return the text that `explain` prints for a decision."""
    lines = [f"{decision.subject}: {decision.chosen}", f"  because {decision.reason}"]
    if decision.cost is not None:
        lines.append(f"  predicted {decision.cost}")
    for other in decision.rejected:
        cost = f", {other.cost}" if other.cost is not None else ""
        lines.append(f"  not {other.candidate}: {other.reason}{cost}")
    return "\n".join(lines)
