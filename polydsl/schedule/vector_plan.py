"""How a statement that is no product is computed: a `VectorPlan`.

The statements of one plan define one tensor: an assignment, or an initialisation and
the updates that share its left-hand indices. The loops are those of its `VectorPoint`;
the plan adds what follows from it: where the tiles of every index begin and end.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from polydsl.schedule.share import Share
from polydsl.schedule.vector_point import VectorPoint


@dataclass(frozen=True, slots=True)
class Run:
    """`count` tiles of `size` points, side by side from `start` on.

    The last one ends at `end`; where that is before its `size`, it is the only one.
    """

    start: int
    count: int
    size: int
    end: int

    @property
    def is_partial(self) -> bool:
        """Whether the tile has less than `size` points."""
        return self.start + self.count * self.size > self.end


@dataclass(frozen=True, slots=True)
class VectorPlan:
    """The loops of one tensor's statements. See the module's docstring.

    `initialize` is the statement that gives the first value, `updates` combine into
    it. An assignment has no updates; a plan without `initialize` continues from what
    is in the tensor. `runs` holds the tiles of every left-hand index that has loops,
    but of those that are `bounded`: their loops are cut by the domain where they run.
    Indices that are `fixed` have loops around the whole plan, which runs over a block
    of one index if there is a `share`. The assignments of the `epilogue` follow at each
    element when it is finished; where it is not `is_stored`, they alone need it. Those
    of the `prologue` are made at each point of the one update, right before it.
    """

    tensor: str
    initialize: str | None
    updates: tuple[str, ...]
    lanes: int
    point: VectorPoint
    runs: tuple[tuple[str, tuple[Run, ...]], ...]
    bounded: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    share: Share | None = None
    scalar_reason: str = ""
    epilogue: tuple[str, ...] = ()
    is_stored: bool = True
    prologue: tuple[str, ...] = ()

    @property
    def accumulators(self) -> int:
        """The vectors (or scalars) of a register tile."""
        return self.point.vectors * prod(u.count for u in self.point.unrolled)

    @property
    def bodies(self) -> int:
        """How many register tiles are written out, one for each kind of tile."""
        return prod(len(runs) for _, runs in self.runs)

    @property
    def is_flat(self) -> bool:
        """Whether there is no loop but that over the vectors of an assignment."""
        return not self.point.loops and not self.point.reduction

    @property
    def parallel(self) -> str | None:
        """The index of the loop that threads share."""
        place = self.point.parallel
        return None if place < 0 else self.point.loops[place].index

    def runs_of(self, index: str) -> tuple[Run, ...]:
        """Return the tiles of a left-hand index."""
        return dict(self.runs)[index]

    def unrolled(self, index: str) -> int:
        """Return how many points of a left-hand index a register tile holds."""
        return next((u.count for u in self.point.unrolled if u.index == index), 1)

    def describe(self) -> str:
        """Return the plan in one line."""
        point = self.point
        how = f"vector {point.vector} x{self.lanes}" if point.vector else "scalar"
        if self.scalar_reason:
            how += f" ({self.scalar_reason})"
        tile = [f"{u.count} {u.index}" for u in point.unrolled]
        if point.vectors > 1:
            tile.append(f"{point.vectors} vectors")
        how += f", tile {' x '.join(tile)}" if tile else ""
        if point.taps:
            how += f", written out {', '.join(point.taps)}"
        loops = ", ".join(_loop_text(e.index, e.tiles) for e in point.loops) or "none"
        threads = f"; parallel {self.parallel}" if self.parallel else ""
        then = f"; at each point {', '.join(self.prologue)}" if self.prologue else ""
        then += f"; then {', '.join(self.epilogue)}" if self.epilogue else ""
        return f"loops {loops}; {how}{threads}{then}"


def _loop_text(index: str, tiles: int) -> str:
    return f"{index} by {tiles} tiles" if tiles > 1 else index
