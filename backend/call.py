"""From Python into native code: a kernel's call with its arrays, in under 1 µs.

`NativeCall` holds what one specialisation expects of its arguments as a *plan* and a
built-in function made from compiled code that checks arrays against it and calls the
kernel (`polydsl.backend.launcher_ir`). The check is what makes the fast path safe: a
caller may try the specialisation that it used last and looks for another one if the
answer is negative. Memory that the kernel uses is kept alive by the call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from polydsl.backend.arrays import Array, ArrayLayout
from polydsl.backend.jit import NativeKernel, load
from polydsl.backend.launcher_ir import (
    ANY,
    BYTE_ORDER,
    DATA,
    DTYPE,
    FLAGS,
    LAUNCH,
    PYTHON_API,
    RANK,
    SHAPE,
    STRIDES,
    TYPE_NUMBER,
    Word,
    launcher_ir,
)
from polydsl.backend.scratch import ScratchPool
from polydsl.backend.threads import Compile, ParallelRuntime
from polydsl.base.diagnostics import bug

_FASTCALL = 0x80
_ALIGNED, _WRITEABLE = 0x100, 0x400
_NO_SCRATCH = np.empty(0, np.uint8)
_REPORT = 24
"""Bytes of the report of a failed check, where scratch begins."""

Launch = Callable[..., int]
"""`launch(scratch, threads, *arrays)`: the kernel's status, or negative."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A buffer whose array comes with every call and must have this layout."""

    layout: ArrayLayout
    is_written: bool = False


Slot: TypeAlias = Passed | Array | None
"""A buffer of a kernel: passed at the call, known beforehand, or not looked at."""


class _MethodDef(ctypes.Structure):
    """`PyMethodDef` of Python's C interface."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_new_function = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p
)(("PyCFunction_NewEx", ctypes.pythonapi))


@dataclass(frozen=True, slots=True, eq=False)
class Launcher:
    """The compiled `launch`, once for each process; made by `load_launcher`."""

    _definition: _MethodDef = field(repr=False)
    _code: NativeKernel = field(repr=False)

    def function(self, plan: Array) -> Launch:
        """Return the built-in function that calls the kernel of *plan*."""
        address = ctypes.addressof(self._definition)
        launch: Launch = _new_function(address, plan, None)
        return launch


def load_launcher(compile_object: Compile) -> Launcher:
    """Compile and load `launch`; check that arrays look as it believes."""
    _check_array_fields()
    symbols = {name: _api_address(name) for name in PYTHON_API}
    code = load(compile_object(launcher_ir()), symbols, (LAUNCH,))
    definition = _MethodDef(b"launch", code.address(LAUNCH), _FASTCALL, None)
    # Built-in functions point at their definition until they are freed, which may be
    # when the interpreter ends and modules are gone already: it is never freed.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(definition))
    return Launcher(definition, code)


class CheckFailed(Exception):
    """A check of the kernel failed: its number, the position, and the value there."""

    def __init__(self, number: int, position: int, value: int) -> None:
        self.number, self.position, self.value = number, position, value
        super().__init__(number, position, value)


class NativeCall:
    """One compiled kernel, ready to be called with arrays of the layouts it expects.

    `slots` describes the kernel's buffers in their order. With `releases_gil` other
    Python threads run during the call: right for work of more than some microseconds.
    Without a parallel run time every call has one thread. With `has_checks` a positive
    status says that a check failed, and scratch begins with its report.
    """

    __slots__ = ("_has_checks", "_launch", "_limit", "_owners", "_scratch")

    def __init__(
        self,
        launcher: Launcher,
        kernel: NativeKernel,
        slots: Sequence[Slot],
        *,
        entry: str = "polydsl_main",
        scratch: ScratchPool | None = None,
        parallel: ParallelRuntime | None = None,
        releases_gil: bool = True,
        has_checks: bool = False,
    ) -> None:
        plan = np.array(
            [
                *_header(kernel.address(entry), parallel, slots, releases_gil),
                *(_known_address(slot) for slot in slots),
                *_records(slots),
            ],
            dtype=np.int64,
        )
        self._launch = launcher.function(plan)
        self._scratch = scratch
        self._has_checks = has_checks
        self._limit = None if parallel is not None else 1
        self._owners = (launcher, kernel, tuple(slots), parallel)

    def __call__(self, arrays: Sequence[Array], threads: int = 1) -> int:
        """Run the kernel and return its status, which is 0 when all is well.

        Where a check fails, raises `CheckFailed` with what the kernel reports.

        A negative answer -1 - i says that array number i (of those that are passed) is
        not what this kernel was compiled for, or that the number of arrays is another;
        then nothing has run.
        """
        threads = self._limit or threads
        if self._scratch is None:
            return self._launch(_NO_SCRATCH, threads, *arrays)
        arena = self._scratch.take(threads)
        try:
            status = self._launch(arena, threads, *arrays)
            if status > 0 and self._has_checks:
                raise CheckFailed(*arena[:_REPORT].view(np.int64).tolist())
            return status
        finally:
            self._scratch.give(arena)


def _header(
    address: int,
    parallel: ParallelRuntime | None,
    slots: Sequence[Slot],
    releases_gil: bool,
) -> tuple[int, ...]:
    """The first words of a plan, in the order of `Word`."""
    words = {
        Word.KERNEL: address,
        Word.PARALLEL: parallel.address if parallel is not None else 0,
        Word.ARRAY_TYPE: id(np.ndarray),
        Word.RELEASES_GIL: int(releases_gil),
        Word.BUFFERS: len(slots),
        Word.ARRAYS: sum(isinstance(slot, Passed) for slot in slots),
    }
    return tuple(words[word] for word in sorted(words))


def _known_address(slot: Slot) -> int:
    return slot.ctypes.data if isinstance(slot, np.ndarray) else 0


def _records(slots: Sequence[Slot]) -> Iterator[int]:
    """What each passed array is compared with."""
    for place, slot in enumerate(slots):
        if not isinstance(slot, Passed):
            continue
        layout = slot.layout
        dtype = layout.dtype.numpy
        yield place
        yield dtype.num
        yield _ALIGNED | (_WRITEABLE if slot.is_written else 0)
        yield len(layout.shape)
        is_empty = 0 in layout.shape
        for extent, stride in zip(layout.shape, layout.strides):
            yield extent
            yield ANY if extent <= 1 or is_empty else stride * dtype.itemsize


def _api_address(name: str) -> int:
    function = getattr(ctypes.pythonapi, name)
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _check_array_fields() -> None:
    """Compare what stands in an array's memory with what NumPy says of it."""
    array = np.zeros((3, 5), np.float32)[::2, 1:]
    at, dtype_at = id(array), id(array.dtype)
    shape = ctypes.POINTER(ctypes.c_int64).from_address(at + SHAPE)
    strides = ctypes.POINTER(ctypes.c_int64).from_address(at + STRIDES)
    found: tuple[Any, ...] = (
        ctypes.c_void_p.from_address(at + DATA).value,
        ctypes.c_int.from_address(at + RANK).value,
        tuple(shape[: array.ndim]),
        tuple(strides[: array.ndim]),
        ctypes.c_void_p.from_address(at + DTYPE).value,
        ctypes.c_int.from_address(at + FLAGS).value & (_ALIGNED | _WRITEABLE),
        ctypes.c_char.from_address(dtype_at + BYTE_ORDER).value,
        ctypes.c_int.from_address(dtype_at + TYPE_NUMBER).value,
    )
    told = (
        array.ctypes.data,
        array.ndim,
        array.shape,
        array.strides,
        dtype_at,
        _ALIGNED | _WRITEABLE,
        array.dtype.byteorder.encode(),
        array.dtype.num,
    )
    if found != told:
        bug(f"NumPy {np.__version__} lays arrays out in another way: {found}, {told}")
