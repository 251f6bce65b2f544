"""A point of the space of schedules of one product: plain values, nothing derived.

    for loops, outermost first: over tiles of rows, of columns, of the depth, of taps,
                                or over single points of an outer dimension
      [pack A or B, where as many loops are around as `a.loops` or `b.loops` says]
      microkernel: `row_tile` x `column_tile`, `depth_block` deep, `taps_block` taps

Points can be compared, pickled and written to a file; `matrix_builder` makes a
`MatrixPlan` of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as OneOf

How = OneOf["in place", "padded", "packed"]
Axis = OneOf["rows", "columns", "depth", "taps"]
AXES: tuple[Axis, ...] = ("rows", "columns", "taps", "depth")
"""The axes of a product that are cut in tiles."""


def point_axis(dimension: str) -> str:
    """Return the `axis` of a loop over single points of a dimension: its name, marked
    where it is the name of an axis."""
    return f"{dimension}'" if dimension in AXES else dimension


@dataclass(frozen=True, slots=True)
class TileLoop:
    """A loop of which one iteration spans `tiles` innermost tiles of an axis.

    `axis` is "rows", "columns", "depth", "taps" or the `point_axis` of a dimension that
    is in none of these. The last loop over an axis spans one tile; what is outside of
    it spans more, and every loop of an axis spans a multiple of the next.
    """

    axis: str
    tiles: int = 1

    @property
    def dimension(self) -> str:
        """The dimension of a loop over single points."""
        return self.axis.removesuffix("'")

    def __str__(self) -> str:
        return self.axis if self.tiles == 1 else f"{self.axis}:{self.tiles}"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a factor is read: in place, from a padded copy, or packed in tiles.

    `loops` are around the packing, which then holds what the loops inside need; 0 packs
    the whole factor before all loops. Where the factor is bound, a whole copy is made
    once for all calls.
    """

    how: How
    loops: int = 0


@dataclass(frozen=True, slots=True)
class MatrixPoint:
    """One schedule of a product; see the module's docstring.

    `is_swapped` exchanges the factors, so that the other one is the vector side.
    `rows`, `columns` and `depth` are dimensions flattened in row-major order; reduced
    dimensions that are not in `depth` are taps. `parallel` is the place in `loops` of
    the loop that threads share, -1 for none. `microkernel` names the provider.
    """

    is_swapped: bool
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    depth: tuple[str, ...]
    row_tile: int
    column_tile: int
    depth_block: int
    taps_block: int
    loops: tuple[TileLoop, ...]
    a: Reading
    b: Reading
    parallel: int = -1
    microkernel: str = "llvm"
