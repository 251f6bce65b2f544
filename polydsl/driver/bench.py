"""A kernel timed beside others that do the same: PyTorch, and library microkernels.

All sides run in one process and take turns with each other and with the probe of the
machine's peak. A side is checked before it is timed; one that cannot be had is named
with the reason, and the others are timed all the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from polydsl.backend.peak import Probe
from polydsl.base.diagnostics import ArgumentError, PolydslError, VerificationError
from polydsl.driver.compiler import begin
from polydsl.driver.kernel import Kernel
from polydsl.driver.measure import Call, Timing, measure_together
from polydsl.driver.pytorch.program import translate
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.schedule.preference import MICROKERNELS
from polydsl.semantics.oracle.compare import compare
from polydsl.semantics.oracle.evaluate import evaluate
from polydsl.semantics.program import Value

Array = np.ndarray[Any, Any]

PEERS = ("torch", *MICROKERNELS)
"""What a kernel can be timed against."""

NEAR = 1e-3
"""A side whose results are not even so near, relative to the largest, is not timed."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What is timed: a kernel on arrays, some of which are bound, on some threads."""

    kernel: Kernel
    arrays: Mapping[str, Array]
    constants: Mapping[str, Value]
    bound: tuple[str, ...]
    threads: int

    @property
    def free(self) -> tuple[Array, ...]:
        """The arrays that a call passes."""
        return tuple(a for name, a in self.arrays.items() if name not in self.bound)

    def fixed(self, kernel: Kernel) -> Kernel:
        """Return the kernel with what is known before the first call."""
        given = {name: self.arrays[name] for name in self.bound}
        return kernel.bind(**given, **self.constants)


@dataclass(frozen=True, slots=True)
class Row:
    """One side of the comparison. Without a timing, `note` says why."""

    name: str
    timing: Timing | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    call: Call | None
    note: str


def run_bench(
    bench: Bench, against: Sequence[str], probe: Probe | None, *, seconds: float
) -> tuple[Row, ...]:
    """Return the kernel's row, then one for each peer, in the order given.

    Raises `ArgumentError` for a peer that does not exist.
    """
    for name in against:
        if name not in PEERS:
            raise ArgumentError(
                f"there is no peer {name!r}; a kernel can be timed against "
                f"{', '.join(PEERS)}"
            )
    # PyTorch comes first: calls then use the threads that it has started.
    modules = {name: _find_torch() for name in against if name == "torch"}
    own = bench.fixed(bench.kernel)
    sides = [_Side("polydsl", partial(own, *bench.free, threads=bench.threads), "")]
    for name in dict.fromkeys(against):
        sides.append(_peer(bench, name, modules))
    ready = [side.call for side in sides if side.call is not None]
    timings = iter(measure_together(ready, probe, seconds=seconds))
    return tuple(
        Row(side.name, None if side.call is None else next(timings), side.note)
        for side in sides
    )


def _find_torch() -> Any:
    """Return PyTorch, an optional extra, or None."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        return None


def _peer(bench: Bench, name: str, modules: Mapping[str, Any]) -> _Side:
    try:
        if name == "torch":
            return _torch_side(bench, modules[name])
        return _microkernel_side(bench, name)
    except VerificationError as error:
        return _Side(name, None, f"its results are wrong: {error}")
    except PolydslError as error:
        return _Side(name, None, str(error))


def _microkernel_side(bench: Bench, name: str) -> _Side:
    """Return the same kernel with its products by another provider."""
    kernel = bench.fixed(bench.kernel.configure(microkernel=name))
    kernel.verify(*bench.free)
    return _Side(name, partial(kernel, *bench.free, threads=bench.threads), "")


def _torch_side(bench: Bench, torch: Any) -> _Side:
    """Return the kernel translated to PyTorch operations."""
    if torch is None:
        raise ArgumentError(
            "PyTorch is not installed: pip install 'polydsl[torch]', or leave torch "
            "out of --against"
        )
    torch.set_num_threads(bench.threads)
    special = bench.fixed(bench.kernel).specialize(*bench.free)
    state = compile_until(begin(special.request, toolchain()), "scop")
    assert state.scop is not None
    tensors = {name: _tensor(torch, array) for name, array in bench.arrays.items()}
    known = {name: tensors[name] for name in bench.bound}
    program = translate(torch, state.scop, known)

    def call() -> Any:
        with torch.inference_mode():
            return program(tensors)

    note = _check(bench, call)
    forms = "; ".join(program.forms)
    return _Side("torch", call, f"{forms}{note}")


def _tensor(torch: Any, array: Array) -> Any:
    return torch.from_numpy(array)


def _check(bench: Bench, call: Callable[[], Any]) -> str:
    """Compare PyTorch's results with the oracle and return what is to be said.

    PyTorch promises no error bounds: results beyond those of compiled code are timed
    if they are near.
    """
    results = [result.numpy() for result in call()]
    program = bench.kernel.program(*bench.arrays.values(), **bench.constants)
    outcome = evaluate(program, bench.arrays)
    try:
        compare(program, outcome, results)
    except VerificationError:
        for result, got in zip(outcome.results, results):
            _check_near(result.value.reshape(-1), got.reshape(-1), result.points)
        return "; less exact than compiled code may be"
    return ""


def _check_near(expected: Array, got: Array, points: Array | None) -> None:
    found = got if points is None else got[points]
    scale = float(np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected)))
    if not np.allclose(found, expected, rtol=NEAR, atol=NEAR * scale, equal_nan=True):
        raise VerificationError("they differ from the oracle's by more than 0.1 %")
