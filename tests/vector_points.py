"""Random points of the space of schedules of what is no product."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from polydsl.schedule.decision import Cost, Decision
from polydsl.schedule.vector_builder import Refused, VectorSetting, build
from polydsl.schedule.vector_candidates import vector_candidates
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.schedule.vector_point import IndexLoop, Unrolled, VectorPoint

TRIES = 60
"""So many points are drawn for a plan; most are possible."""
MOST_COPIES = 400
"""So many copies of a statement are written out: tests compile many plans."""


def random_point(setting: VectorSetting, rng: random.Random) -> VectorPoint:
    """Return a point whose loops are right; its registers may be too many."""
    vector = rng.choice([*vector_candidates(setting), None])
    left = list(setting.left)
    fixed = setting.untiled
    free = [d for d in left if d != vector and d not in fixed]
    can_unroll = bool(vector or setting.updates)
    sides = rng.sample(free, rng.randint(0, min(3, len(free)))) if can_unroll else []
    unrolled = tuple(Unrolled(d, rng.randint(1, 5)) for d in sides)
    in_tiles = bool(setting.updates or unrolled)
    looped = [d for d in left if in_tiles or d != vector]
    rng.shuffle(looped)
    reduced = [*dict.fromkeys(d for s in setting.updates for d in s.reduced)]
    inner = [d for d in reduced if d != vector]
    rng.shuffle(inner)
    windows = [d for d in inner if d not in setting.conditioned]
    taps = rng.sample(windows, rng.randint(0, len(windows)))
    loops = blocked([IndexLoop(d) for d in looped], rng)
    own = [n for n, loop in enumerate(loops) if loop.index not in setting.colliding]
    can_share = own and rng.random() < 0.5
    return VectorPoint(
        vector,
        rng.randint(1, 4) if setting.updates and vector else 1,
        unrolled,
        tuple(taps),
        tuple(d for d in inner if d not in taps),
        tuple(loops),
        tuple(d for d in looped if d not in setting.conditioned and rng.random() < 0.7),
        rng.choice(own) if can_share else -1,
    )


def blocked(loops: list[IndexLoop], rng: random.Random) -> list[IndexLoop]:
    """Return the loops with one of them at two levels, sometimes."""
    if not loops or rng.random() < 0.5:
        return loops
    place = rng.randrange(len(loops))
    outer = IndexLoop(loops[place].index, rng.randint(2, 3))
    loops.insert(rng.randint(0, place), outer)
    return loops


def random_plan(setting: VectorSetting, seed: int) -> VectorPlan:
    """Return the plan of a random point."""
    names = [s.name for s in setting.statements]
    rng = random.Random(zlib.crc32(f"{seed} {names}".encode()))
    for _ in range(TRIES):
        plan = build(setting, random_point(setting, rng))
        if isinstance(plan, Refused) or plan.bodies * plan.accumulators > MOST_COPIES:
            continue
        return plan
    raise AssertionError(f"no point of {names} is possible")


@contextmanager
def random_vector_points(seed: int, found: list[VectorPlan]) -> Iterator[None]:
    """Compute everything that is no product as a random point says, and keep the plans
    in *found*. No product is left to the microkernel where loops can be asked for."""

    def choose(setting: VectorSetting) -> tuple[VectorPlan, Decision]:
        plan = random_plan(setting, seed)
        found.append(plan)
        free = Cost((("chance", 0.0),))
        subject = ", ".join(s.name for s in setting.statements)
        return plan, Decision(subject, plan.describe(), "", free)

    with patch("polydsl.schedule.group_plan.choose_vector_plan", choose):
        yield
