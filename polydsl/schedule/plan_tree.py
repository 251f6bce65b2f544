"""From plans to a schedule tree: `plan_tree(scop, plans, dependences) -> Tree`.

The tree is made from the scop's initial tree by transformations, as the plans say, and
every step is checked: a plan that would change the meaning of the kernel does not get
through. Loops of one iteration are left out. Where a loop's trip count is no multiple
of a tile, the loop nest cuts off the rest; the tree does not show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import TypeAlias, assert_never

from polydsl.poly.dependences import Dependences
from polydsl.poly.scop import Scop
from polydsl.schedule.legality import Precedence, check_order, precedences, verify
from polydsl.schedule.matrix_plan import Copy, MatrixPlan
from polydsl.schedule.transform import (
    Tiling,
    drop_single,
    flatten,
    fuse,
    gather,
    initial_tree,
    interchange,
    keep_in_registers,
    mark,
    microkernel,
    nest,
    parallelize,
    reorder,
    sink,
    split,
    tile,
    unroll,
    vectorize,
)
from polydsl.schedule.tree import Band, Leaf, Sequence, Tree, leaves
from polydsl.schedule.vector_plan import VectorPlan

Plan: TypeAlias = MatrixPlan | VectorPlan
Known = tuple[Precedence, ...]
Change = Callable[[Band], Band]


def plan_tree(scop: Scop, plans: tuple[Plan, ...], dependences: Dependences) -> Tree:
    """Return the checked schedule tree of an ordered scop's plans."""
    known = precedences(dependences)
    initial = initial_tree(scop)
    places = {s.name: place for place, s in enumerate(scop.statements)}
    groups = tuple(statements_of(plan) for plan in plans)
    ordered = reorder(initial, tuple(places[s] for names in groups for s in names))
    check_order(ordered, known)
    parts = gather(ordered, tuple(len(names) for names in groups)).children
    made = tuple(_planned(plan, part, known) for plan, part in zip(plans, parts))
    tree = made[0] if len(made) == 1 else Sequence(made)
    check_order(tree, known)
    verify(tree, scop)
    return tree


def statements_of(plan: Plan) -> tuple[str, ...]:
    """Return the statements that a plan computes, in order."""
    first = () if plan.initialize is None else (plan.initialize,)
    match plan:
        case MatrixPlan():
            return (*first, plan.contraction.statement)
        case VectorPlan():
            return (*first, *plan.updates)
        case _:
            assert_never(plan)


def _planned(plan: Plan, part: Tree, known: Known) -> Tree:
    names = {*statements_of(plan)}
    inside = tuple(
        k for k in known if {k.dependence.source, k.dependence.target} <= names
    )
    match plan:
        case MatrixPlan():
            return _MatrixTree(plan, inside).build(part)
        case VectorPlan():
            return _VectorTree(plan, inside).build(part)
        case _:
            assert_never(plan)


def _through(band: Band, changes: Iterable[Change], known: Known) -> Band:
    """Apply one change after the other and check the tree after each."""
    for change in changes:
        band = change(band)
        check_order(band, known)
    return band


def _parts(tree: Tree) -> tuple[Tree, ...]:
    return tree.children if isinstance(tree, Sequence) else (tree,)


def _free(name: str, taken: frozenset[str]) -> str:
    """Return a name for a loop that no dimension has."""
    while name in taken:
        name += "_"
    return name


# Matrix plans


@dataclass(frozen=True, slots=True)
class _MatrixTree:
    plan: MatrixPlan
    known: Known

    def build(self, part: Tree) -> Tree:
        """Return the plan's tree: tiles around a microkernel, copies as marks."""
        band = self._joined(part)
        outer, tilings = self._moving(self.plan.outer), self._tilings()
        changes: list[Change] = [
            partial(interchange, order=(*outer, *self._inner)),
            *self._flattenings(),
        ]
        if tilings:
            tiles = tuple(name for _, _, name in tilings)
            changes.append(partial(tile, tilings=tilings))
            changes.append(partial(_in_front, names=(*outer, *tiles)))
        band = _through(band, changes, self.known)
        shared = self._shared_loop()
        if shared in band.vars:
            band = _through(band, [partial(parallelize, var=shared)], self.known)
        return self._with_copies(band)

    def _joined(self, part: Tree) -> Band:
        """Return one band around the initialisation, if any, and the update."""
        bands = [self._split(p) for p in _parts(part)]
        if len(bands) == 1:
            return bands[0]
        first, update = bands
        rest = tuple(var for var in update.vars if var not in first.vars)
        update = _through(
            update, [lambda b: interchange(b, (*first.vars, *rest))], self.known
        )
        fused = fuse(Sequence((first, update)), len(first.vars))
        return _through(fused, [sink], self.known)

    def _split(self, part: Tree) -> Band:
        """Return the band over the contraction's dimensions of more than one point."""
        assert isinstance(part, Band)
        changes: list[Change] = [
            partial(split, var=name, divisor=form.coefficients[0][1])
            for name, form in self.plan.contraction.coordinates
            if len(form.coefficients) > 1 and name in part.vars
        ]
        band = drop_single(_through(part, changes, self.known))
        assert isinstance(band, Band)
        return band

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

    @property
    def _inner(self) -> tuple[str, ...]:
        return tuple(d for _, dims in self._sides for d in dims)

    def _name(self, name: str) -> str:
        return _free(name, frozenset(self.plan.contraction.sizes))

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

    def _tilings(self) -> tuple[Tiling, ...]:
        """Return the loops over tiles, outermost first, that run more than once."""
        plan = self.plan
        lengths = {side: plan.extent(dims) for side, dims in self._sides}
        chunk = plan.row_tile * ceil(
            ceil(lengths["rows"] / plan.row_tile) / plan.row_chunks
        )
        is_cut = lengths["depth"] > plan.depth_block
        sizes = (
            ("rows", chunk, "row_chunk", plan.row_chunks > 1),
            ("columns", plan.column_tile, "panel", True),
            ("taps", 1, "tap", is_cut),
            ("depth", plan.depth_block, "depth_block", is_cut),
            ("taps", plan.taps_block, "tap_block", not is_cut),
            ("rows", plan.row_tile, "row_tile", True),
        )
        return tuple(
            (self._side(side), size, self._name(name))
            for side, size, name, is_wanted in sizes
            if is_wanted and lengths[side] > size
        )

    def _shared_loop(self) -> str:
        parallel = self.plan.parallel
        names = {"rows": self._name("row_chunk"), "panel": self._name("panel")}
        return parallel if parallel in self.plan.outer else names.get(parallel, "")

    def _with_copies(self, band: Band) -> Tree:
        """Leave the innermost loops to the microkernel, and say where copies are
        made: in a panel, before the loops, or once for all calls."""
        a, b, c, d = (self._side(side) for side, _ in self._sides)
        copies = (*self.plan.a.copies, *self.plan.b.copies)
        local = [c for c in copies if c.local]
        tree = microkernel(band, (a, b, c, d))
        check_order(tree, self.known)
        outside = (*self.plan.outer, self._name("row_chunk"), self._name("panel"))
        if local and isinstance(tree, Band):
            around = sum(1 for var in tree.vars if var in outside)
            if 0 < around < len(tree.members):
                tree = nest(tree, around)
            if around:
                tree = replace(tree, child=_copied(tree.child, local))
                local = []
        return _copied(tree, [*(c for c in copies if not c.local), *local])


def _copied(tree: Tree, copies: Many[Copy]) -> Tree:
    for copy in reversed(copies):
        verb = "pack" if copy.is_pack else "pad"
        once = ", once for all calls" if copy.prepared else ""
        tree = mark(tree, f"{verb} {copy.source} into {copy.tensor}{once}")
    return tree


# Vector plans


@dataclass(frozen=True, slots=True)
class _VectorTree:
    plan: VectorPlan
    known: Known

    def build(self, part: Tree) -> Tree:
        """Return the plan's tree: outer loops, then vectors or a reduction."""
        bands = tuple(self._statement(p) for p in _parts(part))
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
        return _through(part, changes, self.known)

    def _order(self, inner: tuple[str, ...], vector: str | None) -> Change:
        rest = tuple(d for d in inner if d != vector)
        last = () if vector is None else (vector,)
        return partial(interchange, order=(*self.plan.outer, *rest, *last))

    def _vectors(self, vector: str, leaf: Leaf) -> list[Change]:
        """Cut the vector index: into chunks for threads, register tiles, vectors."""
        plan = self.plan
        tiles, vectors = f"{vector}_tile", f"{vector}_vector"
        changes: list[Change] = [partial(vectorize, var=vector, lanes=plan.lanes)]
        if not plan.updates:
            if plan.chunk:
                chunks = ((vector, plan.chunk, f"{vector}_chunk"),)
                changes.insert(0, partial(tile, tilings=chunks))
                changes.append(partial(parallelize, var=f"{vector}_chunk"))
            return changes
        if vector in leaf.reduced:
            return changes
        if plan.unroll > 1:
            wide = ((vector, plan.unroll * plan.lanes, tiles),)
            changes.insert(0, partial(tile, tilings=wide))
            changes.append(partial(unroll, var=vectors))
        shared = tiles if plan.unroll > 1 else vectors
        changes.append(partial(_in_front, names=(*plan.outer, shared)))
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


def _in_front(band: Band, names: tuple[str, ...]) -> Band:
    """Move loops to the front of a band."""
    others = (var for var in band.vars if var not in names)
    return interchange(band, (*names, *others))
