"""Decisions as values: what was chosen, why, and what it was better than.

The scheduler returns them with the schedule, and `explain` prints them; nothing else
keeps a record of how a schedule came about.
"""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.machine import Machine
from polydsl.base.quantities import bytes_text, seconds_text
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

    def seconds(self, machine: Machine) -> float:
        """Return the predicted time on a machine."""
        return machine.seconds(self.cycles)

    def text(self, machine: Machine) -> str:
        """Return the time and its causes."""
        causes = [
            f"{name} {seconds_text(machine.seconds(cycles))}"
            for name, cycles in self.parts
            if cycles
        ]
        total = seconds_text(self.seconds(machine))
        return f"{total} ({', '.join(causes)})" if causes else total


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


def render(decision: Decision, machine: Machine) -> str:
    """Return the text that `explain` prints for a decision."""
    lines = [f"{decision.subject}: {decision.chosen}", f"  because {decision.reason}"]
    if decision.cost is not None:
        bound = f", bound by {decision.cost.bound_by}" if decision.cost.bound_by else ""
        lines.append(f"  predicted {decision.cost.text(machine)}{bound}")
        lines += _levels(decision.cost)
    for other in decision.rejected:
        cost = "" if other.cost is None else f", {other.cost.text(machine)}"
        lines.append(f"  not {other.candidate}: {other.reason}{cost}")
    return "\n".join(lines)


def _levels(cost: Cost) -> list[str]:
    """Return a table of what moves at each level, and what that alone takes."""
    if not cost.levels:
        return []
    width = max(len(level.name) for level in cost.levels)
    rows = [f"    {'level':<{width}} {'moves':>11} {'takes':>10}"]
    for level in cost.levels:
        moved, took = bytes_text(level.bytes), seconds_text(level.seconds)
        mark = "  <- bound" if level.name == cost.bound_by else ""
        rows.append(f"    {level.name:<{width}} {moved:>11} {took:>10}{mark}")
    return rows
