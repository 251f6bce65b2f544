"""The measured peaks are plausible and relate as the hardware does."""

from __future__ import annotations

import pytest

from polydsl.backend.isa import ISAS, VectorISA
from polydsl.backend.jit import assembly
from polydsl.backend.peak import (
    arithmetic_probe,
    arithmetic_text,
    bandwidth_probe,
    measure_peak,
)
from polydsl.backend.target import host_target
from polydsl.base.dtypes import F32, F64, DType

_BEST = host_target().isa


@pytest.mark.parametrize("isa", ISAS[ISAS.index(_BEST) :], ids=lambda isa: isa.name)
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_the_loop_keeps_its_sums_in_registers(isa: VectorISA, dtype: DType) -> None:
    target = host_target(isa.name)
    code = assembly(arithmetic_text(target, dtype), target)
    loop = code.split("_1:")[1].split("jne")[0]
    assert "rsp" not in loop and "rdi" not in loop
    products = "vfmadd" if isa.has_fma else "mulp"
    assert loop.count(products) == 12


def test_a_round_is_a_plausible_speed() -> None:
    target = host_target()
    assert 1 < measure_peak(target, F64, rounds=3) < 1000
    probe = arithmetic_probe(target, F32)
    assert 1 < probe.round() < 2000


def test_bandwidth_streams_all_of_its_memory() -> None:
    probe = bandwidth_probe(host_target(), 1 << 22)
    row = 12 * host_target().isa.vector_bytes
    assert probe.work == (1 << 22) // row * row
    assert 0.5 < probe.round() < 5000
