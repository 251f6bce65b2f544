"""Emitted loop nests against their interpreter: on every ISA row that this machine
runs, with guard pages around every buffer."""

from __future__ import annotations

import numpy as np
from emitter_harness import Worker
from emitter_nests import Case, cases
from hypothesis import HealthCheck, given, settings

from polydsl.backend.isa import ISAS
from polydsl.backend.target import host_target
from polydsl.loops.interpret import interpret
from polydsl.loops.memory import Array

ROWS = tuple(isa.name for isa in ISAS[ISAS.index(host_target().isa) :])


def interpreted(case: Case) -> dict[str, Array]:
    """Return the results by the interpreter, parallel loops in a random order."""
    arrays = {name: array.copy() for name, array in case.arguments.items()}
    interpret(case.nest, arrays, shuffle=3)
    return {n: a for n, a in arrays.items() if case.nest.buffer(n).is_written}


def compare(case: Case, isa: str, worker: Worker, wanted: dict[str, Array]) -> None:
    found = worker.run(case.nest, isa, case.arguments, case.threads)
    for name, array in wanted.items():
        np.testing.assert_allclose(
            found[name], array, rtol=1e-6, err_msg=f"{isa} {name}"
        )


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(case=cases())
def test_random_nests(worker: Worker, case: Case) -> None:
    wanted = interpreted(case)
    for isa in ROWS:
        compare(case, isa, worker, wanted)
