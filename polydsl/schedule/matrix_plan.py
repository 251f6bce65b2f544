"""How a contraction is computed by batch-reduce GEMM: a `MatrixPlan`.

    for loops, outermost first: over tiles of rows, columns, depth or taps, or over
                                single points of an outer dimension
      [pack A or B, what the loops inside need of it]
      C[rows, columns] += sum over taps and depth of A[rows, depth] * B[depth, columns]

Columns are the vector side. Rows, columns and depth may be several indices of the
statement, flattened in row-major order; a tile then runs across image lines. Reduced
indices that are not in the depth are *taps*, the batch of the microkernel. A plan is
made of a `MatrixPoint` by `matrix_builder`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import Literal as OneOf

from polydsl.base.dtypes import BOOL, I64, DType
from polydsl.base.providers import BUILT_IN
from polydsl.poly.indirect import is_indirect
from polydsl.poly.substitute import linear_term, substitute
from polydsl.poly.terms import Interval, Linear
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.inner_product import widened_access
from polydsl.schedule.matrix_point import AXES, Axis, TileLoop
from polydsl.schedule.operand import Operand
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Literal,
    Pad,
    Select,
    accesses,
)

RowMode = OneOf["strided", "table", "guarded"]
_WORDS = {
    "rows": "row_tile",
    "columns": "panel",
    "depth": "depth_block",
    "taps": "tap_block",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """How far a copy of a part of an axis reaches: not past the end of the axis.

    Where `block`, a dimension around the copy, is at b, the stored dimension `dim`
    ends before `total - b * extent`.
    """

    block: str
    dim: str
    total: int


@dataclass(frozen=True, slots=True)
class Runs:
    """Where the lanes of a packed copy lie in its source: in runs along its lines.

    A lane stands at the `position`, linear in the copy's dimensions, of an axis of
    `extent` positions, which is cut in lines: position `line * length + column` is the
    `column` of a `line`. Lanes past the end of the axis hold zero.
    """

    line: str
    column: str
    length: int
    extent: int
    position: Linear

    @property
    def lines(self) -> int:
        """The number of lines."""
        return self.extent // self.length

    def most(self, lanes: int) -> int:
        """Return in how many lines so many lanes may lie, a tile of the axis."""
        apart = gcd(lanes, self.length)
        return min(self.lines, -(-(self.length - apart + lanes) // self.length))


@dataclass(frozen=True, slots=True)
class Copy:
    """A tensor that holds another one's elements in a better order, or padded, or
    values of some.

    `tensor[dims] = value` for every point of the box `extents` that keeps the `limits`;
    with `runs`, the value is written in terms of a lane's line and column.
    `loops` loops of the plan are around the copy. Those over the axes `around` give the
    first dimensions, of which the buffer holds one value only. A prepared copy is
    filled once, when its source is bound. Where the source is not contiguous along the
    last dimension but along another one, that is `turned`: square blocks of the two are
    transposed. `order` are the loops over the other dimensions, outermost first; those
    of the buffer where it is empty.
    """

    tensor: str
    source: str
    dtype: DType
    dims: tuple[str, ...]
    extents: tuple[int, ...]
    value: Expr
    around: tuple[str, ...]
    prepared: bool
    is_pack: bool
    lanes: int
    turned: str = ""
    order: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    loops: int = 0
    runs: Runs | None = None

    @property
    def sources(self) -> frozenset[str]:
        """The tensors that it is made from; of `source`, most is read."""
        return frozenset(access.tensor for access in accesses(self.value))

    @property
    def content(self) -> Expr:
        """The value in terms of the dimensions alone."""
        runs, span = self.runs, self.value.span
        if runs is None:
            return self.value
        position = linear_term(runs.position, span)
        terms = {
            name: Call(function, (position, Literal(runs.length, I64, span)), I64, span)
            for name, function in ((runs.line, "floordiv"), (runs.column, "mod"))
        }
        value = substitute(self.value, terms)
        if not self.has_rest:
            return value
        limit = Literal(runs.extent, I64, span)
        inside = Call("lt", (position, limit), BOOL, span)
        return Select(inside, value, self.zero, self.dtype, span)

    @property
    def has_rest(self) -> bool:
        """Whether lanes of the last tile are past the end of their axis."""
        runs = self.runs
        return runs is not None and runs.extent % self.extents[-1] != 0

    @property
    def zero(self) -> Literal:
        """What lanes past the end of an axis hold."""
        return Literal(0.0, self.dtype, self.value.span)

    @property
    def along(self) -> str:
        """The name in `value` of what the lanes run along."""
        return self.dims[-1] if self.runs is None else self.runs.column

    @property
    def line(self) -> int:
        """How many lanes in a row may lie in one line of the source."""
        return self.extents[-1] if self.runs is None else self.runs.length

    @property
    def box(self) -> dict[str, Interval]:
        """The range of every name in `value`, and of every dimension."""
        box = {d: (0, n - 1) for d, n in zip(self.dims, self.extents)}
        if self.runs is not None:
            box[self.runs.line] = (0, self.runs.lines - 1)
            box[self.runs.column] = (0, self.runs.length - 1)
        return box

    @property
    def local(self) -> int:
        """The number of dimensions around the copy."""
        return len(self.around)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the buffer."""
        return self.extents[self.local :]

    @property
    def stored(self) -> tuple[str, ...]:
        """The dimensions of the buffer."""
        return self.dims[self.local :]

    def limit(self, dim: str) -> Limit | None:
        """Return the limit of a stored dimension, if it has one."""
        return next((limit for limit in self.limits if limit.dim == dim), None)


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a product: where it is read and what was copied for that.

    `operand` is the access, to the padded copy if there is one. `pack` holds it in
    tiles: `[..., tile, taps, depth, lane]`.
    """

    operand: Operand
    padded: Copy | None
    pack: Copy | None
    rows: RowMode

    @property
    def copies(self) -> tuple[Copy, ...]:
        """The copies, in the order in which they are made."""
        return tuple(c for c in (self.padded, self.pack) if c is not None)

    def describe(self, loops: tuple[str, ...]) -> str:
        """Return in a few words how the factor is read; `loops` are the loops' names,
        outermost first."""
        words = []
        made = "computed and " if self.operand.computed is not None else ""
        if self.padded is not None:
            words.append(f"from a {_kind(self.padded.value)} copy")
        if self.pack is not None and self.pack.loops:
            words.append(f"{made}packed in {loops[self.pack.loops - 1]}")
        elif self.pack is not None:
            words.append(made + ("packed once" if self.pack.prepared else "packed"))
        elif self.rows == "guarded":
            words.append("in place, borders through a row table")
        elif not words:
            words.append("in place")
        return f"{self.operand.tensor} {' and '.join(words)}"


def _kind(value: Expr) -> str:
    """Return what a copy in the order of its source is made for."""
    if is_indirect(value):
        return "gathered"
    match widened_access(value):
        case Pad():
            return "padded"
        case Access() if isinstance(value, Cast):
            return "widened"
        case _:
            return "computed"


@dataclass(frozen=True, slots=True)
class Side:
    """An axis of a product: dimensions flattened in row-major order, cut in tiles."""

    dims: tuple[str, ...]
    extent: int
    tile: int

    @property
    def tiles(self) -> int:
        """The number of tiles; the last one may be shorter."""
        return -(-self.extent // self.tile)

    @property
    def full(self) -> int:
        """The number of full tiles."""
        return self.extent // self.tile

    @property
    def rest(self) -> int:
        """The length of the last tile, if it is shorter; else 0."""
        return self.extent % self.tile


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """The tiling of one contraction. See the module's docstring.

    Every one of `loops` runs more than once, and tiles are no longer than their axis.
    `initialize` names the statement that sets the accumulator to zero, if the first
    block of the reduction does that. `parallel` is the place of the loop that threads
    share, -1 for none. `microkernel` names the provider of the microkernels. The
    assignments of the `epilogue` follow at each element when its sum is finished,
    `lanes` at a time; where it is not `is_stored`, they alone need it. The first
    `loops` may be over `fixed` indices: those are around the plan.
    """

    contraction: Contraction
    initialize: str | None
    rows: tuple[str, ...]
    row_tile: int
    columns: tuple[str, ...]
    column_tile: int
    depth: tuple[str, ...]
    depth_block: int
    taps: tuple[str, ...]
    taps_block: int
    loops: tuple[TileLoop, ...]
    parallel: int
    a: Factor
    b: Factor
    microkernel: str = BUILT_IN
    lanes: int = 1
    epilogue: tuple[str, ...] = ()
    is_stored: bool = True
    fixed: tuple[str, ...] = ()

    @property
    def outside(self) -> int:
        """How many of the loops are around the plan: those over `fixed` indices."""
        return sum(loop.dimension in self.fixed for loop in self.loops)

    @property
    def outer(self) -> tuple[str, ...]:
        """The dimensions with loops over single points, outermost first."""
        return tuple(loop.dimension for loop in self.loops if loop.axis not in AXES)

    def extent(self, dims: tuple[str, ...]) -> int:
        """Return the number of points of flattened dimensions."""
        sizes = self.contraction.sizes
        return prod(sizes[d] for d in dims)

    def side(self, axis: Axis) -> Side:
        """Return an axis with its tiles."""
        dims, tile = {
            "rows": (self.rows, self.row_tile),
            "columns": (self.columns, self.column_tile),
            "depth": (self.depth, self.depth_block),
            "taps": (self.taps, self.taps_block),
        }[axis]
        return Side(dims, self.extent(dims), tile)

    def around(self, axis: str, loops: int) -> int | None:
        """Return the place of the innermost loop over an axis among the first so many
        loops, None if there is none."""
        places = (n for n in range(loops) if self.loops[n].axis == axis)
        return max(places, default=None)

    def held(self, axis: Axis, loops: int) -> int:
        """Return how many positions of an axis are visited inside so many loops."""
        side, place = self.side(axis), self.around(axis, loops)
        if place is None:
            return side.extent
        return min(self.loops[place].tiles * side.tile, side.extent)

    def loop_name(self, place: int) -> str:
        """Return the name of a loop: a dimension, or what an iteration of it spans,
        with a number where there are loops over the same axis inside of it."""
        loop = self.loops[place]
        if loop.axis not in AXES:
            return loop.dimension
        inner = sum(other.axis == loop.axis for other in self.loops[place + 1 :])
        return f"{_WORDS[loop.axis]}_{inner + 1}" if inner else _WORDS[loop.axis]

    def describe(self) -> str:
        """Return the plan in one line."""
        blocks = f"depth {self.depth_block}"
        if self.extent(self.taps) > 1:
            blocks += f" x {self.taps_block} taps"
        loops = tuple(str(loop) for loop in self.loops)
        by = "" if self.microkernel == BUILT_IN else f" by {self.microkernel}"
        return (
            f"brgemm{by} {self.row_tile}x{self.column_tile} "
            f"(rows {'.'.join(self.rows)}, vector {'.'.join(self.columns)}, {blocks}); "
            f"loops {', '.join(loops[self.outside :]) or 'none'}; "
            f"{self.a.describe(loops)}; "
            f"{self.b.describe(loops)}"
            + (
                f"; parallel {loops[self.parallel]}"
                if self.parallel >= self.outside
                else ""
            )
            + (f"; then {', '.join(self.epilogue)}" if self.epilogue else "")
        )
