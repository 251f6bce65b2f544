"""A kernel compiled for certain sizes, types, layouts and constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polydsl.backend.arrays import (
    aligned_bytes,
    allocate,
    layout_of,
    read_argument,
)
from polydsl.backend.call import CheckFailed, NativeCall, Passed, Slot
from polydsl.backend.jit import NativeKernel, load
from polydsl.backend.scratch import ScratchPool
from polydsl.base.diagnostics import ArgumentError, SubscriptError, bug
from polydsl.driver.ahead import compile_ahead, rows_named
from polydsl.driver.ahead_files import write_files
from polydsl.driver.compiler import Compiled, begin, compile_request
from polydsl.driver.explain import explain
from polydsl.driver.measure import measure as time_call
from polydsl.driver.random_arrays import random_arguments
from polydsl.driver.request import Request
from polydsl.driver.shared import Shared
from polydsl.driver.stages import STAGE_NAMES, compile_until, emit
from polydsl.driver.toolchain import Toolchain
from polydsl.schedule.decision import Decision
from polydsl.semantics.program import Program

Array = np.ndarray[Any, Any]

SHORT_POINTS = 20_000
"""A call of fewer statement instances keeps Python's lock: letting go costs more."""


class Specialization(Shared):
    """Native code for one request. Call it with arrays of exactly these layouts.

    `tensors` are the parameters that a call passes, in order; `bound` holds the
    arrays of the others.
    """

    def __init__(
        self, request: Request, tools: Toolchain, bound: Mapping[str, Array]
    ) -> None:
        self._tools = tools
        self.bound = bound
        self.compiled: Compiled = compile_request(request, tools)
        self.request = self.compiled.request
        linked = self.compiled.linked
        self._kernel: NativeKernel = load(
            self.compiled.object_code, linked.addresses, owners=linked.owners
        )
        interface = self.compiled.interface
        names = [name for name, _ in interface.buffers]
        self.tensors = tuple(n for n in request.arguments if n not in bound)
        self._fresh = tuple(
            (layout.dtype, layout.shape)
            for name, layout in interface.buffers
            if name not in request.arguments
        )
        self._written = tuple(n for n in names if n not in request.arguments)
        self._is_plain = tuple(interface.results) == self._written
        self._is_safe = all(check.early for check in interface.checks)
        self._native = self._prepare()

    def _prepare(self) -> NativeCall:
        """Fill what is prepared once and return the call of the main part."""
        interface = self.compiled.interface
        prepared: list[Array] = [aligned_bytes(max(n, 1)) for n in interface.prepared]
        if prepared:
            known: list[Slot] = [self.bound.get(name) for name, _ in interface.buffers]
            status = self._call_of("polydsl_prepare", [*known, *prepared])(())
            if status:
                bug(f"the preparation of {self.request.kernel} returned {status}")
        slots: list[Slot] = [
            self.bound[name]
            if name in self.bound
            else Passed(layout, is_written=name in self._written)
            for name, layout in interface.buffers
        ]
        has_checks = bool(interface.checks)
        return self._call_of("polydsl_main", [*slots, *prepared], has_checks)

    def _call_of(
        self, entry: str, slots: Sequence[Slot], has_checks: bool = False
    ) -> NativeCall:
        interface = self.compiled.interface
        runtime = self._tools.runtime
        scratch = None
        if interface.shared_bytes or interface.thread_bytes:
            scratch = ScratchPool(interface.shared_bytes, interface.thread_bytes)
        return NativeCall(
            runtime.launcher,
            self._kernel,
            slots,
            entry=entry,
            scratch=scratch,
            parallel=runtime.parallel if interface.is_parallel else None,
            releases_gil=interface.points > SHORT_POINTS,
            has_checks=has_checks,
        )

    @property
    def result_layouts(self) -> tuple[Any, ...]:
        """The layouts of the results, in the order in which they are returned."""
        layouts = dict(self.compiled.interface.buffers)
        return tuple(layouts[name] for name in self.compiled.interface.results)

    def run(self, arrays: Sequence[Array], threads: int) -> tuple[Array, ...] | None:
        """Return fresh results, or None where the arrays are not of these layouts.

        Raises `SubscriptError` where an indirect subscript is outside.
        """
        fresh = [allocate(dtype, shape) for dtype, shape in self._fresh]
        if self._run((*arrays, *fresh), threads) < 0:
            return None
        return tuple(fresh) if self._is_plain else self._collect(arrays, fresh)

    def run_into(
        self, arrays: Sequence[Array], out: Sequence[Array], threads: int
    ) -> bool:
        """Write the results into *out* and return whether all arrays, which share no
        memory with these, have the layouts compiled for; else nothing has run.

        Raises `SubscriptError` as `run` does; *out* is then as it was.
        """
        if self._is_plain and self._is_safe:
            return self._run((*arrays, *out), threads) >= 0
        # A late check fails when something may have been written.
        kept = () if self._is_safe else tuple(array.copy() for array in out)
        results = self.compiled.interface.results
        place = dict(zip(results, out))
        written = [place[name] for name in self._written]
        try:
            fits = self._run((*arrays, *written), threads) >= 0
        except SubscriptError:
            for array, old in zip(out, kept):
                array[...] = old
            raise
        if fits:
            sources = dict(zip(self.tensors, arrays))
            for name, value in zip(results, out):
                source = sources.get(name, place[name])
                if source is not value:
                    value[...] = source
        return fits

    def _run(self, arrays: Sequence[Array], threads: int) -> int:
        """Call native code. Raises `SubscriptError` where a check fails."""
        try:
            return self._native(arrays, threads)
        except CheckFailed as failed:
            check = self.compiled.interface.checks[failed.number]
            raise check.error(failed.position, failed.value) from None

    def _collect(
        self, arrays: Sequence[Array], fresh: Sequence[Array]
    ) -> tuple[Array, ...]:
        """Return results where some are parameters or stand more than once."""
        known = {**self.bound, **dict(zip(self.tensors, arrays))}
        made = dict(zip(self._written, fresh))
        used: set[str] = set()
        results: list[Array] = []
        for name in self.compiled.interface.results:
            value = made[name] if name in made else known[name]
            results.append(value.copy() if name in used or name in known else value)
            used.add(name)
        return tuple(results)

    def __call__(self, *arrays: Array, threads: int | None = None) -> Any:
        """Run on arrays of these layouts and return the results, fresh arrays.

        There is one array for each name of `tensors`, with the dtypes, shapes and
        strides that it was compiled for. Raises `ArgumentError` for others.
        """
        self._check(arrays)
        results = self.run(arrays, threads or self._tools.threads)
        if results is None:
            bug("the arrays do not have the layouts of this specialisation")
        return results[0] if len(results) == 1 else results

    def _check(self, arrays: Sequence[Array]) -> None:
        """Raise `ArgumentError` for arrays of other layouts than were compiled for."""
        kernel = self.request.kernel
        if len(arrays) != len(self.tensors):
            raise ArgumentError(
                f"this specialisation of {kernel} takes {', '.join(self.tensors)}, and "
                f"{len(arrays)} arrays came"
            )
        for name, array in zip(self.tensors, arrays):
            wanted = self.request.arguments[name]
            came = layout_of(read_argument(array, f"{kernel}: {name}", str(wanted)))
            if came != wanted:
                raise ArgumentError(
                    f"this specialisation of {kernel} needs {name}: {wanted} with "
                    f"strides {wanted.strides}, and {came} with strides {came.strides} "
                    "came; call the kernel itself for others"
                )

    @property
    def program(self) -> Program:
        """The typed program: every tensor with its type, every index with its range."""
        state = compile_until(begin(self.request, self._tools), "typed")
        if state.program is None:
            bug("the typed stage made no program")
        return state.program

    def explain(self, *, measure: bool = False) -> str:
        """Return the schedule, why it was chosen, and what was rejected.

        With `measure` the predicted time stands beside that of a call on one thread,
        with random arrays for those that are not bound.
        """
        state = compile_until(begin(self.request, self._tools), "nest")
        seconds = self._measured() if measure else None
        return explain(state, self.compiled, seconds, self._own_decisions())

    def _own_decisions(self) -> tuple[Decision, ...]:
        """Return what the model decides where some schedules were given; else none."""
        if not self.request.preference.chosen:
            return ()
        plain = begin(self.request.untuned(), self._tools)
        chosen = compile_until(plain, "tree").schedule
        return chosen.decisions if chosen is not None else ()

    def _measured(self) -> float:
        generator = np.random.default_rng(0)
        found = random_arguments(self.program, self.request.arguments, generator)
        arrays = [found[name] for name in self.tensors]
        return time_call(lambda: self.run(arrays, 1), None).seconds

    def emit(self, stage: str) -> str:
        """Return the text of a stage: `ast typed scop dependences tree nest llvm asm`.

        Raises `ArgumentError` for another name.
        """
        if stage not in STAGE_NAMES:
            known = ", ".join(STAGE_NAMES)
            raise ArgumentError(f"there is no stage {stage!r}; it is one of {known}")
        return emit(begin(self.request, self._tools), stage)

    def compile(
        self, path: str | Path, *, isa: Sequence[str] = (), name: str = ""
    ) -> tuple[Path, ...]:
        """Compile ahead of time, for programs without Python: write *path*.o, *path*.h,
        a C header that documents the functions, and *path*.so where a linker is found.

        `isa` names rows of the ISA table ("avx512", "avx2", "generic") that stand in
        one object, of which the best that a CPU has runs; the one of this process
        otherwise. `name` is that of the C function, else the kernel's. Arrays are
        row-major in C; for bound tensors there is a function that packs them. Returns
        the files. Raises `ArgumentError`, and `PolydslError` where a file cannot be
        written.
        """
        rows = rows_named((isa,) if isinstance(isa, str) else isa)
        ahead = compile_ahead(self.request, self._tools, rows, name)
        return write_files(ahead, Path(path)).written
