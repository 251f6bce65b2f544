"""What `make mutants` runs against a compiler with a bug: programs, without shrinking.

The file is no part of the test suite, which runs the same programs and more.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from emitter_harness import Worker
from hypothesis import Phase, given, settings
from program_examples import EXAMPLES
from program_harness import ROWS, Case, cases, run_case


@pytest.mark.parametrize("isa", ROWS)
def test_examples(isa: str, worker: Worker) -> None:
    for example in EXAMPLES:
        run_case(replace(example, isa=isa), worker)


@pytest.mark.parametrize("isa", ROWS)
def test_random_programs(isa: str) -> None:
    @settings(
        max_examples=80,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    @given(cases(isa))
    def check(case: Case) -> None:
        run_case(case)

    check()
