"""Random programs on every ISA row, against the oracle; and what they have covered.

Each row gets its own random programs, with any strides of arguments and results, any
arguments bound, the cheapest plan or any other, one thread and two; then explicit ones
that reach what chance does not. `make fuzz` gives other seeds and more programs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from program_coverage import WANTED, rules, seen
from program_examples import EXAMPLES
from program_harness import ROWS, Case, cases, run_case

EXAMPLES_OF_A_ROW = 300
UNDECIDED_PERCENT = 5
"""So many programs may depend on the last bits of a value, and say nothing."""


@pytest.mark.random
@pytest.mark.parametrize("isa", ROWS)
def test_random_programs(isa: str, request: pytest.FixtureRequest) -> None:
    is_fuzz = request.config.getoption("--hypothesis-seed", default=None) is not None
    covered: Counter[str] = Counter()
    noted: set[str] = set()

    def check(case: Case) -> None:
        run = run_case(case)
        covered.update(seen(run))
        covered["run"] += 1

    @settings(
        max_examples=5 * EXAMPLES_OF_A_ROW if is_fuzz else EXAMPLES_OF_A_ROW,
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
        for example in EXAMPLES:
            check(replace(example, isa=isa))
    covered.update(noted)
    missing = sorted(WANTED - covered.keys())
    assert not missing, f"no program has {', '.join(missing)}"
    undecided = covered["run"] - covered["decided"]
    assert undecided * 100 <= UNDECIDED_PERCENT * covered["run"]
