"""Why a point of a space of schedules is not possible."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refused:
    """A point of which no plan can be made, and the reason in words."""

    reason: str
