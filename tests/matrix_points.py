"""Random points of the space of product schedules, and plans made of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from unittest.mock import patch

from polydsl.poly.terms import Linear
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.decision import Cost, Decision
from polydsl.schedule.matrix_builder import build
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import (
    AXES,
    MatrixPoint,
    Reading,
    TileLoop,
    point_axis,
)
from polydsl.schedule.refused import Refused
from polydsl.schedule.setting import Setting

TRIES = 40
"""So many points are drawn for a plan; most are possible."""


def random_point(
    setting: Setting, contraction: Contraction, rng: random.Random
) -> MatrixPoint:
    """Return a point whose loops are right; its factors may not be read like that."""
    layout = setting.layout[contraction.c.tensor]
    sides = {swap: _oriented(contraction, swap) for swap in (False, True)}
    good = [s for s, c in sides.items() if _is_contiguous(c, c.c.offset(layout))]
    is_swapped = rng.choice(good or [False])
    return _Draw(sides[is_swapped], is_swapped, layout, rng).point()


def _oriented(contraction: Contraction, is_swapped: bool) -> Contraction:
    return contraction.swapped() if is_swapped else contraction


def _is_contiguous(contraction: Contraction, c: Linear) -> bool:
    moving = (d for d in contraction.columns if contraction.sizes[d] > 1)
    return any(c.coefficient(d) == 1 for d in moving)


class _Draw:
    """One draw of a point."""

    def __init__(
        self,
        contraction: Contraction,
        is_swapped: bool,
        layout: tuple[int, ...],
        rng: random.Random,
    ) -> None:
        self.found, self.is_swapped, self.rng = contraction, is_swapped, rng
        self.sizes = contraction.sizes
        self.c = contraction.c.offset(layout)

    def point(self) -> MatrixPoint:
        rows = self.run(self.found.rows)
        columns = self.run(self.found.columns, 1 if self.rng.random() < 0.7 else 3)
        moving = [d for d in self.found.depth if self.sizes[d] > 1]
        count = self.rng.randint(0, len(moving))
        chosen = self.rng.sample(moving, count)
        depth = tuple(d for d in moving if d in chosen)
        taps = tuple(d for d in moving if d not in chosen)
        dims = {"rows": rows, "columns": columns, "depth": depth, "taps": taps}
        tiles = {axis: self.tile(axis, dims[axis]) for axis in AXES}
        loops = self.loops((*rows, *columns, *depth, *taps))
        shared = [
            place
            for place, loop in enumerate(loops)
            if loop.axis not in ("depth", "taps")
        ]
        return MatrixPoint(
            self.is_swapped,
            rows,
            columns,
            depth,
            tiles["rows"],
            tiles["columns"],
            tiles["depth"],
            tiles["taps"],
            loops,
            self.reading(loops),
            self.reading(loops),
            self.rng.choice([-1, *shared]),
        )

    def run(self, dims: tuple[str, ...], most: int = 3) -> tuple[str, ...]:
        """Draw dimensions that follow each other in the result, the fastest last."""
        moving = [d for d in dims if self.sizes[d] > 1] or list(dims)
        ordered = sorted(moving, key=lambda d: abs(self.c.coefficient(d)))
        count = self.rng.randint(1, min(most, len(ordered)))
        return tuple(reversed(ordered[:count]))

    def tile(self, axis: str, dims: tuple[str, ...]) -> int:
        extent = prod(self.sizes[d] for d in dims)
        most = {"rows": 7, "columns": 40, "depth": 9, "taps": 5}[axis]
        return self.rng.randint(1, max(1, min(most, extent)))

    def loops(self, tiled: tuple[str, ...]) -> tuple[TileLoop, ...]:
        """Draw one to three levels of every axis, in any order."""
        groups: list[list[TileLoop]] = []
        for axis in AXES:
            spans = [1]
            while len(spans) < 3 and self.rng.random() < 0.4:
                spans.insert(0, spans[0] * self.rng.randint(2, 3))
            groups.append([TileLoop(axis, span) for span in spans])
        outer = (d for d, n in self.sizes.items() if d not in tiled and n > 1)
        groups += [[TileLoop(point_axis(d))] for d in outer]
        found: list[TileLoop] = []
        while groups:
            group = self.rng.choice(groups)
            found.append(group.pop(0))
            groups = [g for g in groups if g]
        return tuple(found)

    def reading(self, loops: tuple[TileLoop, ...]) -> Reading:
        how = self.rng.choice(("in place", "packed", "packed", "packed", "padded"))
        if how != "packed":
            return Reading("padded" if how == "padded" else "in place")
        return Reading("packed", self.rng.randint(0, len(loops)))


def random_plan(
    setting: Setting, contraction: Contraction, initialize: str | None, seed: int
) -> tuple[MatrixPoint, MatrixPlan] | None:
    """Return a random point that is possible, and its plan."""
    rng = random.Random(f"{seed} {setting.statement.name}")
    for _ in range(TRIES):
        point = random_point(setting, contraction, rng)
        plan = build(setting, contraction, point, initialize)
        if not isinstance(plan, Refused):
            return point, plan
    return None


@contextmanager
def random_points(seed: int) -> Iterator[None]:
    """Compute every product that is found as a random point says."""

    def choose(
        setting: Setting, contraction: Contraction, initialize: str | None
    ) -> tuple[MatrixPlan, Decision] | None:
        made = random_plan(setting, contraction, initialize, seed)
        if made is None:
            return None
        _, plan = made
        free = Cost((("chance", 0.0),))
        return plan, Decision(plan.contraction.statement, plan.describe(), "", free)

    with patch("polydsl.schedule.group_plan.choose_matrix_plan", choose):
        yield
