"""Runs a program through the whole compiler, on a row of the ISA table, and compares
with the oracle.

Beside the cheapest plans, any legal ones can be asked for: a `Case` with a number in
`shuffle` ranks the candidates at random and lowers the sizes from which on work is cut
in blocks and shared by threads, so that small programs take all ways through the
schedule and the loops; one with a number in `points` computes every product as a
random point of the space says. What the cost model says must never matter for the
result.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import program_builder
import pytest
from emitter_harness import Worker
from hypothesis import strategies as st
from matrix_points import random_points
from program_fusions import fusions
from program_layouts import PLAIN, Array, Placing, placed, placings
from programs import programs

import polydsl
from polydsl.backend.arrays import allocate, layout_of
from polydsl.backend.cache import CacheEntry, ObjectCache
from polydsl.backend.isa import ISAS
from polydsl.backend.runtime import Runtime
from polydsl.backend.target import host_target, machine_of
from polydsl.base.diagnostics import SubscriptError
from polydsl.base.dtypes import DTYPES
from polydsl.base.machine import Machine
from polydsl.driver import compiler
from polydsl.driver.compiler import begin
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import Compilation, Listener, compile_until, ignore
from polydsl.driver.toolchain import Toolchain, toolchain
from polydsl.loops.interpret import Outside
from polydsl.loops.nest import LoopNest
from polydsl.schedule.matrix_model import Prediction
from polydsl.schedule.matrix_reuse import Reuse
from polydsl.schedule.preference import PLAIN as ASKED_NOTHING
from polydsl.schedule.vector_model import Counts, Family, Prices, price
from polydsl.semantics.oracle.compare import UNDECIDED_SHARE, compare
from polydsl.semantics.oracle.evaluate import evaluate
from polydsl.semantics.oracle.outcome import Outcome
from polydsl.semantics.program import Program

ROWS = tuple(isa.name for isa in ISAS[ISAS.index(host_target().isa) :])
"""The ISA rows that this machine runs."""


class NoCache(ObjectCache):
    """Keeps nothing: a shuffled plan must not be found by another run."""

    def get(self, key: str) -> CacheEntry | None:
        return None

    def put(self, key: str, object_code: bytes, payload: bytes) -> None:
        return


@dataclass(frozen=True, slots=True)
class Case:
    """A program with everything that its specialisation and its call depend on."""

    program: program_builder.Program
    isa: str
    placings: tuple[Placing, ...] = (PLAIN,)
    out: tuple[Placing, ...] = ()
    bound: frozenset[str] = frozenset()
    shuffle: int | None = None
    seed: int = 0
    points: int | None = None
    fuse: str = "all"

    def placing(self, position: int) -> Placing:
        return self.placings[position % len(self.placings)]


@dataclass(frozen=True, slots=True)
class Run:
    """A case that was compiled and ran: what the stages gave, which elements of each
    result could not be compared, and whether the call failed, as it should."""

    case: Case
    state: Compilation
    undecided: tuple[Array, ...] = ()
    failed: bool = False

    @property
    def decided(self) -> bool:
        """Whether nearly all elements of every result were compared."""
        return all(u.sum() <= UNDECIDED_SHARE * u.size for u in self.undecided)


@st.composite
def cases(draw: Any, isa: str) -> Case:
    """Draw a program and the way it is called."""
    program = draw(programs())
    names = [name for name, _, _ in program.arguments]
    return Case(
        program,
        isa,
        tuple(draw(st.lists(placings, min_size=1, max_size=3))),
        tuple(draw(st.one_of(st.just(()), st.lists(placings, min_size=1, max_size=2)))),
        draw(st.one_of(st.just(frozenset()), st.frozensets(st.sampled_from(names)))),
        draw(st.one_of(st.none(), st.integers(0, 1 << 16))),
        draw(st.integers(0, 1 << 16)),
        fuse=draw(st.sampled_from(("all", "all", "elementwise", "none"))),
    )


# Toolchains


_TOOLS: dict[str, Toolchain] = {}


def tools_for(isa: str) -> Toolchain:
    """Return a toolchain for an ISA row, which compiles everything anew."""
    if isa not in _TOOLS:
        target = host_target(isa)
        machine = replace(machine_of(target), cores=2)
        _TOOLS[isa] = replace(
            toolchain(),
            target=target,
            machine=machine,
            cache=NoCache(toolchain().options.cache_folder),
            runtime=Runtime(target, toolchain().cache),
            threads=2,
        )
    return _TOOLS[isa]


@contextmanager
def shuffled(seed: int | None) -> Iterator[None]:
    """Let any legal plan be chosen, in small blocks, with threads for any work."""
    if seed is None:
        yield
        return
    rng = np.random.default_rng(seed)

    def predict(reuse: Reuse) -> Prediction:
        # Most products stay products.
        count = len(reuse.batch)
        chance = ("multiply-adds", rng.integers(0, 1 << 30, count).astype(float))
        nothing = np.zeros((1, count))
        return Prediction((chance,), ("memory",), nothing, nothing)

    def prices(family: Family, counts: Counts, machine: Machine) -> Prices:
        own = np.random.default_rng(zlib.crc32(f"{seed} {family}".encode()))
        chance = own.uniform(0.3, 1.0, len(counts)) * 2.0**32
        fits = price(family, counts, machine).fits
        return Prices((("chance", chance),), fits)

    vectors = "polydsl.schedule.vector_candidates."
    shapes = tuple(
        [(1, 1), (2, 1), (3, 2), (5, 1), (4, 3)][i] for i in rng.permutation(5)[:3]
    )
    changed = {
        "polydsl.schedule.matrix_search.predict": predict,
        "polydsl.schedule.matrix_search.BUDGET": 1000,
        "polydsl.schedule.contraction.LEAST_DEPTH": int(rng.choice([1, 16])),
        "polydsl.schedule.forwarding.STORED": float(rng.choice([-1.0, 3.0, 1e9])),
        **fusions(seed),
        "polydsl.schedule.followers.START": float(rng.choice([-1e9, 40.0, 1e9])),
        "polydsl.schedule.schedule.LEAST_POINTS": int(rng.choice([0, 1 << 15])),
        "polydsl.schedule.share.LEAST_PRODUCT": int(rng.choice([0, 1 << 16])),
        "polydsl.schedule.matrix_search.SHORT": 0,
        "polydsl.schedule.vector_choice.price": prices,
        "polydsl.schedule.vector_builder.MOST_COPIES": 64,
        f"{vectors}SHORT": int(rng.choice([0, 1 << 14])),
        f"{vectors}LONGEST_SIDE": int(rng.choice([3, 7])),
        "polydsl.schedule.provider_cost.tile_shapes": lambda *given: shapes,
        "polydsl.schedule.matrix_space.LEAST_DEPTH": int(rng.choice([1, 2, 3, 16])),
        "polydsl.schedule.matrix_family.ROW_POINTS": int(rng.choice([1, 4, 256])),
        f"{vectors}PARALLEL_POINTS": int(rng.choice([0, 1 << 15])),
        f"{vectors}CHUNK": int(rng.choice([3, 8, 20])),
        "polydsl.loops.copies.PARALLEL_POINTS": int(rng.choice([0, 1 << 16])),
        "polydsl.schedule.contraction_tree.START": float(rng.choice([-1e9, 200.0])),
    }
    with ExitStack() as stack:
        for target, value in changed.items():
            stack.enter_context(patch(target, value))
        yield


@contextmanager
def planned(case: Case) -> Iterator[None]:
    """Let the plans be chosen as a case says."""
    with shuffled(case.shuffle), ExitStack() as stack:
        if case.points is not None:
            stack.enter_context(random_points(case.points))
        yield


@contextmanager
def listening(found: list[Compilation]) -> Iterator[None]:
    """Keep what the stages give."""

    def listen(state: Compilation, last: str, after: Listener = ignore) -> Compilation:
        found.append(compile_until(state, last, after))
        return found[-1]

    with patch.object(compiler, "compile_until", listen):
        yield


# Running


def arguments_of(case: Case) -> dict[str, Array]:
    """Return random arguments in the layouts of the case."""
    rng = np.random.default_rng(case.seed)
    bounded = dict(case.program.bounded)
    # Now and then one subscript is outside, and all of them may be.
    wild = rng.choice([*bounded]) if bounded and case.seed % 5 == 0 else ""
    found: dict[str, Array] = {}
    for position, (name, dtype, shape) in enumerate(case.program.arguments):
        values = _values(rng, dtype, shape, case.program.large)
        if name in bounded:
            values = _subscripts(rng, dtype, shape, bounded[name], name == wild)
        found[name] = placed(values, case.placing(position))
    return found


def _values(
    rng: np.random.Generator, dtype: str, shape: tuple[int, ...], large: bool
) -> Array:
    kind = DTYPES[dtype]
    if kind.is_float:
        # All negative, or all positive, are good for a maximum that starts wrong.
        centre = rng.choice([0.0, 0.0, 0.0, -4.0, 4.0])
        return np.asarray(rng.standard_normal(shape) + centre, kind.numpy)
    if kind.kind == "bool":
        return np.asarray(rng.integers(0, 2, shape), kind.numpy)
    reach = rng.choice([4, 4, 200])
    values = np.asarray(rng.integers(-reach, reach + 1, shape))
    values = values.clip(kind.least, kind.greatest)
    if large:
        ends = rng.choice([kind.least, kind.greatest, kind.least + 1], values.shape)
        values = np.where(rng.random(values.shape) < 0.2, ends, values)
    return np.asarray(values, kind.numpy)


def _subscripts(
    rng: np.random.Generator,
    dtype: str,
    shape: tuple[int, ...],
    extent: int,
    is_wild: bool,
) -> Array:
    """Return subscripts of a dimension, one of them outside if they are wild."""
    kind = DTYPES[dtype]
    values = rng.integers(0, max(extent, 1), shape).astype(kind.numpy)
    outside = [n for n in (-1, extent, kind.least, kind.greatest) if kind.least <= n]
    outside = [n for n in outside if n <= kind.greatest and not 0 <= n < extent]
    if is_wild and outside and values.size:
        values.reshape(-1)[rng.integers(values.size)] = rng.choice(outside)
    return np.asarray(values)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A case with its arguments, what is expected of it, and what is to be compiled.

    Where a subscript is outside, the oracle's error is expected.
    """

    case: Case
    arrays: dict[str, Array]
    program: Program
    expected: Outcome | SubscriptError
    request: Request
    out: list[Array]

    def check(self, results: Sequence[Array]) -> None:
        """Compare with the oracle all elements that it decides, however few."""
        assert not isinstance(self.expected, SubscriptError), "no check failed"
        compare(self.program, self.expected, results, share=1.0)


def job_of(case: Case) -> Job:
    """Draw the arguments of a case and ask the oracle what comes out."""
    kernel = polydsl.loads(case.program.text).f
    constants = dict(case.program.constants)
    arrays = arguments_of(case)
    program = kernel.program(**arrays, **constants)
    out = _outputs(case, program)
    request = Request(
        kernel.library,
        "f",
        {name: layout_of(array) for name, array in arrays.items()},
        constants,
        tuple(layout_of(array) for array in out),
        case.bound,
        ASKED_NOTHING.changed(fuse=case.fuse),
    )
    expected: Outcome | SubscriptError
    try:
        expected = evaluate(program, arrays)
    except SubscriptError as error:
        expected = error
    return Job(case, arrays, program, expected, request, out)


def run_case(case: Case, worker: Worker | None = None) -> Run:
    """Compile and run a case with one thread and with two; raise where it is wrong.

    With a *worker*, the code runs there, too, with all of its memory guarded.
    """
    job = job_of(case)
    bound = {name: job.arrays[name] for name in case.bound}
    states: list[Compilation] = []
    with planned(case), listening(states):
        special = Specialization(job.request, tools_for(case.isa), bound)
    if worker is not None:
        check_guarded(job, states[-1].nest, special.compiled.object_code, worker)
    passed = [job.arrays[name] for name in special.tensors]
    if isinstance(job.expected, SubscriptError):
        for threads in (1, 2):
            check_failure(job, special, passed, threads)
        return Run(case, states[-1], failed=True)
    results = [_run(special, passed, job.out, threads) for threads in (1, 2)]
    for one, two in zip(*results):
        assert one.tobytes() == two.tobytes(), "another number of threads, other bits"
    job.check(results[0])
    return Run(case, states[-1], tuple(r.undecided for r in job.expected.results))


def check_failure(
    job: Job, special: Specialization, passed: list[Array], threads: int
) -> None:
    """Expect the oracle's error, word for word, and untouched results."""
    before = [array.copy() for array in job.out]
    with pytest.raises(SubscriptError) as caught:
        _run(special, passed, job.out, threads)
    assert str(caught.value) == str(job.expected)
    for array, old in zip(job.out, before):
        assert array.tobytes() == old.tobytes(), "out= is touched"


def check_guarded(job: Job, nest: LoopNest | None, code: bytes, worker: Worker) -> None:
    """Run the code of a job with every argument, every prepared copy and all scratch
    memory between pages that must not be touched, and compare with the oracle.

    An access outside ends the worker. Inputs cannot be written, and what lies between
    the elements of a strided result must be as it was.
    """
    assert nest is not None
    fails = isinstance(job.expected, SubscriptError)
    try:
        found = worker.run_code(nest, code, job.arrays, 1 + job.case.seed % 2)
    except Outside:
        assert fails, f"{job.case.program}a check failed"
        return
    except AssertionError as wrong:
        raise AssertionError(f"{job.case.program}{wrong}") from wrong
    job.check([found[name] for name in job.program.results])


def nest_of(job: Job) -> LoopNest:
    """Return the loop nest of a job."""
    with planned(job.case):
        state = compile_until(begin(job.request, tools_for(job.case.isa)), "nest")
    assert state.nest is not None
    return state.nest


def _outputs(case: Case, program: Program) -> list[Array]:
    """Return arrays for the results in the layouts of the case; none where it has no
    wishes."""
    if not case.out:
        return []
    found = []
    for position, name in enumerate(program.results):
        array = allocate(program.tensor(name).dtype, program.extents(name))
        placing = case.out[position % len(case.out)]
        found.append(placed(array, placing, written=True))
    return found


def _run(
    special: Specialization, passed: list[Array], out: list[Array], threads: int
) -> tuple[Array, ...]:
    if out:
        special.run_into(passed, out, threads)
        return tuple(array.copy() for array in out)
    results = special.run(passed, threads)
    assert results is not None, "the specialisation refuses its own layouts"
    return results
