"""Square blocks that a copy turns over: loads, shuffles, stores, no gather.

    for u in 0..16 [unrolled]:
      for v in 0..16 [vector]:
        copy[..., u, v] = source[..., v, u]        (u is contiguous in the source)

Lane by lane that would gather every vector. Instead the rows of the source are loaded
whole and exchanged in log2(16) rounds, in which blocks of 1, 2, 4 ... elements off the
diagonal change places (the classical recursive transposition).
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from polydsl.backend.emitter.access import load_vector, store_vector
from polydsl.backend.emitter.expressions import emit_affine
from polydsl.backend.emitter.ranges import Affine
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.types import number, offset, shuffle
from polydsl.backend.llvm_types import memory_type, register_bytes
from polydsl.backend.memory_form import from_memory, to_memory
from polydsl.base.dtypes import F32
from polydsl.loops.nest import (
    Buffer,
    Cast,
    Expr,
    Literal,
    Load,
    Loop,
    Store,
    Var,
    subexpressions,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A copy of `lanes` by `lanes` elements, whose corner is at the variables' 0.

    Element (u, v) moves from `source + u + v * source_step` to
    `target + v + u * target_step`.
    """

    target: Buffer
    target_corner: Affine
    target_step: int
    source: Buffer
    source_corner: Affine
    source_step: int
    lanes: int


def transposed_block(scope: Scope, loop: Loop) -> Block | None:
    """Return the block that an unrolled loop copies transposed, None for any other."""
    if len(loop.body) != 1:
        return None
    inner = loop.body[0]
    if not isinstance(inner, Loop) or len(inner.body) != 1:
        return None
    store = inner.body[0]
    if inner.kind != "vector" or not isinstance(store, Store):
        return None
    load, lanes = _without_widening(store.value), inner.lanes
    if not isinstance(load, Load) or not _is_square(loop, inner):
        return None
    target, source = scope.kernel.buffer(store.buffer), scope.kernel.buffer(load.buffer)
    if store.value.dtype != target.dtype or target == source:
        return None
    if register_bytes(target.dtype) < 4:
        return None
    ends = (0, lanes - 1)
    block = scope.bind(loop.var, number(0), ends).bind(inner.var, number(0), ends)
    to = block.position(store.buffer, store.index)
    start = block.position(load.buffer, load.index)
    names = (loop.var, inner.var)
    if not (_is_linear(to, names) and _is_linear(start, names)):
        return None
    if to.coefficient(inner.var) != 1 or start.coefficient(loop.var) != 1:
        return None
    return Block(
        target,
        _without(to, names),
        to.coefficient(loop.var),
        source,
        _without(start, names),
        start.coefficient(inner.var),
        lanes,
    )


def _without_widening(value: Expr) -> Expr:
    """Return what is made an f32 of a narrow float, which it is in a register."""
    match value:
        case Cast(operand, dtype) if operand.dtype.is_narrow and dtype == F32:
            return operand
        case _:
            return value


def _is_square(loop: Loop, inner: Loop) -> bool:
    """Whether both loops run from 0 to the number of lanes."""

    def runs(each: Loop) -> bool:
        ends = (each.lo, each.hi)
        if each.step != 1 or not all(isinstance(e, Literal) for e in ends):
            return False
        return tuple(e.value for e in ends if isinstance(e, Literal)) == (
            0,
            inner.lanes,
        )

    return inner.lanes > 1 and runs(loop) and runs(inner)


def _is_linear(form: Affine, names: tuple[str, ...]) -> bool:
    """Whether the variables occur in no term but as themselves."""

    def hides(atom: Expr) -> bool:
        if isinstance(atom, Var):
            return False
        return any(isinstance(e, Var) and e.name in names for e in subexpressions(atom))

    return not any(hides(atom) for atom, _ in form.terms)


def _without(form: Affine, names: tuple[str, ...]) -> Affine:
    for name in names:
        form = form.without(name)
    return form


def emit_block(scope: Scope, block: Block) -> None:
    """Emit the copy of a block."""
    rows: list[ir.Value] = []
    isa = scope.target.isa
    for v in range(block.lanes):
        start = block.source_corner + Affine(v * block.source_step)
        place = _place(scope, block.source, start)
        loaded = load_vector(scope, block.source, place, block.lanes, None)
        rows.append(from_memory(scope.builder, loaded, block.source.dtype, isa))
    for u, column in enumerate(_transposed(scope.builder, rows)):
        start = block.target_corner + Affine(u * block.target_step)
        place = _place(scope, block.target, start)
        kept = to_memory(scope.builder, column, block.target.dtype, isa)
        store_vector(scope, block.target, place, kept, None)


def _place(scope: Scope, buffer: Buffer, position: Affine) -> ir.Value:
    element = memory_type(buffer.dtype)
    moved = emit_affine(scope, position, {})
    return offset(scope.builder, scope.address(buffer.name), moved, element)


def _transposed(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    lanes = len(rows)
    half = lanes // 2
    while half:
        low = [p if not p & half else lanes + p - half for p in range(lanes)]
        high = [p + half if not p & half else lanes + p for p in range(lanes)]
        for i in range(lanes):
            if not i & half:
                a, b = rows[i], rows[i | half]
                rows[i] = shuffle(builder, a, b, low)
                rows[i | half] = shuffle(builder, a, b, high)
        half //= 2
    return rows
