"""PolyRank: variants ordered by bytes times latency over bandwidth.

The cost charges each level's working sets once, however often they are moved, so it is
no time; its constants are those of the published evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polydsl.schedule.published.placement import Integers


@dataclass(frozen=True, slots=True)
class Level:
    """A level of the memory hierarchy: cycles of latency, bytes a cycle."""

    name: str
    latency: float
    bandwidth: float


XEON_8280 = (
    Level("L1", 4, 192),
    Level("L2", 14, 96),
    Level("L3", 60, 16),
    Level("memory", 84, 55),
)
"""The machine of the published evaluation; those are the constants used there."""


def polyrank_costs(level_bytes: Integers) -> npt.NDArray[np.float64]:
    """Return the cost of each variant; `level_bytes[variant]` is of L1, L2, L3, memory.

    The sum of WS * latency / bandwidth over the levels. Lower is better.
    """
    weights = np.array([level.latency / level.bandwidth for level in XEON_8280])
    costs: npt.NDArray[np.float64] = level_bytes @ weights
    return costs


def best_share(costs: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.intp]:
    """Return the positions of the cheapest variants, best first: that share of all,
    and at least one. Equal costs keep their order."""
    count = max(1, int(len(costs) * share))
    return np.argsort(costs, kind="stable")[:count]
