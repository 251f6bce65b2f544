"""Where the scratch buffers of a nest lie in the arena that the caller provides.

The report of a failed check comes first, if the nest has checks; then shared buffers,
then one block with the private buffers for each thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from polydsl.loops.nest import Buffer, Check, LoopNest

ALIGNMENT = 64
"""Scratch buffers begin at multiples of this number of bytes."""

REPORT_BYTES = 64
"""The room for what a failed check reports: three i64, number, position and value."""


@dataclass(frozen=True, slots=True)
class ScratchLayout:
    """The byte offsets of the scratch buffers, and how large the arena is.

    The offset of a private buffer counts from the block of its thread; the blocks
    follow the shared bytes.
    """

    offsets: tuple[tuple[str, int], ...]
    shared_bytes: int
    thread_bytes: int

    def offset(self, name: str) -> int:
        """Return the offset of the buffer called *name*."""
        return dict(self.offsets)[name]

    def total_bytes(self, threads: int) -> int:
        """Return the size of the arena for a number of threads."""
        return self.shared_bytes + threads * self.thread_bytes


def scratch_layout(nest: LoopNest) -> ScratchLayout:
    """Lay out the scratch buffers of *nest*, one after the other."""
    scratch = [buffer for buffer in nest.buffers if buffer.memory == "scratch"]
    has_checks = any(isinstance(node, Check) for node in nest.body)
    start = REPORT_BYTES if has_checks else 0
    shared, shared_bytes = _place((b for b in scratch if not b.private), start)
    private, thread_bytes = _place((b for b in scratch if b.private), 0)
    return ScratchLayout((*shared, *private), shared_bytes, thread_bytes)


def _place(buffers: Iterable[Buffer], start: int) -> tuple[list[tuple[str, int]], int]:
    offsets: list[tuple[str, int]] = []
    end = start
    for buffer in buffers:
        offsets.append((buffer.name, end))
        size = buffer.span_elements * buffer.dtype.bytes
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return offsets, end
