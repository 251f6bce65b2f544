"""What code is compiled for, and the same machine as numbers for the scheduler.

`host_target` finds the best row of the ISA table that this CPU runs, or a lower row by
name. `machine_of` describes the host as a `Machine`: sizes of caches from sysfs,
cores from affinity and cgroup limits, the rest from the row. Nothing else in polydsl
asks the host.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding as llvm

from polydsl.backend.isa import ISAS, VectorISA, isa_named, supported
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


def host_target(forced: str = "") -> Target:
    """Return the best target of this machine, or the lower row called *forced*."""
    features: dict[str, bool] = dict(llvm.get_host_cpu_features())
    rows = supported(frozenset(name for name, is_on in features.items() if is_on))
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


# The machine as numbers

# CPUs that execute the full width of a row in two halves.
_HALF_RATE = frozenset(
    {("znver4", "avx512"), ("znver1", "avx2"), ("icelake-client", "avx512")}
)
_CACHE_BYTES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 16 << 20}
_LINE = 64
# Sustained bytes per cycle of one core beyond L1: typical of x86 servers since 2018.
_L2_BYTES, _L3_BYTES, _MEMORY_BYTES = 40.0, 14.0, 5.0


def machine_of(target: Target) -> Machine:
    """Return the numbers of this host, as the scheduler sees it through *target*."""
    isa = target.isa
    half = (target.cpu, isa.name) in _HALF_RATE
    return Machine(
        isa=isa.name,
        vector_bytes=isa.vector_bytes,
        vector_registers=isa.registers,
        has_fma=isa.has_fma,
        has_masks=isa.has_masks,
        fma_per_cycle=isa.fma_per_cycle / (2 if half else 1),
        fma_latency=isa.fma_latency,
        caches=_caches(isa),
        memory_bytes_per_cycle=_MEMORY_BYTES,
        cores=available_cores(),
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


def _caches(isa: VectorISA) -> tuple[Cache, ...]:
    found = _sysfs_caches()
    bandwidth = {
        "L1": isa.load_bytes,
        "L2": min(_L2_BYTES, isa.load_bytes),
        "L3": _L3_BYTES,
    }
    return tuple(
        _cache(name, bandwidth[name], found.get(name, (size, _LINE, name == "L3")))
        for name, size in _CACHE_BYTES.items()
    )


def _cache(name: str, bandwidth: float, found: tuple[int, int, bool]) -> Cache:
    capacity, line, is_shared = found
    return Cache(name, capacity, line, bandwidth, is_shared)


def _sysfs_caches() -> dict[str, tuple[int, int, bool]]:
    """Return capacity, line and sharing of the first CPU's data caches, by level."""
    root = Path("/sys/devices/system/cpu/cpu0")
    siblings = _read(root / "topology/thread_siblings_list") or "0"
    found: dict[str, tuple[int, int, bool]] = {}
    for index in sorted((root / "cache").glob("index*")):
        size, line = _read(index / "size"), _read(index / "coherency_line_size")
        is_code = _read(index / "type") == "Instruction"
        if is_code or not size.endswith("K") or not size[:-1].isdigit():
            continue
        is_shared = _read(index / "shared_cpu_list") != siblings
        level = f"L{_read(index / 'level')}"
        width = int(line) if line.isdigit() else _LINE
        found[level] = (int(size[:-1]) << 10, width, is_shared)
    return found


def _read(path: Path) -> str:
    """Return the text of a file of the kernel, empty if it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
