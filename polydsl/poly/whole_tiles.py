"""Which tiles of a domain are whole: `tiled_domain(statement, around, tilings)`.

    { S[b, i, j] : 0 <= i < 64 and 0 <= j <= 64*b + i }    in tiles of 64 values of j

of which the tiles t < b are whole, t <= b are touched, and 64*b <= j is left beside
whole ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polydsl.poly.isl import Set, domain_text, map_text, parse_map, parse_set
from polydsl.poly.polyhedra import first_dimensions, set_parts, with_any
from polydsl.poly.scop import Statement
from polydsl.poly.terms import isl_name


@dataclass(frozen=True, slots=True)
class Tiling:
    """`count` tiles of `size` values of an index, from `first` on, numbered by
    `tile`."""

    tile: str
    first: int
    size: int
    count: int


@dataclass(frozen=True, slots=True)
class TiledDomain:
    """Which tiles are whole and which hold any point, by the values of `around` and the
    numbers of tiles, out of `all_tiles`; and the points beside whole ones, in disjoint
    parts over the dimensions of the statement."""

    around: tuple[str, ...]
    all_tiles: Set
    whole: Set
    touched: Set
    rest: tuple[Set, ...]


def tiled_domain(
    statement: Statement, around: Sequence[str], tilings: Mapping[str, Tiling]
) -> TiledDomain:
    """Return what becomes of a statement's domain when some of its indices are cut into
    tiles. `around` are the indices on which it may depend which tiles are whole; a tile
    holds all values of the other ones."""
    numbers = tuple(t.tile for t in tilings.values())
    inside = tuple(d for d in statement.dims if d not in around)
    order = (*around, *numbers, *inside)
    everything = _box(statement, order, tilings)
    to = statement.domain.get_tuple_name()
    values = [isl_name(d) for d in statement.dims]
    taken = parse_map(map_text("", [isl_name(d) for d in order], to, values))
    taken = taken.intersect_domain(everything)
    here = taken.intersect_range(statement.domain).domain()
    count = len(around) + len(numbers)
    tiles = first_dimensions(everything, count)
    whole = tiles.subtract(first_dimensions(everything.subtract(here), count))
    covered = with_any(whole, len(inside)).apply(taken)
    left = statement.domain.subtract(covered).coalesce()
    return TiledDomain(
        tuple(around),
        tiles,
        whole.coalesce(),
        first_dimensions(here, count).coalesce(),
        set_parts(left.make_disjoint().coalesce()),
    )


def _box(
    statement: Statement, order: Sequence[str], tilings: Mapping[str, Tiling]
) -> Set:
    """Return all points of all tiles."""
    where: list[str] = []
    for d, (lo, hi) in statement.ranges.items():
        tiling = tilings.get(d)
        if tiling is None:
            where.append(f"{lo} <= {isl_name(d)} <= {hi}")
            continue
        tile = isl_name(tiling.tile)
        start = f"{tiling.size}*{tile} + {tiling.first}"
        where.append(f"0 <= {tile} < {tiling.count}")
        where.append(f"{start} <= {isl_name(d)} < {start} + {tiling.size}")
    return parse_set(domain_text("", [isl_name(d) for d in order], where))
