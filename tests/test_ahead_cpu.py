"""Which version of an object runs: CPUID words of real CPUs, and of this one."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from ahead_harness import Library
from llvmlite import ir
from scalar_harness import HOST_ROWS

import polydsl
from polydsl.backend.ahead import cpu
from polydsl.backend.ahead.cpu import (
    FEATURES,
    FITTING,
    Feature,
    Word,
    emit_choice,
    emit_fitting,
    needed_bits,
)
from polydsl.backend.ahead.interface import Argument, Interface, version_of
from polydsl.backend.ahead.object import object_code, portable_target
from polydsl.backend.ahead.status import Status
from polydsl.backend.isa import AVX2, AVX512, GENERIC, ISAS
from polydsl.backend.jit import compile_object, load
from polydsl.backend.target import host_target
from polydsl.base.diagnostics import CompilerBug
from polydsl.base.dtypes import F32
from polydsl.driver.compiler import begin
from polydsl.driver.linker import link_shared
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain

Words = dict[Word, int]

# As CPUID of these CPUs prints them; XCR0 as Linux sets it.
NEHALEM: Words = {Word.LEAF1_ECX: 0x0098E3BD}
SANDY_BRIDGE: Words = {Word.LEAF1_ECX: 0x1FBAE3BF, Word.XCR0: 0x7}
HASWELL: Words = {
    Word.LEAF1_ECX: 0x7FFAFBBF,
    Word.LEAF7_EBX: 0x000027AB,
    Word.XCR0: 0x7,
}
ZEN2: Words = {
    Word.LEAF1_ECX: 0x7ED8320B,
    Word.LEAF7_EBX: 0x219C91A9,
    Word.XCR0: 0x207,
}
SKYLAKE_X: Words = {
    Word.LEAF1_ECX: 0x7FFEFBFF,
    Word.LEAF7_EBX: 0xD39FFFFB,
    Word.XCR0: 0x2E7,
}


def fitting(rows, words: Words) -> int:
    module = ir.Module(name="choice", context=ir.Context())
    emit_fitting(module, rows)
    target = portable_target(GENERIC)
    code = load(compile_object(str(module), target), exports=(FITTING,))
    judge = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(code.address(FITTING))
    memory = np.array([words.get(word, 0) for word in Word], np.uint32)
    return judge(memory.ctypes.data)


@pytest.mark.parametrize(
    ("words", "row"),
    [
        (NEHALEM, GENERIC),
        (SANDY_BRIDGE, GENERIC),
        (HASWELL, AVX2),
        (ZEN2, AVX2),
        (SKYLAKE_X, AVX512),
        (SKYLAKE_X | {Word.XCR0: 0x7}, AVX2),  # the system saves no zmm
        (SKYLAKE_X | {Word.XCR0: 0xC7}, AVX2),  # or no masks
        (SKYLAKE_X | {Word.XCR0: 0x3}, GENERIC),
        (SKYLAKE_X | {Word.XCR0: 0}, GENERIC),
        (SKYLAKE_X | {Word.LEAF7_EBX: 0xD39FFFFB & ~(1 << 31)}, AVX2),  # a Knights Mill
        (HASWELL | {Word.LEAF1_ECX: 0x7FFAFBBF & ~(1 << 12)}, GENERIC),  # no FMA
        (HASWELL | {Word.LEAF1_ECX: 0x7FFAFBBF & ~(1 << 28)}, GENERIC),  # no AVX
        (HASWELL | {Word.LEAF7_EBX: 0}, GENERIC),
        (SKYLAKE_X | {Word.LEAF1_ECX: 0x7FFEFBFF & ~(1 << 29)}, GENERIC),  # no F16C
        ({}, GENERIC),
    ],
)
def test_the_best_row_that_a_cpu_has(words: Words, row) -> None:
    assert ISAS[fitting(ISAS, words)] is row


def test_nothing_fits_or_the_first_that_does() -> None:
    assert fitting((AVX512, AVX2), NEHALEM) == -1
    assert fitting((AVX512, AVX2), HASWELL) == 1
    assert fitting((AVX2,), SKYLAKE_X) == 0
    assert fitting((AVX512,), HASWELL) == -1


def test_rows_require_what_cpuid_is_known_to_say() -> None:
    for isa in ISAS:
        assert bool(needed_bits(isa)) == (not isa.is_baseline)
    with pytest.raises(CompilerBug, match="where CPUID says sse9"):
        needed_bits(replace(AVX2, required=("sse9",)))


def test_no_two_features_are_one_bit() -> None:
    places = [(feature.word, feature.bit) for feature in FEATURES]
    assert len(set(places)) == len(places)
    names = {feature.name for feature in FEATURES}
    assert all(set(feature.implies) <= names for feature in FEATURES)
    assert names <= set(llvm.get_host_cpu_features())


def test_this_cpu_is_read_as_llvm_reads_it() -> None:
    """Every feature of the table: what CPUID says here is what LLVM says."""
    told = llvm.get_host_cpu_features()
    for feature in FEATURES:
        row = replace(AVX2, name=feature.name, required=(feature.name,))
        module = ir.Module(name="choice", context=ir.Context())
        choice = emit_choice(module, (row,))
        image = compile_object(str(module), portable_target(GENERIC))
        code = load(image, exports=(choice.name,))
        ask = ctypes.CFUNCTYPE(ctypes.c_int32)(code.address(choice.name))
        assert [ask(), ask()] == [0 if told[feature.name] else -1] * 2, feature


def test_the_choice_is_made_once() -> None:
    module = ir.Module(name="choice", context=ir.Context())
    choice = emit_choice(module, ISAS)
    code = load(
        compile_object(str(module), portable_target(GENERIC)),
        exports=(choice.name, "polydsl_chosen"),
    )
    ask = ctypes.CFUNCTYPE(ctypes.c_int32)(code.address(choice.name))
    chosen = ctypes.c_int32.from_address(code.address("polydsl_chosen"))
    assert chosen.value == 0
    assert ISAS[ask()] is HOST_ROWS[0]
    assert chosen.value == ISAS.index(HOST_ROWS[0]) + 2
    # What is remembered is believed: nobody asks the CPU again.
    chosen.value = 7
    assert ask() == 5


def test_a_cpu_without_any_version_is_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Bit 16 of this word is reserved: no CPU has it.
    never = Feature("never", Word.LEAF1_ECX, 16)
    monkeypatch.setitem(cpu._BY_NAME, "never", never)
    isa = replace(GENERIC, name="future", required=("never",))
    double = polydsl.loads(
        "kernel double(x: f32[N]) -> f32[N]:\n    y[i] = x[i] * 2\n    return y\n"
    ).double
    request = double.specialize("f32[4]").request
    state = compile_until(begin(request, toolchain()), "nest")
    assert state.nest is not None
    target = replace(portable_target(GENERIC), isa=isa)
    arguments = (Argument("x", F32, (4,)), Argument("y", F32, (4,), True))
    interface = Interface("double_it", arguments, ())
    path = tmp_path / "f.o"
    path.write_bytes(object_code(interface, [version_of(state.nest, target)]))
    assert link_shared(path, tmp_path / "f.so").linker
    library = Library(tmp_path / "f.so", interface)
    assert library.isa == ""
    assert library.function("scratch_bytes")(1) == 0
    assert library.function()(None, None, None) == Status.NO_CODE


def test_portable_code_uses_what_its_row_requires_and_no_more() -> None:
    for isa in ISAS:
        target = portable_target(isa)
        wanted = {word[1:] for word in target.features.split(",") if word[:1] == "+"}
        assert wanted == set(isa.required)
        assert target.cpu == "x86-64"
    assert host_target(HOST_ROWS[0].name).isa is HOST_ROWS[0]
