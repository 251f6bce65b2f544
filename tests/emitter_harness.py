"""Runs emitted kernels in a worker process, with every buffer beside guard pages.

A lane that leaves its buffer kills the worker, which is a failing test with the nest
that did it, not the end of the test run. Inputs lie in pages that cannot be written.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from crash_process import crash_process

from polydsl.backend.emitter.layout import scratch_layout
from polydsl.backend.emitter.module import emit_module
from polydsl.backend.jit import NativeKernel, compile_object, load
from polydsl.backend.target import Target, host_target
from polydsl.loops.interpret import Outside
from polydsl.loops.memory import Array
from polydsl.loops.nest import Buffer, LoopNest
from polydsl.loops.render import render_nest

PAGE = mmap.PAGESIZE
_READ, _NOTHING = 1, 0

_ENTRY = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)
_RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)


@_RUN
def _backwards(body: int, context: int, threads: int) -> None:
    """Run the body of every thread, the last one first."""
    for thread in reversed(range(threads)):
        _BODY(body)(context, thread, threads)


class Guarded:
    """Bytes between two inaccessible pages, at one end or the other."""

    def __init__(self, size: int, *, at_end: bool, fill: int = 0xA5) -> None:
        pages = max(1, -(-size // PAGE)) + 2
        self._map = mmap.mmap(-1, pages * PAGE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.length = (pages - 2) * PAGE
        offset = self.length - size if at_end else 0
        self.address = self.start + PAGE + offset
        kind = ctypes.c_uint8 * size
        self.bytes = np.frombuffer(kind.from_address(self.address), np.uint8)
        self.bytes[:] = fill
        self._protect(self.start, PAGE, _NOTHING)
        self._protect(self.start + PAGE + self.length, PAGE, _NOTHING)

    def freeze(self) -> None:
        """Forbid writing."""
        self._protect(self.start + PAGE, self.length, _READ)

    def _protect(self, address: int, length: int, access: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        if libc.mprotect(address, length, access):
            raise OSError(ctypes.get_errno(), "mprotect")


class Placed:
    """A buffer of a nest in guarded memory, as an array with its strides."""

    def __init__(self, buffer: Buffer, *, at_end: bool) -> None:
        size = buffer.dtype.bytes
        reach = [(n - 1) * s for n, s in zip(buffer.shape, buffer.strides)]
        is_empty = 0 in buffer.shape
        low = 0 if is_empty else sum(r for r in reach if r < 0)
        high = -1 if is_empty else sum(r for r in reach if r > 0)
        self.memory = Guarded((high + 1 - low) * size, at_end=at_end)
        self.address = self.memory.address - low * size
        flat = self.memory.bytes.view(buffer.dtype.numpy)
        strides = [s * size for s in buffer.strides]
        self.array = np.lib.stride_tricks.as_strided(flat[-low:], buffer.shape, strides)
        self._mask = np.zeros(flat.size, np.bool_)
        np.lib.stride_tricks.as_strided(
            self._mask[-low:], buffer.shape, list(buffer.strides)
        )[...] = True

    def gaps_are_untouched(self) -> bool:
        """Return whether the bytes between the elements are as they were."""
        size = self.array.itemsize
        return bool((self.memory.bytes.reshape(-1, size)[~self._mask] == 0xA5).all())


def run_placed(
    nest: LoopNest,
    kernel: NativeKernel,
    arguments: Mapping[str, Array],
    threads: int,
    *,
    at_end: bool,
) -> dict[str, Array]:
    """Run a loaded kernel once with all its memory guarded; return its results.

    Raises `Outside` where a check fails, with what the kernel reports.
    """
    prepared = [b.name for b in nest.buffers if b.memory == "prepared"]
    placed = {
        name: Placed(nest.buffer(name), at_end=at_end)
        for name in (*nest.arguments, *prepared)
    }
    for name in nest.arguments:
        if not nest.buffer(name).is_written:
            placed[name].array[...] = arguments[name]
            placed[name].memory.freeze()
    pointers = (ctypes.c_void_p * max(1, len(placed)))(
        *(place.address for place in placed.values())
    )
    arena = Guarded(scratch_layout(nest).total_bytes(threads), at_end=True)
    runner = ctypes.cast(_backwards, ctypes.c_void_p)
    for name in ("polydsl_prepare", "polydsl_main"):
        entry = _ENTRY(kernel.address(name))
        status = entry(ctypes.addressof(pointers), arena.address, threads, runner)
        if status > 0 and name == "polydsl_main":
            report = arena.bytes[:24].view(np.int64).tolist()
            assert status == 1 + report[0]
            raise Outside(*report)
        assert status == 0
    assert all(place.gaps_are_untouched() for place in placed.values())
    return {
        name: placed[name].array.copy()
        for name in nest.arguments
        if nest.buffer(name).is_written
    }


def run_code(
    nest: LoopNest, code: bytes, arguments: Mapping[str, Array], threads: int
) -> dict[str, Array]:
    """Run the object code of *nest* against both guards; the results must be the
    same."""
    kernel = load(code)
    first = run_placed(nest, kernel, arguments, threads, at_end=True)
    second = run_placed(nest, kernel, arguments, threads, at_end=False)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    return first


def run_nest(
    nest: LoopNest, target: Target, arguments: Mapping[str, Array], threads: int
) -> dict[str, Array]:
    """Compile *nest* and run it against both guards."""
    code = compile_object(emit_module(nest, target), target)
    return run_code(nest, code, arguments, threads)


class Worker:
    """A process that runs kernels; it is started again after a crash."""

    def __init__(self) -> None:
        self._pool = crash_process()

    def run(
        self, nest: LoopNest, isa: str, arguments: Mapping[str, Array], threads: int = 1
    ) -> dict[str, Array]:
        """Return the results of *nest* on an ISA row of this machine."""
        job = self._pool.submit(run_nest, nest, host_target(isa), arguments, threads)
        return self._result(job, nest)

    def run_code(
        self, nest: LoopNest, code: bytes, arguments: Mapping[str, Array], threads: int
    ) -> dict[str, Array]:
        """Return the results of *nest* by the object code that was made of it."""
        return self._result(
            self._pool.submit(run_code, nest, code, arguments, threads), nest
        )

    def _result(
        self, job: Future[dict[str, Array]], nest: LoopNest
    ) -> dict[str, Array]:
        try:
            return job.result(timeout=60)
        except BrokenProcessPool:
            self._pool = crash_process()
            text = render_nest(nest)
            raise AssertionError(f"the code left its buffers:\n{text}") from None

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()
