"""From a `VectorPlan` to a schedule tree: vectors, and reductions in registers.

    sequence                      band i, j_tile = j/64
    ├─ band i, j: S0       ->     └─ registers c
    └─ band i, j, k: S1              └─ sequence
                                        ├─ band j_vector = j/16, j [vector]: S0
                                        └─ band k, j_vector = j/16, j [vector]: S1

Loops of one iteration are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from polydsl.schedule.legality import Change, Precedence, apply, check_order
from polydsl.schedule.transform import (
    Tiling,
    drop_single,
    fuse,
    interchange,
    keep_in_registers,
    nest,
    parallelize,
    tile,
    unroll,
    vectorize,
)
from polydsl.schedule.tree import Band, Leaf, Sequence, Tree, leaves, parts
from polydsl.schedule.vector_plan import VectorPlan


def vector_tree(plan: VectorPlan, part: Tree, known: tuple[Precedence, ...]) -> Tree:
    """Return the tree of a plan, made from the bands of its statements."""
    return _VectorTree(plan, known).build(part)


@dataclass(frozen=True, slots=True)
class _VectorTree:
    plan: VectorPlan
    known: tuple[Precedence, ...]

    def build(self, part: Tree) -> Tree:
        """Return the plan's tree: outer loops, then vectors or a reduction."""
        bands = self._with_prologue(tuple(self._statement(p) for p in parts(part)))
        tree = bands[0]
        if self.plan.updates:
            tree = self._accumulated(bands)
        elif len(bands) > 1:
            tree = Sequence(bands)
            if isinstance(bands[0], Band):
                tree = fuse(tree, len(bands[0].members))
        check_order(tree, self.known)
        return drop_single(tree)

    def _with_prologue(self, bands: tuple[Tree, ...]) -> tuple[Tree, ...]:
        """Return the bands with those of the prologue and of the update as one."""
        if not self.plan.prologue:
            return bands
        first = 0 if self.plan.initialize is None else 1
        after = first + len(self.plan.prologue) + 1
        points = Sequence(bands[first:after])
        outer = bands[first]
        joint = fuse(points, len(outer.members)) if isinstance(outer, Band) else points
        return (*bands[:first], joint, *bands[after:])

    def _statement(self, part: Tree) -> Tree:
        """Return the loops of one statement, those over tiles outermost."""
        if isinstance(part, Leaf):
            return part
        assert isinstance(part, Band)
        (leaf, _), *_ = leaves(part)
        point = self.plan.point
        changes: list[Change] = []
        tiles = tuple(t for t in self._tilings() if t[0] in leaf.dims)
        if tiles:
            changes.append(partial(tile, tilings=tiles))
        vector = point.vector if point.vector in leaf.dims else None
        if vector is not None:
            name = self._vectors(vector)
            lanes = self.plan.lanes
            changes.append(partial(vectorize, var=vector, lanes=lanes, name=name))
        changes.append(partial(interchange, order=self._order(leaf, vector)))
        changes += [partial(unroll, var=d) for d in self._written_out(leaf)]
        if point.parallel >= 0:
            changes.append(partial(parallelize, var=self._loops()[point.parallel]))
        return apply(part, changes, self.known)

    def _loops(self) -> tuple[str, ...]:
        """Return the name of each loop of the point. Marked, so that no index of the
        program is called like them."""
        point = self.plan.point
        names: list[str] = []
        for loop in point.loops:
            d = loop.index
            is_single = self._size(d) == 1
            if loop.tiles > 1:
                names.append(f"{d}_block'")
            elif d == point.vector and point.vectors == 1:
                names.append(self._vectors(d))
            else:
                names.append(d if is_single else f"{d}_tile'")
        return tuple(names)

    def _vectors(self, vector: str) -> str:
        return f"{vector}_vector'"

    def _size(self, d: str) -> int:
        """Return the points of an index in a register tile."""
        point = self.plan.point
        if d == point.vector:
            return point.vectors * self.plan.lanes
        return self.plan.unrolled(d)

    def _tilings(self) -> tuple[Tiling, ...]:
        """Return the tiles of the left-hand indices, without single vectors."""
        named = zip(self.plan.point.loops, self._loops())
        return tuple(
            (loop.index, loop.tiles * self._size(loop.index), name)
            for loop, name in named
            if name not in (loop.index, self._vectors(loop.index))
        )

    def _order(self, leaf: Leaf, vector: str | None) -> tuple[str, ...]:
        """Return the loops of a statement: over tiles, the reduction, in the tile."""
        point = self.plan.point
        loops = self._loops()
        inner = [
            *(d for d in (*point.reduction, *point.taps) if d in leaf.dims),
            *(u.index for u in point.unrolled if self._size(u.index) > 1),
        ]
        if vector is not None and self._vectors(vector) not in loops:
            # Partial results of the rows of a tile are combined row by row.
            rows = sum(u.count > 1 for u in point.unrolled)
            place = len(inner) - (rows if self._is_summed(vector) else 0)
            inner.insert(place, self._vectors(vector))
        return (*loops, *inner, *(() if vector is None else (vector,)))

    def _written_out(self, leaf: Leaf) -> Iterator[str]:
        point = self.plan.point
        yield from (d for d in point.taps if d in leaf.dims)
        yield from (u.index for u in point.unrolled if u.count > 1)
        if point.vector is None or point.vector not in leaf.dims:
            return
        if point.vectors > 1 and not self._is_summed(point.vector):
            yield self._vectors(point.vector)

    def _is_summed(self, d: str) -> bool:
        """Whether an index is reduced: it has no loop around register tiles then."""
        looped = {loop.index for loop in self.plan.point.loops}
        return bool(self.plan.updates) and d not in looped

    def _accumulated(self, bands: tuple[Tree, ...]) -> Tree:
        """Join the statements of a reduction in the loops that they share."""
        count = len(self.plan.point.loops)
        body: Tree = bands[0] if len(bands) == 1 else Sequence(bands)
        if count == 0:
            return keep_in_registers(body, self.plan.tensor)
        if isinstance(body, Sequence):
            body = fuse(body, count)
        assert isinstance(body, Band)
        if len(body.members) > count:
            body = nest(body, count)
        return replace(body, child=keep_in_registers(body.child, self.plan.tensor))
