"""What calibration measures, keeps and changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import machine

from polydsl.backend.cache import ObjectCache
from polydsl.backend.calibration.loops import compile_loops, loops_text
from polydsl.backend.calibration.measure import calibrate, numbers_from
from polydsl.backend.calibration.memory import Region, Ring, by_page, dense, one_a_page
from polydsl.backend.calibration.numbers import fit, numbers_of, with_numbers
from polydsl.backend.isa import ISAS
from polydsl.backend.jit import assembly
from polydsl.backend.machines import FAMILIES, GENERAL, family_of
from polydsl.backend.runtime import Runtime
from polydsl.backend.target import host_target, machine_of
from polydsl.base.machine import Machine
from polydsl.driver.calibration import (
    FILE,
    calibrated_machine,
    forget_numbers,
    keep_numbers,
)
from polydsl.driver.compiler import compile_request
from polydsl.driver.loading import loads
from polydsl.driver.toolchain import toolchain

HOST_ROWS = ISAS[ISAS.index(host_target().isa) :]


def small(machine: Machine) -> Machine:
    """Return a machine for which few megabytes are beyond all caches."""
    sizes = (16 << 10, 64 << 10, 256 << 10)
    caches = zip(machine.caches, sizes)
    return replace(machine, caches=tuple(replace(c, capacity=n) for c, n in caches))


@pytest.mark.parametrize("isa", HOST_ROWS, ids=lambda isa: isa.name)
def test_every_row_is_measured_with_sane_numbers(isa) -> None:
    target = host_target(isa.name)
    built_in, shares = machine_of(target), []
    parallel = Runtime(target, None).parallel
    numbers = calibrate(
        target, small(built_in), parallel, seconds=0.0, advance=shares.append
    )
    assert fit(built_in, numbers)
    assert shares == sorted(shares) and shares[-1] == 1.0
    measured = with_numbers(built_in, numbers)
    assert 1e8 < measured.frequency < 1e10
    levels = (*measured.caches, measured.memory)
    for values in ([x.load for x in levels], [x.store for x in levels]):
        assert values == sorted(values, reverse=True)
    latencies = [level.latency for level in levels]
    assert latencies == sorted(latencies) and latencies[0] >= 1
    assert measured.memory.total >= measured.memory.load
    assert (measured.cores, measured.isa) == (built_in.cores, built_in.isa)


def test_noise_in_a_far_level_does_not_make_it_faster() -> None:
    here = machine()
    best = dict.fromkeys(numbers_of(here), 1e-10)
    best |= {"fma": 1 / 8e9, "frequency": 2 / 4e9, "tlb1.dense": 9e-10}
    best |= {"tlb1.miss": 1e-9, "tlb2.dense": 1e-9, "tlb2.miss": 6e-9}
    best |= {"L2.load": 2e-10, "L3.load": 1e-10, "L3.latency": 1e-12}
    numbers = numbers_from(here, best)
    assert (numbers["fma_per_cycle"], numbers["frequency"]) == (2.0, 4e9)
    assert numbers["L1.load"] > numbers["L2.load"] == numbers["L3.load"]
    assert numbers["L3.latency"] == numbers["L2.latency"]
    # A difference of less than a cycle says nothing; five nanoseconds are 20 cycles.
    assert numbers["tlb1.miss"] == here.tlbs[0].miss
    assert numbers["tlb2.miss"] == pytest.approx(20)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.floats(1e-9, 1e12),
        min_size=len(numbers_of(machine())),
        max_size=len(numbers_of(machine())),
    )
)
def test_numbers_replace_all_that_they_name(values: list[float]) -> None:
    numbers = dict(zip(numbers_of(machine()), values))
    numbers["fma_latency"] = float(max(1, round(numbers["fma_latency"])))
    changed = with_numbers(machine(), numbers)
    assert numbers_of(changed) == numbers
    assert numbers_of(machine()) == numbers or changed.identity() != (
        machine().identity()
    )


def test_numbers_are_kept_for_their_own_cpu_and_row(tmp_path: Path) -> None:
    target = host_target()
    built_in = machine_of(target)
    assert calibrated_machine(tmp_path, target).machine == built_in
    numbers = {name: 2.0 * value for name, value in numbers_of(built_in).items()}
    folder = tmp_path / "new"
    path = keep_numbers(folder, target, numbers)
    found = calibrated_machine(folder, target)
    assert numbers_of(found.machine) == numbers
    assert found.note == f"measured; {path}"
    assert [p.name for p in folder.iterdir()] == [FILE]

    other = host_target("generic")
    if other != target:
        note = calibrated_machine(folder, other).note
        assert note.startswith("built in;") and "another CPU or ISA row" in note
        keep_numbers(folder, other, numbers_of(machine_of(other)))
        assert numbers_of(calibrated_machine(folder, target).machine) == numbers
    text = path.read_text()
    path.write_text(text.replace("(LLVM: ", "(LLVM: another-"))
    assert calibrated_machine(folder, target).machine == built_in
    assert forget_numbers(folder)
    assert not forget_numbers(folder)


def without_one(text: str) -> str:
    content = json.loads(text)
    (entry,) = content["machines"].values()
    del entry["L2.load"]
    return json.dumps(content)


def changed_to(value: object):
    def change(text: str) -> str:
        content = json.loads(text)
        (entry,) = content["machines"].values()
        entry["L2.load"] = value
        return json.dumps(content)

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[" * 100_000,
        lambda text: "[1]",
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"machines": {', '"machines": {"x": 1,'),
        without_one,
        *map(changed_to, (0, -1.0, float("nan"), float("inf"), "56", True, None)),
    ],
)
def test_damaged_files_are_ignored_with_a_note(tmp_path: Path, damage) -> None:
    target = host_target()
    built_in = machine_of(target)
    path = keep_numbers(tmp_path, target, numbers_of(built_in))
    path.write_text(damage(path.read_text()))
    found = calibrated_machine(tmp_path, target)
    assert found.machine == built_in
    assert found.note.startswith("built in;") and "is ignored" in found.note
    # Measuring again mends it.
    keep_numbers(tmp_path, target, numbers_of(built_in))
    assert calibrated_machine(tmp_path, target).note.startswith("measured;")


def test_other_numbers_are_another_object(tmp_path: Path) -> None:
    text = "kernel twice(x: f32[N]) -> f32[N]:\n    y[i] = 2 * x[i]\n    return y\n"
    kernel = loads(text).twice
    request = kernel.specialize("f32[64]").request
    tools = replace(toolchain(), cache=ObjectCache(tmp_path))
    assert not compile_request(request, tools).from_cache
    assert compile_request(request, tools).from_cache
    faster = replace(tools.machine, frequency=2 * tools.machine.frequency)
    assert not compile_request(request, replace(tools, machine=faster)).from_cache


def test_rings_visit_every_place_once() -> None:
    region = Region(1 << 16, huge=False)
    offsets = one_a_page(8, 4096, 64)
    assert len({offset // 64 % 64 for offset in offsets}) == 8
    ring = Ring(region, offsets)
    loops = compile_loops(host_target())
    words, seen = region.bytes.view("uint64"), []
    here = int(region.address + offsets[0])
    for _ in range(ring.places):
        seen.append(here - region.address)
        here = int(words[(here - region.address) // 8])
    assert sorted(seen) == sorted(offsets.tolist())
    assert here - region.address == seen[0]
    loops.chase(ring.state, 1, 0)  # sixteen steps are two turns
    assert sorted(dense(256, 64)) == [0, 64, 128, 192]
    places = by_page(8 * 4096, 256, 4096)
    assert sorted(places) == list(range(0, 8 * 4096, 256))
    assert (places.reshape(8, 16) // 4096 == places[::16, None] // 4096).all()


@pytest.mark.parametrize("isa", HOST_ROWS, ids=lambda isa: isa.name)
def test_the_loops_are_what_they_say(isa) -> None:
    target = host_target(isa.name)
    code = assembly(loops_text(target), target)
    store = code.split("\nstore:")[1].split("\nchase:")[0]
    assert "memset" not in code
    moves = [line for line in store.splitlines() if "mov" in line and "mm" in line]
    assert len(moves) >= 16
    region = Region(1 << 14, huge=False)
    region.bytes[:64] = range(64)
    loops = compile_loops(target)
    loops.store(region.address, 1 << 13, 1)
    width = isa.vector_bytes
    assert (region.bytes[: 1 << 13].reshape(-1, width) == range(width)).all()
    assert (region.bytes[1 << 13 :] == 1).all()


def test_families_are_ordered_and_named_once() -> None:
    names = [cpu for family in FAMILIES for cpu in family.cpus]
    assert len(names) == len(set(names))
    assert family_of("znver5").fma_bytes == 128
    assert family_of("a CPU of tomorrow") is GENERAL
    for family in (*FAMILIES, GENERAL):
        levels = (family.l1, family.l2, family.l3, family.memory)
        for values in ([x.load for x in levels], [x.store for x in levels]):
            assert values == sorted(values, reverse=True) and values[-1] > 0
        assert family.memory.latency > family.l3.latency
        latencies = [level.latency for level in levels]
        assert latencies == sorted(latencies)
        assert family.memory.total >= family.memory.load
        assert family.tlbs[0].entries < family.tlbs[1].entries


def test_the_command_measures_keeps_and_forgets(tmp_path: Path) -> None:
    def doctor(*words: str) -> str:
        program = "import sys; from polydsl.driver.cli import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", program, "doctor", "--isa", "generic", *words],
            env={**os.environ, "POLYDSL_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    table = doctor("--calibrate", "--seconds", "0")
    rows = [line.split() for line in table.splitlines()]
    assert ["number", "unit", "measured", "built", "in"] in rows
    names = set(numbers_of(machine()))
    shown = {row[0]: row[2:] for row in rows if row and row[0] in names}
    assert shown.keys() == names
    assert all(float(value) > 0 for values in shown.values() for value in values)
    assert (tmp_path / FILE).exists()
    assert "calibration removed" in doctor("--forget-calibration")
    assert "no calibration" in doctor("--forget-calibration")
