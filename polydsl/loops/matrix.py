"""Loops of a `MatrixPlan`: loops over tiles, packing, microkernel calls.

The last tile of an axis may be shorter, and the first block of the reduction sets the
result to zero: each kind of tile has a microkernel call of its own, behind guards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from polydsl.loops.copies import copy_buffer, copy_loops, factor_strides
from polydsl.loops.matrix_epilogue import Epilogue
from polydsl.loops.matrix_places import (
    bounds,
    coordinates,
    copy_around,
    tile_number,
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
    Tile,
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
)
from polydsl.poly.defined import Defined
from polydsl.poly.scop import Scop
from polydsl.schedule.matrix_plan import Copy, MatrixPlan
from polydsl.schedule.matrix_point import Axis
from polydsl.schedule.operand import Layout


@dataclass(frozen=True, slots=True)
class MatrixLoops:
    """The nodes of one plan, what it prepares once, and its buffers. What is `hoisted`
    is done inside of so many of the loops around the plan only."""

    nodes: tuple[Node, ...]
    prepare: tuple[Node, ...]
    buffers: tuple[Buffer, ...]
    hoisted: Mapping[int, tuple[Node, ...]]


@dataclass(frozen=True, slots=True)
class _Tile:
    """What is known of a tile inside its loops: the length on each axis, nothing for
    one that is still open; whether it accumulates, and whether the epilogue follows."""

    rows: int = 0
    columns: int = 0
    taps: int = 0
    depth: int = 0
    accumulate: bool = True
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class _Case:
    """One of the kinds of tiles of a loop; None where it is the only one."""

    condition: Expr | None
    tile: _Tile


def generate_matrix(
    scop: Scop, plan: MatrixPlan, layout: Layout, defined: Mapping[str, Defined]
) -> MatrixLoops:
    """Return the loops of a plan."""
    result = ResultSide(plan, layout[plan.contraction.c.tensor])
    rows = RowSide(plan, scop, factor_strides(plan.a, layout))
    columns = ColumnSide(plan, factor_strides(plan.b, layout))
    epilogue = Epilogue(scop, plan, defined)
    generator = _Generator(scop, plan, rows, columns, result, epilogue)
    copies = (*plan.a.copies, *plan.b.copies)
    once = tuple(c for c in copies if c.prepared)
    before = tuple(c for c in copies if not c.loops and not c.prepared)
    outside = plan.outside
    hoisted = {0: _whole(scop, before)}
    hoisted |= {n: generator.filled(n) for n in range(1, outside)}
    nodes = generator.inside(outside, _Tile())
    if not outside:
        nodes = (*hoisted.pop(0), *nodes)
    return MatrixLoops(
        nodes,
        _whole(scop, once),
        (
            *(copy_buffer(c, private=_is_private(plan, c)) for c in copies),
            *rows.buffers,
            *columns.buffers,
            *result.buffers,
            *epilogue.buffers,
        ),
        {_depth(plan, n): made for n, made in hoisted.items() if made},
    )


def _depth(plan: MatrixPlan, loops: int) -> int:
    """Return inside of how many loops around a plan its first so many loops lead: those
    of one iteration are no loops of the plan."""
    if not loops:
        return 0
    return plan.fixed.index(plan.loops[loops - 1].dimension) + 1


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
    epilogue: Epilogue

    def inside(self, level: int, tile: _Tile) -> tuple[Node, ...]:
        """Return what is inside of the first *level* loops.

        Kinds of tiles part as far out as they can without making a copy twice.
        """
        return (*self.filled(level), *self._parted(level, tile))

    def filled(self, level: int) -> tuple[Node, ...]:
        """Return what fills the copies that are made inside of so many loops."""
        here = (c for c in self._local_copies if c.loops == level)
        return tuple(n for c in here for n in self._fill(c))

    @property
    def _local_copies(self) -> tuple[Copy, ...]:
        copies = (*self.plan.a.copies, *self.plan.b.copies)
        return tuple(c for c in copies if c.loops)

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
            return self._call(tile)
        lo, hi = bounds(self.plan, level)
        body = self.inside(level + 1, tile)
        kind: LoopKind = "parallel" if level == self.plan.parallel else "sequential"
        return (Loop(variable(self.plan, level).name, lo, hi, body, kind=kind),)

    def _fill(self, copy: Copy) -> tuple[Node, ...]:
        around = copy_around(self.plan, copy)
        private = _is_private(self.plan, copy)
        return copy_loops(self.scop, copy, around, is_private=private)

    # Blocks of the reduction

    def _numbers(self) -> Iterator[tuple[Expr, int]]:
        """Yield the block's number on each axis that is cut, and how many there are."""
        summed: tuple[Axis, ...] = ("taps", "depth")
        for axis in summed:
            count = self.plan.side(axis).tiles
            if count > 1:
                yield tile_number(self.plan, axis), count

    def _at_first(self) -> Expr | None:
        """Return the condition that a block is the first one."""
        return both(equal(at, ZERO) for at, _ in self._numbers())

    def _at_last(self) -> Expr | None:
        """Return the condition that a block is the last one."""
        return both(equal(at, number(count - 1)) for at, count in self._numbers())

    def _after_first(self) -> Expr:
        return either(less(ZERO, at) for at, _ in self._numbers())

    def _before_last(self) -> Expr:
        return either(less(at, number(count - 1)) for at, count in self._numbers())

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
        to zero, if the plan says so, and the last one is followed by the epilogue."""
        sides = (self.plan.side("taps"), self.plan.side("depth"))
        starts, ends = self.plan.initialize is not None, bool(self.plan.epilogue)
        for (when, taps), (where, depth) in product(
            self._lengths("taps"), self._lengths("depth")
        ):
            block = replace(tile, taps=taps, depth=depth)
            pairs = tuple(zip(sides, (taps, depth)))
            is_first = starts and all(n == side.tile for side, n in pairs)
            is_last = ends and all(n == (side.rest or side.tile) for side, n in pairs)
            count = prod(side.full if n == side.tile else 1 for side, n in pairs)
            conditions = [c for c in (when, where) if c is not None]
            if is_first and is_last and count == 1:
                yield _Case(None, replace(block, accumulate=False, is_last=True))
                continue
            if is_first:
                yield _Case(self._at_first(), replace(block, accumulate=False))
                if count > 1:
                    conditions.append(self._after_first())
            if is_last:
                yield _Case(self._at_last(), replace(block, is_last=True))
                if count > 1:
                    conditions.append(self._before_last())
            if count > is_first + is_last:
                yield _Case(both(conditions), block)

    def _call(self, tile: _Tile) -> tuple[Node, ...]:
        """Return the nodes of one tile: in memory, or in registers with what follows
        on it."""
        if not tile.is_last:
            return (self._product(tile, self.result.tile),)
        fill = self.epilogue.fill(tile.rows, tile.columns) if tile.accumulate else ()
        registers = self._product(tile, self.epilogue.tile)
        return (*fill, registers, *self.epilogue.nodes(tile.rows, tile.columns))

    def _product(self, tile: _Tile, result: Tile) -> Node:
        return BatchReduceGemm(
            result,
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
        axes: tuple[Axis, ...] = ("rows", "columns", "taps", "depth")
        places = {axis: Var(name) for axis, name in zip(axes, TILE)}
        found = coordinates(self.plan, places)
        return Instance(self.plan.contraction.statement, tuple(found.items()))

    def _initial(self) -> Instance:
        """Return the instances that set the tile to zero; they have the update's
        left-hand dimensions."""
        assert self.plan.initialize is not None
        statement = self.scop.statement(self.plan.initialize)
        coordinates = dict(self._instance().coordinates)
        return Instance(
            statement.name, tuple((d, coordinates[d]) for d in statement.dims)
        )
