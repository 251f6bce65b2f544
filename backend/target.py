"""What code is compiled for, and the same machine as numbers for the scheduler.

`host_target` finds the best row of the ISA table that this CPU runs, or a lower row by
name. `machine_of` describes the host as a `Machine`: sizes of caches from sysfs,
cores from affinity and cgroup limits, the vector unit from the row, speeds from the
table of CPU families. Nothing else in polydsl asks the host.
"""

from __future__ import annotations

import mmap
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import llvmlite.binding as llvm

from polydsl.backend.isa import ISAS, VectorISA, isa_named, supported
from polydsl.backend.machines import Family, Rate, family_of
from polydsl.base.diagnostics import PolydslError
from polydsl.base.machine import Cache, Machine


@dataclass(frozen=True, slots=True)
class Target:
    """A row of the ISA table on one kind of CPU: all that code generation depends on.

    `cpu` is LLVM's name of the processor and `features` its list of what may be used
    and what may not (``+fma,-avx512f``).
    """

    isa: VectorISA
    triple: str
    cpu: str
    features: str

    def __str__(self) -> str:
        return f"{self.isa.name} ({self.cpu}, {self.triple})"


def host_rows() -> tuple[VectorISA, ...]:
    """Return the rows of the ISA table that this CPU runs, best first."""
    features: dict[str, bool] = dict(llvm.get_host_cpu_features())
    return supported(frozenset(name for name, is_on in features.items() if is_on))


def host_target(forced: str = "") -> Target:
    """Return the best target of this machine, or the lower row called *forced*."""
    features: dict[str, bool] = dict(llvm.get_host_cpu_features())
    rows = host_rows()
    isa = _forced_row(forced, rows) if forced else rows[0]
    return target_for(
        isa, llvm.get_process_triple(), llvm.get_host_cpu_name(), features
    )


def target_for(
    isa: VectorISA, triple: str, cpu: str = "", features: dict[str, bool] | None = None
) -> Target:
    """Return the target of row *isa* for a CPU with *features*, as LLVM names them.

    A baseline row ignores the CPU, so that its code runs on every machine of the
    architecture. Without a CPU the others get just the features that they require.
    """
    if isa.is_baseline:
        return Target(isa, triple, "x86-64" if "x86_64" in triple else "generic", "")
    wanted = features or dict.fromkeys(isa.required, True)
    allowed = {
        name: is_on and not name.startswith(isa.excluded)
        for name, is_on in wanted.items()
    }
    # Some CPUs are tuned to avoid their widest registers, and LLVM would split vectors.
    allowed["prefer-256-bit"] = allowed["prefer-128-bit"] = False
    flags = (f"{'+' if is_on else '-'}{name}" for name, is_on in allowed.items())
    return Target(isa, triple, cpu or "x86-64", ",".join(sorted(flags)))


def _forced_row(forced: str, rows: tuple[VectorISA, ...]) -> VectorISA:
    isa = isa_named(forced)
    if isa in rows:
        return isa
    there = ", ".join(row.name for row in rows)
    if isa is None:
        known = ", ".join(row.name for row in ISAS)
        raise PolydslError(
            f"there is no ISA row called {forced!r}: the rows are {known}, "
            f"and this CPU runs {there}"
        )
    raise PolydslError(
        f"this CPU cannot run the ISA row {forced}: it runs {there} "
        f"({forced} needs {', '.join(isa.required)})"
    )


def processor() -> str:
    """Return the name of this CPU: LLVM's for its kind, and the system's."""
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    name = next(names, platform.processor() or platform.machine())
    return f"{name} (LLVM: {llvm.get_host_cpu_name()})"


# The machine as numbers

# What sysfs would say of a common CPU: capacity, line, ways, and cores (0 for all).
_USUAL_CACHES = {
    "L1": (32 << 10, 64, 8, 1),
    "L2": (1 << 20, 64, 16, 1),
    "L3": (16 << 20, 64, 16, 0),
}
# Threads that wait for work are told one after another.
_FORK_SECONDS, _FORK_SECONDS_PER_CORE = 5e-7, 1e-7


def machine_of(target: Target) -> Machine:
    """Return the numbers of this host, as the scheduler sees it through *target*.

    Sizes and counts are the host's own; speeds are those of its family of CPUs.
    """
    isa, cores = target.isa, available_cores()
    family = family_of(llvm.get_host_cpu_name() if isa.is_baseline else target.cpu)
    memory = family.memory
    return Machine(
        isa=isa.name,
        vector_bytes=isa.vector_bytes,
        vector_registers=isa.registers,
        has_fma=isa.has_fma,
        has_masks=isa.has_masks,
        frequency=family.frequency,
        fma_per_cycle=min(isa.fma_per_cycle, family.fma_bytes / isa.vector_bytes),
        fma_latency=family.fma_latency if isa.has_fma else isa.fma_latency,
        caches=_caches(isa, family, cores),
        memory=replace(memory, total=min(memory.total, cores * memory.load)),
        page=mmap.PAGESIZE,
        tlbs=family.tlbs,
        cores=cores,
        fork_seconds=_FORK_SECONDS + cores * _FORK_SECONDS_PER_CORE,
    )


def available_cores() -> int:
    """Return how many CPUs this process may use: affinity, then cgroup quota."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _cgroup_quota()
    return count if quota is None else max(1, min(count, quota))


def _cgroup_quota() -> int | None:
    """Return the CPU time limit of this container in whole CPUs, rounded up."""
    root = Path("/sys/fs/cgroup")
    fields = _read(root / "cpu.max").split()
    if not fields:
        quota = _read(root / "cpu/cpu.cfs_quota_us")
        period = _read(root / "cpu/cpu.cfs_period_us")
        fields = [quota, period]
    if len(fields) != 2 or not all(f.isdigit() and int(f) > 0 for f in fields):
        return None
    return -(-int(fields[0]) // int(fields[1]))


def _caches(isa: VectorISA, family: Family, cores: int) -> tuple[Cache, ...]:
    """The levels: sizes of the host, speeds of its family within what *isa* reaches."""
    found = _USUAL_CACHES | _sysfs_caches()
    rates = {"L1": family.l1, "L2": family.l2, "L3": family.l3}
    return tuple(
        _cache(name, found[name], rate, isa, cores) for name, rate in rates.items()
    )


def _cache(
    name: str,
    found: tuple[int, int, int, int],
    rate: Rate,
    isa: VectorISA,
    cores: int,
) -> Cache:
    capacity, line, ways, sharing = found
    return Cache(
        name,
        capacity,
        line,
        ways,
        sharing or cores,
        load=min(rate.load, isa.load_bytes),
        store=min(rate.store, isa.vector_bytes),
        latency=rate.latency,
    )


def _sysfs_caches() -> dict[str, tuple[int, int, int, int]]:
    """Return capacity, line, ways and cores of the first CPU's data caches by level."""
    root = Path("/sys/devices/system/cpu/cpu0")
    threads = max(1, _count(_read(root / "topology/thread_siblings_list")))
    found: dict[str, tuple[int, int, int, int]] = {}
    for index in sorted((root / "cache").glob("index*")):
        size = _read(index / "size")
        is_code = _read(index / "type") == "Instruction"
        if is_code or not size.endswith("K") or not size[:-1].isdigit():
            continue
        level = f"L{_read(index / 'level')}"
        _, line, ways, _ = _USUAL_CACHES.get(level, _USUAL_CACHES["L3"])
        found[level] = (
            int(size[:-1]) << 10,
            _positive(_read(index / "coherency_line_size"), line),
            _positive(_read(index / "ways_of_associativity"), ways),
            max(1, _count(_read(index / "shared_cpu_list")) // threads),
        )
    return found


def _count(cpus: str) -> int:
    """Return how many CPUs are in a list such as `0-3,8`; 0 if it cannot be read."""
    ends = [part.split("-") for part in cpus.split(",")]
    if not all(end.isdigit() for part in ends for end in part):
        return 0
    return sum(int(part[-1]) - int(part[0]) + 1 for part in ends)


def _positive(text: str, otherwise: int) -> int:
    """Return the positive number of a kernel's file, or *otherwise*."""
    return int(text) if text.isdigit() and int(text) > 0 else otherwise


def _read(path: Path) -> str:
    """Return the text of a file of the kernel, empty if it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
