"""Prepared memory of kernels compiled ahead of time: what is bound is packed once."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from ahead_harness import library_of, verified
from scalar_harness import HOST_ROWS
from test_ahead import MODULE, special_of, tensors

from polydsl.backend.ahead.interface import (
    HEAD_BYTES,
    Argument,
    Interface,
    prepared_layout,
    version_of,
)
from polydsl.backend.ahead.object import portable_target
from polydsl.backend.ahead.status import Status
from polydsl.backend.isa import GENERIC
from polydsl.base.dtypes import F32
from polydsl.driver.compiler import begin
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain


@pytest.mark.parametrize("bound", [("w",), ("w", "b"), ("b", "a"), ("w", "b", "a")])
@pytest.mark.parametrize("isas", [HOST_ROWS, (GENERIC,)], ids=("all", "generic"))
def test_bound_tensors_are_packed_once(bound, isas, tmp_path: Path) -> None:
    specs = {"x": "f32[19,40]", "w": "f32[70,40]", "b": "f32[70]", "a": "f32"}
    arrays = tensors(MODULE.layer.specialize(*specs.values()))
    kernel = MODULE.layer.bind(**{name: arrays[name] for name in bound})
    free = [spec for name, spec in specs.items() if name not in bound]
    special = kernel.specialize(*free)
    library = library_of(special, tmp_path, isas)
    verified(special, arrays, library.run(arrays))
    assert library.function("prepared_bytes")() >= HEAD_BYTES


def test_prepared_memory_of_others_is_refused(tmp_path: Path) -> None:
    arrays = tensors(MODULE.layer.specialize("f32[3,4]", "f32[5,4]", "f32[5]", "f32"))
    special = MODULE.layer.bind(w=arrays["w"]).specialize("f32[3,4]", "f32[5]", "f32")
    library = library_of(special, tmp_path, (GENERIC,))
    memory = library.prepared(arrays)
    size = library.function("prepared_bytes")()
    passed = library.interface.passed
    given = [arrays["x"], arrays["b"], arrays["a"], *library.results()]

    def status(address: int | None) -> int:
        words = [*library.words(passed, given), ctypes.c_void_p(address)]
        return library.function()(*words, ctypes.byref(library.call()))

    assert status(memory.ctypes.data) == Status.OK
    assert status(None) == status(memory.ctypes.data + 4) == Status.PREPARED
    memory[:8] = 0
    assert status(memory.ctypes.data) == Status.PREPARED

    def prepare(address: int | None, count: int) -> int:
        word = library.words(library.interface.bound, [arrays["w"]])
        place = ctypes.c_void_p(address)
        words = (*word, place, ctypes.c_size_t(count), ctypes.byref(library.call()))
        return library.function("prepare")(*words)

    assert prepare(None, size) == Status.PREPARED
    assert prepare(memory.ctypes.data + 8, size) == Status.PREPARED
    assert prepare(memory.ctypes.data, size - 1) == Status.PREPARED
    assert status(memory.ctypes.data) == Status.PREPARED
    assert prepare(memory.ctypes.data, size) == Status.OK
    assert status(memory.ctypes.data) == Status.OK


def test_prepared_parts_lie_apart(tmp_path: Path) -> None:
    arguments = tuple(
        Argument(name, F32, (n,), is_bound=True) for name, n in (("u", 3), ("v", 40))
    )
    interface = Interface("f", arguments, ())
    state = compile_until(begin(special_of("smooth").request, toolchain()), "nest")
    assert state.nest is not None
    base = version_of(state.nest, portable_target(GENERIC))
    version = type(base)(
        base.target, ("u", "v"), base.scratch, (65, 64), frozenset(("v",)), False, ""
    )
    layout = prepared_layout(interface, version)
    assert layout.buffers == (64, 192)
    assert layout.copies == (("v", 256),)
    assert layout.total == 256 + 192
