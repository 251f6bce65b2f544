"""How a kernel's specialisations are made: what a user sets once for all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from polydsl.base.diagnostics import ArgumentError
from polydsl.schedule.preference import PLAIN, Preference


@dataclass(frozen=True, slots=True)
class Settings:
    """What belongs to a kernel and not to one call: the scheduler's preference, and for
    how many seconds a specialisation that was never tuned is tuned (0: not at all)."""

    preference: Preference = PLAIN
    tune: float = 0.0

    def changed(
        self,
        ranker: str | None = None,
        microkernel: str | None = None,
        tune: float | None = None,
        fuse: str | None = None,
    ) -> Settings:
        """Return the settings with other values; None keeps the one there is.

        Raises `ArgumentError` for what does not exist.
        """
        preference = self.preference.changed(ranker, microkernel, fuse)
        seconds = self.tune if tune is None else checked_seconds(tune)
        return replace(self, preference=preference, tune=seconds)


def checked_seconds(value: object) -> float:
    """Return the seconds that `tune=` gives. Raises `ArgumentError`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= float(str(value)) < float("inf"):
        raise ArgumentError(f"tune= needs seconds, 0 or more, and {value!r} came")
    return float(str(value))


DEFAULTS = Settings()
"""The settings of a kernel of which nothing was said."""
