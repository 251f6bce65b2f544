"""The nodes of a nest, from the outside to the inside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import assert_never

from llvmlite import ir

from polydsl.backend.emitter.checks import emit_check
from polydsl.backend.emitter.control import emit_for, loop_extent
from polydsl.backend.emitter.expressions import emit_index, emit_value
from polydsl.backend.emitter.parallel import emit_parallel
from polydsl.backend.emitter.ranges import decide
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.statements import emit_statement
from polydsl.backend.emitter.tiles import apart, prefetch_reads, tile_of, tiles_among
from polydsl.backend.emitter.transpose import emit_block, transposed_block
from polydsl.backend.emitter.types import add, number
from polydsl.backend.emitter.vector import emit_vector_loop
from polydsl.backend.microkernel import begin_gemm, emit_gemm
from polydsl.backend.target import Target
from polydsl.base.diagnostics import bug
from polydsl.loops.nest import (
    Accumulate,
    BatchReduceGemm,
    Check,
    Expr,
    Guard,
    Loop,
    LoopNest,
    Node,
    Store,
)


@dataclass(frozen=True, slots=True)
class GemmPlace:
    """What a microkernel call needs of the place where it stands."""

    scope: Scope

    @property
    def module(self) -> ir.Module:
        """The module that is emitted."""
        return self.scope.module

    @property
    def target(self) -> Target:
        """The machine that the code is for."""
        return self.scope.target

    @property
    def nest(self) -> LoopNest:
        """The loop nest that is emitted."""
        return self.scope.nest

    def value(self, expr: Expr) -> ir.Value:
        """Return the i64 value of a subscript expression."""
        return emit_index(self.scope, expr, {})

    def address(self, buffer: str) -> ir.Value:
        """Return the address of element 0 of a buffer."""
        return self.scope.address(buffer)


def emit_nodes(scope: Scope, nodes: tuple[Node, ...]) -> None:
    """Emit nodes one after the other. A product in registers and the nodes beside it
    that use them are a function of their own."""
    for tile, part in groupby(nodes, partial(tile_of, tiles_among(scope, nodes))):
        if tile is None:
            _emit_all(scope, tuple(part))
        else:
            _emit_tile(scope, tile, tuple(part))


def _emit_tile(scope: Scope, gemm: BatchReduceGemm, nodes: tuple[Node, ...]) -> None:
    place = nodes.index(gemm)
    with apart(scope, "tile") as inner:
        # What is in the result so far is loaded after the products: registers are full.
        prefetch_reads(inner, nodes)
        finish = begin_gemm(inner.builder, gemm, GemmPlace(inner))
        _emit_all(inner, nodes[:place])
        finish()
        _emit_all(inner, nodes[place + 1 :])


def _emit_all(scope: Scope, nodes: tuple[Node, ...]) -> None:
    for node in nodes:
        match node:
            case Loop():
                _emit_loop(scope, node)
            case Guard():
                _emit_guard(scope, node)
            case Store() | Accumulate():
                emit_statement(scope, node)
            case BatchReduceGemm():
                emit_gemm(scope.builder, node, GemmPlace(scope))
            case Check():
                emit_check(scope, node)
            case _:
                assert_never(node)


def _emit_guard(scope: Scope, guard: Guard) -> None:
    known = decide(guard.condition, scope.ranges)
    if known is False:
        return
    if known:
        emit_nodes(scope, guard.body)
        return
    condition = emit_value(scope, guard.condition, {})
    with scope.builder.if_then(condition):
        emit_nodes(scope, guard.body)


def _emit_loop(scope: Scope, loop: Loop) -> None:
    if loop.kind == "vector":
        emit_vector_loop(scope, loop)
        return

    def body(inner: Scope) -> None:
        emit_nodes(inner, loop.body)

    extent = loop_extent(scope, loop)
    if loop.kind == "unrolled":
        block = transposed_block(scope, loop)
        if block is not None:
            emit_block(scope, block)
            return
        if extent.trips is None:
            bug(f"{scope.nest.name}: unrolled loop {loop.var} has no constant extent")
        _emit_unrolled(scope, loop, extent.trips, extent.lo)
    elif (
        loop.kind == "parallel" and not scope.is_parallel and extent.trips not in (0, 1)
    ):
        emit_parallel(scope, loop, extent, body)
    else:
        emit_for(scope, loop.var, (extent.lo, extent.hi), loop.step, extent.ends, body)


def _emit_unrolled(scope: Scope, loop: Loop, trips: int, lo: ir.Value) -> None:
    """Write the iterations out, one after the other."""
    extent = loop_extent(scope, loop)
    for i in range(trips):
        value = add(scope.builder, lo, number(i * loop.step))
        ends = extent.ends
        if isinstance(value, ir.Constant):
            ends = (value.constant, value.constant)
        emit_nodes(scope.bind(loop.var, value, ends), loop.body)
