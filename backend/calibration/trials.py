"""Which loop over how much memory tells which number.

A trial is one short round of one loop. Data of a level are twice what the level before
holds, of which nothing is left there when they are gone through in one order again and
again; more would only fall out of a level that other programs use too.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle

from polydsl.backend.calibration.loops import CHAIN, Loops
from polydsl.backend.calibration.memory import Region, Ring, by_page, dense, one_a_page
from polydsl.backend.peak import Probe, arithmetic_probe
from polydsl.backend.target import Target
from polydsl.backend.threads import ParallelRuntime
from polydsl.base.dtypes import F32
from polydsl.base.machine import Machine

_ROUND_BYTES = 48 << 20
_ROUND_HOPS = 1 << 13
_ITERATIONS = 1 << 13
_FORKS = 8
_TWICE = 2
"""How many times what the level before holds is gone through."""
_BEYOND = 4
"""... and for memory, where the last level may keep a part whatever the order."""
_SPARSE = 4
"""In memory a chase goes to one line in so many: none that came with another."""
_LEAST_MEMORY, _MOST_MEMORY = 16 << 20, 512 << 20

CLOCK_CYCLES = 2
"""Cycles of one step of the `clock` loop."""

_PIECES = 32
"""In how many pieces memory is gone through: what the last level holds makes 8."""

_parallel_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)

_Loop = Callable[[int, int, int], None]


def _ignore() -> None:
    """Nothing is to be done before a round."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A round of `work` units: bytes, steps or calls. `warm` brings data in place."""

    name: str
    work: float
    run: Callable[[], None]
    warm: Callable[[], None] = _ignore

    def round(self) -> float:
        """Run once; return the seconds of one unit."""
        self.warm()
        start = time.perf_counter()
        self.run()
        return (time.perf_counter() - start) / self.work


def trials(
    target: Target, machine: Machine, loops: Loops, parallel: ParallelRuntime
) -> Iterator[Trial]:
    """Yield all trials; the name says which number of the machine it tells.

    `fma` counts vector multiply-adds, and `tlb1.dense` chases as many pointers as
    `tlb1.miss` but in adjacent lines.
    """
    yield _arithmetic(machine, arithmetic_probe(target, F32))
    yield _chain("frequency", loops.clock, Region(64, huge=False))
    yield _chain("fma_latency", loops.multiply_adds, _halves())
    yield from _streams(machine, loops, parallel)
    yield from _latencies(machine, loops)
    yield from _translations(machine, loops)
    yield Trial(
        "fork_seconds",
        _FORKS,
        lambda: loops.forks(parallel.address, _FORKS, machine.cores),
        lambda: loops.forks(parallel.address, 2, machine.cores),
    )


def level_bytes(machine: Machine) -> dict[str, int]:
    """Return how many bytes lie in which level, in whole pages."""
    capacities = [cache.capacity for cache in machine.caches]
    nearer = [capacities[0] // 4, *capacities]
    sizes = [min(_TWICE * near, c // 2) for near, c in zip(nearer, capacities)]
    beyond = min(max(_BEYOND * capacities[-1], _LEAST_MEMORY), _MOST_MEMORY)
    names = [*(cache.name for cache in machine.caches), "memory"]
    page = machine.page
    return {n: max(1, s // page) * page for n, s in zip(names, (*sizes, beyond))}


def _arithmetic(machine: Machine, probe: Probe) -> Trial:
    def run() -> None:
        probe.round()

    # Vector units that were idle need some time to be at full speed.
    return Trial("fma", probe.work / 2 / machine.lanes(F32), run, run)


def _halves() -> Region:
    region = Region(256, huge=False)
    region.bytes.view("float32").fill(0.5)
    return region


def _chain(name: str, loop: _Loop, start: Region) -> Trial:
    def run() -> None:
        # Any odd number will do where the loop wants one more.
        loop(start.address, _ITERATIONS, 0x9E3779B1)

    return Trial(name, _ITERATIONS * CHAIN, run, run)


def _streams(
    machine: Machine, loops: Loops, parallel: ParallelRuntime
) -> Iterator[Trial]:
    """Yield loads and stores of every level, and loads of all cores."""
    sizes = level_bytes(machine)
    region = Region(sizes.pop("memory"), huge=True)
    both = (("load", loops.load), ("store", loops.store))
    for name, wanted in sizes.items():
        size = wanted // loops.block * loops.block
        for verb, loop in both:
            yield _stream(f"{name}.{verb}", loop, region, size)
    pieces = _Pieces(region, _PIECES, loops.block * machine.cores)
    for verb, loop in both:
        yield _memory_stream(f"memory.{verb}", loop, pieces)
    yield _memory_of_all_cores(machine, loops, parallel, pieces)


def _stream(name: str, loop: _Loop, region: Region, size: int) -> Trial:
    passes = max(1, _ROUND_BYTES // size)

    def run() -> None:
        loop(region.address, size, passes)

    def warm() -> None:
        loop(region.address, size, 1)

    return Trial(name, size * passes, run, warm)


class _Pieces:
    """Pieces of a region in turn, each so small that a round of it is short, and all
    together too much for the last cache."""

    def __init__(self, region: Region, count: int, unit: int) -> None:
        self.bytes = max(1, len(region.bytes) // count // unit) * unit
        self._region = region
        self._starts = cycle(range(0, count * self.bytes, self.bytes))

    def next(self) -> int:
        """Return the address of the next piece."""
        return self._region.address + next(self._starts)


def _memory_stream(name: str, loop: _Loop, pieces: _Pieces) -> Trial:
    def run() -> None:
        loop(pieces.next(), pieces.bytes, 1)

    def warm() -> None:
        # Lines that must be written back in a round are those of the rounds before.
        for _ in range(_PIECES // _BEYOND):
            run()

    return Trial(name, pieces.bytes, run, warm)


def _memory_of_all_cores(
    machine: Machine, loops: Loops, parallel: ParallelRuntime, pieces: _Pieces
) -> Trial:
    start = _parallel_type(parallel.address)

    def run() -> None:
        context = (ctypes.c_uint64 * 2)(pieces.next(), pieces.bytes // machine.cores)
        start(loops.load_part, ctypes.addressof(context), machine.cores)

    return Trial("memory.total", pieces.bytes, run, run)


def _latencies(machine: Machine, loops: Loops) -> Iterator[Trial]:
    """Yield a chase through the data of each level."""
    line, sizes = machine.caches[0].line, level_bytes(machine)
    far = Region(sizes.pop("memory"), huge=True)
    for name, size in sizes.items():
        ring = Ring(Region(size, huge=True), dense(size, line))
        yield _chase(f"{name}.latency", loops, ring)
    places = by_page(len(far.bytes), _SPARSE * line, machine.page)
    yield _chase("memory.latency", loops, Ring(far, places))


def _chase(name: str, loops: Loops, ring: Ring) -> Trial:
    """Return a chase along a ring, which goes on where the last one ended."""
    count = _ROUND_HOPS // CHAIN
    memory = ring.region

    def run() -> None:
        loops.chase(ring.state, count, 0)

    def warm() -> None:
        # Chasing alone takes so long that other programs may undo it meanwhile.
        loops.load(memory.address, len(memory.bytes) // loops.block * loops.block, 1)
        loops.chase(ring.state, -(-ring.places // CHAIN), 0)

    is_memory = name.startswith("memory")
    return Trial(name, count * CHAIN, run, _ignore if is_memory else warm)


def _translations(machine: Machine, loops: Loops) -> Iterator[Trial]:
    """Yield, for each TLB, chases through lines in too many pages and in few."""
    line, page = machine.caches[0].line, machine.page
    for number, tlb in enumerate(machine.tlbs, 1):
        pages = _TWICE * tlb.entries
        spread = Ring(Region(pages * page, huge=False), one_a_page(pages, page, line))
        yield _chase(f"tlb{number}.miss", loops, spread)
        together = Ring(Region(pages * line, huge=False), dense(pages * line, line))
        yield _chase(f"tlb{number}.dense", loops, together)
