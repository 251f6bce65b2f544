"""Nodes that become a function of their own: a product in registers, what follows it.

    tile = sum of products; y = f(tile)    ->    call tile(buffers, scratch, ..., i, j)

The function is never inlined: its registers are all for the tile, whatever loops are
around the call. It gets the caller's pointers and the loop variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

from llvmlite import ir

from polydsl.backend.emitter.expressions import emit_place
from polydsl.backend.emitter.parallel import close_function, open_function
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.types import I32, NULL, VOID, constant_of, number
from polydsl.backend.vector_memory import prefetch
from polydsl.loops.nest import (
    BatchReduceGemm,
    Literal,
    Load,
    Loop,
    Node,
    Var,
)
from polydsl.loops.touched import expressions, parts, touched_buffers

LINE_BYTES = 64
"""What one prefetch brings."""


Tiles: TypeAlias = Sequence[BatchReduceGemm]
"""Products whose results are register buffers."""


def tiles_among(scope: Scope, nodes: tuple[Node, ...]) -> Tiles:
    """Return the products in registers among some nodes."""
    products = (node for node in nodes if isinstance(node, BatchReduceGemm))
    buffer = scope.kernel.buffer
    return [p for p in products if buffer(p.c.buffer).memory == "register"]


def tile_of(tiles: Tiles, node: Node) -> BatchReduceGemm | None:
    """Return the product to whose registers a node belongs."""
    touched = touched_buffers((node,)) if tiles else ()
    return next((tile for tile in tiles if tile.c.buffer in touched), None)


@contextmanager
def apart(scope: Scope, name: str) -> Iterator[Scope]:
    """Open a function that is called here; what is emitted in the scope that is given
    is its body."""
    outer = scope.function
    moving = {v: x for v, x in scope.variables.items() if constant_of(x) is None}
    given = (outer.buffers, outer.scratch, outer.private, *moving.values())
    kind = ir.FunctionType(VOID, [value.type for value in given])
    unique = scope.module.get_unique_name(f"{scope.kernel.part}_{name}")
    function = ir.Function(scope.module, kind, unique)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")

    def pointers(entry: ir.IRBuilder) -> Sequence[ir.Value]:
        return (*function.args[:3], I32(1), NULL)

    inside = open_function(scope.kernel, function, pointers)
    variables = {**scope.variables, **dict(zip(moving, function.args[3:]))}
    yield replace(scope, function=inside, variables=variables)
    close_function(inside)
    outer.builder.call(function, given)


def prefetch_reads(scope: Scope, nodes: tuple[Node, ...]) -> None:
    """Ask for the lines that nodes read in the rows of a tile, before what takes long:
    the rows lie too far apart for the hardware to foresee them."""
    for row in nodes:
        if not isinstance(row, Loop) or row.kind != "unrolled":
            continue
        for value in range(*_ends(row)):
            inner = scope.bind(row.var, number(value), (value, value))
            for loop in row.body:
                if isinstance(loop, Loop):
                    _prefetch_row(inner, loop, row.var)


def _prefetch_row(scope: Scope, loop: Loop, row: str) -> None:
    """Ask for the lines that a loop over lanes reads in one row."""
    lo, hi = _ends(loop)
    for load in _loads(loop):
        buffer = scope.kernel.buffer(load.buffer)
        if buffer.memory == "register" or not _is_run(scope, load, loop.var, row):
            continue
        for at in range(lo, hi, LINE_BYTES // buffer.dtype.bytes):
            here = scope.bind(loop.var, number(at), (at, at))
            place = emit_place(here, load.buffer, load.index, {})
            prefetch(scope.builder, place, for_write=False)


def _loads(loop: Loop) -> tuple[Load, ...]:
    """Return the different loads of a loop's body, in order."""
    below = parts(*(expr for node in loop.body for expr in expressions(node)))
    return tuple(dict.fromkeys(part for part in below if isinstance(part, Load)))


def _is_run(scope: Scope, load: Load, lane: str, row: str) -> bool:
    """Whether a load's lanes are neighbours, and other ones in every row: what all rows
    share is near anyway."""
    terms = {*parts(*load.index)}
    data = any(isinstance(part, Load) for part in terms)
    position = scope.position(load.buffer, load.index)
    return Var(row) in terms and not data and position.coefficient(lane) == 1


def _ends(loop: Loop) -> tuple[int, int]:
    """Return the bounds of a loop over a tile, which are numbers."""
    assert isinstance(loop.lo, Literal) and isinstance(loop.hi, Literal)
    return int(loop.lo.value), int(loop.hi.value)
