"""Running the trials, and from seconds to the numbers of a `Machine`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import accumulate

from polydsl.backend.calibration.loops import compile_loops
from polydsl.backend.calibration.numbers import numbers_of
from polydsl.backend.calibration.trials import CLOCK_CYCLES, Trial, trials
from polydsl.backend.target import Target
from polydsl.backend.threads import ParallelRuntime
from polydsl.base.machine import Machine

_LEAST_ROUNDS = 2
_VISIT_SECONDS = 2e-3
_DIGITS = 3


def _ignore(share: float) -> None:
    """Nobody wants to know how much is done."""


def calibrate(
    target: Target,
    machine: Machine,
    parallel: ParallelRuntime,
    *,
    seconds: float = 5.0,
    advance: Callable[[float], None] = _ignore,
) -> dict[str, float]:
    """Return the numbers of this machine, measured for about *seconds*.

    *machine* says how large the caches are. *advance* is told the share that is done.
    Each trial's best round counts, of rounds in turns: other programs only make it
    slower, and what one moment does to the clock it does to all trials.
    """
    every = tuple(trials(target, machine, compile_loops(target), parallel))
    return numbers_from(machine, _best(every, seconds, advance))


def _best(
    every: tuple[Trial, ...], seconds: float, advance: Callable[[float], None]
) -> dict[str, float]:
    best = dict.fromkeys((trial.name for trial in every), float("inf"))
    start, rounds, share = time.perf_counter(), 0, 0.0
    while rounds < _LEAST_ROUNDS or share < 1.0:
        for trial in every:
            best[trial.name] = min(best[trial.name], _visit(trial))
        rounds += 1
        share = (time.perf_counter() - start) / max(seconds, 1e-9)
        advance(min(1.0, share, rounds / _LEAST_ROUNDS))
    return best


def _visit(trial: Trial) -> float:
    """Return the best of the rounds of a few milliseconds, of one at least."""
    end, best = time.perf_counter() + _VISIT_SECONDS, float("inf")
    while best == float("inf") or time.perf_counter() < end:
        best = min(best, trial.round())
    return best


def numbers_from(machine: Machine, best: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers of *machine* that follow from the seconds of each trial's
    unit; a number that the trials cannot tell stays as *machine* has it."""
    clock, speed = CLOCK_CYCLES / best["frequency"], 1 / best["fma"]
    # Units start a whole number of vectors a cycle, or one in two cycles. A clock that
    # is slower for wide vectors shows in the speed, and the model needs that one.
    per_cycle = max(0.5, round(2 * speed / clock) / 2)
    frequency = speed / per_cycle
    cycles = {name: seconds * frequency for name, seconds in best.items()}
    levels = [*(cache.name for cache in machine.caches), "memory"]
    found = numbers_of(machine) | {
        "frequency": frequency,
        "fma_per_cycle": per_cycle,
        "fma_latency": max(1.0, round(cycles["fma_latency"])),
        "fork_seconds": best["fork_seconds"],
    }
    for verb in ("load", "store"):
        rates = [1 / cycles[f"{level}.{verb}"] for level in levels]
        # A farther level is no faster than a nearer one; noise may say otherwise.
        found |= zip([f"{level}.{verb}" for level in levels], accumulate(rates, min))
    latencies = [cycles[f"{level}.latency"] for level in levels]
    names = [f"{level}.latency" for level in levels]
    found |= zip(names, accumulate(latencies, max))
    found["memory.total"] = max(found["memory.load"], 1 / cycles["memory.total"])
    for number in range(1, len(machine.tlbs) + 1):
        miss = cycles[f"tlb{number}.miss"] - cycles[f"tlb{number}.dense"]
        if miss >= 1:
            found[f"tlb{number}.miss"] = miss
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in found.items()}
