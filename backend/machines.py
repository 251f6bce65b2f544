"""The table of CPU families: how fast their cores, caches and memory are.

Code is never generated from these numbers, but schedules are chosen by them, until
`polydsl doctor --calibrate` has measured the machine itself. They depend on the CPU's
model alone, so that every machine of a model compiles alike. A new family is a new
row.

Widths of load and store ports, multiply-adds in a cycle, TLB sizes and latencies of L1
and L2 follow the vendors' optimisation guides and Agner Fog's "microarchitecture".
Sustained rates from L2 on, latencies of L3 and memory and frequencies under load are in
no manual and differ between models of a family: they are round numbers of the order
that published measurements show (Chips and Cheese, 7-cpu.com), for servers where a
family has both. The row of Zen 5 was measured with the calibration of this project.
"""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.machine import TLB, Memory


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes in a cycle that one core loads from a level, and stores to it, and the
    cycles of one dependent load."""

    load: float
    store: float
    latency: float


@dataclass(frozen=True, slots=True)
class Family:
    """CPUs that are alike, by LLVM's names of them.

    `frequency` is in Hz, of a busy machine. `fma_bytes` are the bytes of result that
    the multiply-add units make in a cycle, whatever the width of a vector.
    """

    cpus: tuple[str, ...]
    frequency: float
    fma_bytes: int
    fma_latency: int
    l1: Rate
    l2: Rate
    l3: Rate
    memory: Memory
    tlbs: tuple[TLB, TLB]


GENERAL = Family(
    cpus=(),
    frequency=3.0e9,
    fma_bytes=64,
    fma_latency=4,
    l1=Rate(64, 32, 5),
    l2=Rate(32, 20, 14),
    l3=Rate(14, 8, 50),
    memory=Memory(5, 3, 20, 300),
    tlbs=(TLB(64, 8), TLB(1536, 30)),
)
"""What is assumed of a CPU that has no row: an AVX2 server core of the last years."""

FAMILIES: tuple[Family, ...] = (
    Family(
        cpus=("znver5",),
        frequency=3.8e9,
        fma_bytes=128,
        fma_latency=4,
        l1=Rate(128, 64, 4),
        l2=Rate(50, 60, 14),
        l3=Rate(30, 28, 46),
        memory=Memory(11, 9, 40, 360),
        tlbs=(TLB(96, 7), TLB(4096, 60)),
    ),
    Family(
        cpus=("znver4",),
        frequency=3.7e9,
        fma_bytes=64,
        fma_latency=4,
        l1=Rate(64, 32, 4),
        l2=Rate(29, 24, 14),
        l3=Rate(20, 14, 50),
        memory=Memory(7, 4, 40, 400),
        tlbs=(TLB(72, 7), TLB(3072, 40)),
    ),
    Family(
        cpus=("znver3",),
        frequency=3.4e9,
        fma_bytes=64,
        fma_latency=4,
        l1=Rate(64, 32, 4),
        l2=Rate(28, 22, 12),
        l3=Rate(18, 13, 46),
        memory=Memory(6, 4, 35, 350),
        tlbs=(TLB(64, 7), TLB(2048, 40)),
    ),
    Family(
        cpus=("znver2",),
        frequency=3.2e9,
        fma_bytes=64,
        fma_latency=5,
        l1=Rate(64, 32, 4),
        l2=Rate(28, 20, 12),
        l3=Rate(16, 11, 39),
        memory=Memory(6, 3.5, 30, 330),
        tlbs=(TLB(64, 7), TLB(2048, 40)),
    ),
    Family(
        cpus=("znver1",),
        frequency=3.0e9,
        fma_bytes=32,
        fma_latency=5,
        l1=Rate(32, 16, 4),
        l2=Rate(24, 14, 17),
        l3=Rate(14, 9, 38),
        memory=Memory(6, 3.5, 30, 300),
        tlbs=(TLB(64, 7), TLB(1536, 40)),
    ),
    Family(
        cpus=("graniterapids", "graniterapids-d", "diamondrapids"),
        frequency=3.2e9,
        fma_bytes=128,
        fma_latency=4,
        l1=Rate(128, 64, 5),
        l2=Rate(48, 32, 16),
        l3=Rate(10, 6, 140),
        memory=Memory(4, 2.5, 60, 450),
        tlbs=(TLB(96, 7), TLB(2048, 30)),
    ),
    Family(
        cpus=("sapphirerapids", "emeraldrapids"),
        frequency=3.0e9,
        fma_bytes=128,
        fma_latency=4,
        l1=Rate(128, 64, 5),
        l2=Rate(48, 32, 15),
        l3=Rate(10, 6, 110),
        memory=Memory(4, 2.5, 50, 380),
        tlbs=(TLB(96, 7), TLB(2048, 30)),
    ),
    Family(
        cpus=("icelake-server",),
        frequency=2.9e9,
        fma_bytes=128,
        fma_latency=4,
        l1=Rate(128, 64, 5),
        l2=Rate(48, 30, 14),
        l3=Rate(10, 6, 70),
        memory=Memory(4.5, 3, 40, 260),
        tlbs=(TLB(64, 7), TLB(2048, 30)),
    ),
    Family(
        cpus=("skylake-avx512", "cascadelake", "cooperlake"),
        frequency=2.8e9,
        fma_bytes=128,
        fma_latency=4,
        l1=Rate(128, 64, 4),
        l2=Rate(52, 30, 14),
        l3=Rate(9, 6, 70),
        memory=Memory(4.5, 3, 35, 250),
        tlbs=(TLB(64, 7), TLB(1536, 30)),
    ),
    Family(
        cpus=("icelake-client", "tigerlake", "rocketlake"),
        frequency=4.0e9,
        fma_bytes=64,
        fma_latency=4,
        l1=Rate(128, 64, 5),
        l2=Rate(48, 28, 14),
        l3=Rate(18, 10, 45),
        memory=Memory(6, 4, 12, 320),
        tlbs=(TLB(64, 7), TLB(2048, 30)),
    ),
    Family(
        cpus=(
            *("alderlake", "raptorlake", "meteorlake"),
            *("arrowlake", "arrowlake-s", "lunarlake", "pantherlake"),
        ),
        frequency=4.8e9,
        fma_bytes=64,
        fma_latency=4,
        l1=Rate(96, 64, 5),
        l2=Rate(44, 28, 15),
        l3=Rate(16, 9, 70),
        memory=Memory(6, 4, 14, 400),
        tlbs=(TLB(96, 7), TLB(2048, 30)),
    ),
    Family(
        cpus=("skylake", "cannonlake"),
        frequency=4.0e9,
        fma_bytes=64,
        fma_latency=4,
        l1=Rate(64, 32, 4),
        l2=Rate(36, 22, 12),
        l3=Rate(18, 10, 42),
        memory=Memory(5, 3.5, 8, 280),
        tlbs=(TLB(64, 7), TLB(1536, 30)),
    ),
    Family(
        cpus=("haswell", "broadwell"),
        frequency=3.0e9,
        fma_bytes=64,
        fma_latency=5,
        l1=Rate(64, 32, 4),
        l2=Rate(28, 18, 12),
        l3=Rate(12, 7, 50),
        memory=Memory(4.5, 3, 20, 250),
        tlbs=(TLB(64, 7), TLB(1024, 30)),
    ),
    Family(
        cpus=("neoverse-n1",),
        frequency=2.6e9,
        fma_bytes=32,
        fma_latency=4,
        l1=Rate(32, 16, 4),
        l2=Rate(24, 14, 11),
        l3=Rate(12, 8, 80),
        memory=Memory(6, 5, 60, 280),
        tlbs=(TLB(48, 6), TLB(1280, 40)),
    ),
    Family(
        cpus=("neoverse-v1", "neoverse-v2", "neoverse-n2"),
        frequency=2.8e9,
        fma_bytes=64,
        fma_latency=4,
        l1=Rate(48, 32, 4),
        l2=Rate(32, 20, 11),
        l3=Rate(14, 10, 90),
        memory=Memory(9, 7, 90, 320),
        tlbs=(TLB(48, 6), TLB(2048, 40)),
    ),
    Family(
        cpus=("apple-m1", "apple-m2", "apple-m3", "apple-m4"),
        frequency=3.3e9,
        fma_bytes=64,
        fma_latency=4,
        l1=Rate(48, 32, 4),
        l2=Rate(32, 24, 17),
        l3=Rate(18, 14, 60),
        memory=Memory(17, 12, 40, 330),
        tlbs=(TLB(160, 6), TLB(3072, 30)),
    ),
)
"""All rows; the first that names a CPU counts."""


def family_of(cpu: str) -> Family:
    """Return the row of the CPU that LLVM calls *cpu*, or the general one."""
    return next((family for family in FAMILIES if cpu in family.cpus), GENERAL)
