"""Chosen schedules against many others, measured: f32, one thread.

    python -m tests.benchmarks.ranking [--tune SECONDS] [--log FILE] [name ...]

For every workload the schedule that is chosen without measuring, 60 schedules drawn
over the whole space and 20 neighbours of the best one of them are timed. That pass only
selects: the chosen one, the five best and the first choices of the published rankers
among all that were timed are measured again, interleaved, and only that counts. A share
is the speed of a chosen schedule over the best one's. With --tune, what tuning for so
many seconds chooses is measured beside them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tests.benchmarks.ranking.contest import MODEL, Result, contest
from tests.benchmarks.ranking.workloads import workloads
from tests.benchmarks.timing import geometric_mean


def show(result: Result) -> None:
    """Print what was measured of one workload."""
    shares = "  ".join(f"{name} {result.share(name):5.3f}" for name in result.speeds)
    print(
        f"{result.name:24} {shares}  {100 * result.speeds[MODEL]:5.1f} of "
        f"{100 * result.best:5.1f} % of peak, bound {100 * result.bound:5.1f}  "
        f"predicted/measured {result.predicted:4.2f}  "
        f"{result.tried} tried, {result.failed} refused\n"
        f"    {result.schedule}\n    {result.better}",
        flush=True,
    )


def report(results: Sequence[Result]) -> None:
    """Print what was reached."""
    for title, wanted in (("products", True), ("others", False)):
        some = [r for r in results if r.is_product == wanted]
        if some:
            _report_some(title, some)
    errors = [abs(r.predicted - 1) for r in results]
    print(f"median error of the predicted time {100 * float(np.median(errors)):.0f} %")


def _report_some(title: str, results: Sequence[Result]) -> None:
    for name in results[0].speeds:
        shares = [r.share(name) for r in results if name in r.speeds]
        print(
            f"{title}: {name:12} chosen/best {geometric_mean(shares):.3f}, "
            f"worst {min(shares):.3f}"
        )
    print(
        f"{title}: best of the space at least "
        f"{100 * min(r.best for r in results):.0f} % of peak, "
        f"{100 * min(r.best / r.bound for r in results):.0f} % of the roofline"
    )


def main() -> None:
    """Run the workloads that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tune", type=float, default=0.0, help="seconds of tuning")
    parser.add_argument("--log", type=Path, help="append results as JSON lines")
    options = parser.parse_args()
    results = []
    for workload in workloads():
        if options.names and not any(n in workload.name for n in options.names):
            continue
        result = contest(workload, options.tune)
        results.append(result)
        show(result)
        if options.log:
            with options.log.open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")
    report(results)


if __name__ == "__main__":
    main()
