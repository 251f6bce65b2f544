"""From a `MatrixPlan` to a schedule tree: tiles around a microkernel.

    sequence                      band panel = j/64, depth_block = k/256, row_tile = i/6
    ├─ band i, j: S0       ->     └─ microkernel depth k, rows i, columns j: S0, S1
    └─ band i, j, k: S1

Loops of one iteration are left out. Where the number of positions is no multiple of a
tile, the loop nest cuts off the rest; the tree does not show it.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from functools import partial

from polydsl.schedule.legality import Change, Precedence, apply, check_order
from polydsl.schedule.matrix_plan import Copy, MatrixPlan
from polydsl.schedule.matrix_point import AXES
from polydsl.schedule.transform import (
    Tiling,
    drop_single,
    flatten,
    fuse,
    mark,
    microkernel,
    nest,
    parallelize,
    sink,
    split,
    tile,
    to_back,
    to_front,
)
from polydsl.schedule.tree import Band, Sequence, Tree, fresh, parts


def matrix_tree(plan: MatrixPlan, part: Tree, known: tuple[Precedence, ...]) -> Tree:
    """Return the tree of a plan, made from the bands of its statements."""
    return _MatrixTree(plan, known).build(part)


@dataclass(frozen=True, slots=True)
class _MatrixTree:
    plan: MatrixPlan
    known: tuple[Precedence, ...]

    def build(self, part: Tree) -> Tree:
        """Return the plan's tree: tiles around a microkernel, copies as marks."""
        band = self._joined(part)
        tilings = self._tilings()
        changes: list[Change] = [
            partial(to_front, names=self._outer(band)),
            partial(to_back, names=self._inner),
            *self._flattenings(),
        ]
        if tilings:
            changes.append(partial(tile, tilings=tilings))
        own = range(self.plan.outside, len(self.plan.loops))
        loops = tuple(map(self._loop, own))
        sides = tuple(self._side(side) for side, _ in self._sides)
        changes.append(partial(to_back, names=(*loops, *sides)))
        if self.plan.parallel >= self.plan.outside:
            shared = self._loop(self.plan.parallel)
            changes.append(partial(parallelize, var=shared))
        band = apply(band, changes, self.known)
        names = (sides[0], sides[1], sides[2], sides[3])
        tree = drop_single(microkernel(band, names))
        check_order(tree, self.known)
        return self._with_copies(tree)

    def _joined(self, part: Tree) -> Band:
        """Return one band around the initialisation, if any, and the update."""
        bands = [self._split(p) for p in parts(part)]
        if len(bands) == 1:
            return bands[0]
        place = 0 if self.plan.initialize is None else 1
        left = bands[1 - place].vars
        front = partial(to_front, names=left)
        bands = [apply(band, [front], self.known) for band in bands]
        fused = fuse(Sequence(tuple(bands)), len(left))
        is_reduced = len(bands[place].vars) > len(left)
        return apply(fused, [sink] if is_reduced else [], self.known)

    def _split(self, part: Tree) -> Band:
        """Return the band over the dimensions of the contraction."""
        assert isinstance(part, Band)
        changes: list[Change] = [
            partial(split, var=name, divisor=form.coefficients[0][1])
            for name, form in self.plan.contraction.coordinates
            if len(form.coefficients) > 1 and name in part.vars
        ]
        return apply(part, changes, self.known)

    def _moving(self, dims: tuple[str, ...]) -> tuple[str, ...]:
        sizes = self.plan.contraction.sizes
        return tuple(d for d in dims if sizes[d] != 1)

    @property
    def _sides(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        plan = self.plan
        sides = (
            ("taps", plan.taps),
            ("depth", plan.depth),
            ("rows", plan.rows),
            ("columns", plan.columns),
        )
        return tuple((name, self._moving(dims)) for name, dims in sides)

    def _outer(self, band: Band) -> tuple[str, ...]:
        """Return the loops over single points; those of one point are dropped later."""
        outer = tuple(d for d in self.plan.outer if d not in self.plan.fixed)
        moved = {*outer, *self._inner}
        return (*outer, *(var for var in band.vars if var not in moved))

    @property
    def _inner(self) -> tuple[str, ...]:
        return tuple(d for _, dims in self._sides for d in dims)

    def _name(self, name: str) -> str:
        return fresh(name, self.plan.contraction.sizes)

    def _side(self, side: str) -> str:
        """Return the name of the loop over a side's points."""
        dims = dict(self._sides)[side]
        return dims[0] if len(dims) == 1 else self._name(side)

    def _flattenings(self) -> list[Change]:
        return [
            partial(flatten, names=dims, name=self._name(side))
            for side, dims in self._sides
            if len(dims) > 1
        ]

    def _loop(self, place: int) -> str:
        """Return the name of a loop of the plan."""
        name = self.plan.loop_name(place)
        return name if self.plan.loops[place].axis not in AXES else self._name(name)

    def _tilings(self) -> tuple[Tiling, ...]:
        """Return the loops over tiles, outermost first."""
        found: list[Tiling] = []
        for place, loop in enumerate(self.plan.loops):
            axis = next((a for a in AXES if a == loop.axis), None)
            if axis is not None:
                size = loop.tiles * self.plan.side(axis).tile
                found.append((self._side(axis), size, self._loop(place)))
        return tuple(found)

    def _with_copies(self, tree: Tree) -> Tree:
        """Say where copies are made: inside so many loops, or once for all calls."""
        copies = (*self.plan.a.copies, *self.plan.b.copies)
        outside = self.plan.outside
        inner = max((c.loops for c in copies), default=0) - outside
        for level in range(inner, 0, -1):
            here = [c for c in copies if c.loops == level + outside]
            if here and isinstance(tree, Band):
                if level < len(tree.members):
                    tree = nest(tree, level)
                tree = replace(tree, child=_copied(tree.child, here))
        return _copied(tree, [c for c in copies if c.loops <= outside])


def _copied(tree: Tree, copies: Many[Copy]) -> Tree:
    for copy in reversed(copies):
        verb = "pack" if copy.is_pack else "pad"
        source = ", ".join(sorted(copy.sources))
        once = ", once for all calls" if copy.prepared else ""
        tree = mark(tree, f"{verb} {source} into {copy.tensor}{once}")
    return tree
