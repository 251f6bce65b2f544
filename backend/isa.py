"""The table of instruction sets: one row for each kind of vector unit.

A row says what the CPU must have and what the code generator may use. Every other
part of the back end reads the row; none asks which CPU it is. A new instruction set
is a new row. Rows stand best first, and each CPU can also run the rows below its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import DType


@dataclass(frozen=True, slots=True)
class VectorISA:
    """One kind of vector unit.

    `required` are the CPU's features (LLVM's names) without which the row cannot run;
    `excluded` are prefixes of features that code for this row must not use although
    the CPU may have them. `has_masks` says that masked loads and stores are single
    instructions. Without `has_fma` a multiply-add is two instructions, and `llvm.fma`
    must not be emitted: it becomes a library call. `has_f16` says that conversions
    between f16 and f32 are instructions; elsewhere they too would be calls.
    `fma_per_cycle` counts vector multiply-adds, `load_bytes` the bytes that one core
    loads from L1 in a cycle.
    """

    name: str
    required: tuple[str, ...]
    excluded: tuple[str, ...]
    vector_bits: int
    registers: int
    has_fma: bool
    has_masks: bool
    has_f16: bool
    fma_per_cycle: float
    fma_latency: int
    load_bytes: float

    def __post_init__(self) -> None:
        if self.vector_bits not in (128, 256, 512) or self.registers < 8:
            bug(f"ISA row {self.name}: impossible register file")

    @property
    def vector_bytes(self) -> int:
        """The width of one vector register in bytes."""
        return self.vector_bits // 8

    @property
    def is_baseline(self) -> bool:
        """Whether every CPU of the architecture runs the row."""
        return not self.required

    def lanes(self, dtype: DType) -> int:
        """Return how many elements of *dtype* one vector register holds."""
        return self.vector_bytes // dtype.bytes


AVX512 = VectorISA(
    name="avx512",
    required=("avx512f", "avx512vl", "avx512bw", "avx512dq", "avx2", "fma", "f16c"),
    excluded=("amx",),
    vector_bits=512,
    registers=32,
    has_fma=True,
    has_masks=True,
    has_f16=True,
    fma_per_cycle=2.0,
    fma_latency=4,
    load_bytes=128.0,
)
AVX2 = VectorISA(
    name="avx2",
    required=("avx2", "fma", "f16c"),
    excluded=("amx", "avx512", "avx10", "evex512"),
    vector_bits=256,
    registers=16,
    has_fma=True,
    # vmaskmovps serves 4 and 8 bytes; narrower masked accesses become branches.
    has_masks=True,
    has_f16=True,
    fma_per_cycle=2.0,
    fma_latency=4,
    load_bytes=64.0,
)
GENERIC = VectorISA(
    name="generic",
    required=(),
    # The baseline of the architecture: SSE2 on x86-64, NEON on AArch64.
    excluded=("",),
    vector_bits=128,
    registers=16,
    has_fma=False,
    has_masks=False,
    has_f16=False,
    fma_per_cycle=1.0,
    fma_latency=7,
    load_bytes=32.0,
)

ISAS: tuple[VectorISA, ...] = (AVX512, AVX2, GENERIC)
"""All rows, best first."""


def isa_named(name: str) -> VectorISA | None:
    """Return the row called *name*, or None if there is none."""
    return next((isa for isa in ISAS if isa.name == name), None)


def supported(flags: frozenset[str]) -> tuple[VectorISA, ...]:
    """Return the rows that a CPU with the features *flags* can run, best first."""
    return tuple(isa for isa in ISAS if flags.issuperset(isa.required))
