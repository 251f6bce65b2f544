"""The space of schedules of one family: a grid, random points, neighbours.

A candidate has two levels of loops over rows and over columns, one over blocks of the
depth, one over blocks of taps, and one for each outer dimension, in any order. Which
numbers a tile or a block may be does not depend on whether they divide anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import ceil
from typing import NamedTuple

import numpy as np

from polydsl.base.providers import provider_named
from polydsl.schedule.matrix_batch import WHOLE, Batch, Numbers
from polydsl.schedule.matrix_family import Family
from polydsl.schedule.matrix_point import AXES
from polydsl.schedule.provider_cost import block_shapes
from polydsl.schedule.setting import Setting

ROWS, COLUMNS, TAPS, DEPTH = range(len(AXES))
LEVELS = (ROWS, COLUMNS, ROWS, COLUMNS, TAPS, DEPTH)
"""The axes of the loops beside the outer points."""

ORDERS: tuple[tuple[int, ...], ...] = (
    (COLUMNS, TAPS, DEPTH, ROWS),
    (TAPS, DEPTH, COLUMNS, ROWS),
    (ROWS, TAPS, DEPTH, COLUMNS),
    (TAPS, DEPTH, ROWS, COLUMNS),
    (ROWS, COLUMNS, TAPS, DEPTH),
    (COLUMNS, ROWS, TAPS, DEPTH),
    (ROWS, TAPS, DEPTH, COLUMNS, ROWS),
    (TAPS, DEPTH, ROWS, COLUMNS, ROWS),
    (COLUMNS, TAPS, DEPTH, ROWS, COLUMNS),
    (TAPS, DEPTH, COLUMNS, ROWS, COLUMNS),
    (COLUMNS, TAPS, DEPTH, ROWS, COLUMNS, ROWS),
    (ROWS, COLUMNS, TAPS, DEPTH, ROWS, COLUMNS),
)
"""The orders of loops that the first look at a family tries, inside the outer points;
an axis that occurs twice is cut at two levels."""

UNCUT = tuple(ORDERS[n] for n in (0, 2, 6, 8, 11))
"""Those of them that differ where the reduction is not cut."""

LEAST_DEPTH = 16
"""Blocks of the depth are no shorter, where there is more than one."""


@dataclass(frozen=True)
class Space:
    """The candidates of one family."""

    setting: Setting
    family: Family

    @property
    def loops(self) -> int:
        """The number of loops of a candidate."""
        return len(LEVELS) + len(self.family.outer)

    # What the numbers may be

    @cached_property
    def tiles(self) -> tuple[tuple[int, int], ...]:
        """Tiles (rows, columns) worth a first look: tallest and evened out."""
        plan = self.family.plan
        shapes = block_shapes(
            provider_named(plan.microkernel),
            self.setting.machine,
            plan.contraction.dtype,
            rows=plan.side("rows").extent,
            columns=plan.side("columns").extent,
            inner=plan.contraction.inner,
        )
        return tuple(shapes)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Blocks of the depth: whole, and evenly cut ever finer."""
        return _blocks(self.family.plan.side("depth").extent)

    @cached_property
    def taps(self) -> tuple[int, ...]:
        """Blocks of taps: all, half, those of inner indices together, single ones."""
        plan = self.family.plan
        sizes = plan.contraction.sizes
        found, block = [1], 1
        for d in reversed(plan.taps):
            block *= sizes[d]
            found.append(block)
        return tuple(sorted({*found, ceil(block / 2)}, reverse=True))

    def heights(self, columns: int) -> tuple[int, ...]:
        """Return every number of rows that a tile of so many columns may have."""
        most = max((rows for rows, wide in self.tiles if wide >= columns), default=1)
        return tuple(range(1, most + 1))

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Every number of columns that a tile may have."""
        return tuple(sorted({wide for _, wide in self.tiles}))

    @cached_property
    def _places(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the places where each factor may be packed."""
        plan = self.family.plan
        bound = self.setting.bound
        tensors = (plan.contraction.a.tensor, plan.contraction.b.tensor)
        hows = (self.family.how_a, self.family.how_b)
        everywhere = tuple(range(self.loops + 1))
        a, b = (
            everywhere if how == "packed" and tensor not in bound else (0,)
            for how, tensor in zip(hows, tensors)
        )
        return a, b

    # A first look

    def coarse(self, *, is_short: bool = False) -> Batch:
        """Return the candidates of a first look: every register tile and block of the
        reduction with every order of loops that is listed. For a short product the
        best two tiles, and the reduction in one block."""
        tiles = self.tiles[:2] if is_short else self.tiles
        cuts = () if is_short else self._blocks[1:]
        parts = []
        for orders, blocks in ((UNCUT, self._blocks[:1]), (ORDERS, cuts)):
            loops = self._numbers([c for order in orders for c in self._loops(order)])
            sizes = [(*tile, *block) for tile, block in product(tiles, blocks)]
            columns = np.tile(loops, (len(sizes), 1))
            columns[:, :4] = np.repeat(np.reshape(sizes, (-1, 4)), len(loops), axis=0)
            parts.append(columns)
        return self._batch(np.concatenate(parts))

    @cached_property
    def _blocks(self) -> tuple[tuple[int, int], ...]:
        """Blocks of the reduction (depth, taps) for a first look, the whole first, then
        one of the two cut."""
        whole = self.taps[0]
        cut = ((self.depths[0], taps) for taps in self.taps[1:])
        return (*((depth, whole) for depth in self.depths[:4]), *cut)

    def _loops(self, order: tuple[int, ...]) -> Iterator[Column]:
        """Yield an order of loops with every span, and with factors packed whole and as
        near as may be."""
        outer = tuple(len(AXES) + n for n in range(len(self.family.outer)))
        places = [tuple({p[0], p[-1]}) for p in self._places]
        for big, (a, b) in product(_bigs(order), product(*places)):
            yield Column(1, 1, 1, 1, (*outer, *order), *big, a, b)

    # Drawn at random

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return candidates drawn over the whole space of the family."""
        a_places, b_places = self._places
        columns = []
        for _ in range(count):
            wide = int(rng.choice(self.widths))
            heights = self.heights(wide)
            slots = [*LEVELS, *range(len(AXES), len(AXES) + len(self.family.outer))]
            columns.append(
                Column(
                    int(rng.choice(heights)),
                    wide,
                    int(rng.choice(self.depths)),
                    int(rng.choice(self.taps)),
                    tuple(int(n) for n in rng.permutation(slots)),
                    1 << int(rng.integers(0, 10)),
                    1 << int(rng.integers(0, 8)),
                    int(rng.choice(a_places)),
                    int(rng.choice(b_places)),
                )
            )
        return self.batch(columns)

    # Neighbours

    def neighbours(self, columns: Sequence[Column]) -> Batch:
        """Return the candidates that differ from one of some in a single respect."""
        found = dict.fromkeys(n for here in columns for n in self._near(here))
        return self.batch(list(found))

    def _near(self, here: Column) -> Iterator[Column]:
        a_places, b_places = self._places
        yield here
        yield from (here._replace(rows=n) for n in self.heights(here.columns))
        yield from (here._replace(rows=r, columns=c) for r, c in self.tiles)
        yield from (here._replace(depth=n) for n in self.depths)
        yield from (here._replace(taps=n) for n in self.taps)
        yield from (here._replace(big_rows=1 << n) for n in range(10))
        yield from (here._replace(big_columns=1 << n) for n in range(8))
        yield from (here._replace(axes=axes) for axes in _reordered(here.axes))
        yield from (here._replace(a_loops=n) for n in a_places)
        yield from (here._replace(b_loops=n) for n in b_places)

    def column(self, batch: Batch, number: int) -> Column:
        """Return one candidate of a batch, with a loop over every axis."""
        axes = tuple(batch.axis[:, number].tolist())
        tiles = batch.tiles[:, number].tolist()
        big = {a: tiles[axes.index(a)] for a in (ROWS, COLUMNS) if axes.count(a) > 1}
        missing = (axis for axis in range(self._axes) if axis not in axes)
        return Column(
            int(batch.row_tile[number]),
            int(batch.column_tile[number]),
            int(batch.depth_block[number]),
            int(batch.taps_block[number]),
            (*axes, *missing),
            big.get(ROWS, WHOLE),
            big.get(COLUMNS, WHOLE),
            int(batch.a_loops[number]),
            int(batch.b_loops[number]),
        )

    @property
    def _axes(self) -> int:
        return len(AXES) + len(self.family.outer)

    # From columns to arrays

    def batch(self, columns: Sequence[Column]) -> Batch:
        """Return candidates as arrays."""
        return self._batch(self._numbers(columns))

    def _numbers(self, columns: Sequence[Column]) -> Numbers:
        """Return the numbers of each candidate in a row: tile, blocks, spans of outer
        loops, places of packing, and the axes of all loops."""
        rows = [
            (*c[:4], c.big_rows, c.big_columns, c.a_loops, c.b_loops, *self._slots(c))
            for c in columns
        ]
        return np.array(rows, dtype=np.int64).reshape(len(rows), 8 + self.loops)

    def _batch(self, numbers: Numbers) -> Batch:
        """Return candidates with every loop in a slot; each row of numbers is one."""
        rows, wide, depth, taps, big_rows, big_columns, a, b, *slots = numbers.T
        axis = np.array(slots)
        tiles = np.ones_like(axis)
        for level, spans in ((ROWS, big_rows), (COLUMNS, big_columns)):
            here = axis == level
            first = here & (np.cumsum(here, axis=0) == 1)
            tiles = np.where(first, spans, tiles)
        own = np.zeros_like(rows)
        return Batch((self.family,), own, rows, wide, depth, taps, axis, tiles, a, b)

    def _slots(self, column: Column) -> tuple[int, ...]:
        """Return the axes of all slots: an axis that has one loop gets another one
        outside of all, which runs once."""
        missing = tuple(
            axis for axis in (ROWS, COLUMNS) if column.axes.count(axis) == 1
        )
        return (*missing, *column.axes)


class Column(NamedTuple):
    """One candidate; `big_rows` and `big_columns` are the tiles that an iteration of
    the outer loop over an axis spans."""

    rows: int
    columns: int
    depth: int
    taps: int
    axes: tuple[int, ...]
    big_rows: int = WHOLE
    big_columns: int = WHOLE
    a_loops: int = 0
    b_loops: int = 0


def _blocks(extent: int) -> tuple[int, ...]:
    """Return the lengths of even parts of an extent, whole first."""
    found: dict[int, None] = {}
    for parts in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024):
        length = ceil(extent / parts)
        if parts > 1 and length < LEAST_DEPTH:
            break
        found.setdefault(length)
    return tuple(found)


def _bigs(order: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return the spans of the outer loops over rows and columns worth a first look."""
    whole = (WHOLE,)
    rows = (4, 16, 64) if order.count(ROWS) == 2 else whole
    columns = (2, 8, 32) if order.count(COLUMNS) == 2 else whole
    return tuple(product(rows, columns))


def _reordered(axes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Return every order in which one loop stands elsewhere."""
    found: dict[tuple[int, ...], None] = {}
    for taken, axis in enumerate(axes):
        rest = (*axes[:taken], *axes[taken + 1 :])
        for place in range(len(axes)):
            found.setdefault((*rest[:place], axis, *rest[place:]))
    return tuple(found)
