"""Scratch memory of a kernel: arenas that are used again from call to call.

An arena belongs to one call at a time, so any number of Python threads may be inside
one kernel. Taking and giving back are single operations on a deque, which are atomic.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy.typing as npt

from polydsl.backend.arrays import aligned_bytes

_MOST_KEPT = 8


class ScratchPool:
    """Arenas of `shared` bytes and `per_thread` more for each thread, aligned to 64."""

    __slots__ = ("_free", "_per_thread", "_shared")

    def __init__(self, shared: int = 0, per_thread: int = 0) -> None:
        self._shared = shared
        self._per_thread = per_thread
        # What more calls at once than these give back is left to the collector.
        self._free: deque[npt.NDArray[Any]] = deque(maxlen=_MOST_KEPT)

    def take(self, threads: int) -> npt.NDArray[Any]:
        """Return an arena for a call with that many threads; nobody else has it."""
        count = self._shared + threads * self._per_thread
        try:
            arena = self._free.pop()
        except IndexError:
            return aligned_bytes(count)
        return arena if arena.nbytes >= count else aligned_bytes(count)

    def give(self, arena: npt.NDArray[Any]) -> None:
        """Take an arena back, for a later call."""
        self._free.append(arena)
