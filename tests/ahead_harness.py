"""Calls kernels that were compiled ahead of time, by way of ctypes.

The tests of the C header compile C; what a function answers to wrong arguments, and
the values of many kernels, are easier to look at from here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polydsl.backend.ahead.interface import Argument, Interface
from polydsl.backend.arrays import aligned_bytes
from polydsl.backend.isa import VectorISA
from polydsl.driver.ahead import compile_ahead
from polydsl.driver.ahead_files import write_files
from polydsl.driver.specialization import Specialization
from polydsl.driver.toolchain import toolchain
from polydsl.semantics.oracle.compare import Margins, compare
from polydsl.semantics.oracle.evaluate import evaluate

Array = np.ndarray[Any, Any]

BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32)
RUNNER = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32
)
_NUMBERS: Mapping[str, Any] = {
    "f64": ctypes.c_double,
    "f32": ctypes.c_float,
    "i64": ctypes.c_int64,
    "i32": ctypes.c_int32,
    "i16": ctypes.c_int16,
    "i8": ctypes.c_int8,
    "u8": ctypes.c_uint8,
    "bool": ctypes.c_uint8,
}


class Call(ctypes.Structure):
    """`polydsl_call` of the header."""

    _fields_ = (
        ("scratch", ctypes.c_void_p),
        ("scratch_bytes", ctypes.c_size_t),
        ("threads", ctypes.c_int32),
        ("parallel", RUNNER),
        ("data", ctypes.c_void_p),
        ("which", ctypes.c_int64),
        ("position", ctypes.c_int64),
        ("value", ctypes.c_int64),
    )


class Backwards:
    """A runner that runs the last part first, and notes what it was given."""

    def __init__(self) -> None:
        self.parts: list[int] = []
        self.data: list[int | None] = []
        self.function = RUNNER(self._run)

    def _run(self, data: int, body: int, context: int, parts: int) -> None:
        self.data.append(data)
        self.parts.append(parts)
        for part in reversed(range(parts)):
            BODY(body)(context, part, parts)


class Library:
    """A kernel in a shared library, called with NumPy arrays."""

    def __init__(self, path: Path, interface: Interface) -> None:
        self.interface = interface
        self.loaded = ctypes.CDLL(str(path))
        self.function("scratch_bytes").restype = ctypes.c_size_t
        self.function("isa").restype = ctypes.c_char_p
        if interface.bound:
            self.function("prepared_bytes").restype = ctypes.c_size_t

    def function(self, name: str = "") -> Any:
        """Return an exported function, by what follows the kernel's name."""
        symbol = self.interface.symbol
        return getattr(self.loaded, f"{symbol}_{name}" if name else symbol)

    @property
    def isa(self) -> str:
        """The row that this CPU runs."""
        found = self.function("isa")()
        return found.decode() if found is not None else ""

    def call(self, threads: int = 1, runner: Backwards | None = None) -> Call:
        """Return a call with as much scratch as it needs."""
        size = self.function("scratch_bytes")(threads)
        self.scratch = aligned_bytes(max(size, 1))
        self.scratch[:] = 0xA5
        parallel = runner.function if runner is not None else RUNNER(0)
        return Call(self.scratch.ctypes.data, size, threads, parallel, 77)

    def words(self, arguments: Sequence[Argument], arrays: Sequence[Array]) -> Any:
        """Return arrays as C passes them: numbers, and addresses."""
        for argument, array in zip(arguments, arrays, strict=True):
            if argument.is_value:
                yield _NUMBERS[argument.dtype.name](array.item())
            else:
                yield ctypes.c_void_p(array.ctypes.data)

    def results(self) -> list[Array]:
        """Return arrays for the results, filled with what should be overwritten."""
        found = [a for a in self.interface.arguments if a.is_result]
        arrays = [np.empty(a.shape, a.dtype.numpy) for a in found]
        for array in arrays:
            array.fill(37)
        return arrays

    def run(
        self,
        arrays: Mapping[str, Array],
        threads: int = 1,
        runner: Backwards | None = None,
    ) -> list[Array]:
        """Run the kernel as it is meant to be, and return its results."""
        results = self.results()
        passed = [a for a in self.interface.passed if not a.is_result]
        given = [*(arrays[a.name] for a in passed), *results]
        words = list(self.words(self.interface.passed, given))
        if self.interface.bound:
            words.append(ctypes.c_void_p(self.prepared(arrays).ctypes.data))
        call = self.call(threads, runner)
        status = self.function()(*words, ctypes.byref(call))
        assert status == 0, (status, call.which)
        return results

    def prepared(self, arrays: Mapping[str, Array]) -> Array:
        """Return prepared memory; the bound arrays are overwritten afterwards."""
        size = self.function("prepared_bytes")()
        self.memory = aligned_bytes(size)
        bound = self.interface.bound
        copies = [arrays[a.name].copy() for a in bound]
        words = self.words(bound, copies)
        call, address = self.call(), ctypes.c_void_p(self.memory.ctypes.data)
        prepare = self.function("prepare")
        status = prepare(*words, address, ctypes.c_size_t(size), ctypes.byref(call))
        assert status == 0, (status, call.which)
        for copy in copies:
            copy.fill(37)
        return self.memory


def library_of(
    special: Specialization, folder: Path, isas: Sequence[VectorISA], name: str = ""
) -> Library:
    """Compile a specialisation ahead of time into a folder, and load it."""
    ahead = compile_ahead(special.request, toolchain(), isas, name)
    rows = "_".join(isa.name for isa in isas)
    files = write_files(ahead, folder / f"{ahead.interface.symbol}-{rows}")
    assert files.library is not None, files.linking.reason
    return Library(files.library, ahead.interface)


def verified(
    special: Specialization, arrays: Mapping[str, Array], results: Sequence[Array]
) -> Margins:
    """Compare results with the oracle."""
    program = special.program
    return compare(program, evaluate(program, arrays), list(results))
