"""The candidates for a `MatrixPlan`: every way that is worth pricing.

Rows and columns are flattened, a register tile is laid over them, and each factor is
read in place, through a row table, from a padded copy, or packed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

from polydsl.base.providers import provider_named
from polydsl.poly.terms import Linear
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.matrix_builder import build, overhanging_dims
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import (
    AXES,
    Axis,
    How,
    MatrixPoint,
    Reading,
    TileLoop,
    point_axis,
)
from polydsl.schedule.operand import Operand, flat_step, row_major
from polydsl.schedule.provider_cost import block_shapes
from polydsl.schedule.setting import Setting

DEPTH_BLOCK = 512
"""Depth of a block, at most about: its panel of B stays in L2, its rows of A in L1."""
PARALLEL_PRODUCTS = 1 << 19
"""A product of fewer multiply-adds runs on one thread."""
ROW_POINTS = 256
"""Rows are flattened until they are at least so many: tails stop to matter."""


def matrix_candidates(
    setting: Setting, contraction: Contraction, initialize: str | None
) -> Iterator[MatrixPlan]:
    """Yield every plan that is worth pricing; the order breaks ties."""
    c = contraction.c.offset(setting.layout[contraction.c.tensor])
    sizes = contraction.sizes
    provider = provider_named(setting.microkernel)
    chains = product(
        _row_chains(setting, contraction, c), _column_chains(contraction, setting)
    )
    for rows, columns in chains:
        tiles = block_shapes(
            provider,
            setting.machine,
            contraction.dtype,
            rows=prod(sizes[d] for d in rows),
            columns=prod(sizes[d] for d in columns),
            inner=contraction.inner,
        )
        for row_tile, column_tile in tiles:
            draft = _Draft(setting, contraction, rows, columns, row_tile, column_tile)
            for point in draft.points():
                plan = build(setting, contraction, point, initialize)
                if isinstance(plan, MatrixPlan):
                    yield plan


def _row_chains(
    setting: Setting, contraction: Contraction, c: Linear
) -> Iterator[tuple[str, ...]]:
    """Yield row indices to flatten, outermost first: enough to fill tiles, and for a
    provider that takes no table of rows also the innermost one alone."""
    chain = _row_chain(contraction, c)
    yield chain
    if len(chain) > 1 and not provider_named(setting.microkernel).is_general:
        yield chain[-1:]


def _row_chain(contraction: Contraction, c: Linear) -> tuple[str, ...]:
    ordered = sorted(contraction.rows, key=lambda d: abs(c.coefficient(d)))
    sizes = contraction.sizes
    chain: list[str] = []
    points = 1
    for d in ordered:
        if chain and points >= ROW_POINTS:
            break
        chain.insert(0, d)
        points *= sizes[d]
    return tuple(chain)


def _column_chains(
    contraction: Contraction, setting: Setting
) -> Iterator[tuple[str, ...]]:
    """Yield the contiguous column index, and the longest contiguous flattening."""
    c = contraction.c.offset(setting.layout[contraction.c.tensor])
    sizes = contraction.sizes
    ordered = sorted(
        (d for d in contraction.columns if sizes[d] > 1),
        key=lambda d: abs(c.coefficient(d)),
    )
    chain: tuple[str, ...] = (ordered[0],)
    yield chain
    for d in ordered[1:]:
        if flat_step(c, (d, *chain), sizes) != 1:
            break
        chain = (d, *chain)
    if len(chain) > 1:
        yield chain


@dataclass(frozen=True, slots=True)
class _Draft:
    """A point whose factors are still to be decided; the contraction is oriented."""

    setting: Setting
    contraction: Contraction
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_tile: int
    column_tile: int

    def points(self) -> Iterator[MatrixPoint]:
        """Yield a point for every way to read both factors."""
        ways: tuple[How, ...] = ("in place", "packed", "padded")
        for how_a, how_b in product(ways, ways):
            if self._is_wanted(how_a, self.contraction.a) and self._is_wanted(
                how_b, self.contraction.b
            ):
                yield self._point(how_a, how_b)

    def _is_wanted(self, how: How, operand: Operand) -> bool:
        return how != "padded" or self._overhangs(operand)

    def _overhangs(self, operand: Operand) -> bool:
        shape = self.setting.scop.tensor(operand.tensor).shape
        return any(operand.overhangs(shape, self.contraction.box))

    def _point(self, how_a: How, how_b: How) -> MatrixPoint:
        sizes = self.contraction.sizes
        depth = self._depth_chain(how_a, how_b)
        length = prod(sizes[d] for d in depth)
        blocks = ceil(length / (2 * DEPTH_BLOCK)) if length > 2 * DEPTH_BLOCK else 1
        taps = prod(sizes[d] for d in self.contraction.depth) // length
        is_bound = self.contraction.b.tensor in self.setting.bound
        loops, parallel = self._loops()
        is_local = how_b == "packed" and not is_bound
        return MatrixPoint(
            False,
            self.rows,
            self.columns,
            depth,
            self.row_tile,
            self.column_tile,
            ceil(length / blocks),
            self._taps_block(length, taps),
            loops,
            Reading(how_a),
            Reading(how_b, self._panel(loops) if is_local else 0),
            parallel,
            self.setting.microkernel,
        )

    def _outer(self) -> tuple[str, ...]:
        tiled = (*self.rows, *self.columns, *self.contraction.depth)
        found = self.contraction
        dims = (*found.batch, *found.rows, *found.columns)
        return tuple(d for d in dims if d not in tiled and found.sizes[d] > 1)

    def _loops(self) -> tuple[tuple[TileLoop, ...], int]:
        """Return outer points, panels of columns, blocks of the reduction and tiles of
        rows; and the place of the loop that threads share. Where those are the rows,
        they are cut into a part for each thread, outside of the panels."""
        outer = tuple(TileLoop(point_axis(d)) for d in self._outer())
        inner = ("columns", "taps", "depth", "rows")
        loops = (*outer, *(TileLoop(axis) for axis in inner))
        shared = self._parallel()
        if shared == "rows":
            each = ceil(self._tiles("rows") / self.setting.machine.cores)
            loops = (*outer, TileLoop("rows", each), *loops[len(outer) :])
        axes = tuple(loop.axis for loop in loops)
        return loops, axes.index(shared) if shared else -1

    def _panel(self, loops: tuple[TileLoop, ...]) -> int:
        """Return the place inside of a panel, or further out where there is one panel
        and the loops around it do not move B."""
        place = next(n for n, loop in enumerate(loops) if loop.axis == "columns") + 1
        while place and not self._moves_b(loops[place - 1]):
            place -= 1
        return place

    def _moves_b(self, loop: TileLoop) -> bool:
        if loop.axis == "columns":
            return self._tiles("columns") > 1
        return loop.axis not in AXES and loop.dimension in self.contraction.b.dims

    def _tiles(self, axis: Axis) -> int:
        rows = (self.rows, self.row_tile)
        dims, tile = rows if axis == "rows" else (self.columns, self.column_tile)
        return ceil(prod(self.contraction.sizes[d] for d in dims) / tile)

    def _taps_block(self, length: int, taps: int) -> int:
        most = max(1, (2 * DEPTH_BLOCK) // max(length, 1))
        return ceil(taps / ceil(taps / most))

    def _parallel(self) -> str:
        """Return the axis of the loop that threads share: the outermost one that feeds
        them all; none where a second thread costs more than it saves."""
        sizes = self.contraction.sizes
        cores = self.setting.machine.cores
        if prod(sizes.values()) < PARALLEL_PRODUCTS:
            return ""
        for d in self._outer():
            if sizes[d] % cores == 0 or sizes[d] >= 4 * cores:
                return point_axis(d)
        panels, tiles = self._tiles("columns"), self._tiles("rows")
        if panels % cores == 0 or panels >= 4 * cores or panels >= tiles:
            return "columns"
        return "rows"

    def _depth_chain(self, how_a: How, how_b: How) -> tuple[str, ...]:
        """Return the longest flattening of depth indices that both factors allow."""
        sizes = self.contraction.sizes
        a = self.contraction.a
        fixed: frozenset[str] = frozenset()
        if how_a == "in place":
            # Where a row's padding depends on an index, it is no depth.
            fixed = overhanging_dims(self.setting, self.contraction, a)
        allowed = [d for d in self.contraction.depth if sizes[d] > 1 and d not in fixed]
        in_place = [
            self._offset(operand, how)
            for how, operand in ((how_a, a), (how_b, self.contraction.b))
            if how != "packed"
        ]
        if not allowed:
            return ()
        if not in_place:
            return tuple(allowed)
        ordered = sorted(allowed, key=lambda d: abs(in_place[0].coefficient(d)))
        chains = [
            _grow(first, ordered, in_place, self.contraction) for first in ordered
        ]
        chain = max(chains, key=lambda chain: prod(sizes[d] for d in chain))
        is_general = provider_named(self.setting.microkernel).is_general
        return chain if is_general or how_a == "packed" else self._apart(chain, how_a)

    def _apart(self, chain: tuple[str, ...], how_a: How) -> tuple[str, ...]:
        """Shorten a flattening of the depth until the rows do not overlap: they are to
        be a matrix. What is left out is the batch."""
        sizes = self.contraction.sizes
        row = flat_step(self._offset(self.contraction.a, how_a), self.rows, sizes)
        while row and len(chain) > 1 and prod(sizes[d] for d in chain) > row:
            chain = chain[1:]
        return chain

    def _offset(self, operand: Operand, how: How) -> Linear:
        """Return the places of a factor's elements, in its tensor or a padded copy."""
        strides = self.setting.layout[operand.tensor]
        if how == "padded":
            strides = row_major(operand.reach(self.contraction.box))
        return operand.offset(strides)


def _grow(
    first: str, ordered: list[str], in_place: list[Linear], contraction: Contraction
) -> tuple[str, ...]:
    """Extend a chain outwards while every factor in place stays linear on it."""
    chain: tuple[str, ...] = (first,)
    for d in ordered:
        if d in chain:
            continue
        longer = (d, *chain)
        steps = (flat_step(offset, longer, contraction.sizes) for offset in in_place)
        if all(step is not None for step in steps):
            chain = longer
    return chain
