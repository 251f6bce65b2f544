"""What register tiles cost that hold several points of an index which bounds a sum: the
sum runs for all of them, masked where a point does not take part.

The lengths of sums are looked at for some left-hand points only, with one point in a
tile and with several.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from polydsl.poly.conditions import ordered_indices
from polydsl.poly.enumerate import term_values
from polydsl.poly.loop_bounds import inner_bounds, is_exact
from polydsl.poly.scop import Statement
from polydsl.schedule.vector_builder import VectorSetting

SAMPLES = 5
"""So many values of each index are looked at."""
WIDE = 8
"""A tile of so many points is compared with one of a single point."""


def tied(setting: VectorSetting, statement: Statement) -> tuple[str, ...]:
    """Return the left-hand indices that bound a sum and may be tiled all the same."""
    if not statement.reduced or not is_exact(statement):
        return ()
    inner = {*statement.reduced}
    names = [{*ordered_indices(c)} for c in statement.conditions]
    bounding = {d for found in names if found & inner for d in found}
    return tuple(d for d in setting.left if d in bounding - setting.untiled)


def spreads(setting: VectorSetting, statement: Statement) -> dict[str, float]:
    """Return by which part a sum gets longer with each further point of an index in a
    register tile; an index that bounds no sum is left out."""
    found: dict[str, float] = {}
    for d in tied(setting, statement):
        one, many = (_length(setting, statement, {d: n}) for n in (1, WIDE))
        found[d] = max(many / max(one, 1.0) - 1.0, 0.0) / (WIDE - 1)
    return found


def mask_instructions(statement: Statement) -> float:
    """Return the instructions that masking one vector takes: two comparisons at most
    for each condition on a sum, and a selection."""
    inner = {*statement.reduced}
    masks = sum(bool({*ordered_indices(c)} & inner) for c in statement.conditions)
    return 2.0 * masks + 1.0


def _length(
    setting: VectorSetting, statement: Statement, tiles: Mapping[str, int]
) -> float:
    """Return the mean number of points of a sum, for tiles of some size."""
    shaping = setting.initialize or setting.model
    left = (*setting.fixed, *setting.left)
    inner = statement.reduced
    bounds = inner_bounds(shaping, statement, left, inner, tiles)
    grid = np.meshgrid(*(_samples(statement, d) for d in left), indexing="ij")
    values = {d: side.ravel() for d, side in zip(left, grid)}
    length: NDArray[np.float64] = np.ones(grid[0].size if grid else 1)
    for d in inner:
        ends = (bounds[d].lo, bounds[d].hi)
        lo, hi = (term_values(e, values, setting.scop.sizes) for e in ends)
        length = length * np.maximum(hi - lo, 0)
        values[d] = (lo + hi) // 2
    return float(length.mean()) if length.size else 0.0


def _samples(statement: Statement, d: str) -> list[int]:
    """Return some values of a dimension; one, where no condition holds it."""
    lo, hi = statement.ranges[d]
    is_bound = any(d in ordered_indices(c) for c in statement.conditions)
    count = min(SAMPLES, max(hi - lo + 1, 1)) if is_bound else 1
    return [lo + (hi - lo) * k // max(count - 1, 1) for k in range(count)]
