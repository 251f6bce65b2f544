"""How a contraction is computed by batch-reduce GEMM: a `MatrixPlan`.

    for outer (batch indices, rows and columns that are not in a tile)
      for panel of columns                 [pack B for this panel]
        for block of the depth
          for tile of rows
            C[rows, columns] += sum over taps of A[rows, depth] * B[depth, columns]

Columns are the vector side. Rows, columns and depth may be several indices of the
statement, flattened in row-major order; a tile then runs across image lines. Depth
indices that do not flatten are *taps*, the batch of the microkernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as OneOf

from polydsl.base.dtypes import DType
from polydsl.base.providers import BUILT_IN
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.operand import Operand
from polydsl.semantics.program import Expr

RowMode = OneOf["strided", "table", "guarded"]


@dataclass(frozen=True, slots=True)
class Copy:
    """A tensor that holds another one's elements in a better order, or padded.

    `tensor[dims] = value` for every point of the box `extents`. Loops over the first
    `local` dimensions are around the use, and the buffer holds one value of them only.
    A prepared copy is filled once, when its source is bound. Where the source is not
    contiguous along the last dimension but along another one, that is `turned`: square
    blocks of the two are transposed.
    """

    tensor: str
    source: str
    dtype: DType
    dims: tuple[str, ...]
    extents: tuple[int, ...]
    value: Expr
    local: int
    prepared: bool
    is_pack: bool
    lanes: int
    turned: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the buffer."""
        return self.extents[self.local :]


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a product: where it is read and what was copied for that.

    `operand` is the access, to the padded copy if there is one. `pack` holds it in
    tiles: `[..., block, taps, depth, lane]`.
    """

    operand: Operand
    padded: Copy | None
    pack: Copy | None
    rows: RowMode

    @property
    def copies(self) -> tuple[Copy, ...]:
        """The copies, in the order in which they are made."""
        return tuple(c for c in (self.padded, self.pack) if c is not None)

    def describe(self) -> str:
        """Return in a few words how the factor is read."""
        words = ["from a padded copy"] if self.padded else []
        if self.pack is not None:
            words.append("packed once" if self.pack.prepared else "packed")
        elif self.rows == "guarded":
            words.append("in place, borders through a row table")
        elif not words:
            words.append("in place")
        return f"{self.operand.tensor} {' and '.join(words)}"


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """The tiling of one contraction. See the module's docstring.

    `outer` are loops over single points. A depth longer than `depth_block` is cut into
    blocks; else a block is `taps_block` taps. `initialize` names the statement that
    sets the accumulator to zero, if the first block does that. `parallel` is the loop
    that threads share: an outer dimension, or "panel", or "rows", which are then cut
    into `row_chunks` outside the panels; empty for none. `microkernel` names the
    provider of the microkernels.
    """

    contraction: Contraction
    initialize: str | None
    outer: tuple[str, ...]
    rows: tuple[str, ...]
    row_tile: int
    columns: tuple[str, ...]
    column_tile: int
    depth: tuple[str, ...]
    depth_block: int
    taps: tuple[str, ...]
    taps_block: int
    a: Factor
    b: Factor
    parallel: str
    row_chunks: int
    microkernel: str = BUILT_IN

    def extent(self, dims: tuple[str, ...]) -> int:
        """Return the number of points of flattened dimensions."""
        sizes = self.contraction.sizes
        total = 1
        for d in dims:
            total *= sizes[d]
        return total

    def describe(self) -> str:
        """Return the plan in one line."""
        blocks = f"depth {min(self.depth_block, self.extent(self.depth))}"
        taps = self.extent(self.taps)
        if taps > 1:
            blocks += f" x {min(self.taps_block, taps)} taps"
        outer = f"{', '.join(self.outer)}, " if self.outer else ""
        by = "" if self.microkernel == BUILT_IN else f" by {self.microkernel}"
        return (
            f"brgemm{by} {self.row_tile}x{self.column_tile} "
            f"(rows {'.'.join(self.rows)}, vector {'.'.join(self.columns)}, {blocks}); "
            f"loops {outer}panel, depth, rows; {self.a.describe()}; "
            f"{self.b.describe()}"
            + (f"; parallel {self.parallel}" if self.parallel else "")
        )
