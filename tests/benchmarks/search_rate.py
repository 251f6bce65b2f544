"""How fast the search over the schedules of products prices candidates.

    python -m tests.benchmarks.search_rate [--rounds COUNT] [name ...]

For the layers of ResNet-50 (NHWC, bound weights) and the model products: the candidates
that are priced, the time of a whole decision, and the candidates priced in a second of
nothing but the model, from arrays of numbers to prices. Times are those of one core,
the least of several rounds; nothing is compiled or run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from unittest.mock import patch

from polydsl.backend.arrays import layout_of
from polydsl.driver.compiler import begin
from polydsl.driver.request import Request
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.schedule import matrix_search
from polydsl.schedule.contraction import Contraction, NoContraction, match
from polydsl.schedule.matrix_batch import Batch
from polydsl.schedule.matrix_choice import choose_matrix_plan
from polydsl.schedule.matrix_search import Prices
from polydsl.schedule.setting import Setting
from tests.benchmarks.ranking.workloads import Workload, convolutions, products
from tests.benchmarks.timing import geometric_mean


@dataclass(frozen=True, slots=True)
class Problem:
    """A product whose schedule is to be chosen."""

    name: str
    setting: Setting
    contraction: Contraction
    initialize: str


@dataclass(frozen=True, slots=True)
class Rate:
    """What one decision took: candidates, seconds, and the part spent on prices."""

    candidates: int
    seconds: float
    pricing: float


def problem_of(workload: Workload) -> Problem:
    """Return the product of a workload whose first statement sets the result to 0."""
    layouts = {name: layout_of(array) for name, array in workload.arrays.items()}
    kernel, bound = workload.kernel, frozenset(workload.bound)
    request = Request(
        kernel.library, kernel.name, layouts, workload.constants, (), bound
    )
    state = compile_until(begin(request, toolchain()), "scop")
    assert state.scop is not None
    first, update = state.scop.statements
    layout = request.layout(state.scop)
    setting = Setting(state.scop, update, layout, state.machine, bound)
    matched = match(state.scop, update)
    assert not isinstance(matched, NoContraction)
    return Problem(workload.name, setting, matched, first.name)


def problems(names: Sequence[str] = ()) -> Iterator[Problem]:
    """Yield the products that are named, or all."""
    for workload in chain(convolutions(), products()):
        if not names or any(name in workload.name for name in names):
            yield problem_of(workload)


def decide(problem: Problem) -> Rate:
    """Choose a schedule once, with a clock around the pricing of every batch."""
    priced, pricing = 0, 0.0

    def timed(setting: Setting, batch: Batch) -> Prices:
        nonlocal priced, pricing
        start = time.process_time()
        found = price(setting, batch)
        pricing += time.process_time() - start
        priced += len(batch)
        return found

    price = matrix_search.price
    with patch.object(matrix_search, "price", timed):
        start = time.process_time()
        choose_matrix_plan(problem.setting, problem.contraction, problem.initialize)
        return Rate(priced, time.process_time() - start, pricing)


def main() -> None:
    """Print a line for every product, and the geometric means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found: list[Rate] = []
    print(f"{'product':24} candidates  decision ms  candidates/s")
    for problem in problems(options.names):
        rounds = [decide(problem) for _ in range(options.rounds)]
        rate = Rate(
            rounds[0].candidates,
            min(r.seconds for r in rounds),
            min(r.pricing for r in rounds),
        )
        found.append(rate)
        _show(problem.name, rate.candidates, rate.seconds, rate.pricing)
    means = [
        geometric_mean([getattr(rate, name) for rate in found])
        for name in ("candidates", "seconds", "pricing")
    ]
    _show("geometric mean", *means)
    print(f"longest decision {1e3 * max(rate.seconds for rate in found):.0f} ms")


def _show(name: str, candidates: float, seconds: float, pricing: float) -> None:
    rate = candidates / pricing
    print(
        f"{name:24} {candidates:10.0f} {1e3 * seconds:12.0f} {rate:13.0f}", flush=True
    )


if __name__ == "__main__":
    main()
