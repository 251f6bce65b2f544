"""Where the scratch buffers of a nest lie in the arena that the caller provides.

The report of a failed check comes first, if the nest has checks; then shared buffers,
then one block with the private buffers for each thread. Buffers that are never needed
at the same time may share memory: a buffer is needed from the first node at the top of
the nest that touches it to the last one. The largest buffers are placed first, each as
far in front as it can be (Pisarchyk and Lee, "Efficient Memory Management for Deep
Neural Net Inference", 2020, greedy by size).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from polydsl.loops.nest import Buffer, Check, LoopNest
from polydsl.loops.touched import touched_buffers

ALIGNMENT = 64
"""Scratch buffers begin at multiples of this number of bytes."""

REPORT_BYTES = 64
"""The room for what a failed check reports: three i64, number, position and value."""


Life = tuple[int, int]
"""The first and the last node at the top of a nest that touches a buffer."""


@dataclass(frozen=True, slots=True)
class Place:
    """The bytes `begin` to `end` of a buffer, in the shared part of the arena or in the
    block of each thread."""

    name: str
    begin: int
    end: int
    private: bool

    def overlaps(self, other: Place) -> bool:
        """Whether two buffers share memory."""
        apart = self.end <= other.begin or other.end <= self.begin
        return self.private == other.private and not apart


@dataclass(frozen=True, slots=True)
class ScratchLayout:
    """The places of the scratch buffers, and how large the arena is.

    The place of a private buffer counts from the block of its thread; the blocks follow
    the shared bytes.
    """

    places: tuple[Place, ...]
    shared_bytes: int
    thread_bytes: int

    def offset(self, name: str) -> int:
        """Return where the buffer called *name* begins."""
        return next(place.begin for place in self.places if place.name == name)

    def sharing(self, name: str) -> frozenset[str]:
        """Return the names of the buffers that have memory in common with one."""
        own = [place for place in self.places if place.name == name]
        return frozenset(
            other.name
            for place in own
            for other in self.places
            if other is not place and place.overlaps(other)
        )

    def total_bytes(self, threads: int) -> int:
        """Return the size of the arena for a number of threads."""
        return self.shared_bytes + threads * self.thread_bytes


def scratch_layout(nest: LoopNest) -> ScratchLayout:
    """Lay out the scratch buffers of *nest*."""
    scratch = [buffer for buffer in nest.buffers if buffer.memory == "scratch"]
    has_checks = any(isinstance(node, Check) for node in nest.body)
    start = REPORT_BYTES if has_checks else 0
    lives = _lives(nest)
    shared = _placed([b for b in scratch if not b.private], lives, start)
    private = _placed([b for b in scratch if b.private], lives, 0)
    return ScratchLayout(
        (*shared, *private),
        max((place.end for place in shared), default=start),
        max((place.end for place in private), default=0),
    )


def _lives(nest: LoopNest) -> dict[str, Life]:
    lives: dict[str, Life] = {}
    for number, node in enumerate((*nest.prepare, *nest.body)):
        for name in touched_buffers((node,)):
            first, _ = lives.get(name, (number, number))
            lives[name] = first, number
    return lives


def _placed(
    buffers: Sequence[Buffer], lives: Mapping[str, Life], start: int
) -> tuple[Place, ...]:
    placed: dict[str, Place] = {}
    for buffer in sorted(buffers, key=_size, reverse=True):
        life = lives.get(buffer.name, (0, -1))
        taken = (p for p in placed.values() if _meet(life, lives.get(p.name, (0, -1))))
        begin = _gap(taken, _size(buffer), start)
        end = begin + _size(buffer)
        placed[buffer.name] = Place(buffer.name, begin, end, buffer.private)
    return tuple(placed[buffer.name] for buffer in buffers)


def _meet(first: Life, second: Life) -> bool:
    return first[0] <= second[1] and second[0] <= first[1]


def _gap(taken: Iterable[Place], size: int, start: int) -> int:
    """Return where so many bytes are free, as far in front as possible."""
    begin = start
    for place in sorted(taken, key=lambda place: place.begin):
        if begin + size <= place.begin:
            break
        begin = max(begin, place.end)
    return begin


def _size(buffer: Buffer) -> int:
    """Return the bytes of a buffer, in whole lines."""
    size = buffer.span_elements * buffer.dtype.bytes
    return -(-size // ALIGNMENT) * ALIGNMENT
