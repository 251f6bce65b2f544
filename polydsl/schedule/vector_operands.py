"""What the model of register tiles needs to know of a statement: its accesses, the
loops around them, its instructions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import TypeAlias

from polydsl.base.functions import FUNCTIONS
from polydsl.poly.conditions import ordered_indices
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
    FUNCTION_REGISTERS,
    Factors,
    Operand,
)
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

LANE = "lane'"
"""The index of a lane in its vector, marked so that no other one is called like it."""
IRREGULAR = 1 << 30
"""The factor of an index that moves a subscript in no regular way."""

Moves: TypeAlias = Sequence[dict[str, int] | None]
"""How every index moves each subscript of an access; None where it is irregular."""


def units(setting: VectorSetting, vector: str | None, d: str) -> int:
    """Return the points of an index, or the vectors of the vector index."""
    points = setting.extent(d)
    return -(-points // setting.lanes) if d == vector else points


def written(setting: VectorSetting, statement: Statement) -> Access:
    """Return the left side of a statement as an access."""
    dtype = setting.scop.tensor(statement.tensor).dtype
    return Access(statement.tensor, statement.subscripts, dtype, statement.span)


def step_of(
    setting: VectorSetting, statement: Statement, access: Access, d: str
) -> int | None:
    """Return how many elements an index moves an access of a statement."""
    return step(access, d, setting.layout, setting.scop.sizes, statement.ranges)


def operands_of(
    setting: VectorSetting, statement: Statement, vector: str | None
) -> Iterator[Operand]:
    """Yield the accesses that a point of a statement makes in memory, and those of what
    is made there before it."""
    for maker in (*setting.prologue, statement):
        for read in maker.reads:
            if not _is_held(setting, read.access):
                yield _operand(setting, maker, read.access, vector, read.is_padded)
        if maker.combine is None:
            yield _operand(setting, maker, written(setting, maker), vector, False)


def _is_held(setting: VectorSetting, access: Access) -> bool:
    """Whether an access is to the element that the prologue has made at the point."""
    return any(access == written(setting, s) for s in setting.prologue)


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
        found = None if form is None else dict(form.coefficients)
        if found is None and vector not in ordered_indices(subscript):
            # Its lanes are in one row, whatever the other indices make of it.
            found = dict.fromkeys(ordered_indices(subscript), IRREGULAR)
        moves.append(found)
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


def walk_of(
    setting: VectorSetting,
    statement: Statement,
    vector: str | None,
    outer: tuple[str, ...],
) -> Walk:
    """Return the loops around register tiles of one point and what they touch."""
    reads = [_reference(setting, statement, r.access) for r in statement.reads]
    for maker in setting.prologue:
        made = (*(r.access for r in maker.reads), written(setting, maker))
        reads += [_reference(setting, maker, access) for access in made]
    store = _reference(setting, statement, written(setting, statement))
    inner = (d for d in statement.reduced if d != vector)
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
    left = [d for d in setting.left if d in names]
    return 1.0 - prod(1.0 - border(setting, d) for d in left)


def instructions_of(
    setting: VectorSetting, statement: Statement, vector: str | None
) -> float:
    """Return the vector instructions of one point, with what is made there before."""
    makers = (*setting.prologue, statement)
    total = sum(value_instructions(maker.value, vector) for maker in makers)
    if statement.combine is None:
        return total
    value = statement.value
    is_product = isinstance(value, Call) and value.function == "mul"
    is_fused = is_product and statement.combine == "add" and setting.machine.has_fma
    return total if is_fused else total + 1.0


def passing_registers(setting: VectorSetting) -> float:
    """Return the registers of each vector of a tile for what the prologue computes."""
    made = sum(value_instructions(s.value, None) for s in setting.prologue)
    return FUNCTION_REGISTERS if made >= FUNCTION_INSTRUCTIONS else 0.0


def value_instructions(expr: Expr, vector: str | None) -> float:
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
            own = FUNCTION_INSTRUCTIONS if FUNCTIONS[function].is_long else 1.0
        case _:
            own = 1.0
    return own + sum(value_instructions(e, vector) for e in children(expr))
