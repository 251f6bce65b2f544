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
from polydsl.schedule.register_tile import even_rows, tile_efficiency, tile_shapes


def microkernel_efficiency(
    provider: Provider,
    machine: Machine,
    dtype: DType,
    *,
    rows: int,
    columns: int,
    products: int,
    batch: int = 1,
    has_row_table: bool = False,
    inner: InnerProduct = MULTIPLY_ADD,
) -> float:
    """Return the share of the machine's multiply-adds that one call reaches, 0 to 1.

    The arguments are those of `tile_efficiency`, which answers for the built-in one.
    """
    if provider.is_general:
        return tile_efficiency(
            machine,
            dtype,
            rows=rows,
            columns=columns,
            products=products,
            batch=batch,
            has_row_table=has_row_table,
            inner=inner,
        )
    if min(rows, columns, products, batch) < 1:
        return 0.0
    lanes = machine.lanes(dtype)
    useful = rows * columns / lanes * products / machine.fma_per_cycle
    inside = min(
        _block_cycles(machine, dtype, (rows, columns), shape, (products, batch))
        for shape in tile_shapes(machine, dtype)
    )
    position = provider.position_cycles
    if provider.rereads_result:
        position += rows * ceil(columns / lanes)
    return useful / (inside + provider.call_cycles + batch * position)


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


def _block_cycles(
    machine: Machine,
    dtype: DType,
    block: tuple[int, int],
    shape: tuple[int, int],
    length: tuple[int, int],
) -> float:
    """Return the cycles of a block that is cut into register tiles of one shape."""
    (rows, columns), (most_rows, vectors) = block, shape
    (products, batch), lanes = length, machine.lanes(dtype)
    total = 0.0
    for wide in _parts(columns, vectors * lanes):
        for tall in even_rows(rows, most_rows):
            share = tile_efficiency(
                machine,
                dtype,
                rows=tall,
                columns=wide,
                products=products,
                batch=batch,
            )
            total += tall * wide / lanes * products / machine.fma_per_cycle / share
    return total


def _parts(total: int, most: int) -> tuple[int, ...]:
    full, rest = divmod(total, most)
    return (most,) * full + ((rest,) if rest else ())
