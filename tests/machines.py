"""Machines for the tests of decisions, which must not depend on the host."""

from __future__ import annotations

from polydsl.base.machine import TLB, Cache, Machine, Memory

WIDTHS = {"avx512": (64, 32), "avx2": (32, 16), "generic": (16, 16)}
"""Bytes and number of vector registers of each row of the ISA table."""


def machine(isa: str = "avx512", *, cores: int = 4) -> Machine:
    """Return numbers like those of a server core with the given vector unit."""
    vector_bytes, registers = WIDTHS[isa]
    load, store = 2.0 * vector_bytes, 1.0 * vector_bytes
    return Machine(
        isa=isa,
        vector_bytes=vector_bytes,
        vector_registers=registers,
        has_fma=isa != "generic",
        has_masks=isa != "generic",
        frequency=3e9,
        fma_per_cycle=2.0,
        fma_latency=4,
        caches=(
            Cache("L1", 32 << 10, 64, 8, 1, load, store, 5.0),
            Cache("L2", 1 << 20, 64, 16, 1, min(load, 40.0), min(store, 24.0), 14.0),
            Cache("L3", 16 << 20, 64, 16, cores, 14.0, 8.0, 50.0),
        ),
        memory=Memory(load=5.0, store=3.0, total=20.0, latency=300.0),
        page=4096,
        tlbs=(TLB(64, 8.0), TLB(1536, 30.0)),
        cores=cores,
        fork_seconds=4e-6,
    )
