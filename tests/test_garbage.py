"""The search for garbage is put off while one compiles, and comes back."""

from __future__ import annotations

import gc
import weakref

import pytest
from llvmlite import ir

import polydsl
from polydsl.backend.emitter import module
from polydsl.backend.emitter.module import build_module
from polydsl.backend.target import Target
from polydsl.base.garbage import uncollected
from polydsl.driver.compiler import begin
from polydsl.driver.stages import Compilation, Stage, compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.loops.nest import LoopNest

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


def test_emitted_instructions_go_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module holds some ten objects for each instruction."""
    special = KERNEL.specialize("f32[8]")
    state = compile_until(begin(special.request, toolchain()), "nest")
    assert state.nest is not None
    seen = []

    def build(nest: LoopNest, target: Target) -> ir.Module:
        built = build_module(nest, target)
        blocks = [block for f in built.functions for block in f.blocks]
        seen.extend(weakref.ref(i) for block in blocks for i in block.instructions)
        return built

    monkeypatch.setattr(module, "build_module", build)
    with uncollected():
        module.emit_module(state.nest, toolchain().target)
        assert len(seen) > 10
        assert not any(instruction() for instruction in seen)
