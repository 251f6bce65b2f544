"""The ISA table and targets: rows, forcing downward, code that keeps to its row."""

from __future__ import annotations

import pickle

import pytest
from llvmlite import ir
from scalar_harness import HOST_ROWS, add_function

from polydsl.backend.isa import AVX2, AVX512, GENERIC, ISAS, isa_named, supported
from polydsl.backend.jit import assembly, compile_object
from polydsl.backend.target import host_target, machine_of, target_for
from polydsl.base.diagnostics import PolydslError
from polydsl.base.dtypes import F32, F64

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"


def test_rows_stand_best_first():
    assert [isa.name for isa in ISAS] == ["avx512", "avx2", "generic"]
    assert [isa.vector_bits for isa in ISAS] == [512, 256, 128]
    assert isa_named("avx2") is AVX2
    assert isa_named("sse9") is None


@pytest.mark.parametrize(
    "flags, names",
    [
        ((), ["generic"]),
        (("avx2",), ["generic"]),
        (("avx2", "fma"), ["generic"]),
        (("avx2", "fma", "f16c"), ["avx2", "generic"]),
        (("avx2", "fma", "f16c", "avx512f"), ["avx2", "generic"]),
        (AVX512.required, ["avx512", "avx2", "generic"]),
    ],
)
def test_a_row_needs_all_its_features(flags, names):
    assert [isa.name for isa in supported(frozenset(flags))] == names


def test_lanes_follow_the_width():
    assert (AVX512.lanes(F32), AVX2.lanes(F32), GENERIC.lanes(F64)) == (16, 8, 2)


@pytest.mark.parametrize("isa", HOST_ROWS, ids=lambda isa: isa.name)
def test_a_row_can_be_forced_downward(isa):
    target = host_target(isa.name)
    assert target.isa is isa
    assert pickle.loads(pickle.dumps(target)) == target
    assert hash(target) == hash(host_target(isa.name))


def test_the_best_row_is_the_default():
    assert host_target() == host_target(HOST_ROWS[0].name)


def test_an_unknown_row_is_refused_with_what_is_there():
    with pytest.raises(PolydslError, match=r"no ISA row called 'sse9'.*generic"):
        host_target("sse9")


def test_a_row_that_the_cpu_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(
        "llvmlite.binding.get_host_cpu_features", lambda: {"sse2": True}
    )
    assert host_target().isa is GENERIC
    with pytest.raises(PolydslError, match="cannot run the ISA row avx2: it runs gen"):
        host_target("avx2")


def text_for(target, lanes):
    module = ir.Module()
    for name in ("exp", "fma", "floor"):
        add_function(module, name, F32, target, lanes)
    return str(module)


def test_code_keeps_to_the_registers_of_its_row():
    for isa in HOST_ROWS:
        target = host_target(isa.name)
        text = assembly(text_for(target, isa.lanes(F32)), target)
        assert ("zmm" in text) == (isa is AVX512)
        assert ("ymm" in text) == (isa is AVX2)
        assert ("vfm" in text) == isa.has_fma


def test_rows_of_other_machines_are_emitted_too():
    for isa in (AVX512, AVX2, GENERIC):
        target = target_for(isa, X86)
        assert (
            compile_object(text_for(target, isa.lanes(F32)), target)[:4] == b"\x7fELF"
        )


def test_the_generic_row_is_also_emitted_for_aarch64():
    target = target_for(GENERIC, ARM)
    image = compile_object(text_for(target, 4), target)
    assert image[:4] == b"\x7fELF"
    assert int.from_bytes(image[18:20], "little") == 183  # EM_AARCH64
    assert "fmul\tv" in assembly(text_for(target, 4), target)


def test_the_machine_has_the_numbers_of_its_row():
    for isa in HOST_ROWS:
        machine = machine_of(host_target(isa.name))
        assert machine.vector_bytes * 8 == isa.vector_bits
        assert machine.vector_registers == isa.registers
        assert (machine.has_fma, machine.has_masks) == (isa.has_fma, isa.has_masks)
        assert machine.cores >= 1
        sizes = [cache.capacity for cache in machine.caches]
        assert [cache.name for cache in machine.caches] == ["L1", "L2", "L3"]
        assert sizes == sorted(sizes)
        assert sizes[0] >= 16 << 10
        assert all(cache.sets > 1 for cache in machine.caches)
        levels = (*machine.caches, machine.memory)
        for speeds in ([x.load for x in levels], [x.store for x in levels]):
            assert speeds == sorted(speeds, reverse=True)
            assert speeds[-1] > 0
        assert machine.cache("L1").load <= isa.load_bytes


def test_caches_have_defaults_where_the_kernel_shows_none(monkeypatch):
    monkeypatch.setattr("polydsl.backend.target._read", lambda path: "")
    machine = machine_of(host_target("generic"))
    assert machine.cache("L1").capacity == 32 << 10
    assert machine.cache("L1").sets == 64
    assert not machine.cache("L2").is_shared
    assert machine.cache("L3").cores == machine.cores


@pytest.mark.parametrize(
    "quota, cores", [("150000 100000", 2), ("max 100000", 64), ("50000 100000", 1)]
)
def test_cores_respect_the_quota_of_a_container(monkeypatch, quota, cores):
    def read(path):
        return quota if path.name == "cpu.max" else ""

    monkeypatch.setattr("polydsl.backend.target._read", read)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(64)))
    assert machine_of(host_target("generic")).cores == cores
