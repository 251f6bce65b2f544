"""Square blocks that a copy turns over: loads, shuffles, stores, no gather.

    for u in 0..16 [unrolled]:
      for v in 0..16 [vector]:
        copy[..., u, v] = f(source[..., v, u])     (u is contiguous in the source)

Lane by lane that would gather every vector. Instead the value is computed in lanes
along u for each v, of rows of the source that are loaded whole, and the vectors are
exchanged in log2(16) rounds, in which blocks of 1, 2, 4 ... elements off the diagonal
change places (the classical recursive transposition).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llvmlite import ir

from polydsl.backend.emitter.access import store_vector
from polydsl.backend.emitter.expressions import emit_affine
from polydsl.backend.emitter.lane_values import emit_lanes
from polydsl.backend.emitter.ranges import Affine
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.types import number, offset, shuffle
from polydsl.backend.emitter.vector_checks import lanes_of
from polydsl.backend.llvm_types import memory_type, register_bytes
from polydsl.backend.memory_form import to_memory
from polydsl.loops.nest import (
    Buffer,
    Expr,
    Literal,
    Load,
    Loop,
    Store,
    Var,
    subexpressions,
)
from polydsl.loops.touched import parts


@dataclass(frozen=True, slots=True)
class Block:
    """A copy of `lanes` by `lanes` elements, whose corner is at the variables' 0.

    The `value` for (u, v), the variables of the loops `outer` and `inner`, is stored at
    `corner + v + u * step` of the target.
    """

    outer: Loop
    inner: Loop
    value: Expr
    target: Buffer
    corner: Affine
    step: int

    @property
    def lanes(self) -> int:
        """The number of rows, and of columns."""
        return self.inner.lanes


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
    if not _is_square(loop, inner):
        return None
    target = scope.kernel.buffer(store.buffer)
    if store.value.dtype != target.dtype or register_bytes(target.dtype) < 4:
        return None
    ends = (0, inner.lanes - 1)
    block = scope.bind(loop.var, number(0), ends).bind(inner.var, number(0), ends)
    to, names = block.position(store.buffer, store.index), (loop.var, inner.var)
    if not _is_linear(to, names) or to.coefficient(inner.var) != 1:
        return None
    loads = [part for part in parts(store.value) if isinstance(part, Load)]
    if any(load.buffer == target.name for load in loads):
        return None
    if not _is_turned(block, loads, names):
        return None
    corner, step = _without(to, names), to.coefficient(loop.var)
    return Block(loop, inner, store.value, target, corner, step)


def _is_turned(scope: Scope, loads: list[Load], names: tuple[str, str]) -> bool:
    """Whether rows of what is loaded lie along the outer variable and not along the
    inner one, and nothing is scattered along the outer one."""
    outer, inner = names
    rows = 0
    for load in loads:
        place = scope.position(load.buffer, load.index)
        along = place.coefficient(outer)
        is_lane = _is_linear(place, names) and place.coefficient(inner) == 1
        if not _is_linear(place, (outer,)) or along not in (0, 1):
            return False
        if scope.kernel.buffer(load.buffer).memory == "register" or (
            is_lane and not along
        ):
            return False
        rows += along
    return rows > 0


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
    isa = scope.target.isa
    rows = [_row(scope, block, v) for v in range(block.lanes)]
    for u, column in enumerate(_transposed(scope.builder, rows)):
        start = block.corner + Affine(u * block.step)
        place = _place(scope, block.target, start)
        kept = to_memory(scope.builder, column, block.target.dtype, isa)
        store_vector(scope, block.target, place, kept, None)


def _row(scope: Scope, block: Block, v: int) -> ir.Value:
    """Return the values for all u and one v."""
    ends = (0, block.lanes - 1)
    inner = scope.bind(block.inner.var, number(v), (v, v))
    along = replace(block.outer, lanes=block.lanes)
    return emit_lanes(lanes_of(inner, along, number(0), ends, None), block.value)


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
