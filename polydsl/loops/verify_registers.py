"""Accumulators in registers: what they start with, what is combined, where they go.

    acc[u, lane] = first value            the instance that initialises, or the tensor
    acc[u, lane] combine= value           for every summed index
    tensor[place] = acc[u, lane]          no instance: the finished value
    other[there] = f(acc[u, lane])        an assignment that reads the finished value

The first two lines may be a product, with the first value's instance in it. The element
of the tensor that a register element stands for is given by the third line; where there
is none, nothing but the fourth ever needs the value, and the first line gives it. All
must be about the same element, for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import (
    TILE,
    Accumulate,
    BatchReduceGemm,
    Expr,
    Instance,
    Load,
    Store,
)
from polydsl.loops.verify_elements import (
    collision,
    has_distinct_elements,
    position_of,
)
from polydsl.loops.verify_equal import difference_point
from polydsl.loops.verify_forms import (
    ZERO,
    Form,
    Space,
    constant,
    substituted,
    variable,
    variables,
)
from polydsl.loops.verify_instances import coordinates
from polydsl.loops.verify_points import Leaf
from polydsl.loops.verify_products import Memory
from polydsl.loops.verify_scopes import (
    Scope,
    check_same_slots,
    slots,
    writes,
)
from polydsl.loops.verify_translate import nest_form
from polydsl.loops.verify_values import Source, check_masked, check_value
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scop import Statement
from polydsl.semantics.program import accesses


@dataclass(frozen=True, slots=True)
class Chain:
    """One life of an accumulator: the leaf that fills it, from the tensor unless
    `starts`, those that combine into it, the one that stores it, if any, and the
    `readers`, which compute something else of the finished value."""

    buffer: str
    tensor: str
    fill: Leaf
    updates: tuple[Leaf, ...]
    store: Leaf | None
    readers: tuple[Leaf, ...]
    starts: bool

    @property
    def last(self) -> Leaf:
        """The last leaf of the life."""
        ends = [*self.readers, *([self.store] if self.store else [])]
        paths = [leaf.path for leaf in ends]
        return ends[paths.index(max(paths))]


def check_chain(memory: Memory, scope: Scope) -> Chain:
    """Raise unless a register accumulates the statements that its nodes name."""
    uses = _uses_of(scope)
    chain = _chain_of(memory, scope, uses)
    if uses.store is not None:
        check_same_slots(scope, uses.store, whole=True)
    for leaf in (*uses.updates, *uses.readers):
        check_same_slots(scope, leaf, whole=False)
    for leaf in uses.updates:
        chain.check_update(leaf)
    for leaf in uses.readers:
        chain.check_reader(leaf)
    return Chain(
        scope.buffer.name,
        chain.tensor,
        scope.fill,
        uses.updates,
        uses.store,
        uses.readers,
        chain.check_fill(),
    )


def _chain_of(memory: Memory, scope: Scope, uses: _Uses) -> _Chain:
    """Return what the slots of a register stand for: the elements that they are stored
    to, or filled from, or those of the instances that fill them."""
    fill = scope.fill
    tensor = _tensor_of(memory, scope)
    if memory.scop.tensor(tensor).dtype != scope.buffer.dtype:
        bug(f"{scope.buffer.name} has another type than {tensor}, {fill.place({})}")
    home, index = fill, None
    if uses.store is not None and isinstance(uses.store.node, Store):
        home, index = uses.store, uses.store.node.index
    elif isinstance(fill.node, Store) and fill.node.instance is None:
        assert isinstance(fill.node.value, Load)
        index = fill.node.value.index
    if index is not None:
        place = _index_forms(home, index)
        return _Chain(memory, scope, tensor, home, index, place)
    assert fill.node.instance is not None
    statement, source = _executed(memory, fill, fill.node.instance)
    place = _element(source, statement)
    if None in place:
        bug(f"{scope.buffer.name} is not stored, {fill.place({})}")
    return _Chain(memory, scope, tensor, home, (), place)


@dataclass(frozen=True, slots=True)
class _Uses:
    """What the leaves do that use a register: combine into it, store it as it is, or
    compute something of it."""

    updates: tuple[Leaf, ...]
    store: Leaf | None
    readers: tuple[Leaf, ...]


def _uses_of(scope: Scope) -> _Uses:
    """Tell the uses of a register apart; those that change it come first."""
    name = scope.buffer.name
    if len(scope.fills) > 1:
        bug(f"{name} is filled twice, {scope.fills[1].place({})}")
    updates = tuple(leaf for leaf in scope.uses if writes(leaf, name))
    others = tuple(leaf for leaf in scope.uses if not writes(leaf, name))
    if not others:
        bug(f"{name} is filled and not stored, {scope.fill.place({})}")
    for leaf in updates:
        if isinstance(leaf.node, Store):
            bug(f"{name} is used before it is finished, {leaf.place({})}")
        for other in others:
            if leaf.path[scope.depth] >= other.path[scope.depth]:
                bug(f"{name} is used unfinished, {other.place({})}")
    stores = [leaf for leaf in others if leaf.node.instance is None]
    for leaf in stores:
        value = leaf.node.value if isinstance(leaf.node, Store) else None
        is_held = isinstance(value, Load) and value.buffer == name
        if not is_held or leaf is not stores[0]:
            bug(f"{name} is stored in another way, {leaf.place({})}")
    readers = tuple(leaf for leaf in others if leaf not in stores)
    for leaf in readers:
        if not isinstance(leaf.node, Store):
            bug(f"{name} is read by no assignment, {leaf.place({})}")
    return _Uses(updates, stores[0] if stores else None, readers)


def _tensor_of(memory: Memory, scope: Scope) -> str:
    """Return the tensor whose elements a register holds: by its first value."""
    node = scope.fill.node
    if node.instance is not None:
        return memory.scop.statement(node.instance.statement).tensor
    if isinstance(node, Store) and isinstance(node.value, Load):
        return node.value.buffer
    bug(f"{scope.buffer.name} starts with no value, {scope.fill.place({})}")


Place: TypeAlias = tuple[Form | None, ...]
"""The subscripts of an element, None for one that depends on data."""


def _index_forms(leaf: Leaf, index: Sequence[Expr]) -> Place:
    return tuple(nest_form(expr, leaf.names, leaf.hull) for expr in index)


def _executed(
    memory: Memory, leaf: Leaf, instance: Instance
) -> tuple[Statement, Source]:
    """Return the statement of an instance, and what its names mean."""
    statement = memory.scop.statement(instance.statement)
    found = coordinates(leaf, instance, statement.dims)
    names = dict(zip(statement.dims, found))
    return statement, Source(memory.scop, memory.defined, leaf, names, leaf.hull)


@dataclass(frozen=True, slots=True)
class _Chain:
    """A register, and the element of a tensor that each of its slots stands for: that
    at `place` (of subscripts `index`, if they are written) where `home` is."""

    memory: Memory
    scope: Scope
    tensor: str
    home: Leaf
    index: tuple[Expr, ...]
    place: Place

    def check_fill(self) -> bool:
        """Check the first value; return whether it is that of an instance."""
        fill = self.scope.fill
        instance = _first_instance(fill)
        if instance is None:
            assert isinstance(fill.node, Store) and isinstance(fill.node.value, Load)
            value = fill.node.value
            self._same_element(fill, _index_forms(fill, value.index))
            self._same_data(value.index)
            self._check_distinct({})
            return False
        if isinstance(fill.node, BatchReduceGemm):
            self.check_update(fill)
        statement, source = self._source(fill, instance)
        if statement.combine is not None:
            bug(f"{statement.name} is no initialisation, {fill.place({})}")
        self._same_element(fill, _element(source, statement))
        if isinstance(fill.node, Store):
            check_value(source, fill.node.value, statement.value)
        counters = tuple(c for c in fill.hull.box if c not in TILE[2:])
        if not has_distinct_elements(statement, source.names, counters):
            # A second life would start again from the first value.
            self._check_distinct(c for c in self.home.hull.box if c not in TILE[2:])
        return True

    def check_update(self, leaf: Leaf) -> None:
        """Check one statement that combines into the register. The values of a product
        are looked at with its factors (`verify_products`)."""
        node = leaf.node
        if node.instance is None:
            bug(f"{self.scope.buffer.name} combines no instance, {leaf.place({})}")
        statement, source = self._source(leaf, node.instance)
        self._same_element(leaf, _element(source, statement))
        if not isinstance(node, Accumulate):
            return
        if statement.combine != node.combine:
            bug(f"{statement.name} combines by {statement.combine}, {leaf.place({})}")
        self._written_data(leaf, source, statement)
        if node.instance.where is None:
            check_value(source, node.value, statement.value)
        else:
            check_masked(source, node, statement.value)

    def check_reader(self, leaf: Leaf) -> None:
        """Check that what a statement reads of the tensor is the element in the slot
        that its node reads. Its value is looked at like any other's."""
        node = leaf.node
        assert isinstance(node, Store) and node.instance is not None
        statement, source = _executed(self.memory, leaf, node.instance)
        read = [a for a in accesses(statement.value) if a.tensor == self.tensor]
        if not read:
            bug(f"{statement.name} does not read {self.tensor}, {leaf.place({})}")
        for access in read:
            self._same_element(leaf, source.subscripts(access.subscripts))

    def _source(self, leaf: Leaf, instance: Instance) -> tuple[Statement, Source]:
        statement, source = _executed(self.memory, leaf, instance)
        if statement.tensor != self.tensor:
            bug(f"{statement.name} does not define {self.tensor}, {leaf.place({})}")
        return statement, source

    def _same_data(self, index: Sequence[Expr]) -> None:
        """Raise unless an element is filled from where it is stored to, where that
        depends on data: by the same operations on the same elements."""
        for form, ours, theirs in zip(self.place, index, self.index):
            if form is None and ours != theirs:
                bug(f"{self.tensor} is filled from elsewhere, {self.home.place({})}")

    def _written_data(self, leaf: Leaf, source: Source, statement: Statement) -> None:
        """Raise unless subscripts that depend on data are those of the statement, for
        each element of the register."""
        for form, expr, wanted in zip(self.place, self.index, statement.subscripts):
            if form is not None:
                continue
            names = {
                d: self._at_home(leaf, source.names[d]) for d in ordered_indices(wanted)
            }
            memory, home = self.memory, self.home
            there = Source(memory.scop, memory.defined, home, names, home.hull)
            check_value(there, expr, wanted)

    def _at_home(self, leaf: Leaf, form: Form) -> Form:
        """Return a term of a leaf in the counters of the store: those over slots count
        the same thing, and no other loops are around the one and not the other."""
        pairs = zip(slots(self.scope, leaf), slots(self.scope, self.home))
        rename = {a: b for a, b in pairs if isinstance(a, str)}
        if variables(form) - self.scope.outer - rename.keys():
            bug(f"{self.scope.buffer.name} holds several rows, {leaf.place({})}")
        terms = {
            a: variable(b) if isinstance(b, str) else constant(b)
            for a, b in rename.items()
        }
        return substituted(form, terms, self.home.hull)

    def _same_element(self, leaf: Leaf, element: Place) -> None:
        """Raise unless a leaf is about the element that its register slot is stored
        to. The counters over slots are renamed: they count the same thing."""
        ours, theirs = slots(self.scope, leaf), slots(self.scope, self.home)
        box = {name: leaf.hull.box[name] for name in leaf.hull.box}
        for a, b in zip(ours, theirs):
            if isinstance(a, str):
                box[a] = leaf.hull.box[a]
            elif isinstance(b, str):
                # The store runs over more slots: this leaf is about one of them.
                box[b] = (a, a)
        rename = {
            b: variable(a)
            for a, b in zip(ours, theirs)
            if isinstance(a, str) and isinstance(b, str)
        }
        space = Space(box, leaf.hull.tables)
        for form, place in zip(element, self.place):
            if form is None or place is None:
                if form is not place:
                    bug(f"{self.tensor} is stored elsewhere, {leaf.place({})}")
                continue
            there = substituted(place, rename, space)
            point = difference_point(form, there, space)
            if point is not None:
                bug(
                    f"{self.scope.buffer.name} is stored to another element of "
                    f"{self.tensor}, {leaf.place(point)}"
                )

    def _check_distinct(self, more: Iterable[str]) -> None:
        """Raise where two slots, or values of *more* counters, are stored to one
        element: one update would be lost."""
        own = [s for s in slots(self.scope, self.home) if isinstance(s, str)]
        inner = [*dict.fromkeys((*own, *more))]
        if not inner:
            return
        # What depends on data may be the same for all.
        known = tuple(ZERO if form is None else form for form in self.place)
        address = position_of(self.memory.scop.tensor(self.tensor).shape, known)
        for piece in self.home.pieces:
            point = collision(address, inner, piece.space)
            if point is not None:
                bug(
                    f"{self.scope.buffer.name} is stored twice to one element of "
                    f"{self.tensor}, {self.home.place(point)}"
                )


def _first_instance(leaf: Leaf) -> Instance | None:
    """Return the instance that gives a register its first value."""
    node = leaf.node
    return node.initial if isinstance(node, BatchReduceGemm) else node.instance


def _element(source: Source, statement: Statement) -> Place:
    """Return the element that a statement writes."""
    return tuple(source.form(s) for s in statement.subscripts)


def chains(memory: Memory, found: Sequence[Scope]) -> tuple[Chain, ...]:
    """Check every register and return what each of them accumulates."""
    registers = (s for s in found if s.buffer.memory == "register")
    return tuple(check_chain(memory, scope) for scope in registers)
