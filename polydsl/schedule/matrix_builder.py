"""From a point of the space of schedules to a plan: `build`, or why there is none.

A point says what is wanted; whether factors can be read like that depends on their
accesses and strides. A plan that `build` returns is legal: loops over rows, columns and
outer dimensions touch different elements of the result, and sums may be taken in any
order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

from polydsl.base.dtypes import DType
from polydsl.base.providers import PROVIDER_NAMES
from polydsl.poly.terms import Linear
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.copies import Packing, Part, arranged, pack_copy, pad_copy
from polydsl.schedule.matrix_plan import Copy, Factor, MatrixPlan, RowMode, Side
from polydsl.schedule.matrix_point import (
    AXES,
    Axis,
    MatrixPoint,
    Reading,
    TileLoop,
    point_axis,
)
from polydsl.schedule.operand import Operand, flat_step, row_major
from polydsl.schedule.provider_fit import refusal
from polydsl.schedule.refused import Refused
from polydsl.schedule.setting import Setting


class _Impossible(Exception):
    """A point cannot be built; the message is the reason."""


def build(
    setting: Setting,
    contraction: Contraction,
    point: MatrixPoint,
    initialize: str | None,
) -> MatrixPlan | Refused:
    """Return the plan of a point for a matched contraction, or why there is none: also
    where the point's provider of microkernels does not serve the tiles.

    `initialize` names the statement that the product may replace, which sets the result
    to zero. Loops of one iteration are left out of the plan.
    """
    if point.microkernel not in PROVIDER_NAMES:
        known = ", ".join(PROVIDER_NAMES)
        return Refused(
            f"there is no microkernel {point.microkernel!r}; the providers are {known}"
        )
    plan = plan_for_any(setting, contraction, point, initialize)
    if isinstance(plan, Refused):
        return plan
    reason = refusal(plan, setting.layout)
    return Refused(reason) if reason else plan


def plan_for_any(
    setting: Setting,
    contraction: Contraction,
    point: MatrixPoint,
    initialize: str | None,
) -> MatrixPlan | Refused:
    """Return the plan of a point as if every provider served it, or why there is none:
    what is refused then is refused to all."""
    oriented = contraction.swapped() if point.is_swapped else contraction
    try:
        return _Builder(setting, oriented, point, initialize).plan()
    except _Impossible as impossible:
        return Refused(str(impossible))


@dataclass(frozen=True, slots=True)
class _Builder:
    setting: Setting
    contraction: Contraction
    point: MatrixPoint
    initialize: str | None

    def plan(self) -> MatrixPlan:
        """Return the plan; raise `_Impossible` where there is none."""
        point = self.point
        self._check_dimensions()
        sides = {axis: self._side(axis) for axis in AXES}
        self._check_loops(sides)
        running, places = self._running(sides)
        if point.parallel >= len(point.loops) or point.parallel < -1:
            raise _Impossible(f"there is no loop {point.parallel} to share")
        parallel = places[point.parallel] if point.parallel >= 0 else -1
        is_shared = parallel >= 0 and parallel < places[point.parallel + 1]
        parallel = parallel if is_shared else -1
        frame = _Frame(self.setting, self.contraction, sides, running)
        if parallel >= 0:
            self._check_shared(sides, running, parallel)
        a, b = (
            replace(reading, loops=places[reading.loops])
            for reading in map(self._placed, (point.a, point.b))
        )
        return MatrixPlan(
            self.contraction,
            self.initialize,
            point.rows,
            sides["rows"].tile,
            point.columns,
            sides["columns"].tile,
            point.depth,
            sides["depth"].tile,
            self._taps,
            sides["taps"].tile,
            running,
            parallel,
            frame.factor(self.contraction.a, a, "rows"),
            frame.factor(self.contraction.b, b, "columns"),
            point.microkernel,
            self.setting.machine.lanes(self.contraction.dtype),
            fixed=self.setting.fixed,
        )

    def _check_shared(
        self, sides: dict[Axis, Side], running: tuple[TileLoop, ...], place: int
    ) -> None:
        """No two iterations of the loop that threads share touch one element."""
        loop = running[place]
        if loop.axis in ("depth", "taps"):
            raise _Impossible(
                f"the loop over {loop.axis} sums up and cannot be shared by threads"
            )
        axis = next((a for a in AXES if a == loop.axis), None)
        dims = (loop.dimension,) if axis is None else sides[axis].dims
        outside = {o.dimension for o in running[:place] if o.axis not in AXES}
        for d in dims:
            others = self.contraction.clashing(d) - outside
            if others:
                raise _Impossible(
                    f"{d} and {min(others)} may be one element in two threads"
                )

    @property
    def _taps(self) -> tuple[str, ...]:
        sizes = self.contraction.sizes
        others = (d for d in self.contraction.depth if d not in self.point.depth)
        return tuple(d for d in others if sizes[d] > 1)

    def _check_dimensions(self) -> None:
        """Rows, columns and depth are dimensions of their kind, each once, and the
        result is contiguous along the columns."""
        point, found = self.point, self.contraction
        for name, dims, of in (
            ("rows", point.rows, found.rows),
            ("columns", point.columns, found.columns),
            ("depth", point.depth, found.depth),
        ):
            for d in dims:
                if d not in of:
                    raise _Impossible(f"{d} is no dimension of the {name}")
            if len({*dims}) < len(dims):
                raise _Impossible(f"a dimension is twice in the {name}")
        if not point.rows or not point.columns:
            raise _Impossible("a tile has rows and columns")
        inside = {*point.rows, *point.columns}
        for d, e in found.clashes:
            if {d, e} <= inside:
                raise _Impossible(f"points of {d} and {e} in a tile may be one element")
        layout = self.setting.layout[found.c.tensor]
        if flat_step(found.c.offset(layout), point.columns, found.sizes) != 1:
            columns = ".".join(point.columns)
            raise _Impossible(f"{found.c.tensor} is not contiguous along {columns}")

    def _side(self, axis: Axis) -> Side:
        """Return an axis with its tiles, no longer than the axis."""
        point = self.point
        dims, tile = {
            "rows": (point.rows, point.row_tile),
            "columns": (point.columns, point.column_tile),
            "depth": (point.depth, point.depth_block),
            "taps": (self._taps, point.taps_block),
        }[axis]
        if tile < 1:
            raise _Impossible(f"a tile has {tile} of the {axis}")
        extent = prod(self.contraction.sizes[d] for d in dims)
        return Side(dims, extent, min(tile, extent))

    def _check_loops(self, sides: dict[Axis, Side]) -> None:
        """Every tile of an axis and every outer point is visited by nested loops."""
        for axis in AXES:
            spans = [loop.tiles for loop in self.point.loops if loop.axis == axis]
            if not spans and sides[axis].tiles > 1:
                raise _Impossible(f"no loop runs over the tiles of {axis}")
            if spans and spans[-1] != 1:
                raise _Impossible(f"the last loop over {axis} spans {spans[-1]} tiles")
            for outer, inner in pairwise(spans):
                if inner < 1 or outer % inner:
                    raise _Impossible(
                        f"a loop over {axis} spans {outer} tiles, no multiple of the "
                        f"{inner} of the one inside"
                    )
        sizes = self.contraction.sizes
        inside = {d for side in sides.values() for d in side.dims}
        outer_axes = {point_axis(d): d for d in sizes if d not in inside}
        wanted = {a for a, d in outer_axes.items() if sizes[d] > 1}
        named = [loop for loop in self.point.loops if loop.axis not in AXES]
        for loop in named:
            if loop.axis not in outer_axes or loop.tiles != 1:
                raise _Impossible(f"{loop} is no loop over points of an outer index")
        if len({loop.axis for loop in named}) < len(named):
            raise _Impossible("two loops run over one outer index")
        missing = wanted - {loop.axis for loop in named}
        if missing:
            raise _Impossible(f"no loop runs over {', '.join(sorted(missing))}")

    def _running(
        self, sides: dict[Axis, Side]
    ) -> tuple[tuple[TileLoop, ...], tuple[int, ...]]:
        """Return the loops that run more than once, and for every place between the
        point's loops how many of them are in front of it."""
        running: list[TileLoop] = []
        places = [0]
        spans: dict[str, int] = {axis: side.tiles for axis, side in sides.items()}
        for loop in self.point.loops:
            if loop.axis in AXES:
                runs = spans[loop.axis] > loop.tiles
                spans[loop.axis] = min(spans[loop.axis], loop.tiles)
            else:
                runs = self.contraction.sizes[loop.dimension] > 1
            running += [loop] if runs else []
            places.append(len(running))
        return tuple(running), tuple(places)

    def _placed(self, reading: Reading) -> Reading:
        if not 0 <= reading.loops <= len(self.point.loops):
            raise _Impossible(f"there is no place inside of {reading.loops} loops")
        return reading


@dataclass(frozen=True, slots=True)
class _Frame:
    """The loops and tiles of a plan, within which its factors are read."""

    setting: Setting
    contraction: Contraction
    sides: dict[Axis, Side]
    loops: tuple[TileLoop, ...]

    def factor(self, operand: Operand, reading: Reading, axis: Axis) -> Factor:
        """Return a factor, read as asked."""
        is_padded = any(self.setting.overhangs(operand, self.contraction.box))
        if not is_padded:
            operand = replace(operand, pad=None)
        dtype = self._dtype(operand)
        match reading.how:
            case "packed":
                pack = self._pack(operand, reading.loops, axis)
                return Factor(operand, None, pack, "strided")
            case "padded":
                outer = self.loops[: reading.loops]
                if not {o.dimension for o in outer} <= {*self.setting.fixed}:
                    raise _Impossible("a padded copy is made before all loops")
                copy, operand = self._padded(operand, reading.loops, axis)
                return self._in_place(operand, copy, axis)
            case "in place" if operand.computed is not None:
                raise _Impossible(f"what is computed of {operand.tensor} is copied")
            case "in place" if dtype != self.contraction.dtype:
                wanted = self.contraction.dtype
                raise _Impossible(f"{operand.tensor} is {dtype}: a copy makes {wanted}")
            case "in place" if is_padded:
                return self._guarded(operand, axis)
            case "in place":
                return self._in_place(operand, None, axis)

    def _dtype(self, operand: Operand) -> DType:
        tensor = self.setting.source(operand)
        return self.contraction.dtype if tensor is None else tensor.dtype

    def _in_place(self, operand: Operand, copy: Copy | None, axis: Axis) -> Factor:
        """Return a factor read where it is, in its tensor or in a padded copy."""
        offset = operand.offset(self._strides(operand, copy))
        self._check_depth(operand, offset)
        step = self._step(offset, axis)
        if axis == "columns" and step != 1:
            raise _Impossible(
                f"{operand.tensor} is not contiguous along {self._named('columns')}"
            )
        mode: RowMode = "table" if step is None else "strided"
        return Factor(operand, copy, None, mode)

    def _guarded(self, operand: Operand, axis: Axis) -> Factor:
        """Return rows whose borders a table leads to a line of padding."""
        name = operand.tensor
        if axis == "columns":
            raise _Impossible(f"the borders of {name} cannot be read as a vector")
        deciding = self.setting.deciding(operand, self.contraction)
        offset = operand.offset(self._strides(operand, None))
        self._check_depth(operand, offset)
        if deciding & {*self.sides["depth"].dims}:
            raise _Impossible(f"the padding of a row of {name} depends on the depth")
        if not deciding <= {*self.sides["rows"].dims, *self.sides["taps"].dims}:
            raise _Impossible(f"the padding of a row of {name} depends on outer loops")
        if (self._step(offset, "depth") or 0) < 0:
            raise _Impossible(f"the depth runs backward through {name}")
        return Factor(operand, None, None, "guarded")

    def _check_depth(self, operand: Operand, offset: Linear) -> None:
        if self._step(offset, "depth") is None:
            raise _Impossible(
                f"{self._named('depth')} does not flatten in place in {operand.tensor}"
            )

    def _step(self, offset: Linear, axis: Axis) -> int | None:
        return flat_step(offset, self.sides[axis].dims, self.contraction.sizes)

    def _named(self, axis: Axis) -> str:
        return ".".join(self.sides[axis].dims)

    def _strides(self, operand: Operand, copy: Copy | None) -> tuple[int, ...]:
        if copy is not None:
            return row_major(copy.shape)
        return self.setting.layout[operand.tensor]

    def _name(self, operand: Operand, axis: Axis, suffix: str) -> str:
        """Return the name of a copy: both factors may be of one tensor."""
        return f"{self.setting.statement.name}_{operand.tensor}_{axis}_{suffix}"

    def _padded(self, operand: Operand, loops: int, axis: Axis) -> tuple[Copy, Operand]:
        """Return the copy in one piece of what the loops inside a place need."""
        self._check_place(operand, loops, axis)
        return pad_copy(
            operand,
            self._name(operand, axis, "pad"),
            self._dtype(operand),
            self.contraction.dtype,
            self.contraction.sizes,
            tuple(self._points(operand, self.loops[:loops])),
            loops,
            self.setting.span,
            self.setting.is_bound(operand) and not loops,
            self.setting.machine.lanes(self.contraction.dtype),
        )

    def _pack(self, operand: Operand, loops: int, axis: Axis) -> Copy:
        """Return the copy in tiles of what the loops inside a place need."""
        self._check_place(operand, loops, axis)
        pack = pack_copy(
            operand,
            self._name(operand, axis, "pack"),
            self._dtype(operand),
            self.contraction.dtype,
            self.contraction.sizes,
            Packing(
                tuple(self._points(operand, self.loops[:loops])),
                tuple(self._points(operand, self.loops[loops:])),
                self._part(axis, loops),
                self._part("taps", loops),
                self._part("depth", loops),
                loops,
            ),
            self.setting.span,
            prepared=self.setting.is_bound(operand) and not loops,
            lanes=self.setting.machine.lanes(self.contraction.dtype),
        )
        return arranged(pack, self.setting.layout)

    def _check_place(self, operand: Operand, loops: int, axis: Axis) -> None:
        """The last of the loops around a copy changes what it holds."""
        if loops and not self._moves(operand, axis, self.loops[loops - 1]):
            raise _Impossible(
                f"the loop over {self.loops[loops - 1]} would only repeat the packing "
                f"of {operand.tensor}"
            )

    def _moves(self, operand: Operand, axis: Axis, loop: TileLoop) -> bool:
        """Whether another part of a factor is read in every iteration of a loop."""
        if loop.axis in AXES:
            return loop.axis in (axis, "taps", "depth")
        return loop.dimension in operand.dims

    def _points(self, operand: Operand, loops: tuple[TileLoop, ...]) -> Iterator[str]:
        for loop in loops:
            if loop.axis not in AXES and loop.dimension in operand.dims:
                yield loop.dimension

    def _part(self, axis: Axis, loops: int) -> Part:
        side = self.sides[axis]
        spans = (loop.tiles for loop in self.loops[:loops] if loop.axis == axis)
        return Part(axis, side, min(spans, default=side.tiles))
