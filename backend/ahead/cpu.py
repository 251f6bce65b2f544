"""Which version of a kernel this CPU runs: asked of the CPU itself, once.

`emit_choice` defines a function that gives the number of the first version whose row
of the ISA table the CPU and the operating system allow, or -1. It reads CPUID and the
register XCR0, which says whose registers the system saves, into words, judges the words
by a function of nothing else, and remembers the answer. Everybody who asks at once gets
the same answer, so a plain atomic store will do.

(Intel's manual, volume 2A, CPUID; volume 1, 13.3, 14.3 and 15.2.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from llvmlite import ir

from polydsl.backend.emitter.types import I32, POINTER, VOID, untyped
from polydsl.backend.isa import VectorISA
from polydsl.base.diagnostics import bug

FITTING = "polydsl_fitting"
"""`i32 (ptr words)`: the number of the first version that fits, or -1."""


class Word(IntEnum):
    """The 32-bit words that say what a CPU has: registers of CPUID's leaves, XCR0."""

    LEAF1_ECX = 0
    LEAF7_EBX = 1
    LEAF7_ECX = 2
    LEAF7_EDX = 3
    LEAF7_1_EAX = 4
    XCR0 = 5


_AVX_STATE = 0x06
_AVX512_STATE = 0xE6


@dataclass(frozen=True, slots=True)
class Feature:
    """One bit of a CPU: LLVM's name of the feature, where it is, the bits of XCR0 that
    it needs, and what LLVM takes to be there with it (`X86.td`)."""

    name: str
    word: Word
    bit: int
    state: int = 0
    implies: tuple[str, ...] = ()


FEATURES: tuple[Feature, ...] = (
    Feature("sse3", Word.LEAF1_ECX, 0),
    Feature("ssse3", Word.LEAF1_ECX, 9, 0, ("sse3",)),
    Feature("sse4.1", Word.LEAF1_ECX, 19, 0, ("ssse3",)),
    Feature("sse4.2", Word.LEAF1_ECX, 20, 0, ("sse4.1",)),
    Feature("popcnt", Word.LEAF1_ECX, 23),
    Feature("avx", Word.LEAF1_ECX, 28, _AVX_STATE, ("sse4.2",)),
    Feature("fma", Word.LEAF1_ECX, 12, _AVX_STATE, ("avx",)),
    Feature("f16c", Word.LEAF1_ECX, 29, _AVX_STATE, ("avx",)),
    Feature("bmi", Word.LEAF7_EBX, 3),
    Feature("avx2", Word.LEAF7_EBX, 5, _AVX_STATE, ("avx",)),
    Feature("bmi2", Word.LEAF7_EBX, 8),
    Feature(
        "avx512f", Word.LEAF7_EBX, 16, _AVX512_STATE, ("avx2", "fma", "f16c")
    ),
    Feature("avx512dq", Word.LEAF7_EBX, 17, _AVX512_STATE, ("avx512f",)),
    Feature("avx512bw", Word.LEAF7_EBX, 30, _AVX512_STATE, ("avx512f",)),
    Feature("avx512vl", Word.LEAF7_EBX, 31, _AVX512_STATE, ("avx512f",)),
    Feature("avx512vnni", Word.LEAF7_ECX, 11, _AVX512_STATE, ("avx512f",)),
    Feature("avx512bf16", Word.LEAF7_1_EAX, 5, _AVX512_STATE, ("avx512bw",)),
    Feature(
        "avx512fp16", Word.LEAF7_EDX, 23, _AVX512_STATE, ("avx512bw", "avx512vl")
    ),
)  # fmt: skip
"""What rows of the ISA table may require of an x86-64 CPU beyond its baseline."""

_OSXSAVE = 27
_BY_NAME = {feature.name: feature for feature in FEATURES}
_REGISTERS = ir.LiteralStructType([I32, I32, I32, I32])
_CPUID = ir.FunctionType(_REGISTERS, [I32, I32])
_XGETBV = ir.FunctionType(ir.LiteralStructType([I32, I32]), [I32])
_CLOBBERS = "~{dirflag},~{fpsr},~{flags}"


def needed_bits(isa: VectorISA) -> dict[Word, int]:
    """Return the bits of each word that must be set for a row."""
    needed: dict[Word, int] = {}
    pending = list(isa.required)
    while pending:
        name = pending.pop()
        if name not in _BY_NAME:
            bug(f"ISA row {isa.name}: nobody knows where CPUID says {name}")
        feature = _BY_NAME[name]
        pending += feature.implies
        needed[feature.word] = needed.get(feature.word, 0) | 1 << feature.bit
        if feature.state:
            needed[Word.XCR0] = needed.get(Word.XCR0, 0) | feature.state
    return dict(sorted(needed.items()))


def emit_choice(module: ir.Module, isas: Sequence[VectorISA]) -> ir.Function:
    """Define the function that says which version runs: `i32 ()`."""
    choice = ir.Function(module, ir.FunctionType(I32, []), "polydsl_choice")
    builder = ir.IRBuilder(choice.append_basic_block("entry"))
    if all(isa.is_baseline for isa in isas):
        builder.ret(I32(0))
        return choice
    # 0 says that nobody asked yet, 1 that nothing fits.
    known = ir.GlobalVariable(module, I32, "polydsl_chosen")
    known.initializer = I32(0)
    words = untyped(builder.alloca(ir.ArrayType(I32, len(Word)), name="words"))
    found = builder.load_atomic(known, "monotonic", 4)
    with builder.if_then(builder.icmp_unsigned("!=", found, I32(0)), likely=True):
        builder.ret(builder.sub(found, I32(2)))
    builder.call(_emit_reading(module), [words])
    fitting = builder.call(emit_fitting(module, isas), [words])
    builder.store_atomic(builder.add(fitting, I32(2)), known, "monotonic", 4)
    builder.ret(fitting)
    return choice


def emit_fitting(module: ir.Module, isas: Sequence[VectorISA]) -> ir.Function:
    """Define the function that judges the words of a CPU."""
    function = ir.Function(module, ir.FunctionType(I32, [POINTER]), FITTING)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    words = [
        builder.load(_word(builder, function.args[0], word), typ=I32) for word in Word
    ]
    found: ir.Value = I32(-1)
    for number in reversed(range(len(isas))):
        fits: ir.Value = ir.IntType(1)(1)
        for word, bits in needed_bits(isas[number]).items():
            there = builder.and_(words[word], I32(bits))
            is_there = builder.icmp_unsigned("==", there, I32(bits))
            fits = builder.and_(fits, is_there)
        found = builder.select(fits, I32(number), found)
    builder.ret(found)
    return function


def _emit_reading(module: ir.Module) -> ir.Function:
    """Define the function that fills the words from this CPU."""
    kind = ir.FunctionType(VOID, [POINTER])
    function = ir.Function(module, kind, "polydsl_read_cpu")
    # CPUID overwrites RBX, which functions with a moving stack pointer need.
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    words = function.args[0]

    def keep(word: Word, value: ir.Value) -> None:
        builder.store(value, _word(builder, words, word))

    for word in Word:
        keep(word, I32(0))
    most = _cpuid(builder, 0)[0]
    flags = _cpuid(builder, 1)[2]
    keep(Word.LEAF1_ECX, flags)
    saves = builder.and_(flags, I32(1 << _OSXSAVE))
    with builder.if_then(builder.icmp_unsigned("!=", saves, I32(0))):
        keep(Word.XCR0, _xcr0(builder))
    with builder.if_then(builder.icmp_unsigned(">=", most, I32(7))):
        leaves, *registers = _cpuid(builder, 7)
        for word, value in zip((Word.LEAF7_EBX, Word.LEAF7_ECX), registers):
            keep(word, value)
        keep(Word.LEAF7_EDX, registers[2])
        with builder.if_then(builder.icmp_unsigned(">=", leaves, I32(1))):
            keep(Word.LEAF7_1_EAX, _cpuid(builder, 7, 1)[0])
    builder.ret_void()
    return function


def _word(builder: ir.IRBuilder, words: ir.Value, word: Word) -> ir.Value:
    return untyped(builder.gep(words, [I32(word)], source_etype=I32))


def _cpuid(builder: ir.IRBuilder, leaf: int, part: int = 0) -> list[ir.Value]:
    """Return EAX, EBX, ECX and EDX of a leaf."""
    places = f"={{ax}},={{bx}},={{cx}},={{dx}},{{ax}},{{cx}},{_CLOBBERS}"
    inputs = [I32(leaf), I32(part)]
    found = builder.asm(_CPUID, "cpuid", places, inputs, side_effect=True)
    return [builder.extract_value(found, i) for i in range(4)]


def _xcr0(builder: ir.IRBuilder) -> ir.Value:
    """Return the low word of XCR0; only where OSXSAVE is set."""
    places = f"={{ax}},={{dx}},{{cx}},{_CLOBBERS}"
    found = builder.asm(_XGETBV, "xgetbv", places, [I32(0)], side_effect=True)
    return builder.extract_value(found, 0)
