"""Loops that fill the copies of a factor, and where the copies are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from math import prod

from polydsl.loops.expressions import Translation
from polydsl.loops.nest import (
    Buffer,
    Expr,
    Guard,
    Instance,
    Loop,
    LoopKind,
    Node,
    Store,
    Var,
    contiguous,
)
from polydsl.loops.terms import (
    ZERO,
    floordiv,
    less,
    maximum,
    minimum,
    minus,
    modulo,
    number,
    of_linear,
    plus,
    times,
)
from polydsl.poly.scop import Scop
from polydsl.schedule.matrix_plan import Copy, Factor, Runs
from polydsl.schedule.operand import Layout
from polydsl.semantics.program import Expr as ProgramExpr

PARALLEL_POINTS = 65_536
"""Below so many elements a copy is made by one thread."""


def factor_strides(factor: Factor, layout: Layout) -> tuple[int, ...]:
    """Return the strides of the tensor that a factor is read from in place."""
    if factor.padded is not None:
        return contiguous(factor.padded.shape)
    return layout[factor.operand.tensor]


def copy_buffer(copy: Copy, *, private: bool) -> Buffer:
    """Return the buffer of a copy."""
    return Buffer(
        copy.tensor,
        copy.dtype,
        copy.shape,
        contiguous(copy.shape),
        "prepared" if copy.prepared else "scratch",
        private=private,
    )


def copy_loops(
    scop: Scop, copy: Copy, around: Mapping[str, Expr], *, is_private: bool
) -> tuple[Node, ...]:
    """Return the loops over the stored dimensions of a copy.

    The last dimension is a vector; where the copy is turned, square blocks of it and of
    the turned dimension are written out, for the emitter to transpose. `around` gives
    the dimensions whose loops are around the copy.
    """
    values: dict[str, Expr] = {d: around.get(d, Var(d)) for d in copy.dims}
    threads = not is_private and prod(copy.shape) >= PARALLEL_POINTS
    filling = _Filling(scop, copy, values)
    if copy.runs is None:
        whole = _Lanes(ZERO, number(copy.extents[-1]), copy.value)
        return filling.loops(filling.order, filling.lanes(whole), parallel=threads)
    return _in_runs(filling, copy.runs, parallel=threads)


@dataclass(frozen=True, slots=True)
class _Lanes:
    """Lanes from `lo` to `hi` that hold `value`; those of a `line` of the source are
    its columns `lane + after - before`."""

    lo: Expr
    hi: Expr
    value: ProgramExpr
    line: Expr | None = None
    after: Expr = ZERO
    before: Expr = ZERO


def _in_runs(filling: _Filling, runs: Runs, *, parallel: bool) -> tuple[Node, ...]:
    """Return the loops over the lanes of every line, and over those past the axis.

    for run in 0..3:                             (a tile of 48 meets 3 lines of 28)
      for c in 0..C:
        for lane in max(0, begin)..min(48, begin + 28) [vector]:
          copy[tile, c, lane] = source[c, line, lane - begin]
    """
    copy, order = filling.copy, filling.order
    tile, lane = copy.extents[-1], copy.dims[-1]
    start = of_linear(runs.position, {**filling.values, lane: ZERO})
    run: Expr = Var("run'") if runs.most(tile) > 1 else ZERO
    body = filling.lanes(_line(copy, runs, start, run))
    moving = {d for d, _ in runs.position.coefficients}
    tied = tuple(d for d in order if d in moving)
    free = tuple(d for d in order if d not in moving)
    outside: tuple[Node, ...] = ()
    if runs.extent % tile:
        left = minus(number(runs.extent), start)
        rest = filling.rows(_Lanes(left, number(tile), copy.zero))
        every = (*free, copy.turned) if copy.turned else free
        zeros = filling.loops(every, rest, parallel=False)
        outside = (Guard(less(left, number(tile)), zeros),)
    if run == ZERO:
        whole = filling.loops(order, body, parallel=parallel)
        return (*whole, *filling.loops(tied, outside, parallel=False))
    body = filling.loops(free, body, parallel=parallel and not tied)
    body = (Loop("run'", ZERO, number(runs.most(tile)), body),)
    return filling.loops(tied, (*body, *outside), parallel=parallel)


def _line(copy: Copy, runs: Runs, start: Expr, run: Expr) -> _Lanes:
    """Return the lanes of one of the lines that a tile meets, whose first lane is at
    the position *start*."""
    tile, length = copy.extents[-1], runs.length
    is_single, is_aligned = runs.lines == 1, tile % length == 0
    after = start if is_single else ZERO if is_aligned else modulo(start, length)
    before = times(run, length)
    begin = minus(before, after)
    crosses = length % tile > 0 and not is_single
    ends: list[Expr] = [plus(begin, number(length))] if crosses else []
    if not (crosses and is_aligned):
        ends.insert(0, number(tile))
    if runs.extent % tile:
        ends.append(minus(number(runs.extent), start))
    lo = ZERO if run == ZERO else begin if is_aligned else maximum(ZERO, begin)
    line = run if is_single else plus(floordiv(start, length), run)
    return _Lanes(lo, reduce(minimum, ends), copy.value, line, after, before)


@dataclass(frozen=True, slots=True)
class _Filling:
    """A copy to be filled, and the value of each of its dimensions."""

    scop: Scop
    copy: Copy
    values: Mapping[str, Expr]

    @property
    def order(self) -> tuple[str, ...]:
        """The dimensions with loops around the lanes, outermost first."""
        inner = {self.copy.turned, self.copy.dims[-1]}
        return self.copy.order or tuple(d for d in self.copy.stored if d not in inner)

    def loops(
        self, order: tuple[str, ...], body: tuple[Node, ...], *, parallel: bool
    ) -> tuple[Node, ...]:
        """Return loops over stored dimensions around a body, none around nothing."""
        if not body:
            return ()
        for d in reversed(order):
            kind: LoopKind = "parallel" if d == order[0] and parallel else "sequential"
            body = (Loop(d, ZERO, self._end(d), body, kind=kind),)
        return body

    def lanes(self, part: _Lanes) -> tuple[Node, ...]:
        """Return the loops over some lanes, and over the turned dimension."""
        return self._turned(part) if self.copy.turned else self.rows(part)

    def rows(self, part: _Lanes, turned: Expr | None = None) -> tuple[Node, ...]:
        """Return a vector loop over some lanes, with a value for the dimension that is
        turned."""
        if part.lo == part.hi:
            return ()
        copy = self.copy
        moved = {} if turned is None else {copy.turned: turned}
        store = (self._store(part, moved),)
        lane, lanes = copy.dims[-1], copy.lanes
        return (Loop(lane, part.lo, part.hi, store, kind="vector", lanes=lanes),)

    def _end(self, dim: str) -> Expr:
        """Return where a stored dimension ends: with its part of an axis, or the
        axis."""
        extent = self.copy.shape[self.copy.stored.index(dim)]
        limit = self.copy.limit(dim)
        if limit is None:
            return number(extent)
        left = minus(number(limit.total), times(self.values[limit.block], extent))
        return minimum(number(extent), left)

    def _store(self, part: _Lanes, moved: Mapping[str, Expr]) -> Node:
        """Return the store of one element, at other values of some dimensions."""
        copy, values = self.copy, {**self.values, **moved}
        terms: dict[str, Expr] = {}
        if copy.runs is not None and part.line is not None:
            column = minus(plus(values[copy.dims[-1]], part.after), part.before)
            terms = {copy.runs.line: part.line, copy.runs.column: column}
        translate = Translation(self.scop, {**values, **terms}, copy.box, {})
        coordinates = tuple((d, values[d]) for d in copy.dims)
        return Store(
            copy.tensor,
            tuple(values[d] for d in copy.stored),
            translate.expression(part.value),
            Instance(copy.tensor, coordinates, tuple(terms.items())),
        )

    def _turned(self, part: _Lanes) -> tuple[Node, ...]:
        """Return loops over square blocks, and over what is left on both sides.

        for d in 0..D:                   for d_tile in 0..D step 16:
          for lane in 0..L [vector]:  ->   for lane_tile in 0..L step 16:
            S                                for u in 0..16 [unrolled]:
                                               for v in 0..16 [vector]:
                                                 S
        """
        lanes, lane, d = self.copy.lanes, self.copy.dims[-1], self.copy.turned
        end = self._end(d)
        full_d = times(floordiv(end, lanes), lanes)
        # A line that misses the tile ends before it begins, and has no blocks.
        long = maximum(ZERO, minus(part.hi, part.lo))
        full = plus(part.lo, times(floordiv(long, lanes), lanes))
        d_tile, lane_tile = Var(f"{d}_tile'"), Var(f"{lane}_tile'")
        u, v = Var("turned'"), Var("lane'")
        corner = {d: plus(d_tile, u), lane: plus(lane_tile, v)}
        store = (self._store(part, corner),)
        vector = (Loop(v.name, ZERO, number(lanes), store, kind="vector", lanes=lanes),)
        turned = (Loop(u.name, ZERO, number(lanes), vector, kind="unrolled"),)
        tiles: tuple[Node, ...] = (
            Loop(lane_tile.name, part.lo, full, turned, step=lanes),
        )
        rest = self.rows(replace(part, lo=full), plus(d_tile, u))
        if rest:
            tiles += (Loop(u.name, ZERO, number(lanes), rest),)
        nodes: tuple[Node, ...] = (Loop(d_tile.name, ZERO, full_d, tiles, step=lanes),)
        if full_d != end:
            nodes += (Loop(d, full_d, end, self.rows(part)),)
        return nodes
