"""What a user asks of the scheduler: a ranker, a microkernel, how far statements are
fused, points to be taken.

A preference changes the code that is made, so it belongs to the identity of a
specialisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal as OneOf
from typing import get_args

from polydsl.base.diagnostics import ArgumentError
from polydsl.base.providers import BUILT_IN, PROVIDER_NAMES
from polydsl.schedule.point import Point

Ranker = OneOf["reuse", "polyrank", "pairwise-net"]
"""Who orders the candidates: the project's own model of data reuse, or one of the two
published ones (PolyRank's cost; the tournament of a pairwise neural network)."""

RANKERS: tuple[Ranker, ...] = get_args(Ranker)

Fuse = OneOf["none", "elementwise", "all"]
"""How far statements are fused: each by itself; element-wise values computed where they
are read; and whatever else there is."""

FUSES: tuple[Fuse, ...] = get_args(Fuse)

MICROKERNELS: tuple[str, ...] = PROVIDER_NAMES
"""The providers of microkernels: the built-in generator, and libraries."""


@dataclass(frozen=True, slots=True)
class Preference:
    """How a schedule is to be chosen.

    `microkernel` forces a provider; "" takes the built-in one, whatever else is
    installed: sums are then in the same order everywhere. `chosen` forces points, each
    for the decision that has its subject.
    """

    ranker: Ranker = "reuse"
    microkernel: str = ""
    chosen: tuple[tuple[str, Point], ...] = ()
    fuse: Fuse = "all"

    def changed(
        self,
        ranker: str | None = None,
        microkernel: str | None = None,
        fuse: str | None = None,
    ) -> Preference:
        """Return the preference with other names; None keeps the one there is.

        Raises `ArgumentError` for a name that does not exist.
        """
        changed = self
        if ranker is not None:
            changed = replace(changed, ranker=_ranker(ranker))
        if microkernel is not None:
            changed = replace(changed, microkernel=_microkernel(microkernel))
        if fuse is not None:
            changed = replace(changed, fuse=_fuse(fuse))
        return changed

    def choosing(self, points: Mapping[str, Point]) -> Preference:
        """Return the preference with points forced, over those of the same subject."""
        merged = {**dict(self.chosen), **points}
        return replace(self, chosen=tuple(sorted(merged.items(), key=_subject)))

    def without_libraries(self) -> Preference:
        """Return the preference for when a library makes no kernel: with the built-in
        provider. No point is left, for points were found beside the library's products:
        without these there may be other decisions, of which some have no such subject.
        """
        return replace(self, microkernel=BUILT_IN, chosen=())

    def point(self, subject: str) -> Point | None:
        """Return the point that is forced for a decision, if one is."""
        return dict(self.chosen).get(subject)

    def identity(self) -> str:
        """Return a text that differs wherever the schedule may."""
        return repr((self.ranker, self.microkernel, self.chosen, self.fuse))


PLAIN = Preference()
"""The preference of who has none."""


def _subject(entry: tuple[str, Point]) -> str:
    return entry[0]


def _ranker(name: str) -> Ranker:
    for known in RANKERS:
        if name == known:
            return known
    raise ArgumentError(
        f"there is no ranker {name!r}; the rankers are {', '.join(RANKERS)}"
    )


def _fuse(name: str) -> Fuse:
    for known in FUSES:
        if name == known:
            return known
    raise ArgumentError(f"there is no fuse={name!r}; it is {', '.join(FUSES)}")


def _microkernel(name: str) -> str:
    if name not in ("", *MICROKERNELS):
        raise ArgumentError(
            f"there is no microkernel {name!r}; the providers are "
            f"{', '.join(MICROKERNELS)}"
        )
    return name
