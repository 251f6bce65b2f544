"""The published space of loop variants, as nests for the reuse analysis.

Convolutions are in blocked layouts, `I[n, c/b, h, w, b]`, `O[n, k/b, p, q, b]` and
`F[k/b, c/b, r, s, b, b]`; the innermost loops (oi, ofm, ifm) are what a microkernel of
T x b computes. Products are tiled twice. A variant is a nest with concrete sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from polydsl.poly.terms import linear_from
from polydsl.poly.working_sets import Loop, PerfectNest, Touch

BLOCKS = (64, 32, 16)
"""Channel blocks, the preferred first."""

ORDERS: Mapping[int, tuple[str, ...]] = {
    2: ("ofm_t", "ifm_t", "oj", "kj", "ki"),
    3: ("oj", "kj", "ki", "ofm_t", "ifm_t"),
    4: ("ofm_t", "kj", "ki", "ifm_t", "oj"),
    5: ("ifm_t", "kj", "ki", "oj", "ofm_t"),
}
"""The untiled orders by their published numbers: the loops between img, which is
outermost and parallel, and the microkernel's."""

TILED = ("ofm_t", "ifm_t", "oj", "oi")
"""The loops that the two tiled orders cut."""

TILED_ORDERS: Mapping[int, tuple[str, ...]] = {
    6: ("ofm_t", "ifm_t", "oj", "oi"),
    7: ("oj", "oi", "ofm_t", "ifm_t"),
}
"""The order of the tile loops. Those inside run as in variant 2."""

INNERMOST = ("oi", "ofm", "ifm")


@dataclass(frozen=True, slots=True)
class Layer:
    """The sizes of a convolution in blocked layouts. The channels are multiples of the
    block; `window` and `positions` are (vertical, horizontal)."""

    images: int
    channels_in: int
    channels_out: int
    window: tuple[int, int]
    stride: int
    positions: tuple[int, int]
    block: int

    @property
    def trips(self) -> dict[str, int]:
        """The number of iterations of every untiled loop."""
        return {
            "img": self.images,
            "ofm_t": self.channels_out // self.block,
            "ifm_t": self.channels_in // self.block,
            "oj": self.positions[0],
            "oi": self.positions[1],
            "kj": self.window[0],
            "ki": self.window[1],
            "ofm": self.block,
            "ifm": self.block,
        }


def padded_channels(channels_in: int, channels_out: int) -> tuple[int, int, int]:
    """Return both channel counts, filled up to multiples of the smallest block, and the
    largest block that divides both."""
    padded = [-(-n // BLOCKS[-1]) * BLOCKS[-1] for n in (channels_in, channels_out)]
    block = next(b for b in BLOCKS if all(n % b == 0 for n in padded))
    return padded[0], padded[1], block


@dataclass(frozen=True, slots=True)
class ConvVariant:
    """One variant of a layer: its order by number and, for a tiled one, the tiles'
    extents by loop."""

    layer: Layer
    order: int
    tiles: tuple[tuple[str, int], ...] = ()

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The loops of the variant, outermost first, the microkernel's last."""
        trips, tiles = self.layer.trips, dict(self.tiles)
        outer = [
            Loop(f"{name}_tile", trips[name], tiles[name])
            for name in TILED_ORDERS.get(self.order, ())
        ]
        names = (*ORDERS.get(self.order, ORDERS[2]), *INNERMOST)
        inner = [
            Loop(name, tiles[name], 1, f"{name}_tile", _limit(trips[name], tiles[name]))
            if name in tiles
            else Loop(name, trips[name])
            for name in names
        ]
        return (Loop("img", trips["img"]), *outer, *inner)


def halves(size: int) -> tuple[int, ...]:
    """Return size, size // 2, size // 4, ..., 1."""
    return tuple(size >> shift for shift in range(size.bit_length()))


def tile_extents(layer: Layer, loop: str) -> tuple[int, ...]:
    """Return the extents by which one of the `TILED` loops may be cut.

    All halves of the channel loops, so that their last tile may be partial; of the
    positions only the halves that divide.
    """
    size = layer.trips[loop]
    is_channel = loop in ("ofm_t", "ifm_t")
    return tuple(h for h in halves(size) if is_channel or size % h == 0)


def conv_variants(layer: Layer, *, tiled: tuple[str, ...]) -> Iterator[ConvVariant]:
    """Yield the variants of a layer: the four untiled orders, then the two tiled ones
    with every choice of tile extents for the loops in *tiled*, the others whole.

    The space of 2020 tiles `oj` alone, that of 2021 all of `TILED`.
    """
    yield from (ConvVariant(layer, order) for order in ORDERS)
    trips = layer.trips
    choices = [
        tile_extents(layer, name) if name in tiled else (trips[name],) for name in TILED
    ]
    for order, sizes in product(TILED_ORDERS, product(*choices)):
        yield ConvVariant(layer, order, tuple(zip(TILED, sizes)))


def count_conv_variants(layer: Layer, *, tiled: tuple[str, ...]) -> int:
    """Return how many variants `conv_variants` yields."""
    choices = prod(len(tile_extents(layer, name)) for name in tiled)
    return len(ORDERS) + len(TILED_ORDERS) * choices


def conv_nest(variant: ConvVariant, *, parallel: str = "") -> PerfectNest:
    """Return the nest of a variant of a convolution, as the method analyses it."""
    stride = variant.layer.stride
    output = _touch("O", "img", "ofm_t", "oj", "oi", "ofm")
    weights = _touch("F", "ofm_t", "ifm_t", "kj", "ki", "ifm", "ofm")
    rows, columns = {"oj": stride, "kj": 1}, {"oi": stride, "ki": 1}
    image = _touch("I", "img", "ifm_t", rows, columns, "ifm")
    return PerfectNest(variant.loops, (output, weights, image), (output,), parallel)


def _limit(size: int, tile: int) -> int:
    """Return the bound of a loop over a tile, -1 where tiles come out even."""
    return size if size % tile else -1


def gemm_nest(
    sizes: tuple[int, int, int],
    outer: tuple[int, int, int],
    inner: tuple[int, int, int],
    *,
    parallel: str = "it2",
) -> PerfectNest:
    """Return the nest of `C[i, j] += A[i, k] * B[k, j]` in tiles of tiles.

    *sizes*, *outer* and *inner* are extents of (i, j, k): of the product, of the tiles
    and of the tiles inside those. Loops are it2, jt2, kt2, it1, jt1, kt1, i, j, k.
    """
    indices = tuple(zip("ijk", sizes, outer, inner))
    loops = (
        *(Loop(f"{i}t2", size, big) for i, size, big, _ in indices),
        *(Loop(f"{i}t1", big, few, f"{i}t2", n) for i, n, big, few in indices),
        *(Loop(i, few, 1, f"{i}t1", n) for i, n, _, few in indices),
    )
    result = _touch("C", "i", "j")
    reads = (_touch("A", "i", "k"), _touch("B", "k", "j"), result)
    return PerfectNest(loops, reads, (result,), parallel)


def gemm_tiles(
    sizes: tuple[int, int, int], microkernel: int
) -> Iterator[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """Yield the tiles of the published space for a microkernel of m = n = k: the
    extents (outer, inner), powers of two from the microkernel's size to the product's,
    each outer a multiple of the inner."""
    ladders = [
        [microkernel << s for s in range((max(n // microkernel, 1)).bit_length())]
        for n in sizes
    ]
    for inner in product(*ladders):
        higher = [[t for t in lad if t >= i] for lad, i in zip(ladders, inner)]
        for outer in product(*higher):
            yield (outer[0], outer[1], outer[2]), (inner[0], inner[1], inner[2])


def _touch(tensor: str, *subscripts: str | dict[str, int]) -> Touch:
    forms = (s if isinstance(s, dict) else {s: 1} for s in subscripts)
    return Touch(tensor, tuple(linear_from(f, 0) for f in forms))
