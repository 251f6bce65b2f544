"""Whole kernels with every argument, every prepared copy and all scratch memory between
pages that must not be touched, in a process of their own.

An access outside an argument ends the process, which is a failure that names the
program. Arguments lie at the end of their pages, then at the start; inputs cannot be
written, and what lies between the elements of a strided result must be as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from emitter_harness import Worker
from hypothesis import HealthCheck, given, settings
from program_builder import Program
from program_examples import EXAMPLES
from program_harness import ROWS, Case, cases, job_of, nest_of

from polydsl.base.diagnostics import SubscriptError
from polydsl.loops.interpret import Outside
from polydsl.semantics.oracle.compare import compare

EXAMPLES_OF_A_ROW = 50

PAIRS = Program(
    "kernel f(x: f32[N]):\n    y[i] = x[i] + x[N - 1 - i]\n    return y\n",
    (("x", "f32", (19,)),),
)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    process = Worker()
    yield process
    process.close()


def check(worker: Worker, case: Case) -> None:
    """Run a case beside guard pages and compare with the oracle."""
    job = job_of(case)
    threads = 1 + case.seed % 2
    is_outside = isinstance(job.expected, SubscriptError)
    try:
        found = worker.run(nest_of(job), case.isa, job.arrays, threads)
    except Outside:
        assert is_outside, f"{case.program}a check failed"
        return
    except AssertionError as wrong:
        raise AssertionError(f"{case.program}{wrong}") from wrong
    assert not isinstance(job.expected, SubscriptError), "no check failed"
    if job.is_decided:
        results = [found[name] for name in job.program.results]
        compare(job.program, job.expected, results)


@pytest.mark.random
@pytest.mark.parametrize("isa", ROWS)
def test_random_programs_stay_in_their_arguments(
    isa: str, worker: Worker, request: pytest.FixtureRequest
) -> None:
    is_fuzz = request.config.getoption("--hypothesis-seed", default=None) is not None

    @settings(
        max_examples=5 * EXAMPLES_OF_A_ROW if is_fuzz else EXAMPLES_OF_A_ROW,
        deadline=None,
        derandomize=not is_fuzz,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(cases(isa))
    def check_random(case: Case) -> None:
        check(worker, case)

    check_random()


@pytest.mark.parametrize("isa", ROWS)
def test_example_programs_stay_in_their_arguments(isa: str, worker: Worker) -> None:
    for number, example in enumerate(EXAMPLES):
        check(worker, replace(example, isa=isa, seed=number))


def test_an_access_outside_is_a_failure(worker: Worker) -> None:
    """The harness itself: a nest that is shown a shorter argument must crash."""
    case = Case(PAIRS, ROWS[0])
    job = job_of(case)
    nest = nest_of(job)
    buffers = tuple(
        replace(b, shape=(3,), strides=(1,)) if b.name == "x" else b
        for b in nest.buffers
    )
    arrays = {**job.arrays, "x": job.arrays["x"][:3]}
    with pytest.raises(AssertionError, match="left its buffers"):
        worker.run(replace(nest, buffers=buffers), case.isa, arrays, 1)
