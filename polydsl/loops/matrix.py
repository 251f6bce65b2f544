"""Loops of a `MatrixPlan`: panels, depth blocks, row tiles, microkernel calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from polydsl.base.dtypes import BOOL
from polydsl.loops.copies import copy_buffer, copy_loops, factor_strides
from polydsl.loops.matrix_sides import ColumnSide, Place, ResultSide, RowSide
from polydsl.loops.nest import (
    TILE,
    BatchReduceGemm,
    Buffer,
    Call,
    Expr,
    Guard,
    Instance,
    Loop,
    LoopKind,
    Node,
    Var,
)
from polydsl.loops.terms import (
    ZERO,
    minimum,
    number,
    of_linear,
    plus,
    times,
    unflatten,
)
from polydsl.poly.scop import Scop
from polydsl.schedule.matrix_plan import Copy, MatrixPlan
from polydsl.schedule.operand import Layout


@dataclass(frozen=True, slots=True)
class MatrixLoops:
    """The nodes of one plan, what it prepares once, and its buffers."""

    nodes: tuple[Node, ...]
    prepare: tuple[Node, ...]
    buffers: tuple[Buffer, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """A part of the reduction: `batch` taps from `tap`, `depth` steps from `start`."""

    tap: Expr
    batch: int
    start: Expr
    depth: int
    accumulate: bool


@dataclass(frozen=True, slots=True)
class _Span:
    """A tile of rows or a panel of columns: its number, and how long it is."""

    number: Expr
    extent: int


def generate_matrix(scop: Scop, plan: MatrixPlan, layout: Layout) -> MatrixLoops:
    """Return the loops of a plan."""
    result = ResultSide(plan, layout[plan.contraction.c.tensor])
    rows = RowSide(plan, scop, factor_strides(plan.a, layout))
    columns = ColumnSide(plan, factor_strides(plan.b, layout))
    generator = _Generator(scop, plan, rows, columns, result)
    copies = (*plan.a.copies, *plan.b.copies)
    before = tuple(c for c in copies if not c.local and not c.prepared)
    once = tuple(c for c in copies if c.prepared)
    private = plan.parallel != ""
    return MatrixLoops(
        (*_whole(scop, before), *generator.loops()),
        _whole(scop, once),
        (
            *(copy_buffer(c, private=private and bool(c.local)) for c in copies),
            *rows.buffers,
            *columns.buffers,
            *result.buffers,
        ),
    )


def _whole(scop: Scop, copies: tuple[Copy, ...]) -> tuple[Node, ...]:
    return tuple(node for copy in copies for node in copy_loops(scop, copy, {}))


@dataclass(frozen=True, slots=True)
class _Generator:
    scop: Scop
    plan: MatrixPlan
    rows: RowSide
    columns: ColumnSide
    result: ResultSide

    def loops(self) -> tuple[Node, ...]:
        body = self._panels() if self.plan.row_chunks == 1 else self._chunks()
        sizes = self.plan.contraction.sizes
        for d in reversed(self.plan.outer):
            kind = self._kind(d)
            body = (Loop(d, ZERO, number(sizes[d]), body, kind=kind),)
        return body

    def _kind(self, loop: str) -> LoopKind:
        return "parallel" if loop == self.plan.parallel else "sequential"

    # Rows outside panels, for threads

    def _chunks(self) -> tuple[Node, ...]:
        chunk = Var("row_chunk'")
        body = self._panels(chunk)
        return (
            Loop(
                chunk.name,
                ZERO,
                number(self.plan.row_chunks),
                body,
                kind=self._kind("rows"),
            ),
        )

    # Panels of columns

    def _panels(self, chunk: Expr | None = None) -> tuple[Node, ...]:
        total = self.plan.extent(self.plan.columns)
        full, rest = divmod(total, self.plan.column_tile)
        nodes: tuple[Node, ...] = ()
        if full:
            panel = _Span(Var("panel'"), self.plan.column_tile)
            body = self._panel(panel, chunk)
            nodes += (
                Loop("panel'", ZERO, number(full), body, kind=self._kind("panel")),
            )
        if rest:
            nodes += self._panel(_Span(number(full), rest), chunk)
        return nodes

    def _panel(self, panel: _Span, chunk: Expr | None) -> tuple[Node, ...]:
        pack = self.plan.b.pack
        packing: tuple[Node, ...] = ()
        if pack is not None and pack.local:
            around: dict[str, Expr] = dict.fromkeys(pack.dims[: pack.local], ZERO)
            for d in self.plan.outer:
                around.update({n: Var(d) for n in around if n == f"{pack.tensor}_{d}"})
            around[pack.dims[pack.local - 1]] = panel.number
            packing = copy_loops(self.scop, pack, around)
        return (*packing, *self._blocks(panel, chunk))

    # Blocks of the depth

    def _blocks(self, panel: _Span, chunk: Expr | None) -> tuple[Node, ...]:
        taps = self.plan.extent(self.plan.taps)
        depth = self.plan.extent(self.plan.depth)
        if depth <= self.plan.depth_block:
            return tuple(self._tap_blocks(panel, chunk, taps, depth))
        return tuple(self._depth_blocks(panel, chunk, taps, depth))

    def _tap_blocks(
        self, panel: _Span, chunk: Expr | None, taps: int, depth: int
    ) -> Iterator[Node]:
        most = min(self.plan.taps_block, taps)
        full, rest = divmod(taps, most)
        first = 0
        if self.plan.initialize is not None:
            first = 1
            block = _Block(ZERO, most, ZERO, depth, accumulate=False)
            yield from self._tiles(panel, chunk, block)
        if full > first:
            tap = times(Var("tap_block'"), most)
            block = _Block(tap, most, ZERO, depth, accumulate=True)
            body = self._tiles(panel, chunk, block)
            yield Loop("tap_block'", number(first), number(full), body)
        if rest:
            block = _Block(number(full * most), rest, ZERO, depth, accumulate=True)
            yield from self._tiles(panel, chunk, block)

    def _depth_blocks(
        self, panel: _Span, chunk: Expr | None, taps: int, depth: int
    ) -> Iterator[Node]:
        """Cut the depth of each tap; the very first block may set C to zero."""
        first = self.plan.initialize is not None
        yield from self._one_tap(panel, chunk, ZERO, depth, first)
        if taps > 1:
            body = tuple(self._one_tap(panel, chunk, Var("tap'"), depth, False))
            yield Loop("tap'", number(1), number(taps), body)

    def _one_tap(
        self, panel: _Span, chunk: Expr | None, tap: Expr, depth: int, first: bool
    ) -> Iterator[Node]:
        most = self.plan.depth_block
        full, rest = divmod(depth, most)
        if first:
            block = _Block(tap, 1, ZERO, most, accumulate=False)
            yield from self._tiles(panel, chunk, block)
        if full > first:
            start = times(Var("depth_block'"), most)
            block = _Block(tap, 1, start, most, accumulate=True)
            body = self._tiles(panel, chunk, block)
            yield Loop("depth_block'", number(int(first)), number(full), body)
        if rest:
            block = _Block(tap, 1, number(full * most), rest, accumulate=True)
            yield from self._tiles(panel, chunk, block)

    # Tiles of rows

    def _tiles(
        self, panel: _Span, chunk: Expr | None, block: _Block
    ) -> tuple[Node, ...]:
        total = self.plan.extent(self.plan.rows)
        full, rest = divmod(total, self.plan.row_tile)
        tile = _Span(Var("row_tile'"), self.plan.row_tile)
        last = (self._call(panel, block, _Span(number(full), rest)),) if rest else ()
        lo: Expr = ZERO
        hi: Expr = number(full)
        if chunk is not None:
            each = -(-(full + bool(rest)) // self.plan.row_chunks)
            lo = times(chunk, each)
            hi = minimum(plus(lo, number(each)), hi)
            is_last = Call("eq", (chunk, number(full // each)), BOOL)
            last = (Guard(is_last, last),) if rest else ()
        main = Loop("row_tile'", lo, hi, (self._call(panel, block, tile),))
        return ((main,) if full else ()) + last

    def _call(self, panel: _Span, block: _Block, tile: _Span) -> Node:
        plan = self.plan
        place = Place(tile.number, panel.number, block.tap, block.start)
        return BatchReduceGemm(
            self.result.tile(place),
            self.rows.access(place, tile.extent),
            self.columns.access(place),
            tile.extent,
            panel.extent,
            block.batch,
            block.depth,
            block.accumulate,
            plan.contraction.dtype,
            self._instance(place),
            None if block.accumulate else self._initial(place),
            plan.contraction.inner,
            plan.microkernel,
        )

    # Instances

    def _instance(self, place: Place) -> Instance:
        values = self._values(place)
        contraction = self.plan.contraction
        return Instance(
            contraction.statement,
            tuple((d, of_linear(f, values)) for d, f in contraction.coordinates),
        )

    def _initial(self, place: Place) -> Instance:
        """Return the instances that set the tile to zero; they have the update's
        left-hand dimensions."""
        assert self.plan.initialize is not None
        statement = self.scop.statement(self.plan.initialize)
        coordinates = dict(self._instance(place).coordinates)
        return Instance(
            statement.name, tuple((d, coordinates[d]) for d in statement.dims)
        )

    def _values(self, place: Place) -> dict[str, Expr]:
        """Return every dimension at a point of a tile."""
        plan, sizes = self.plan, self.plan.contraction.sizes
        row, column, tap, step = TILE
        values: dict[str, Expr] = {d: Var(d) for d in plan.outer}
        flattened = (
            (plan.rows, plus(times(place.tile, plan.row_tile), Var(row))),
            (plan.columns, plus(times(place.panel, plan.column_tile), Var(column))),
            (plan.taps, plus(place.tap, Var(tap))),
            (plan.depth, plus(place.start, Var(step))),
        )
        for dims, flat in flattened:
            values.update(unflatten(flat, dims, sizes))
        return values
