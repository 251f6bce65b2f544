"""Accumulators in registers: what they start with, what is combined, where they go.

    acc[u, lane] = first value            the instance that initialises, or the tensor
    acc[u, lane] combine= value           for every summed index
    tensor[place] = acc[u, lane]          no instance: the finished value

The element of the tensor that a register element stands for is given by the last line.
The first and the middle ones must be about the same element, for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import Accumulate, Expr, Instance, Load, Store
from polydsl.loops.verify_elements import (
    address_of,
    collision,
    has_distinct_elements,
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
from polydsl.loops.verify_scopes import Scope, check_same_slots, slots, writes
from polydsl.loops.verify_translate import nest_form
from polydsl.loops.verify_values import Source, check_masked, check_value
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scop import Statement


@dataclass(frozen=True, slots=True)
class Chain:
    """One life of an accumulator: the leaf that fills it, from the tensor unless
    `starts`, those that combine into it, and the one that stores it."""

    tensor: str
    fill: Leaf
    updates: tuple[Leaf, ...]
    store: Leaf
    starts: bool


def check_chain(memory: Memory, scope: Scope) -> Chain:
    """Raise unless a register accumulates the statements that its nodes name."""
    store = _store_of(scope)
    assert isinstance(store.node, Store)
    updates = tuple(leaf for leaf in scope.uses if leaf is not store)
    tensor = store.node.buffer
    if memory.buffers[tensor].dtype != scope.buffer.dtype:
        bug(f"{scope.buffer.name} has another type than {tensor}, {store.place({})}")
    chain = _Chain(memory, scope, store, _index_forms(store, store.node.index))
    check_same_slots(scope, store, whole=True)
    for leaf in updates:
        check_same_slots(scope, leaf, whole=False)
        chain.check_update(leaf)
    starts = chain.check_fill()
    return Chain(tensor, scope.fill, updates, store, starts)


def _store_of(scope: Scope) -> Leaf:
    """Return the leaf that stores the register, which comes last and alone."""
    if len(scope.fills) > 1:
        bug(f"{scope.buffer.name} is filled twice, {scope.fills[1].place({})}")
    if not scope.uses:
        bug(f"{scope.buffer.name} is filled and not stored, {scope.fill.place({})}")
    *others, last = scope.uses
    node = last.node
    held = isinstance(node, Store) and isinstance(node.value, Load)
    if not held or writes(last, scope.buffer.name) or node.instance is not None:
        bug(f"{scope.buffer.name} is not stored at last, {last.place({})}")
    for leaf in others:
        if not isinstance(leaf.node, Accumulate) or not writes(leaf, scope.buffer.name):
            bug(f"{scope.buffer.name} is used before it is finished, {leaf.place({})}")
        if leaf.path[scope.depth] >= last.path[scope.depth]:
            bug(f"{scope.buffer.name} is stored unfinished, {last.place({})}")
    return last


Place: TypeAlias = tuple[Form | None, ...]
"""The subscripts of an element, None for one that depends on data."""


def _index_forms(leaf: Leaf, index: Sequence[Expr]) -> Place:
    return tuple(nest_form(expr, leaf.names, leaf.hull) for expr in index)


@dataclass(frozen=True, slots=True)
class _Chain:
    memory: Memory
    scope: Scope
    store: Leaf
    place: Place

    @property
    def tensor(self) -> str:
        assert isinstance(self.store.node, Store)
        return self.store.node.buffer

    def check_fill(self) -> bool:
        """Check the first value; return whether it is that of an instance."""
        fill = self.scope.fill
        assert isinstance(fill.node, Store)
        if fill.node.instance is None:
            value = fill.node.value
            if not isinstance(value, Load) or value.buffer != self.tensor:
                bug(f"{self.scope.buffer.name} starts with no value, {fill.place({})}")
            self._same_element(fill, _index_forms(fill, value.index))
            self._same_data(value.index)
            self._check_distinct({})
            return False
        statement, source = self._source(fill, fill.node.instance)
        if statement.combine is not None:
            bug(f"{statement.name} is no initialisation, {fill.place({})}")
        self._same_element(fill, _element(source, statement))
        check_value(source, fill.node.value, statement.value)
        if not has_distinct_elements(statement, source.names, tuple(fill.hull.box)):
            # A second life would start again from the first value.
            self._check_distinct(self.store.hull.box)
        return True

    def check_update(self, leaf: Leaf) -> None:
        """Check one statement that combines into the register."""
        node = leaf.node
        assert isinstance(node, Accumulate)
        if node.instance is None:
            bug(f"{self.scope.buffer.name} combines no instance, {leaf.place({})}")
        statement, source = self._source(leaf, node.instance)
        if statement.combine != node.combine:
            bug(f"{statement.name} combines by {statement.combine}, {leaf.place({})}")
        self._same_element(leaf, _element(source, statement))
        self._written_data(leaf, source, statement)
        if node.instance.where is None:
            check_value(source, node.value, statement.value)
        else:
            check_masked(source, node, statement.value)

    def _source(self, leaf: Leaf, instance: Instance) -> tuple[Statement, Source]:
        statement = self.memory.scop.statement(instance.statement)
        if statement.tensor != self.tensor:
            bug(f"{statement.name} does not define {self.tensor}, {leaf.place({})}")
        found = coordinates(leaf, instance, statement.dims)
        names = dict(zip(statement.dims, found))
        memory = self.memory
        return statement, Source(memory.scop, memory.defined, leaf, names, leaf.hull)

    def _same_data(self, index: Sequence[Expr]) -> None:
        """Raise unless an element is filled from where it is stored to, where that
        depends on data: by the same operations on the same elements."""
        assert isinstance(self.store.node, Store)
        for form, ours, theirs in zip(self.place, index, self.store.node.index):
            if form is None and ours != theirs:
                bug(f"{self.tensor} is filled from elsewhere, {self.store.place({})}")

    def _written_data(self, leaf: Leaf, source: Source, statement: Statement) -> None:
        """Raise unless subscripts that depend on data are those of the statement, for
        each element of the register."""
        assert isinstance(self.store.node, Store)
        index = self.store.node.index
        for form, expr, wanted in zip(self.place, index, statement.subscripts):
            if form is not None:
                continue
            names = {
                d: self._at_store(leaf, source.names[d])
                for d in ordered_indices(wanted)
            }
            memory, store = self.memory, self.store
            there = Source(memory.scop, memory.defined, store, names, store.hull)
            check_value(there, expr, wanted)

    def _at_store(self, leaf: Leaf, form: Form) -> Form:
        """Return a term of a leaf in the counters of the store: those over slots count
        the same thing, and no other loops are around the one and not the other."""
        pairs = zip(slots(self.scope, leaf), slots(self.scope, self.store))
        rename = {a: b for a, b in pairs if isinstance(a, str)}
        if variables(form) - self.scope.outer - rename.keys():
            bug(f"{self.scope.buffer.name} holds several rows, {leaf.place({})}")
        terms = {
            a: variable(b) if isinstance(b, str) else constant(b)
            for a, b in rename.items()
        }
        return substituted(form, terms, self.store.hull)

    def _same_element(self, leaf: Leaf, element: Place) -> None:
        """Raise unless a leaf is about the element that its register slot is stored
        to. The counters over slots are renamed: they count the same thing."""
        ours, theirs = slots(self.scope, leaf), slots(self.scope, self.store)
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
        own = [s for s in slots(self.scope, self.store) if isinstance(s, str)]
        inner = [*dict.fromkeys((*own, *more))]
        if not inner:
            return
        # What depends on data may be the same for all.
        known = tuple(ZERO if form is None else form for form in self.place)
        address = address_of(self.memory.buffers[self.tensor], known)
        for piece in self.store.pieces:
            point = collision(address, inner, piece.space)
            if point is not None:
                bug(
                    f"{self.scope.buffer.name} is stored twice to one element of "
                    f"{self.tensor}, {self.store.place(point)}"
                )


def _element(source: Source, statement: Statement) -> Place:
    """Return the element that a statement writes."""
    return tuple(source.form(s) for s in statement.subscripts)


def chains(memory: Memory, found: Sequence[Scope]) -> tuple[Chain, ...]:
    """Check every register and return what each of them accumulates."""
    registers = (s for s in found if s.buffer.memory == "register")
    return tuple(check_chain(memory, scope) for scope in registers)


def check_alone(found: Sequence[Chain], leaves: Sequence[Leaf]) -> None:
    """Raise where a tensor is written while a register holds what it held before."""
    for chain in found:
        if chain.starts:
            continue
        for leaf in leaves:
            between = chain.fill.path < leaf.path < chain.store.path
            if between and writes(leaf, chain.tensor):
                bug(f"{chain.tensor} is written in between, {leaf.place({})}")
