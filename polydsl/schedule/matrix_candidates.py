"""The candidates for a `MatrixPlan`: every way that is worth pricing.

Rows and columns are flattened, a register tile is laid over them, and each factor is
read in place, through a row table, from a padded copy, or packed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

from polydsl.base.machine import Machine
from polydsl.base.providers import BUILT_IN, provider_named
from polydsl.base.source import Span
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.terms import Linear
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.copies import Tiling, pack_copy, pad_copy, turned
from polydsl.schedule.matrix_plan import Copy, Factor, MatrixPlan, RowMode
from polydsl.schedule.operand import Layout, Operand, flat_step, row_major
from polydsl.schedule.provider_cost import block_shapes

DEPTH_BLOCK = 512
"""Depth of a block, at most about: its panel of B stays in L2, its rows of A in L1."""
PARALLEL_PRODUCTS = 1 << 19
"""A product of fewer multiply-adds runs on one thread."""
ROW_POINTS = 256
"""Rows are flattened until they are at least so many: tails stop to matter."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a choice is made for: the program, the layout and the machine.

    `bound` are the tensors whose elements are known once and for ever, `microkernel`
    names the provider whose microkernels are planned for.
    """

    scop: Scop
    statement: Statement
    layout: Layout
    machine: Machine
    bound: frozenset[str]
    microkernel: str = BUILT_IN

    @property
    def span(self) -> Span:
        """The place of the statement in its source."""
        return self.statement.span

    def strides(
        self, operand: Operand, copies: tuple[Copy | None, ...]
    ) -> tuple[int, ...]:
        """Return the strides of an operand's tensor, which may be a copy."""
        for copy in copies:
            if copy is not None and copy.tensor == operand.tensor:
                return row_major(copy.shape)
        return self.layout[operand.tensor]


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
            draft = _Draft(
                setting, contraction, initialize, rows, columns, row_tile, column_tile
            )
            yield from draft.plans()


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
    """A plan whose factors are still to be decided."""

    setting: Setting
    contraction: Contraction
    initialize: str | None
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_tile: int
    column_tile: int

    @property
    def outer(self) -> tuple[str, ...]:
        sizes = self.contraction.sizes
        tiled = (*self.rows, *self.columns)
        dims = (
            *self.contraction.batch,
            *self.contraction.rows,
            *self.contraction.columns,
        )
        return tuple(d for d in dims if d not in tiled and sizes[d] > 1)

    def plans(self) -> Iterator[MatrixPlan]:
        ways_a = tuple(self._ways(self.contraction.a, is_columns=False))
        ways_b = tuple(self._ways(self.contraction.b, is_columns=True))
        for way_a, way_b in product(ways_a, ways_b):
            plan = self._plan(way_a, way_b)
            if plan is not None:
                yield plan

    def _ways(self, operand: Operand, is_columns: bool) -> Iterator[_Way]:
        shape = self.setting.scop.tensor(operand.tensor).shape
        overhang = operand.overhangs(shape, self.contraction.box)
        plain = Operand(operand.tensor, operand.subscripts)
        padded = any(overhang)
        if not padded:
            yield _Way(plain, None, False, False)
        elif not is_columns:
            yield _Way(operand, None, True, False)
        yield _Way(operand if padded else plain, None, False, True)
        if padded:
            copy, access = pad_copy(
                operand,
                self._name(operand, is_columns, "pad"),
                self.contraction.dtype,
                shape,
                self.contraction.box,
                self.setting.span,
                operand.tensor in self.setting.bound,
                self.setting.machine.lanes(self.contraction.dtype),
            )
            yield _Way(access, copy, False, False)

    def _name(self, operand: Operand, is_columns: bool, suffix: str) -> str:
        """Return the name of a copy: both factors may be of one tensor."""
        side = "columns" if is_columns else "rows"
        return f"{self.setting.statement.name}_{operand.tensor}_{side}_{suffix}"

    def _plan(self, way_a: _Way, way_b: _Way) -> MatrixPlan | None:
        depth = self._depth_chain(way_a, way_b)
        if depth is None:
            return None
        sizes = self.contraction.sizes
        taps = tuple(d for d in self.contraction.depth if d not in depth)
        taps = tuple(d for d in taps if sizes[d] > 1)
        length = prod(sizes[d] for d in depth)
        blocks = ceil(length / (2 * DEPTH_BLOCK)) if length > 2 * DEPTH_BLOCK else 1
        a = self._factor(way_a, self.rows, self.row_tile, taps, depth, False)
        b = self._factor(way_b, self.columns, self.column_tile, taps, depth, True)
        if a is None or b is None:
            return None
        parallel = self._parallel()
        return MatrixPlan(
            self.contraction,
            self.initialize,
            self.outer,
            self.rows,
            self.row_tile,
            self.columns,
            self.column_tile,
            depth,
            ceil(length / blocks),
            taps,
            self._taps_block(length, taps),
            a,
            b,
            parallel,
            self.setting.machine.cores if parallel == "rows" else 1,
            self.setting.microkernel,
        )

    def _taps_block(self, length: int, taps: tuple[str, ...]) -> int:
        count = prod(self.contraction.sizes[d] for d in taps)
        most = max(1, (2 * DEPTH_BLOCK) // max(length, 1))
        return ceil(count / ceil(count / most))

    def _parallel(self) -> str:
        """Return the loop that threads share: the outermost one that feeds them all;
        none where a second thread costs more than it saves."""
        sizes = self.contraction.sizes
        cores = self.setting.machine.cores
        if prod(sizes.values()) < PARALLEL_PRODUCTS:
            return ""
        for d in self.outer:
            if sizes[d] % cores == 0 or sizes[d] >= 4 * cores:
                return d
        panels = ceil(prod(sizes[d] for d in self.columns) / self.column_tile)
        tiles = ceil(prod(sizes[d] for d in self.rows) / self.row_tile)
        if panels % cores == 0 or panels >= 4 * cores or panels >= tiles:
            return "panel"
        return "rows"

    def _depth_chain(self, way_a: _Way, way_b: _Way) -> tuple[str, ...] | None:
        """Return the longest flattening of depth indices that both factors allow."""
        allowed = [
            d
            for d in self.contraction.depth
            if self.contraction.sizes[d] > 1 and self._may_be_depth(d, way_a)
        ]
        in_place = [
            way.operand.offset(self.setting.strides(way.operand, (way.padded,)))
            for way in (way_a, way_b)
            if not way.is_packed
        ]
        if not allowed:
            return self.contraction.depth[:1] if not way_a.is_guarded else None
        if not in_place:
            return tuple(allowed)
        ordered = sorted(allowed, key=lambda d: abs(in_place[0].coefficient(d)))
        chains = [
            _grow(first, ordered, in_place, self.contraction) for first in ordered
        ]
        return max(
            chains, key=lambda chain: prod(self.contraction.sizes[d] for d in chain)
        )

    def _may_be_depth(self, d: str, way_a: _Way) -> bool:
        """Whether an index may run inside the microkernel: not where a row's padding
        depends on it."""
        if not way_a.is_guarded:
            return True
        return d not in _overhanging_dims(self.setting, self.contraction, way_a.operand)

    def _factor(
        self,
        way: _Way,
        dims: tuple[str, ...],
        tile: int,
        taps: tuple[str, ...],
        depth: tuple[str, ...],
        is_columns: bool,
    ) -> Factor | None:
        sizes = self.contraction.sizes
        if way.is_packed:
            bound = way.operand.tensor in self.setting.bound
            pack = pack_copy(
                way.operand,
                self._name(way.operand, is_columns, "pack"),
                self.contraction.dtype,
                sizes,
                self.outer,
                Tiling(dims, tile),
                taps,
                depth,
                self.setting.span,
                prepared=bound,
                local=is_columns and not bound,
                lanes=self.setting.machine.lanes(self.contraction.dtype),
            )
            pack = turned(pack, self.setting.layout)
            return Factor(way.operand, None, pack, "strided")
        strides = self.setting.strides(way.operand, (way.padded,))
        step = flat_step(way.operand.offset(strides), dims, sizes)
        if is_columns:
            unit = Factor(way.operand, way.padded, None, "strided")
            return unit if step == 1 else None
        if way.is_guarded:
            mode: RowMode = "guarded"
            found = _overhanging_dims(self.setting, self.contraction, way.operand)
            backward = (flat_step(way.operand.offset(strides), depth, sizes) or 0) < 0
            if backward or not found <= {*dims, *taps}:
                return None
        else:
            mode = "strided" if step is not None else "table"
        return Factor(way.operand, way.padded, None, mode)


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to read a factor."""

    operand: Operand
    padded: Copy | None
    is_guarded: bool
    is_packed: bool


def _overhanging_dims(
    setting: Setting, contraction: Contraction, operand: Operand
) -> set[str]:
    """Return the indices that decide whether an access is inside its tensor."""
    shape = setting.scop.tensor(operand.tensor).shape
    sizes = contraction.sizes
    overhang = operand.overhangs(shape, contraction.box)
    return {
        d
        for subscript, leaves in zip(operand.subscripts, overhang)
        if leaves
        for d, _ in subscript.coefficients
        if sizes[d] > 1
    }


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
