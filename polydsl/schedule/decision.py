"""Decisions as values: what was chosen, why, and what it was better than.

The scheduler returns them with the schedule, and `explain` prints them; nothing else
keeps a record of how a schedule came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from polydsl.base.machine import Machine
from polydsl.base.quantities import bytes_text, seconds_text
from polydsl.schedule.point import Point

_FROM = "data from"
"""The heading of levels: what they move comes from them, one level nearer."""


@dataclass(frozen=True, slots=True)
class LevelCost:
    """What a schedule moves between a level of the memory hierarchy and the next one
    that is nearer to the core: the bytes that come from the level (L1, into registers;
    L2, L3, memory) or go back to it, and the seconds that this alone takes."""

    name: str
    bytes: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """The predicted time of one candidate, in cycles of one core, by cause.

    `levels` are the traffic that the prediction rests on, from L1 outwards; `bound_by`
    names what limits the speed: arithmetic, one of the levels, or what else takes
    longest. A model that does not know them leaves them empty.
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


def slowest(work: Mapping[str, float], levels: Iterable[LevelCost]) -> str:
    """Return what takes the longest time by itself, of kinds of work in seconds and of
    levels: that is what bounds a schedule."""
    takes = {**work, **{level.name: level.seconds for level in levels}}
    return max(takes, key=lambda name: takes[name])


def lost_by(cost: Cost, best: Cost) -> str:
    """Return why a candidate of one cost lost against the best, in words: how much more
    time it takes, and the cause that most of that goes to."""
    taken = dict(best.parts)
    more = {name: cycles - taken.get(name, 0.0) for name, cycles in cost.parts}
    name = max(more, key=lambda part: more[part])
    ratio = cost.cycles / max(best.cycles, 1.0) - 1.0
    if more[name] <= 0.0 or ratio <= 0.0:
        return "it costs the same"
    if ratio >= 1.0:
        return f"{ratio + 1:.3g} times the time, most of it for {name}"
    share = f"{ratio:.0%}" if ratio >= 0.01 else "less than 1%"
    return f"{share} more time, most of it for {name}"


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
    Inside of recurrences its loops run so many `times` in a call, and a cost is that of
    one time.
    """

    subject: str
    chosen: str
    reason: str
    cost: Cost | None = None
    rejected: tuple[Rejected, ...] = ()
    alternatives: tuple[Candidate, ...] = ()
    times: int = 1

    @property
    def cycles(self) -> float:
        """The predicted cycles of a call; none where no cost is known."""
        return 0.0 if self.cost is None else self.cost.cycles * self.times


def pair_subject(tensor: str, reader: str) -> str:
    """Return the name of a decision: whether a tensor is fused into a reader."""
    return f"{tensor} into {reader}"


def settled(
    first: Iterable[Decision], then: Iterable[Decision]
) -> tuple[Decision, ...]:
    """Return decisions, one about each subject: what came of it in the end, and both
    reasons where the second answer is that of the first."""
    found = {decision.subject: decision for decision in first}
    for decision in then:
        before = found.get(decision.subject)
        if before is not None and before.chosen == decision.chosen:
            reason = f"{before.reason}, and {decision.reason}"
            decision = replace(decision, reason=reason)
        found[decision.subject] = decision
    return tuple(found.values())


def render(decision: Decision, machine: Machine) -> str:
    """Return the text that `explain` prints for a decision."""
    lines = [f"{decision.subject}: {decision.chosen}", f"  because {decision.reason}"]
    if decision.cost is not None:
        bound = f", bound by {decision.cost.bound_by}" if decision.cost.bound_by else ""
        often = "" if decision.times == 1 else f"; {decision.times} times in a call"
        lines.append(f"  predicted {decision.cost.text(machine)}{bound}{often}")
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
    width = max(width, len(_FROM))
    rows = [f"    {_FROM:<{width}} {'moves':>11} {'takes':>10}"]
    for level in cost.levels:
        moved, took = bytes_text(level.bytes), seconds_text(level.seconds)
        mark = "  <- bound" if level.name == cost.bound_by else ""
        rows.append(f"    {level.name:<{width}} {moved:>11} {took:>10}{mark}")
    return rows
