"""How parallel loops run: the function that compiled kernels hand their bodies to.

`ParallelRuntime.address` is the `parallel(body, context, threads)` of the kernels' ABI.
It runs `body(context, i, threads)` once for each i in 0..threads-1 and returns when all
are done: on the team of an OpenMP run time (a few microseconds for fork and join), or
on a pool of Python threads where there is none. In the child of a fork the threads of
the parent are gone, and waiting for them would never end: there, all parts run one
after another. Results never depend on the number of threads.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from polydsl.backend import openmp
from polydsl.backend.jit import load
from polydsl.backend.target import available_cores

Compile = Callable[[str], bytes]
"""From LLVM IR text to object code, by way of a cache if there is one."""

_LEAST_CAP = 64
_CAP_PER_CORE = 4

_body_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
_parallel_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


@dataclass(frozen=True, slots=True, eq=False)
class ParallelRuntime:
    """A way to run parallel loops: the address that kernels take, and its name."""

    name: str
    address: int
    # What must live as long as the address is in use.
    _owners: tuple[Any, ...] = field(repr=False, default=())


# A fact about the process, like its id: whether it began with a fork since this import.
# A team of threads that some library started before does not exist here any more.
_is_child = ctypes.c_bool(False)


def _note_fork() -> None:
    _is_child.value = True


os.register_at_fork(after_in_child=_note_fork)


def default_threads(wanted: int | None) -> int:
    """Return how many threads a call uses that does not say: *wanted*, which is
    OMP_NUM_THREADS, else the cores that this process may use (ask once: it reads files
    of the system)."""
    return wanted or available_cores()


def parallel_runtime(compile_object: Compile) -> ParallelRuntime:
    """Choose the way to run parallel loops; a process asks once (`backend.runtime`)."""
    found = openmp.find_openmp()
    if found is None:
        return thread_pool_runtime()
    return openmp_runtime(found, compile_object)


def openmp_runtime(library: openmp.OpenMP, compile_object: Compile) -> ParallelRuntime:
    """Return the run time that uses the team of threads of an OpenMP library."""
    exports = (openmp.PARALLEL, openmp.FORKED, openmp.MOST)
    symbols = dict(library.symbols)
    glue = load(compile_object(openmp.ADAPTER_IR), symbols, exports)
    forked = ctypes.c_int32.from_address(glue.address(openmp.FORKED))
    most = ctypes.c_int32.from_address(glue.address(openmp.MOST))
    most.value = max(_LEAST_CAP, _CAP_PER_CORE * available_cores())

    forked.value = _is_child.value

    def mark(_owner: object = glue) -> None:
        forked.value = 1

    os.register_at_fork(after_in_child=mark)
    return ParallelRuntime(library.path, glue.address(openmp.PARALLEL), (glue,))


def thread_pool_runtime() -> ParallelRuntime:
    """Return the run time that needs nothing but Python: a pool of its threads."""
    pool = _Pool()
    os.register_at_fork(after_in_child=pool.close)
    callback = _parallel_type(pool.run)
    address = ctypes.cast(callback, ctypes.c_void_p).value or 0
    return ParallelRuntime("a pool of Python threads", address, (callback, pool))


class _Pool:
    """Python threads that run native bodies; each body releases the GIL."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = ThreadPoolExecutor(
            available_cores(), thread_name_prefix="polydsl"
        )

    def close(self) -> None:
        """Use the pool no more: its threads do not exist in this process."""
        self._executor = None

    def run(self, body: int, context: int | None, threads: int) -> None:
        """Run `body(context, i, threads)` for each i, and return when all are done.

        Bodies are native and wait for nobody, so a full pool delays but never locks.
        """
        native = _body_type(body)
        waiting: list[Future[None]] = []
        index = 1
        try:
            while self._executor is not None and index < threads:
                waiting.append(self._executor.submit(native, context, index, threads))
                index += 1
        except RuntimeError:
            # The interpreter is going down and takes no more work; do the rest here.
            pass
        native(context, 0, threads)
        for rest in range(index, threads):
            native(context, rest, threads)
        for part in waiting:
            part.result()
