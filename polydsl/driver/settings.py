"""How a kernel's specialisations are made: what a user sets once for all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from polydsl.schedule.preference import PLAIN, Preference


@dataclass(frozen=True, slots=True)
class Settings:
    """What belongs to a kernel and not to one call: the scheduler's preference."""

    preference: Preference = PLAIN

    def changed(
        self, ranker: str | None = None, microkernel: str | None = None
    ) -> Settings:
        """Return the settings with other values; None keeps the one there is.

        Raises `ArgumentError` for what does not exist.
        """
        return replace(self, preference=self.preference.changed(ranker, microkernel))


DEFAULTS = Settings()
"""The settings of a kernel of which nothing was said."""
