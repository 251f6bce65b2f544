"""Checks of indirect subscripts: what is looked at when a kernel runs, and the words
for a subscript that is outside. Oracle and native code use the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from polydsl.base.diagnostics import SubscriptError

NOWHERE = (1 << 63) - 1
"""The position that says that every subscript is inside."""


def subscript_error(
    tensor: str, dimension: int, extent: int, value: int, point: Mapping[str, int]
) -> SubscriptError:
    """Return the error of an indirect subscript that is outside its dimension."""
    place = ", ".join(f"{name} = {at}" for name, at in point.items())
    where = f" at ({place})" if place else ""
    return SubscriptError(
        f"subscript {dimension} of {tensor} is {value}{where}, "
        f"but the dimension has extent {extent}"
    )


@dataclass(frozen=True, slots=True)
class SubscriptCheck:
    """The check of one subscript at every point where it is evaluated.

    A point has a row-major position in the box of `indices`, which begins at `starts`
    and is as long as `lengths`. `shown` are those that occur in the subscript. An
    `early` check depends on parameters only and is made before anything is written.
    """

    tensor: str
    dimension: int
    extent: int
    indices: tuple[str, ...]
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    shown: tuple[str, ...]
    early: bool

    @property
    def positions(self) -> int:
        """The number of positions of the box."""
        return prod(self.lengths)

    def error(self, position: int, value: int) -> SubscriptError:
        """Return the error of the subscript at a position."""
        steps = unflattened(position, self.lengths)
        point = {n: lo + k for n, lo, k in zip(self.indices, self.starts, steps)}
        shown = {name: point[name] for name in self.shown}
        return subscript_error(self.tensor, self.dimension, self.extent, value, shown)


def unflattened(position: int, lengths: Sequence[int]) -> tuple[int, ...]:
    """Return the coordinates of a row-major position in a box."""
    found: list[int] = []
    for length in reversed(lengths):
        position, at = divmod(position, length)
        found.append(at)
    return tuple(reversed(found))
