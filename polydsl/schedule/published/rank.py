"""The published rankers over candidates of the project's own space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal as OneOf
from typing import assert_never

import numpy as np
import numpy.typing as npt

from polydsl.base.machine import Machine
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.published.closed_form import closed_working_sets
from polydsl.schedule.published.pairwise_net import shipped_net, tournament
from polydsl.schedule.published.placement import Integers, greedy_bytes
from polydsl.schedule.published.points import variants_of_points
from polydsl.schedule.published.polyrank import polyrank_costs

PublishedRanker = OneOf["polyrank", "pairwise-net"]


def rank(
    ranker: PublishedRanker,
    points: Sequence[MatrixPoint],
    contraction: Contraction,
    machine: Machine,
) -> npt.NDArray[np.float64]:
    """Return a score for each point of one contraction; lower is better.

    PolyRank's is its cost, the network's the expected share of the other points that
    are better. Scores of different calls or rankers cannot be compared.
    """
    level_bytes = bytes_of_points(points, contraction, machine)
    match ranker:
        case "polyrank":
            return polyrank_costs(level_bytes)
        case "pairwise-net":
            return 1.0 - tournament(shipped_net(), level_bytes)
        case _:
            assert_never(ranker)


def bytes_of_points(
    points: Sequence[MatrixPoint], contraction: Contraction, machine: Machine
) -> Integers:
    """Return the bytes of each point's working sets in L1, L2, L3 and memory."""
    pairs = closed_working_sets(variants_of_points(points, contraction))
    shares = np.array([p.parallel >= 0 for p in points], bool)
    rooms = tuple(_room(machine, name, shares) for name in ("L1", "L2", "L3"))
    return greedy_bytes(pairs, contraction.dtype.bytes, rooms)


def _room(machine: Machine, name: str, shares: npt.NDArray[np.bool_]) -> Integers:
    """Return a level's bytes for each point: a parallel loop's threads share it."""
    cache = machine.cache(name)
    room: Integers = cache.capacity // np.where(shares, cache.cores, 1)
    return room
