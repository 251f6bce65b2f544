"""Random programs on every ISA row, against the oracle; and what they have covered.

Each row gets its own random programs, with any strides of arguments and results, any
arguments bound, the cheapest plan or any other, one thread and two; then explicit ones
that reach what chance does not. Each runs once more in a process of its own, where all
of its memory lies between pages that must not be touched: arguments at the end of
their pages, then at the start. `make fuzz` gives other seeds and more programs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from emitter_harness import Worker
from hypothesis import HealthCheck, given, settings
from program_builder import Program
from program_coverage import WANTED, rules, seen
from program_examples import EXAMPLES
from program_harness import ROWS, Case, cases, job_of, nest_of, run_case

EXAMPLES_OF_A_ROW = 80
LOWER = 5
"""Lower rows than the best run one program in so many; `make fuzz` runs all on each."""
UNDECIDED_PERCENT = 1
"""So many elements may depend on the last bits of a value, and say nothing."""

PAIRS = Program(
    "kernel f(x: f32[N]):\n    y[i] = x[i] + x[N - 1 - i]\n    return y\n",
    (("x", "f32", (19,)),),
)


@pytest.mark.random
@pytest.mark.parametrize("isa", ROWS)
def test_random_programs(
    isa: str, worker: Worker, request: pytest.FixtureRequest
) -> None:
    is_fuzz = request.config.getoption("--hypothesis-seed", default=None) is not None
    share = 1 if is_fuzz or isa == ROWS[0] else LOWER
    examples = 12 * EXAMPLES_OF_A_ROW if is_fuzz else EXAMPLES_OF_A_ROW // share
    covered: Counter[str] = Counter()
    elements: Counter[str] = Counter()
    noted: set[str] = set()

    def check(case: Case) -> None:
        run = run_case(case, worker)
        covered.update(seen(run))
        elements["all"] += sum(u.size for u in run.undecided)
        elements["undecided"] += sum(int(u.sum()) for u in run.undecided)

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=not is_fuzz,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(cases(isa))
    def check_random(case: Case) -> None:
        check(case)

    with rules(noted):
        check_random()
        for example in EXAMPLES[::share]:
            check(replace(example, isa=isa))
    covered.update(noted)
    missing = sorted(WANTED - covered.keys()) if share == 1 else []
    assert not missing, f"no program has {', '.join(missing)}"
    assert elements["undecided"] * 100 < UNDECIDED_PERCENT * elements["all"]


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
