"""From a `VectorPlan` to a schedule tree: vectors, and reductions in registers.

    sequence                      band i, j_tile = j/64
    ├─ band i, j: S0       ->     └─ registers c
    └─ band i, j, k: S1              └─ sequence
                                        ├─ band j_vector = j/16, j [vector]: S0
                                        └─ band k, j_vector = j/16, j [vector]: S1

Loops of one iteration are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from polydsl.schedule.legality import Change, Precedence, apply, check_order
from polydsl.schedule.transform import (
    drop_single,
    fuse,
    interchange,
    keep_in_registers,
    nest,
    parallelize,
    tile,
    to_front,
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
        bands = tuple(self._statement(p) for p in parts(part))
        tree = bands[0]
        if self.plan.updates:
            tree = self._accumulated(bands)
        check_order(tree, self.known)
        return drop_single(tree)

    def _statement(self, part: Tree) -> Tree:
        """Return the loops of one statement, the common ones outermost."""
        if isinstance(part, Leaf):
            return part
        assert isinstance(part, Band)
        (leaf, _), *_ = leaves(part)
        inner = tuple(d for d in leaf.dims if d not in self.plan.outer)
        vector = self.plan.vector if self.plan.vector in inner else None
        changes: list[Change] = [self._order(inner, vector)]
        if vector is not None:
            changes += self._vectors(vector, leaf)
        if self.plan.parallel in self.plan.outer:
            changes.append(partial(parallelize, var=self.plan.parallel))
        return apply(part, changes, self.known)

    def _order(self, inner: tuple[str, ...], vector: str | None) -> Change:
        rest = tuple(d for d in inner if d != vector)
        last = () if vector is None else (vector,)
        return partial(interchange, order=(*self.plan.outer, *rest, *last))

    def _vectors(self, vector: str, leaf: Leaf) -> list[Change]:
        """Cut the vector index: into chunks for threads, register tiles, vectors."""
        plan = self.plan
        # Marked, so that no index of the program is called like them.
        chunks, tiles, vectors = (
            f"{vector}_{part}'" for part in ("chunk", "tile", "vector")
        )
        changes: list[Change] = [
            partial(vectorize, var=vector, lanes=plan.lanes, name=vectors)
        ]
        if not plan.updates and plan.chunk:
            chunk = ((vector, plan.chunk, chunks),)
            changes.insert(0, partial(tile, tilings=chunk))
            changes.append(partial(parallelize, var=chunks))
        if not plan.updates or vector in leaf.reduced:
            return changes
        if plan.unroll > 1:
            wide = ((vector, plan.unroll * plan.lanes, tiles),)
            changes.insert(0, partial(tile, tilings=wide))
            changes.append(partial(unroll, var=vectors))
        shared = tiles if plan.unroll > 1 else vectors
        changes.append(partial(to_front, names=(*plan.outer, shared)))
        return changes

    def _accumulated(self, bands: tuple[Tree, ...]) -> Tree:
        """Join the statements of a reduction in the loops that they share."""
        count = len(self.plan.outer) + self._shares_vectors(bands)
        body: Tree = bands[0] if len(bands) == 1 else Sequence(bands)
        if count == 0:
            return keep_in_registers(body, self.plan.tensor)
        if isinstance(body, Sequence):
            body = fuse(body, count)
        assert isinstance(body, Band)
        if len(body.members) > count:
            body = nest(body, count)
        return replace(body, child=keep_in_registers(body.child, self.plan.tensor))

    def _shares_vectors(self, bands: tuple[Tree, ...]) -> bool:
        """Whether lanes are elements of the result, so that all share the tiles."""
        (leaf, _), *_ = leaves(bands[-1])
        return self.plan.vector in leaf.dims and self.plan.vector not in leaf.reduced
