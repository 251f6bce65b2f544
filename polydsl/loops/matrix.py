"""Loops of a `MatrixPlan`: loops over tiles, packing, microkernel calls.

The last tile of an axis may be shorter, and the first block of the reduction sets the
result to zero: each kind of tile has a microkernel call of its own, behind guards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from polydsl.loops.copies import copy_buffer, copy_loops, factor_strides
from polydsl.loops.matrix_places import (
    bounds,
    copy_around,
    tile_number,
    tile_start,
    variable,
)
from polydsl.loops.matrix_sides import ColumnSide, ResultSide, RowSide
from polydsl.loops.nest import (
    TILE,
    BatchReduceGemm,
    Buffer,
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
    at_least,
    both,
    either,
    equal,
    less,
    number,
    of_linear,
    plus,
    unflatten,
)
from polydsl.poly.scop import Scop
from polydsl.schedule.matrix_plan import Copy, MatrixPlan
from polydsl.schedule.matrix_point import Axis
from polydsl.schedule.operand import Layout


@dataclass(frozen=True, slots=True)
class MatrixLoops:
    """The nodes of one plan, what it prepares once, and its buffers."""

    nodes: tuple[Node, ...]
    prepare: tuple[Node, ...]
    buffers: tuple[Buffer, ...]


@dataclass(frozen=True, slots=True)
class _Tile:
    """What is known of a tile inside its loops: the length on each axis, and whether
    it accumulates; nothing for an axis that is still open."""

    rows: int = 0
    columns: int = 0
    taps: int = 0
    depth: int = 0
    accumulate: bool = True


@dataclass(frozen=True, slots=True)
class _Case:
    """One of the kinds of tiles of a loop; None where it is the only one."""

    condition: Expr | None
    tile: _Tile


def generate_matrix(scop: Scop, plan: MatrixPlan, layout: Layout) -> MatrixLoops:
    """Return the loops of a plan."""
    result = ResultSide(plan, layout[plan.contraction.c.tensor])
    rows = RowSide(plan, scop, factor_strides(plan.a, layout))
    columns = ColumnSide(plan, factor_strides(plan.b, layout))
    generator = _Generator(scop, plan, rows, columns, result)
    copies = (*plan.a.copies, *plan.b.copies)
    once = tuple(c for c in copies if c.prepared)
    before = tuple(c for c in copies if not c.loops and not c.prepared)
    return MatrixLoops(
        (*_whole(scop, before), *generator.inside(0, _Tile())),
        _whole(scop, once),
        (
            *(copy_buffer(c, private=_is_private(plan, c)) for c in copies),
            *rows.buffers,
            *columns.buffers,
            *result.buffers,
        ),
    )


def _whole(scop: Scop, copies: tuple[Copy, ...]) -> tuple[Node, ...]:
    return tuple(
        node for c in copies for node in copy_loops(scop, c, {}, is_private=False)
    )


def _is_private(plan: MatrixPlan, copy: Copy) -> bool:
    """Whether every thread makes a copy for itself: inside the loop they share."""
    return 0 <= plan.parallel < copy.loops


@dataclass(frozen=True, slots=True)
class _Generator:
    scop: Scop
    plan: MatrixPlan
    rows: RowSide
    columns: ColumnSide
    result: ResultSide

    def inside(self, level: int, tile: _Tile) -> tuple[Node, ...]:
        """Return what is inside of the first *level* loops.

        Kinds of tiles part as far out as they can without making a copy twice.
        """
        here = (c for c in self._local_copies if c.loops == level)
        return (*(n for c in here for n in self._fill(c)), *self._parted(level, tile))

    @property
    def _local_copies(self) -> tuple[Copy, ...]:
        packs = (self.plan.a.pack, self.plan.b.pack)
        return tuple(c for c in packs if c is not None and c.loops)

    def _parted(self, level: int, tile: _Tile) -> tuple[Node, ...]:
        """Return the next choice between kinds of tiles, or the next loop."""
        doubles = any(c.loops > level for c in self._local_copies)
        cases = None if doubles else self._cases(level, tile)
        if cases is None:
            return self._loop(level, tile)
        return tuple(n for case in cases for n in self._case(level, case))

    def _case(self, level: int, case: _Case) -> tuple[Node, ...]:
        nodes = self._parted(level, case.tile)
        return nodes if case.condition is None else (Guard(case.condition, nodes),)

    def _loop(self, level: int, tile: _Tile) -> tuple[Node, ...]:
        if level == len(self.plan.loops):
            return (self._call(tile),)
        lo, hi = bounds(self.plan, level)
        body = self.inside(level + 1, tile)
        kind: LoopKind = "parallel" if level == self.plan.parallel else "sequential"
        return (Loop(variable(self.plan, level).name, lo, hi, body, kind=kind),)

    def _fill(self, copy: Copy) -> tuple[Node, ...]:
        around = copy_around(self.plan, copy)
        private = _is_private(self.plan, copy)
        return copy_loops(self.scop, copy, around, is_private=private)

    # Kinds of tiles

    def _cases(self, level: int, tile: _Tile) -> tuple[_Case, ...] | None:
        """Return the kinds of tiles that an axis, or the reduction, has inside of so
        many loops; None where all are told already, or loops are still to come."""
        later = {loop.axis for loop in self.plan.loops[level:]}
        if not tile.rows and "rows" not in later:
            return tuple(
                _Case(c, replace(tile, rows=n)) for c, n in self._lengths("rows")
            )
        if not tile.columns and "columns" not in later:
            return tuple(
                _Case(c, replace(tile, columns=n)) for c, n in self._lengths("columns")
            )
        if not tile.depth and not later & {"depth", "taps"}:
            return tuple(self._blocks(tile))
        return None

    def _lengths(self, axis: Axis) -> Iterator[tuple[Expr | None, int]]:
        """Yield the lengths of an axis' tiles and when they occur."""
        side = self.plan.side(axis)
        if not side.rest:
            yield None, side.tile
            return
        at, full = tile_number(self.plan, axis), number(side.full)
        yield less(at, full), side.tile
        yield at_least(at, full), side.rest

    def _blocks(self, tile: _Tile) -> Iterator[_Case]:
        """Yield the kinds of blocks of the reduction. The first one sets the result
        to zero, if the plan says so."""
        sides = (self.plan.side("taps"), self.plan.side("depth"))
        full = replace(tile, taps=sides[0].tile, depth=sides[1].tile)
        summed: tuple[Axis, ...] = ("taps", "depth")
        looped = [a for a in summed if self.plan.side(a).tiles > 1]
        starts = self.plan.initialize is not None
        if starts:
            first = both(equal(tile_number(self.plan, a), ZERO) for a in looped)
            yield _Case(first, replace(full, accumulate=False))
        for (when, taps), (where, depth) in product(
            self._lengths("taps"), self._lengths("depth")
        ):
            conditions = [c for c in (when, where) if c is not None]
            if starts and (taps, depth) == (full.taps, full.depth):
                if sides[0].full * sides[1].full == 1:
                    continue
                later = (less(ZERO, tile_number(self.plan, a)) for a in looped)
                conditions.append(either(later))
            yield _Case(both(conditions), replace(tile, taps=taps, depth=depth))

    def _call(self, tile: _Tile) -> Node:
        return BatchReduceGemm(
            self.result.tile,
            self.rows.access(tile.rows),
            self.columns.access,
            tile.rows,
            tile.columns,
            tile.taps,
            tile.depth,
            tile.accumulate,
            self.plan.contraction.dtype,
            self._instance(),
            None if tile.accumulate else self._initial(),
            self.plan.contraction.inner,
            self.plan.microkernel,
        )

    # Instances

    def _instance(self) -> Instance:
        values = self._values()
        contraction = self.plan.contraction
        return Instance(
            contraction.statement,
            tuple((d, of_linear(f, values)) for d, f in contraction.coordinates),
        )

    def _initial(self) -> Instance:
        """Return the instances that set the tile to zero; they have the update's
        left-hand dimensions."""
        assert self.plan.initialize is not None
        statement = self.scop.statement(self.plan.initialize)
        coordinates = dict(self._instance().coordinates)
        return Instance(
            statement.name, tuple((d, coordinates[d]) for d in statement.dims)
        )

    def _values(self) -> dict[str, Expr]:
        """Return every dimension at a point of a tile."""
        plan, sizes = self.plan, self.plan.contraction.sizes
        row, column, tap, step = TILE
        values: dict[str, Expr] = {d: Var(d) for d in plan.outer}
        inside: tuple[tuple[Axis, str], ...] = (
            ("rows", row), ("columns", column), ("taps", tap), ("depth", step),
        )  # fmt: skip
        for axis, position in inside:
            flat = plus(tile_start(plan, axis), Var(position))
            values.update(unflatten(flat, plan.side(axis).dims, sizes))
        return values
