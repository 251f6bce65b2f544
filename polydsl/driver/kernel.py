"""Kernels as Python values: called with arrays, bound, specialised, verified."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polydsl.backend.arrays import (
    ArrayLayout,
    layout_of,
    may_overlap,
    result_like,
    write_argument,
)
from polydsl.base.diagnostics import ArgumentError, bug
from polydsl.driver.arguments import Parameters, parse_spec
from polydsl.driver.recent_calls import RecentCalls, thread_count
from polydsl.driver.request import Request
from polydsl.driver.settings import DEFAULTS, Settings, checked_seconds
from polydsl.driver.shared import Shared
from polydsl.driver.specialization import Specialization
from polydsl.driver.toolchain import toolchain
from polydsl.driver.tuned import specialize_tuned
from polydsl.semantics.library import Library
from polydsl.semantics.oracle.compare import Margins, compare
from polydsl.semantics.oracle.evaluate import evaluate
from polydsl.semantics.program import Program, Value
from polydsl.semantics.specialize import specialize

Array = np.ndarray[Any, Any]

WHOLE = 1 << 62
"""More points than any statement has: the oracle evaluates everything."""


@dataclass(frozen=True, slots=True, eq=False)
class KernelState:
    """All that a kernel is made of; `module` and `qualname` say where a decorated
    function stood."""

    library: Library
    name: str
    bound: Mapping[str, Array]
    constants: Mapping[str, Value]
    settings: Settings
    module: str
    qualname: str


class Kernel(Shared):
    """A checked kernel definition.

    Calling it specialises it on the sizes, dtypes, strides and constants of the call,
    compiles it (or loads it from the cache), and runs it. Specialisations are kept.
    Kernels may be called from any number of threads.
    """

    def __init__(
        self,
        library: Library,
        name: str,
        bound: Mapping[str, Array] | None = None,
        constants: Mapping[str, Value] | None = None,
        settings: Settings = DEFAULTS,
    ) -> None:
        self._library = library
        self._bound = dict(bound or {})
        self._constants = dict(constants or {})
        self._settings = settings
        self._parameters = Parameters.of(library, name, self._bound, self._constants)
        self._compiled: dict[object, Specialization] = {}
        self._recent = RecentCalls(self._parameters.constants)
        self._locks: dict[int, threading.Lock] = {}
        self.__name__ = self.__qualname__ = name
        self.__doc__ = self._parameters.docstring

    @property
    def state(self) -> KernelState:
        """What the kernel is made of, without what it compiled."""
        return KernelState(
            self._library,
            self.name,
            self._bound,
            self._constants,
            self._settings,
            self.__module__,
            self.__qualname__,
        )

    @staticmethod
    def restore(state: KernelState, bound: Mapping[str, Array]) -> Kernel:
        """Return a kernel made of the same, with its own copies of bound arrays."""
        made = Kernel(state.library, state.name, bound, state.constants, state.settings)
        made.__module__, made.__qualname__ = state.module, state.qualname
        return made

    @property
    def name(self) -> str:
        """The name of the kernel."""
        return self.__name__

    @property
    def is_bound(self) -> bool:
        """Whether some tensors or constants are given once and for all."""
        return bool(self._bound or self._constants)

    @property
    def library(self) -> Library:
        """The checked kernels among which this one is defined."""
        return self._library

    @property
    def signature(self) -> str:
        """The header of the definition, as it is written."""
        return self._parameters.signature

    def __repr__(self) -> str:
        return f"<polydsl kernel {self.signature}>"

    def __call__(
        self, *args: Any, out: Any = None, threads: int | None = None, **kwargs: Any
    ) -> Any:
        """Run the kernel on arrays and return its results: an array, or a tuple of
        arrays where there are several results.

        Tensors are positional or keyword arguments, constants keyword ones. Results are
        contiguous and of the kind of the first tensor (NumPy or PyTorch). With `out=`
        (an array, or a tuple of them, of their shapes and dtypes, of any strides) they
        are written there; it shares no memory with arguments and is untouched where the
        call raises. `threads=` is the number of threads, if not all.

        Raises `ArgumentError` where an argument does not fit, `ProgramError` where the
        kernel is wrong for these sizes, and `SubscriptError` where an indirect
        subscript is out of range.
        """
        given = self._recent.run(args, kwargs, out, threads)
        return self._call(args, kwargs, out, threads) if given is None else given

    def _call(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any, threads: Any
    ) -> Any:
        arrays, constants = self._parameters.bind(args, kwargs)
        count = thread_count(threads)
        passed = [a for name, a in arrays.items() if name not in self._bound]
        first = self._parameters.first_tensor(args, kwargs)
        if out is not None:
            special = self._called_into(arrays, constants, passed, out, count)
            self._recent.remember(special, args, kwargs, out)
            return out
        special = self._specialized(arrays, constants, ())
        self._recent.remember(special, args, kwargs, out)
        results = special.run(passed, count)
        if results is None:
            # An array subclass or the like: plain views of the same memory fit.
            results = special.run(
                [np.asarray(a).view(np.ndarray) for a in passed], count
            )
        assert results is not None
        given = tuple(result_like(r, first) for r in results)
        return given[0] if len(given) == 1 else given

    def _called_into(
        self,
        arrays: Mapping[str, Array],
        constants: Mapping[str, Value],
        passed: Sequence[Array],
        out: Any,
        threads: int,
    ) -> Specialization:
        """Write the results into *out* and return the specialisation that did."""
        plain = self._specialized(arrays, constants, ())
        outs = out if isinstance(out, tuple) else (out,)
        layouts = plain.result_layouts
        if len(outs) != len(layouts):
            raise ArgumentError(
                f"{self.name}: out= needs {len(layouts)} arrays, and {len(outs)} came"
            )
        written = [
            write_argument(value, "out", layout) for value, layout in zip(outs, layouts)
        ]
        for target in written:
            for name, array in arrays.items():
                if may_overlap(target, array):
                    raise ArgumentError(f"{self.name}: out= shares memory with {name}")
        if any(may_overlap(a, b) for n, a in enumerate(written) for b in written[:n]):
            raise ArgumentError(f"{self.name}: two arrays of out= share memory")
        found = tuple(layout_of(array) for array in written)
        special = plain
        if found != layouts:
            special = self._specialized(arrays, constants, found)
        if not special.run_into(passed, written, threads):
            bug("an argument does not have the layout compiled for")
        return special

    def _specialized(
        self,
        arrays: Mapping[str, Array],
        constants: Mapping[str, Value],
        results: tuple[ArrayLayout, ...],
        tune: float | None = None,
    ) -> Specialization:
        layouts = {name: layout_of(array) for name, array in arrays.items()}
        return self._find(layouts, constants, results, tune)

    def _find(
        self,
        layouts: Mapping[str, ArrayLayout],
        constants: Mapping[str, Value],
        results: tuple[ArrayLayout, ...],
        tune: float | None = None,
    ) -> Specialization:
        kinds = tuple((n, type(v), v) for n, v in sorted(constants.items()))
        key = (tuple(layouts.values()), kinds, results)
        found = self._compiled.get(key)
        if found is not None and tune is None:
            return found
        seconds = self._settings.tune if tune is None else tune
        with self._lock():
            if key not in self._compiled or tune is not None:
                request = Request(
                    self._library,
                    self.name,
                    dict(layouts),
                    dict(constants),
                    results,
                    frozenset(self._bound),
                    self._settings.preference,
                )
                special = specialize_tuned(request, toolchain(), self._bound, seconds)
                self._compiled[key] = special
                self._recent.forget()
            return self._compiled[key]

    def _lock(self) -> threading.Lock:
        """Return the lock of this process: in the child of a fork, that of the parent
        may be held by a thread that does not exist here."""
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def bind(self, **given: Any) -> Kernel:
        """Return the kernel with some tensors and constants given once and for all.

        Tensors and constants are given by name, and calls of the new kernel go without
        them. Bound tensors are copied, and packed once for each specialisation: later
        writes to the array are not seen. Raises `ArgumentError`.
        """
        tensors, constants = self._parameters.split(given)
        copies = {name: array.copy() for name, array in tensors.items()}
        for array in copies.values():
            array.flags.writeable = False
        return Kernel(
            self._library,
            self.name,
            {**self._bound, **copies},
            {**self._constants, **constants},
            self._settings,
        )

    def configure(
        self,
        *,
        ranker: str | None = None,
        microkernel: str | None = None,
        tune: float | None = None,
        fuse: str | None = None,
    ) -> Kernel:
        """Return the kernel compiled in another way; what is not given stays.

        `ranker` orders the candidate schedules: "reuse", "polyrank", "pairwise-net".
        `microkernel` forces who provides the innermost loops of products: "llvm",
        "libxsmm", "mkl"; "" leaves it to the scheduler. `tune` measures schedules for
        so many seconds, of each specialisation that was never tuned; 0 does not. `fuse`
        says how far statements are fused: "none"; "elementwise" values are computed
        where they are read; "all". Raises `ArgumentError`.
        """
        settings = self._settings.changed(ranker, microkernel, tune, fuse)
        return Kernel(self._library, self.name, self._bound, self._constants, settings)

    def forget(self) -> None:
        """Drop all specialisations: later calls take what tuning found since."""
        with self._lock():
            self._compiled = {}
            self._recent.forget()

    def specialize(
        self, *args: Any, tune: float | None = None, **kwargs: Any
    ) -> Specialization:
        """Return the specialisation for arrays, or for specs such as "f32[64,32]",
        which stand for row-major arrays of these sizes.

        `tune=` measures schedules for so many seconds, unless that was done before.
        Raises `ArgumentError` and `ProgramError`.
        """
        seconds = None if tune is None else checked_seconds(tune)
        specs = {n: v for n, v in kwargs.items() if isinstance(v, str)}
        if not specs and not any(isinstance(a, str) for a in args):
            arrays, constants = self._parameters.bind(args, kwargs)
            return self._specialized(arrays, constants, (), seconds)
        values, constants = self._parameters.match(args, kwargs)
        layouts = {
            name: parse_spec(value, name)
            if isinstance(value, str)
            else layout_of(self._parameters.array(name, value))
            for name, value in values.items()
        }
        return self._find(layouts, constants, (), seconds)

    def program(self, *args: Any, **kwargs: Any) -> Program:
        """Return the typed program for these arguments, without compiling it.

        Raises `ArgumentError` and `ProgramError`.
        """
        arrays, constants = self._parameters.bind(args, kwargs)
        layouts = {name: layout_of(array) for name, array in arrays.items()}
        shapes = {name: (a.dtype, a.shape) for name, a in layouts.items()}
        return specialize(self._library, self.name, shapes, constants)

    def reference(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the NumPy oracle gives for the arguments of a call, independent
        of the compiler: arrays of float64, int64 or bool. Raises as a call does.
        """
        arrays, _ = self._parameters.bind(args, kwargs)
        program = self.program(*args, **kwargs)
        outcome = evaluate(program, arrays, limit=WHOLE)
        values = tuple(np.asarray(result.value) for result in outcome.results)
        return values[0] if len(values) == 1 else values

    def verify(self, *args: Any, **kwargs: Any) -> Margins:
        """Run the kernel and the oracle, and compare within the error bound.

        It takes the arguments of a call and returns the margins. Where a statement has
        more than 100 million points, a sample of elements is compared. Raises
        `VerificationError` with the worst element, and as a call does.
        """
        arrays, _ = self._parameters.bind(args, kwargs)
        program = self.program(*args, **kwargs)
        results = self._call(args, kwargs, None, None)
        given = results if isinstance(results, tuple) else (results,)
        return compare(
            program,
            evaluate(program, arrays),
            [np.from_dlpack(r) if not isinstance(r, np.ndarray) else r for r in given],
        )

    def explain(self, *args: Any, measure: bool = False, **kwargs: Any) -> str:
        """Return the chosen schedule for these arguments or specs and why it was
        chosen; with `measure`, its predicted time beside the measured one."""
        return self.specialize(*args, **kwargs).explain(measure=measure)

    def emit(self, stage: str, *args: Any, **kwargs: Any) -> str:
        """Return the text of a compiler stage for these arguments or specs: `ast typed
        scop dependences tree nest llvm asm`."""
        return self.specialize(*args, **kwargs).emit(stage)
