"""The choice among a product's schedules by a published ranker.

PolyRank and the pairwise net know nothing of registers and of copies, so they order
what the first look at every family has with its best register tile; ties go to the
candidate that comes first.
"""

from __future__ import annotations

import numpy as np

from polydsl.schedule.contraction import Contraction
from polydsl.schedule.decision import Candidate
from polydsl.schedule.matrix_batch import Batch, Numbers
from polydsl.schedule.matrix_family import Family, families
from polydsl.schedule.matrix_model import cost_of
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.matrix_search import SHOWN, Found
from polydsl.schedule.matrix_space import Space
from polydsl.schedule.published.rank import PublishedRanker, rank
from polydsl.schedule.setting import Setting

MOST = 400
"""So many candidates are ranked at most: the net compares every pair of them."""


def published(
    ranker: PublishedRanker,
    setting: Setting,
    contraction: Contraction,
    initialize: str | None,
) -> Found:
    """Return the best schedules of a product by a published ranker."""
    pool = _pool(setting, families(setting, contraction, initialize))
    if not pool:
        return Found((), 0, False)
    points = tuple(pool)
    scores = rank(ranker, points, contraction, setting.machine)
    best = np.argsort(scores, kind="stable")[:SHOWN].tolist()
    candidates = tuple(
        Candidate(point, cost_of(setting, pool[point], point))
        for point in (points[number] for number in best)
    )
    return Found(candidates, len(points), False)


def _pool(setting: Setting, found: tuple[Family, ...]) -> dict[MatrixPoint, Family]:
    """Return different candidates with their families, evenly taken from each."""
    pool: dict[MatrixPoint, Family] = {}
    for family in found:
        space = Space(setting, family)
        batch = space.coarse()
        numbers = _with_tile(batch, space.tiles[0])
        each = max(1, len(numbers) * len(found) // MOST)
        pool.update({batch.point(n): family for n in numbers[::each].tolist()})
    return pool


def _with_tile(batch: Batch, tile: tuple[int, int]) -> Numbers:
    """Return the candidates that have a register tile."""
    rows, columns = tile
    return np.flatnonzero((batch.row_tile == rows) & (batch.column_tile == columns))
