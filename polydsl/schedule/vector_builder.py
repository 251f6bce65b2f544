"""From a point to a plan: `build(setting, point) -> VectorPlan | Refused`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from polydsl.base.dtypes import widen
from polydsl.base.machine import Machine
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.loop_bounds import is_exact
from polydsl.poly.scatters import colliding
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.substitute import resolve
from polydsl.poly.terms import Interval, Linear
from polydsl.schedule.operand import Layout
from polydsl.schedule.refused import Refused
from polydsl.schedule.share import Share
from polydsl.schedule.vector_plan import Run, VectorPlan
from polydsl.schedule.vector_point import VectorPoint
from polydsl.semantics.program import Pad, walk

MOST_COPIES = 1024
"""So many copies of a statement are written out in one plan, at most."""


@dataclass(frozen=True)
class VectorSetting:
    """What is planned: the statements that define one tensor, and on what machine;
    where it `is_inside_threads`, they share a loop around it. Assignments of the
    `prologue` are made at each point of the one update."""

    scop: Scop
    layout: Layout
    machine: Machine
    tensor: str
    initialize: Statement | None
    updates: tuple[Statement, ...]
    fixed: tuple[str, ...] = ()
    share: Share | None = None
    is_inside_threads: bool = False
    prologue: tuple[Statement, ...] = ()

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """The statements in order of execution."""
        first = () if self.initialize is None else (self.initialize,)
        return (*first, *self.prologue, *self.updates)

    @property
    def model(self) -> Statement:
        """The statement whose left-hand indices the loops run over."""
        return self.statements[-1]

    @cached_property
    def left(self) -> tuple[str, ...]:
        """The left-hand indices that the plan has loops over: all but those that are
        fixed by loops around it."""
        return tuple(d for d in self.model.left if d not in self.fixed)

    @property
    def lanes(self) -> int:
        """The vector length: of the type that the statement computes in."""
        return self.machine.lanes(widen(self.model.value.dtype))

    @cached_property
    def conditioned(self) -> frozenset[str]:
        """The indices in conditions of a domain."""
        return frozenset(i for s in self.statements for i in _in_conditions(s))

    @cached_property
    def bounded(self) -> frozenset[str]:
        """The left-hand indices whose loops are cut by others around them: those in
        conditions of the statement whose points the loops run over. Sums inside may be
        cut by other left-hand indices too: register tiles are masked there."""
        shaping = self.model if self.initialize is None else self.initialize
        cut = _in_conditions(shaping)
        if self.share is not None and not self.share.is_even:
            cut |= {self.share.index}
        return frozenset(d for d in self.left if d in cut)

    @cached_property
    def untiled(self) -> frozenset[str]:
        """The left-hand indices of which a register tile holds one point. A sum can be
        masked where it has several, and stores of a prologue cannot."""
        is_masked = self.is_exact and not self.prologue
        fixed = self.bounded if is_masked else self.conditioned
        return fixed | self.colliding

    @cached_property
    def is_exact(self) -> bool:
        """Whether loops over exactly the points of every statement are known."""
        return all(is_exact(s) for s in self.statements)

    def may_be_vector(self, d: str) -> bool:
        """Whether an index may be the vector: where it is in conditions, loops must be
        cut exactly, and if its own loop is cut, nothing further in may depend on it."""
        if d not in self.conditioned or d in self.colliding:
            return d not in self.colliding
        if self.prologue and d in self.left:
            return False
        inside = {e for s in self.updates for e in s.reduced}
        conditions = (ordered_indices(c) for s in self.statements for c in s.conditions)
        tied = d in self.bounded and any(
            d in names and inside & {*names} for names in conditions
        )
        return not tied and self.is_exact

    @cached_property
    def colliding(self) -> frozenset[str]:
        """The left-hand indices of which several points may be one element: they run
        one after the other."""
        return frozenset(d for s in self.statements for d in colliding(s))

    def extent(self, index: str) -> int:
        """Return the number of points of an index; one, where it is fixed."""
        if index in self.fixed:
            return 1
        ranges = next(s.ranges for s in reversed(self.statements) if index in s.dims)
        lo, hi = ranges[index]
        points = max(hi - lo + 1, 0)
        if self.share is not None and index == self.share.index:
            return min(points, self.share.size)
        return points


def _in_conditions(statement: Statement) -> frozenset[str]:
    return frozenset(i for c in statement.conditions for i in ordered_indices(c))


def build(setting: VectorSetting, point: VectorPoint) -> VectorPlan | Refused:
    """Return the plan of a point, or why there is none."""
    reason = _objection(setting, point)
    if reason:
        return Refused(reason)
    has_vector = point.vector is not None
    bounded = tuple(d for d in setting.left if d in setting.bounded)
    plan = VectorPlan(
        setting.tensor,
        setting.initialize.name if setting.initialize else None,
        tuple(update.name for update in setting.updates),
        setting.lanes if has_vector else 1,
        point,
        tuple(
            (d, _runs_of(setting, point, d)) for d in _looped(point) if d not in bounded
        ),
        bounded,
        setting.fixed,
        setting.share,
        "" if has_vector or not setting.left else _SCALAR,
        prologue=tuple(s.name for s in setting.prologue),
    )
    taps = prod(setting.extent(d) for d in point.taps)
    copies = plan.bodies * plan.accumulators * taps
    if copies > MOST_COPIES and copies > plan.bodies:
        return Refused(f"the statement would be written out {copies} times")
    return plan


_SCALAR = "every index is in a condition of its domain"


def _looped(point: VectorPoint) -> tuple[str, ...]:
    return tuple(dict.fromkeys(loop.index for loop in point.loops))


def _objection(setting: VectorSetting, point: VectorPoint) -> str:
    """Return why a point is no schedule of the statements, or nothing."""
    left = setting.left
    reduced = {d for s in setting.updates for d in s.reduced}
    unrolled = tuple(u.index for u in point.unrolled)
    tiled = (*unrolled, *((point.vector,) if point.vector in left else ()))
    inner = (*point.reduction, *point.taps)
    inner += (point.vector,) if point.vector in reduced else ()
    bare = tuple(d for d in left if d not in _looped(point))
    if len({*tiled}) < len(tiled) or not {*tiled} <= {*left}:
        return f"{', '.join(tiled)} are not different left-hand indices"
    if len({*inner}) < len(inner) or {*inner} != reduced:
        return f"{', '.join(inner)} are not the reduced indices, each once"
    if not {*_looped(point)} <= {*left} or not {*bare} <= {point.vector}:
        return f"{', '.join(bare)} have no loops"
    if bare and (setting.updates or unrolled):
        return f"the tiles of {bare[0]} have no loop"
    wrong = setting.untiled & {*unrolled}
    wrong |= setting.conditioned & {*point.taps, *point.cut}
    if setting.share is not None and setting.share.index in point.cut:
        return f"the blocks of {setting.share.index} have no borders"
    if point.vector is not None and not setting.may_be_vector(point.vector):
        wrong |= {point.vector}
    if wrong:
        return f"{min(wrong)} is in a condition of the domain"
    shared = setting.colliding & {*tiled}
    if shared:
        return f"several points of {min(shared)} define one element"
    if point.vector in reduced and sum(1 for s in setting.updates if s.reduced) > 1:
        return f"{point.vector} is not the vector of every update"
    return _loop_objection(setting, point) or _register_objection(setting, point)


def _loop_objection(setting: VectorSetting, point: VectorPoint) -> str:
    chunked = not setting.updates and not point.unrolled
    for d in _looped(point):
        spans = [loop.tiles for loop in point.loops if loop.index == d]
        is_chunk = chunked and d == point.vector and len(spans) == 1
        if d in setting.bounded and spans != [1] and not is_chunk:
            return f"the loop over {d} is cut by a condition, not into blocks"
        if not is_chunk and (spans[-1] != 1 or len(spans) > 2 or min(spans) < 1):
            return f"the loops over {d} span {spans} tiles"
    order = [loop.index for loop in point.loops]
    if point.vector in order and point.vector in setting.bounded:
        inside = setting.bounded & {*order[order.index(point.vector) + 1 :]}
        if inside:
            return f"the bounds of {min(inside)} depend on the lanes"
    is_inside = setting.share is not None or setting.is_inside_threads
    if is_inside and point.parallel >= 0:
        return "threads share a loop around it"
    if not -1 <= point.parallel < len(point.loops):
        return f"there is no loop {point.parallel} for the threads"
    if {*order[point.parallel :][:1]} & setting.colliding and point.parallel >= 0:
        return f"several points of {order[point.parallel]} define one element"
    return ""


def _register_objection(setting: VectorSetting, point: VectorPoint) -> str:
    counts = (point.vectors, *(u.count for u in point.unrolled))
    if min(counts) < 1:
        return "a register tile is empty"
    vectors = prod(counts)
    if setting.updates and vectors > setting.machine.vector_registers:
        return f"{vectors} accumulators do not fit the registers"
    return ""


# Tiles


def _runs_of(setting: VectorSetting, point: VectorPoint, d: str) -> tuple[Run, ...]:
    lo, hi = setting.model.ranges[d]
    if setting.share is not None and d == setting.share.index:
        # Counted from the beginning of a thread's block.
        lo, hi = 0, setting.share.size - 1
    size = next((u.count for u in point.unrolled if u.index == d), 1)
    unit = 1
    if d == point.vector:
        size, unit = point.vectors, setting.lanes
    found = evened(lo, hi, size, unit)
    if d not in point.cut:
        return found
    inside = interior(setting, d)
    return tuple(part for run in found for part in _cut(run, inside))


def evened(lo: int, hi: int, size: int, unit: int) -> tuple[Run, ...]:
    """Return the tiles of `lo..hi`, of at most *size* units of *unit* points and about
    equally many: 20 points by 6 are 5 + 5 + 5 + 5. The last unit may be partial."""
    units = -(-(hi + 1 - lo) // unit)
    if units < 1:
        return ()
    tiles = -(-units // size)
    small, large = divmod(units, tiles)
    runs: list[Run] = []
    start = lo
    for count, width in ((large, (small + 1) * unit), (tiles - large, small * unit)):
        end = start + count * width
        if end > hi + 1:
            # A partial tile is one of its own.
            count -= 1
            whole = start + count * width
            runs += [Run(start, count, width, whole)] if count else []
            start, count, end = whole, 1, hi + 1
        runs += [Run(start, count, width, end)] if count else []
        start = end
    return tuple(runs)


def _cut(run: Run, inside: Interval) -> Iterator[Run]:
    """Yield the tiles in front of an interval, inside of it, and behind."""
    first = min(max(-(-(inside[0] - run.start) // run.size), 0), run.count)
    last = min(max((inside[1] + 1 - run.start) // run.size, first), run.count)
    if run.is_partial and run.end <= inside[1] + 1:
        last = run.count
    for a, b in ((0, first), (first, last), (last, run.count)):
        if a < b:
            start = run.start + a * run.size
            yield Run(start, b - a, run.size, min(run.start + b * run.size, run.end))


def interior(setting: VectorSetting, d: str) -> Interval:
    """Return where an index lies so that padded accesses that move with it stay in
    their tensors, whatever the other indices are.

    Of several left-hand indices that move one subscript, the one with the widest
    inside is held responsible for it.
    """
    lo, hi = setting.model.ranges[d]
    for statement in setting.statements:
        for access in (n.access for n in walk(statement.value) if isinstance(n, Pad)):
            shape = setting.scop.tensor(access.tensor).shape
            for subscript, extent in zip(access.subscripts, shape):
                form = resolve(subscript, setting.scop.sizes, statement.ranges)
                if form is None or d not in dict(form.coefficients):
                    continue
                inside = {
                    name: _within(form, extent, name, statement.ranges)
                    for name, _ in form.coefficients
                    if name in setting.left
                }
                if d == max(inside, key=lambda name: _share(setting, name, inside)):
                    lo, hi = max(lo, inside[d][0]), min(hi, inside[d][1])
    return lo, hi


def _share(setting: VectorSetting, d: str, inside: Mapping[str, Interval]) -> float:
    (lo, hi), (first, last) = setting.model.ranges[d], inside[d]
    kept = min(hi, last) + 1 - max(lo, first)
    return max(kept, 0) / max(hi + 1 - lo, 1)


def border(setting: VectorSetting, d: str) -> float:
    """Return the share of an index at which padding is asked for."""
    return 1.0 - _share(setting, d, {d: interior(setting, d)})


def _within(form: Linear, extent: int, d: str, box: Mapping[str, Interval]) -> Interval:
    """Return the points of *d* at which a subscript is always inside an axis."""
    factor = form.coefficient(d)
    ends = [
        sorted((c * box[name][0], c * box[name][1]))
        for name, c in form.coefficients
        if name != d
    ]
    low = form.constant + sum(least for least, _ in ends)
    high = form.constant + sum(greatest for _, greatest in ends)
    # 0 <= low + factor * d and high + factor * d < extent
    first, last = -low, extent - 1 - high
    if factor < 0:
        first, last, factor = -last, -first, -factor
    return -(-first // factor), last // factor
