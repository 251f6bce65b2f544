"""The machine as numbers: all that the scheduler may know about the hardware.

A `Machine` is a pure value. The driver gets it from `polydsl.backend.target`, perhaps
corrected by what `polydsl doctor --calibrate` measured, and hands it down; nothing
below the driver asks the host. Units: capacities are bytes, rates are sustained bytes
in a cycle, latencies and misses are cycles of one dependent load, and a cycle is one
of the core at `Machine.frequency`, so that cycles over frequency are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.dtypes import DType


@dataclass(frozen=True, slots=True)
class Cache:
    """One level of cache, as one core sees it.

    `capacity` and `line` are in bytes, `ways` is the associativity, and `cores` says
    how many cores share the level. `load` and `store` are the bytes in a cycle that
    one core moves while its data lie in this level and no nearer one; a store to a
    farther level than L1 pays for fetching the line too. `latency` is in cycles.
    """

    name: str
    capacity: int
    line: int
    ways: int
    cores: int
    load: float
    store: float
    latency: float

    @property
    def is_shared(self) -> bool:
        """Whether several cores share the level."""
        return self.cores > 1

    @property
    def sets(self) -> int:
        """How many sets of `ways` lines the level has."""
        return max(1, self.capacity // (self.line * self.ways))


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory beyond the last cache: `load`, `store` (the line is fetched before it is
    written) and `latency` of one core as for a `Cache`; `total` is the bytes in a cycle
    that all cores of the machine load together."""

    load: float
    store: float
    total: float
    latency: float


@dataclass(frozen=True, slots=True)
class TLB:
    """One level of address translation: it holds `entries` pages, and a load whose page
    is not among them waits `miss` cycles more, for the next level or for the walk of
    the page table behind the last."""

    entries: int
    miss: float


@dataclass(frozen=True, slots=True)
class Machine:
    """Numbers about one CPU, for one row of the ISA table.

    `vector_bytes` and `vector_registers` describe the register file. Without
    `has_masks` a partial vector costs a copy through the stack. `fma_per_cycle` counts
    vector multiply-adds while the core runs at `frequency` Hz, and `fma_latency` is
    their cycles. `caches` and `tlbs` stand nearest first; `page` is in bytes. Starting
    a parallel loop on all `cores` and waiting for its end takes `fork_seconds`.
    """

    isa: str
    vector_bytes: int
    vector_registers: int
    has_fma: bool
    has_masks: bool
    frequency: float
    fma_per_cycle: float
    fma_latency: int
    caches: tuple[Cache, ...]
    memory: Memory
    page: int
    tlbs: tuple[TLB, ...]
    cores: int
    fork_seconds: float

    def lanes(self, dtype: DType) -> int:
        """Return how many elements of *dtype* one vector register holds."""
        return self.vector_bytes // dtype.bytes

    def cache(self, name: str) -> Cache:
        """Return the cache level called *name* (L1, L2 or L3)."""
        return next(cache for cache in self.caches if cache.name == name)

    def seconds(self, cycles: float) -> float:
        """Return how long so many cycles of one core last."""
        return cycles / self.frequency

    def identity(self) -> str:
        """Return a text that differs wherever a decision of the scheduler may."""
        return repr(self)
