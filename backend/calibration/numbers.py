"""The numbers of a `Machine` that calibration replaces, by name.

Names look like `frequency`, `L2.load`, `memory.latency`, `tlb1.miss`; values have the
units of `polydsl.base.machine` and are positive. Everything else of a `Machine` is
known and not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

from polydsl.base.machine import TLB, Cache, Machine, Memory

Numbers = Mapping[str, float]


def numbers_of(machine: Machine) -> dict[str, float]:
    """Return the measurable numbers of *machine* in the order of a report."""
    found: dict[str, float] = {
        "frequency": machine.frequency,
        "fma_per_cycle": machine.fma_per_cycle,
        "fma_latency": machine.fma_latency,
    }
    memory = machine.memory
    for level in machine.caches:
        found |= _level(level.name, level)
    found |= _level("memory", memory) | {"memory.total": memory.total}
    found |= {f"tlb{n}.miss": tlb.miss for n, tlb in enumerate(machine.tlbs, 1)}
    return {**found, "fork_seconds": machine.fork_seconds}


def _level(name: str, level: Cache | Memory) -> dict[str, float]:
    return {
        f"{name}.load": level.load,
        f"{name}.store": level.store,
        f"{name}.latency": level.latency,
    }


def with_numbers(machine: Machine, numbers: Numbers) -> Machine:
    """Return *machine* with *numbers*, which must fit it, in place of its own."""
    return replace(
        machine,
        frequency=numbers["frequency"],
        fma_per_cycle=numbers["fma_per_cycle"],
        fma_latency=max(1, round(numbers["fma_latency"])),
        caches=tuple(
            replace(
                cache,
                load=numbers[f"{cache.name}.load"],
                store=numbers[f"{cache.name}.store"],
                latency=numbers[f"{cache.name}.latency"],
            )
            for cache in machine.caches
        ),
        memory=Memory(
            load=numbers["memory.load"],
            store=numbers["memory.store"],
            total=numbers["memory.total"],
            latency=numbers["memory.latency"],
        ),
        tlbs=tuple(
            TLB(tlb.entries, numbers[f"tlb{n}.miss"])
            for n, tlb in enumerate(machine.tlbs, 1)
        ),
        fork_seconds=numbers["fork_seconds"],
    )


def fit(machine: Machine, numbers: Numbers) -> bool:
    """Return whether *numbers* are those that *machine* has, finite and positive."""
    return numbers.keys() == numbers_of(machine).keys() and all(
        isfinite(value) and value > 0 for value in numbers.values()
    )
