"""The OpenMP run time that runs parallel loops: finding it, and the glue to call it.

One process should have one team of threads: where PyTorch brought an OpenMP run time,
a second one would fight it for the cores. So a library that is loaded already is
taken, else libgomp or libomp of the system. All of them offer `GOMP_parallel`, which
runs a function on every thread of a team without saying which; the glue is a small
compiled function with the signature that kernels call (`polydsl.backend.threads`).
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_NAMES = ("gomp", "omp", "iomp5")
_LOADED = re.compile(r"lib(?:gomp|i?omp5?)\b[^/]*\.(?:so|dylib)[^/]*$")
_FUNCTIONS = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")

PARALLEL = "polydsl_parallel"
"""The function of `ADAPTER_IR` that kernels are given."""

FORKED = "polydsl_forked"
"""The i32 variable of `ADAPTER_IR` that a child process sets to 1."""

# A run time may give a team of fewer threads than asked (nested regions, limits): then
# its members run several parts each, and still every part runs once. The team's size
# is capped, since libgomp ends the process when the system refuses it a thread.
ADAPTER_IR = """
%work = type { ptr, ptr, i32 }  ; body, context, threads

@polydsl_forked = global i32 0
@polydsl_most = global i32 1

declare void @GOMP_parallel(ptr, ptr, i32, i32)
declare i32 @omp_get_thread_num()
declare i32 @omp_get_num_threads()

; for part = first, first + step, ... while part < threads: body(context, part, threads)
define internal void @parts(ptr %body, ptr %context, i32 %threads,
                            i32 %first, i32 %step) {
entry:
  br label %head
head:
  %part = phi i32 [ %first, %entry ], [ %next, %run ]
  %more = icmp slt i32 %part, %threads
  br i1 %more, label %run, label %done
run:
  call void %body(ptr %context, i32 %part, i32 %threads)
  %next = add i32 %part, %step
  br label %head
done:
  ret void
}

; what every thread of the team runs
define internal void @share(ptr %work) {
  %context_at = getelementptr %work, ptr %work, i64 0, i32 1
  %threads_at = getelementptr %work, ptr %work, i64 0, i32 2
  %body = load ptr, ptr %work
  %context = load ptr, ptr %context_at
  %threads = load i32, ptr %threads_at
  %mine = call i32 @omp_get_thread_num()
  %team = call i32 @omp_get_num_threads()
  call void @parts(ptr %body, ptr %context, i32 %threads, i32 %mine, i32 %team)
  ret void
}

define void @polydsl_parallel(ptr %body, ptr %context, i32 %threads) {
  %work = alloca %work
  %forked = load i32, ptr @polydsl_forked
  %is_child = icmp ne i32 %forked, 0
  %is_few = icmp sle i32 %threads, 1
  %is_alone = or i1 %is_child, %is_few
  br i1 %is_alone, label %alone, label %together
alone:
  call void @parts(ptr %body, ptr %context, i32 %threads, i32 0, i32 1)
  ret void
together:
  %context_at = getelementptr %work, ptr %work, i64 0, i32 1
  %threads_at = getelementptr %work, ptr %work, i64 0, i32 2
  store ptr %body, ptr %work
  store ptr %context, ptr %context_at
  store i32 %threads, ptr %threads_at
  %most = load i32, ptr @polydsl_most
  %is_less = icmp slt i32 %threads, %most
  %team = select i1 %is_less, i32 %threads, i32 %most
  call void @GOMP_parallel(ptr @share, ptr %work, i32 %team, i32 0)
  ret void
}
"""
"""LLVM IR of the glue between kernels and `GOMP_parallel`."""

MOST = "polydsl_most"
"""The i32 variable of `ADAPTER_IR` that says how large a team may be."""


@dataclass(frozen=True, slots=True)
class OpenMP:
    """A loaded OpenMP run time: where it came from and its functions' addresses."""

    path: str
    symbols: tuple[tuple[str, int], ...]


def find_openmp(maps: Path = _MAPS) -> OpenMP | None:
    """Return the OpenMP run time in this process, else one of the system, else None."""
    for path in (*loaded_libraries(maps), *_installed()):
        try:
            library = ctypes.CDLL(path)
            addresses = tuple(_address(library, name) for name in _FUNCTIONS)
        except (OSError, AttributeError):
            continue
        return OpenMP(path, tuple(zip(_FUNCTIONS, addresses)))
    return None


def loaded_libraries(maps: Path = _MAPS) -> tuple[str, ...]:
    """Return the OpenMP libraries mapped into a process, as Linux lists them."""
    try:
        text = maps.read_text(errors="replace")
    except OSError:
        return ()
    # address, rights, offset, device, inode, and a path that may hold blanks
    fields = (line.split(None, 5) for line in text.splitlines())
    paths = dict.fromkeys(row[5] for row in fields if len(row) == 6)
    return tuple(path for path in paths if _LOADED.match(os.path.basename(path)))


def _installed() -> Iterator[str]:
    """Names under which the system's loader may know an OpenMP library.

    (`ctypes.util.find_library` runs programs to find out and takes long.)
    """
    for name in _NAMES:
        yield from (f"lib{name}.so.1", f"lib{name}.so.5", f"lib{name}.so")
        yield f"lib{name}.dylib"


def _address(library: ctypes.CDLL, name: str) -> int:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
