"""Published variants as kernels and points of the project's own back end.

A convolution in blocked layouts is one kernel: tiled loops are dimensions of their own,
so that the result's shape [n, ko, ki, jo, ji, io, ii, k] is that of O[n, K/b, P, Q, b]
with its axes split. Loops over the reduced ifm, kj, ki are levels of the taps, which
flatten in the order in which the weights' axes name them; a transposed view gives that
order to the published memory layout F[K/b, C/b, r, s, b, b].
"""

from __future__ import annotations

from math import ceil, prod

import numpy as np
import numpy.typing as npt

from polydsl.base.dtypes import F32
from polydsl.base.machine import Machine
from polydsl.schedule.matrix_point import MatrixPoint, Reading, TileLoop
from polydsl.schedule.published.variants import TILED, ConvVariant
from polydsl.schedule.register_tile import even_rows, max_rows

Array = npt.NDArray[np.float32]

SUBJECT = "S1 (y)"
"""The decision that a point is for: the sum, after the statement that sets y to 0."""

CONVOLUTION = """
kernel convolution(x: f32[N, CO, CI, H, W, C], w: f32[KO, KI, {taps}, C, K],
                   *, JO: int, JI: int, IO: int, II: int, stride: int
                   ) -> f32[N, KO, KI, JO, JI, IO, II, K]:
    y[n, ko, ki, jo, ji, io, ii, k] += (
        w[ko, ki, {indices}, c, k]
        * x[n, co, ci, (jo*JI + ji)*stride + r, (io*II + ii)*stride + s, c])
    return y
"""

PRODUCT = """
kernel product(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    y[i, j] += a[i, k] * b[k, j]
    return y
"""

WINDOW_FIRST = (3, 4)
"""The orders whose loops kj, ki are around the loop ifm."""

OUTER = {
    "img": "n",
    "ofm_t_tile": "ko",
    "ofm_t": "ki",
    "oj_tile": "jo",
    "oj": "ji",
    "oi_tile": "io",
}
"""The dimension of the kernel that a loop of a variant runs over."""


def is_even(variant: ConvVariant) -> bool:
    """Whether all tiles are whole: only those run as loops over split dimensions."""
    trips = variant.layer.trips
    return all(trips[name] % tile == 0 for name, tile in variant.tiles)


def convolution_text(variant: ConvVariant) -> str:
    """Return the kernel whose taps have a variant's order."""
    axes = _tap_axes(variant)
    return CONVOLUTION.format(taps=", ".join(axes), indices=", ".join(axes).lower())


Shapes = dict[str, tuple[int, ...]]


def convolution_sizes(variant: ConvVariant) -> tuple[Shapes, dict[str, int]]:
    """Return the shapes of the arguments, and the constants. The image holds its border
    already."""
    layer, size = variant.layer, _sizes(variant)
    height, width = (
        (p - 1) * layer.stride + r for p, r in zip(layer.positions, layer.window)
    )
    extents = {**size, "R": layer.window[0], "S": layer.window[1]}
    taps = tuple(extents[name] for name in _tap_axes(variant))
    shapes: Shapes = {
        "x": (layer.images, size["CO"], size["CI"], height, width, layer.block),
        "w": (size["KO"], size["KI"], *taps, layer.block, layer.block),
    }
    constants = {name: size[name] for name in ("JO", "JI", "IO", "II")}
    return shapes, {**constants, "stride": layer.stride}


def _tap_axes(variant: ConvVariant) -> tuple[str, ...]:
    is_first = variant.order in WINDOW_FIRST
    return ("R", "S", "CO", "CI") if is_first else ("CO", "CI", "R", "S")


def convolution_arrays(variant: ConvVariant) -> tuple[Array, Array]:
    """Return random x and w in the published layouts; w as the kernel indexes it."""
    shapes, _ = convolution_sizes(variant)
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shapes["x"], dtype=np.float32)
    if variant.order not in WINDOW_FIRST:
        return x, rng.standard_normal(shapes["w"], dtype=np.float32)
    ko, ki, r, s, co, ci, c, k = shapes["w"]
    w = rng.standard_normal((ko, ki, co, ci, r, s, c, k), dtype=np.float32)
    return x, w.transpose(0, 1, 4, 5, 2, 3, 6, 7)


def convolution_point(variant: ConvVariant, machine: Machine) -> MatrixPoint:
    """Return the schedule that a variant stands for: its loops, then a microkernel of
    T x b x b, in as many register tiles as T needs."""
    size = _sizes(variant)
    block = variant.layer.block
    rows = register_rows(machine, block, size["II"])
    return MatrixPoint(
        is_swapped=True,
        rows=("ii",),
        columns=("k",),
        depth=("c",),
        row_tile=rows,
        column_tile=block,
        depth_block=block,
        taps_block=1,
        loops=(*_tile_loops(variant), TileLoop("rows"), TileLoop("columns")),
        a=Reading("in place"),
        b=Reading("in place"),
    )


def product_point(
    machine: Machine, outer: tuple[int, int, int], inner: tuple[int, int, int]
) -> MatrixPoint:
    """Return the schedule of a product in tiles of tiles of (i, j, k): loops it2, jt2,
    kt2, it1, jt1, kt1, then register tiles within the inner tile."""
    columns = min(inner[1], 64)
    rows = register_rows(machine, columns, inner[0])
    tile = {"rows": rows, "columns": columns, "depth": inner[2]}
    loops = tuple(
        TileLoop(axis, ceil(extent / tile[axis]))
        for extents in (outer, inner, tuple(tile.values()))
        for axis, extent in zip(tile, extents)
    )
    return MatrixPoint(
        is_swapped=False,
        rows=("i",),
        columns=("j",),
        depth=("k",),
        row_tile=rows,
        column_tile=columns,
        depth_block=inner[2],
        taps_block=1,
        loops=loops,
        a=Reading("in place"),
        b=Reading("in place"),
    )


def register_rows(machine: Machine, columns: int, rows: int) -> int:
    """Return the rows of a register tile of so many columns: what the registers hold,
    cut so that tiles are equal where that costs less than half of their height."""
    most = max_rows(machine, ceil(columns / machine.lanes(F32)))
    divisors = [tile for tile in range(1, most + 1) if rows % tile == 0]
    balanced = even_rows(rows, most)[0]
    return divisors[-1] if 2 * divisors[-1] > balanced else balanced


def _sizes(variant: ConvVariant) -> dict[str, int]:
    """Return the extents of the kernel's split dimensions."""
    trips, tiles = variant.layer.trips, dict(variant.tiles)
    sizes: dict[str, int] = {}
    for name, letter in zip(TILED, "KCJI"):
        tile = tiles.get(name, trips[name])
        sizes[f"{letter}O"], sizes[f"{letter}I"] = trips[name] // tile, tile
    return sizes


def _tile_loops(variant: ConvVariant) -> tuple[TileLoop, ...]:
    """Return a variant's loops outside the microkernel."""
    trips, size = variant.layer.trips, _sizes(variant)
    extents = {
        "ifm_t_tile": size["CO"],
        "ifm_t": size["CI"],
        "kj": trips["kj"],
        "ki": trips["ki"],
    }
    if variant.order in WINDOW_FIRST:
        names = ("kj", "ki", "ifm_t_tile", "ifm_t")
    else:
        names = ("ifm_t_tile", "ifm_t", "kj", "ki")
    loops = []
    for loop in variant.loops:
        if loop.name in OUTER:
            loops.append(TileLoop(OUTER[loop.name]))
        elif loop.name in names:
            inside = names[names.index(loop.name) + 1 :]
            loops.append(TileLoop("taps", prod(extents[name] for name in inside)))
    return tuple(loops)
