"""The search for garbage is put off while one compiles, and comes back."""

from __future__ import annotations

import gc

import pytest

import polydsl
from polydsl.base.garbage import uncollected
from polydsl.driver.compiler import begin
from polydsl.driver.stages import Compilation, Stage, compile_until
from polydsl.driver.toolchain import toolchain

KERNEL = polydsl.loads("kernel f(x: f32[N]):\n    y[i] = 2 * x[i]\n    return y\n").f


def test_stages_run_without_it() -> None:
    special = KERNEL.specialize("f32[8]")
    seen = []

    def listen(stage: Stage, state: Compilation) -> None:
        seen.append((stage.name, gc.isenabled()))

    compile_until(begin(special.request, toolchain()), "tree", listen)
    assert ("tree", False) in seen
    assert gc.isenabled()


def test_it_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), uncollected():
        1 / 0
    assert gc.isenabled()


def test_who_switched_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
