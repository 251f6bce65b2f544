"""The candidates for a `VectorPlan`: families of points, and what the model needs.

Every index may be the vector. Up to two left-hand indices lie side by side in a
register tile, in either order, and windows may be written out around them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, permutations, product
from math import prod
from typing import TypeAlias

import numpy as np

from polydsl.base.functions import FUNCTIONS
from polydsl.poly.scop import Statement
from polydsl.poly.substitute import linear_term, resolve, substitute
from polydsl.poly.terms import Linear
from polydsl.schedule.reuse.footprint import Axis, Reference
from polydsl.schedule.vector_access import step
from polydsl.schedule.vector_builder import VectorSetting, border
from polydsl.schedule.vector_memory import Walk
from polydsl.schedule.vector_model import (
    DIVISION_INSTRUCTIONS,
    FUNCTION_INSTRUCTIONS,
    Counts,
    Factors,
    Family,
    Operand,
)
from polydsl.schedule.vector_point import IndexLoop, Unrolled, VectorPoint
from polydsl.semantics.program import (
    Access,
    Call,
    Expr,
    Index,
    Literal,
    Pad,
    Size,
    children,
    walk,
)

PARALLEL_POINTS = 32_768
"""Below so many points a second thread costs more than it saves."""
CHUNK = 8_192
"""Points of a one-dimensional statement that one thread takes at a time."""
LONGEST_SIDE = 16
"""A register tile has so many points of one index, at most."""
FEW_ROWS = 4
"""... where the rows of a tile are apart in memory and share nothing."""
MOST_VECTORS = 8
"""... and so many vectors."""
MOST_TAPS = 16
"""So many points of the reduced indices are written out, at most."""
LANE = "lane'"
"""The index of a lane in its vector, marked so that no other one is called like it."""
IRREGULAR = 1 << 30
"""The factor of an index that moves a subscript in no regular way."""

Moves: TypeAlias = Sequence[dict[str, int] | None]
"""How every index moves each subscript of an access; None where it is irregular."""


def families(setting: VectorSetting) -> Iterator[Family]:
    """Yield every form of a register tile."""
    vectors = tuple(vector_candidates(setting)) or (None,)
    for vector in vectors:
        is_row = vector in setting.model.reduced
        statement = setting.model if is_row else heaviest(setting)
        operands = tuple(operands_of(setting, statement, vector))
        plain = loop_order(setting)
        forms = product(_tap_sets(setting, statement, vector), _tiles(setting, vector))
        for taps, tile in forms:
            yield Family(
                {d: max(units(setting, vector, d), 1) for d in statement.dims},
                taps,
                tile,
                vector,
                setting.lanes if vector else 1,
                statement.reduced,
                operands,
                _instructions(setting, statement, vector),
                bool(setting.updates),
                _walk(setting, statement, taps, vector, plain),
            )


def reordered(setting: VectorSetting, family: Family) -> Iterator[Family]:
    """Yield a family with one or two of its outer loops inside of the others."""
    walk = family.walk
    plain, inner = walk.loops[: walk.outer], walk.loops[walk.outer :]
    moving = [d for d in plain if setting.extent(d) > 1]
    lasts = (*((d,) for d in moving), *permutations(moving, 2))
    orders = ((*(d for d in plain if d not in last), *last) for last in lasts)
    for order in dict.fromkeys(orders):
        if order != plain:
            yield replace(family, walk=replace(walk, loops=(*order, *inner)))


def with_loops(family: Family, point: VectorPoint) -> Family:
    """Return the family of a point with its outer loops in the order of the point."""
    walk = family.walk
    plain, inner = walk.loops[: walk.outer], walk.loops[walk.outer :]
    order = dict.fromkeys((*(loop.index for loop in point.loops), *plain))
    return replace(family, walk=replace(walk, loops=(*order, *inner)))


def heaviest(setting: VectorSetting) -> Statement:
    """Return the statement with the most points, the one that is priced."""
    return max(setting.updates or setting.statements, key=lambda s: s.points)


def vector_candidates(setting: VectorSetting) -> Iterator[str]:
    """Yield every index that may be the vector, innermost first."""
    model = setting.model
    one_update = sum(1 for s in setting.statements if s.reduced) == 1
    reduced = model.reduced if one_update else ()
    for d in (*reversed(model.left), *reversed(reduced)):
        if d not in setting.conditioned:
            yield d


def units(setting: VectorSetting, vector: str | None, d: str) -> int:
    """Return the points of an index, or the vectors of the vector index."""
    points = setting.extent(d)
    return -(-points // setting.lanes) if d == vector else points


def _tiles(setting: VectorSetting, vector: str | None) -> Iterator[tuple[str, ...]]:
    """Yield the indices of a register tile, outermost first, the vector last."""
    last = () if vector is None else (vector,)
    yield last
    if vector is None or not setting.has_own_elements:
        return
    free = [
        d
        for d in setting.model.left
        if d != vector and d not in setting.conditioned and setting.extent(d) > 1
    ]
    sides = 2 if setting.updates else 1
    if not setting.updates:
        free = [d for d in free if _is_shared(setting, d)]
    for count in range(1, sides + 1):
        for chosen in permutations(free, count):
            yield (*chosen, *last)


def _is_shared(setting: VectorSetting, d: str) -> bool:
    """Whether points of an index read the same elements."""
    for read in setting.model.reads:
        names = (
            n.name
            for s in read.access.subscripts
            for n in walk(s)
            if isinstance(n, Index)
        )
        if d not in names:
            return True
    return False


def _tap_sets(
    setting: VectorSetting, statement: Statement, vector: str | None
) -> Iterator[tuple[str, ...]]:
    yield ()
    if vector is None or vector in statement.reduced:
        return
    windows = [
        d
        for d in statement.reduced
        if d not in setting.conditioned and 1 < setting.extent(d) <= LONGEST_SIDE
    ]
    for count in range(1, len(windows) + 1):
        for taps in combinations(windows, count):
            if prod(setting.extent(d) for d in taps) <= MOST_TAPS:
                yield taps


def counts_of(setting: VectorSetting, family: Family) -> Counts:
    """Return how many points of each index of the tile its candidates hold."""
    sides = [_sizes(setting, family, d) for d in family.tile]
    if not sides:
        return np.ones((1, 0), np.int64)
    grid = np.meshgrid(*sides, indexing="ij")
    counts: Counts = np.stack([side.ravel() for side in grid], axis=1)
    fits = counts.prod(axis=1) <= setting.machine.vector_registers
    chosen: Counts = counts[fits]
    return chosen


def _sizes(setting: VectorSetting, family: Family, d: str) -> list[int]:
    """Return the sides of a tile, evened out over the extent of an index."""
    extent = family.extents[d]
    if d != family.vector:
        most, least = LONGEST_SIDE if family.is_reduction else FEW_ROWS, 2
        if family.vector in family.reduced and not _shares(family, d):
            most = FEW_ROWS
    elif not family.is_reduction:
        return [1]
    else:
        most, least = MOST_VECTORS, 1
    if d in family.reduced:
        return [n for n in (1, 2, 4, 8) if n <= extent]
    wanted = range(least, min(most, extent) + 1)
    return sorted({-(-extent // -(-extent // n)) for n in wanted})


def _shares(family: Family, d: str) -> bool:
    """Whether points of an index that lie side by side load something in common: what
    does not move with it, or slides along with another index of the tile."""
    others = {*family.tile} - {d, family.vector}
    for operand in family.operands:
        axes = [{name for name, _ in factors} for factors in operand.axes]
        moving = [names for names in axes if d in names]
        if not moving or any(names & others for names in moving):
            return True
    return False


# Points


def point_of(
    setting: VectorSetting, family: Family, counts: tuple[int, ...]
) -> VectorPoint:
    """Return one member of a family as a point."""
    size = dict(zip(family.tile, counts))
    vector = family.vector
    unrolled = tuple(Unrolled(d, size[d]) for d in family.tile if d != vector)
    in_tiles = bool(setting.updates or unrolled)
    order = family.walk.loops[: family.walk.outer]
    looped = [d for d in order if in_tiles or d != vector]
    loops = tuple(IndexLoop(d) for d in looped)
    parallel = -1
    if heaviest(setting).points >= PARALLEL_POINTS and setting.has_own_elements:
        trips = [-(-units(setting, vector, d) // size.get(d, 1)) for d in looped]
        enough = (i for i, n in enumerate(trips) if n >= setting.machine.cores)
        parallel = next(enough, -1)
        if not looped and vector is not None and vector in setting.model.left:
            loops = (IndexLoop(vector, max(1, CHUNK // setting.lanes)),)
            parallel = 0
    reduced = dict.fromkeys(d for s in setting.updates for d in s.reduced)
    return VectorPoint(
        vector,
        size[vector] if vector else 1,
        unrolled,
        family.taps,
        tuple(d for d in reduced if d not in (*family.taps, vector)),
        loops,
        tuple(d for d in looped if border(setting, d) > 0.0),
        parallel,
    )


def loop_order(setting: VectorSetting) -> tuple[str, ...]:
    """Return the left-hand indices, that which moves the result farthest first."""
    store = written(setting, setting.model)
    steps = {d: _step(setting, setting.model, store, d) for d in setting.model.left}
    return tuple(sorted(steps, key=lambda d: -abs(steps[d] or 0)))


# What the model needs


def written(setting: VectorSetting, statement: Statement) -> Access:
    """Return the left side of a statement as an access."""
    dtype = setting.scop.tensor(statement.tensor).dtype
    return Access(statement.tensor, statement.subscripts, dtype, statement.span)


def _step(
    setting: VectorSetting, statement: Statement, access: Access, d: str
) -> int | None:
    return step(access, d, setting.layout, setting.scop.sizes, statement.ranges)


def operands_of(
    setting: VectorSetting, statement: Statement, vector: str | None
) -> Iterator[Operand]:
    """Yield the accesses that a point of a statement makes in memory."""
    for read in statement.reads:
        yield _operand(setting, statement, read.access, vector, read.is_padded)
    if not setting.updates:
        yield _operand(setting, statement, written(setting, statement), vector, False)


def _operand(
    setting: VectorSetting,
    statement: Statement,
    access: Access,
    vector: str | None,
    is_padded: bool,
) -> Operand:
    """Return an access in numbers: where the vector index is, its vectors and lanes
    are indices of their own."""
    box = statement.ranges
    terms: dict[str, Expr] = {}
    if vector is not None:
        lo, _ = box[vector]
        split = Linear(((vector, setting.lanes), (LANE, 1)), lo)
        terms[vector] = linear_term(split, access.span)
        units_ = units(setting, vector, vector)
        box = {**box, vector: (0, units_ - 1), LANE: (0, setting.lanes - 1)}
    moves: list[dict[str, int] | None] = []
    for subscript in access.subscripts:
        form = resolve(substitute(subscript, terms), setting.scop.sizes, box)
        moves.append(None if form is None else dict(form.coefficients))
    return Operand(
        tuple(
            _factors(subscript, found)
            for subscript, found in zip(access.subscripts, moves)
        ),
        _move(setting, access, moves, LANE),
        next((i for i, m in enumerate(moves) if m is None or LANE in m), -1),
        _is_aligned(setting, access, moves),
        access.dtype.bytes,
        _border_share(setting, access) if is_padded else 0.0,
    )


def _walk(
    setting: VectorSetting,
    statement: Statement,
    taps: tuple[str, ...],
    vector: str | None,
    outer: tuple[str, ...],
) -> Walk:
    """Return the loops around register tiles and what they touch."""
    reads = tuple(_reference(setting, statement, r.access) for r in statement.reads)
    store = _reference(setting, statement, written(setting, statement))
    inner = (d for d in statement.reduced if d not in (*taps, vector))
    last = (vector,) if vector in statement.reduced and vector else ()
    return Walk(
        (*dict.fromkeys(reads), replace(store, is_written=True)),
        (*outer, *inner, *last),
        {d: max(setting.extent(d), 1) for d in statement.dims},
        len(outer),
    )


def _reference(
    setting: VectorSetting, statement: Statement, access: Access
) -> Reference:
    tensor = setting.scop.tensor(access.tensor)
    size = tensor.dtype.bytes
    axes: list[Axis] = []
    strides = setting.layout[access.tensor]
    for subscript, extent, stride in zip(access.subscripts, tensor.shape, strides):
        form = resolve(subscript, setting.scop.sizes, statement.ranges)
        moves = None if form is None else dict(form.coefficients)
        terms = _factors(subscript, moves) if moves is not None else ()
        if moves is None:
            # As if every index moved it by one: no more than the axis is touched.
            terms = tuple((d, 1) for d, _ in _factors(subscript, None))
        axes.append(Axis(abs(stride) * size, extent, terms))
    return Reference(access.tensor, size, tuple(axes))


def _factors(subscript: Expr, moves: dict[str, int] | None) -> Factors:
    """Return how much every index moves a subscript."""
    if moves is not None:
        return tuple((d, c) for d, c in moves.items() if d != LANE)
    names = dict.fromkeys(n.name for n in walk(subscript) if isinstance(n, Index))
    return tuple((name, IRREGULAR) for name in names)


def _move(
    setting: VectorSetting, access: Access, moves: Moves, index: str
) -> int | None:
    """Return how far an index moves an access in memory."""
    total = 0
    for found, stride in zip(moves, setting.layout[access.tensor]):
        if found is None:
            return None
        total += found.get(index, 0) * stride
    return total


def _is_aligned(setting: VectorSetting, access: Access, moves: Moves) -> bool:
    """Whether an access moves by whole vectors only, but for its lanes, from where a
    vector begins: of the arrays that a caller passes only the elements are aligned."""
    if setting.scop.tensor(access.tensor).role == "input":
        return False
    names = {d for found in moves if found for d in found} - {LANE}
    steps = [_move(setting, access, moves, d) for d in names]
    return all(s is not None and s % setting.lanes == 0 for s in steps)


def _border_share(setting: VectorSetting, access: Access) -> float:
    """Return the share of points at which the padding of an access is asked for."""
    names = {n.name for s in access.subscripts for n in walk(s) if isinstance(n, Index)}
    left = [d for d in setting.model.left if d in names]
    return 1.0 - prod(1.0 - border(setting, d) for d in left)


def _instructions(
    setting: VectorSetting, statement: Statement, vector: str | None
) -> float:
    """Return the vector instructions of one point."""
    total = _value_instructions(statement.value, vector)
    if statement.combine is None:
        return total
    value = statement.value
    is_product = isinstance(value, Call) and value.function == "mul"
    is_fused = is_product and statement.combine == "add" and setting.machine.has_fma
    return total if is_fused else total + 1.0


def _value_instructions(expr: Expr, vector: str | None) -> float:
    """Return the instructions of an expression, without the parts that are the same for
    all points of the vector index: those are computed once for many."""
    names = {n.name for n in walk(expr) if isinstance(n, Index)}
    if vector is not None and vector not in names:
        return 0.0
    match expr:
        case Access() | Pad() | Literal() | Size():
            return 0.0
        case Call("div" | "sqrt"):
            own = DIVISION_INSTRUCTIONS
        case Call(function):
            is_long = FUNCTIONS[function].rule == "float"
            own = FUNCTION_INSTRUCTIONS if is_long else 1.0
        case _:
            own = 1.0
    return own + sum(_value_instructions(e, vector) for e in children(expr))
