"""How fast a microkernel provider computes a block, and which blocks are worth a call.

A library cuts a block into register tiles itself and emits much the same code for each
as the built-in generator, so its time is that of the best such cut, each tile without
a call of its own, plus what its calls cost. So the same model of register tiles prices
every provider.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from polydsl.base.dtypes import DType
from polydsl.base.inner_product import MULTIPLY_ADD, InnerProduct
from polydsl.base.machine import Machine
from polydsl.base.providers import Provider
from polydsl.schedule.register_tile import (
    TileCycles,
    even_rows,
    tile_cycles,
    tile_shapes,
)

LONG_PRODUCT = 512
"""The length of reduction for which the cut of a block is chosen."""


def block_cycles(
    provider: Provider,
    machine: Machine,
    dtype: DType,
    *,
    rows: int,
    columns: int,
    has_row_table: bool = False,
    inner: InnerProduct = MULTIPLY_ADD,
) -> TileCycles:
    """Return the cycles of one call; the arguments are those of `tile_cycles`, which
    answers for the built-in provider."""
    if provider.is_general:
        return tile_cycles(
            machine,
            dtype,
            rows=rows,
            columns=columns,
            has_row_table=has_row_table,
            inner=inner,
        )
    tiles = register_tiles(provider, machine, dtype, rows=rows, columns=columns)
    inside = _together(machine, dtype, tiles)
    position = provider.position_cycles
    if provider.rereads_result:
        position += rows * ceil(columns / machine.lanes(dtype))
    return TileCycles(
        inside.step, inside.position + position, inside.ends + provider.call_cycles
    )


def register_tiles(
    provider: Provider, machine: Machine, dtype: DType, *, rows: int, columns: int
) -> tuple[tuple[int, int], ...]:
    """Return the register tiles (rows, columns) of one call: the block itself for the
    built-in provider, the best cut of it for a library."""
    if provider.is_general:
        return ((rows, columns),)
    shapes = tile_shapes(machine, dtype)
    cuts = (_cut(machine, dtype, (rows, columns), shape) for shape in shapes)
    return min(
        cuts, key=lambda cut: _together(machine, dtype, cut).total(LONG_PRODUCT, 1)
    )


def block_shapes(
    provider: Provider,
    machine: Machine,
    dtype: DType,
    *,
    rows: int,
    columns: int,
    inner: InnerProduct = MULTIPLY_ADD,
) -> Iterator[tuple[int, int]]:
    """Yield tiles (rows, columns) of a result of *rows* x *columns*, best first.

    For the built-in provider these are register tiles, for a library larger blocks.
    Rows are evened out, or whole tiles with a shorter last one; columns are vectors.
    """
    lanes = machine.lanes(dtype)
    shapes = dict.fromkeys(_tallest(provider, machine, dtype, inner))
    seen: set[tuple[int, int]] = set()
    for most_rows, vectors in shapes:
        wide = min(vectors, ceil(columns / lanes))
        tallest = min(most_rows, rows)
        for tall in {even_rows(rows, tallest)[0], tallest}:
            tile = (tall, min(wide * lanes, columns))
            if tile not in seen:
                seen.add(tile)
                yield tile


def _tallest(
    provider: Provider, machine: Machine, dtype: DType, inner: InnerProduct
) -> Iterator[tuple[int, int]]:
    """Yield pairs of most rows and vectors."""
    if provider.is_general:
        yield from tile_shapes(machine, dtype, inner)
        return
    rows = provider.block_rows
    while rows >= 8:
        vectors = provider.block_vectors
        while vectors:
            yield rows, vectors
            vectors //= 2
        rows //= 2


def _cut(
    machine: Machine, dtype: DType, block: tuple[int, int], shape: tuple[int, int]
) -> tuple[tuple[int, int], ...]:
    """Return a block cut into register tiles of one shape, and smaller ones."""
    (rows, columns), (most_rows, vectors) = block, shape
    return tuple(
        (tall, wide)
        for wide in _parts(columns, vectors * machine.lanes(dtype))
        for tall in even_rows(rows, most_rows)
    )


def _together(
    machine: Machine, dtype: DType, shapes: tuple[tuple[int, int], ...]
) -> TileCycles:
    """Return the cycles of register tiles one after the other."""
    tiles = [
        tile_cycles(machine, dtype, rows=rows, columns=columns)
        for rows, columns in shapes
    ]
    return TileCycles(
        sum(tile.step for tile in tiles),
        sum(tile.position for tile in tiles),
        sum(tile.ends for tile in tiles),
    )


def _parts(total: int, most: int) -> tuple[int, ...]:
    full, rest = divmod(total, most)
    return (most,) * full + ((rest,) if rest else ())
