"""The machine as numbers: all that the scheduler may know about the hardware.

A `Machine` is a pure value. The driver gets it from `polydsl.backend.target` and hands
it down; nothing below the driver asks the host.
"""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.dtypes import DType


@dataclass(frozen=True, slots=True)
class Cache:
    """One level of the memory hierarchy: capacity and line in bytes, bandwidth in
    sustained bytes per cycle of one core, and whether the cores share it."""

    name: str
    capacity: int
    line: int
    bytes_per_cycle: float
    is_shared: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """Numbers about one CPU, for one row of the ISA table.

    `vector_bytes` and `vector_registers` describe the register file, `fma_per_cycle`
    counts vector multiply-adds, `fma_latency` is in cycles. Without `has_masks` a
    partial vector costs a copy through the stack.
    """

    isa: str
    vector_bytes: int
    vector_registers: int
    has_fma: bool
    has_masks: bool
    fma_per_cycle: float
    fma_latency: int
    caches: tuple[Cache, ...]
    memory_bytes_per_cycle: float
    cores: int

    def lanes(self, dtype: DType) -> int:
        """Return how many elements of *dtype* one vector register holds."""
        return self.vector_bytes // dtype.bytes

    def cache(self, name: str) -> Cache:
        """Return the cache level called *name* (L1, L2 or L3)."""
        return next(cache for cache in self.caches if cache.name == name)
