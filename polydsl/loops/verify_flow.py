"""Proof (b): every read gets the value that the scop says.

Each node is compared with the statement or the copy that it executes: the element it
writes and the value it computes (`verify_values`, `verify_products`), through registers
(`verify_registers`) and tile-local copies (`verify_scopes`). What is read is then the
right element; `verify_order` proves that it is finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import (
    Accumulate,
    BatchReduceGemm,
    Expr,
    Instance,
    LoopNest,
    Store,
)
from polydsl.loops.verify_bounds import accesses
from polydsl.loops.verify_conditions import Condition
from polydsl.loops.verify_contracted import check_contracted
from polydsl.loops.verify_cuts import Piece
from polydsl.loops.verify_elements import address_of, collision
from polydsl.loops.verify_equal import difference_point
from polydsl.loops.verify_forms import ZERO, Form, variable, variables
from polydsl.loops.verify_instances import coordinates
from polydsl.loops.verify_lines import in_lines
from polydsl.loops.verify_lives import check_alone, check_kept
from polydsl.loops.verify_order import check_order
from polydsl.loops.verify_points import Leaf, with_variable
from polydsl.loops.verify_products import Memory, check_product, product_elements
from polydsl.loops.verify_registers import Chain, chains
from polydsl.loops.verify_rounds import check_local_copy
from polydsl.loops.verify_scopes import scopes
from polydsl.loops.verify_told import Event, EventKind
from polydsl.loops.verify_translate import Names, nest_form
from polydsl.loops.verify_values import Source, check_value
from polydsl.poly.defined import Defined, defined_on
from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.matrix_plan import Copy
from polydsl.semantics.program import Expr as ProgramExpr
from polydsl.semantics.program import accesses as program_accesses


def check_flow(
    scop: Scop, copies: Mapping[str, Copy], nest: LoopNest, leaves: Sequence[Leaf]
) -> None:
    """Raise unless every value is the scop's, in time."""
    found = scopes(nest, copies, leaves)
    fixed: dict[tuple[tuple[int, ...], str], Names] = {}
    for scope in found:
        if scope.buffer.memory != "register":
            names = check_local_copy(copies[scope.buffer.name], scope)
            fixed.update({(u.path, scope.buffer.name): names for u in scope.uses})
    buffers = {b.name: b for b in nest.buffers}
    memory = Memory(scop, buffers, copies, defined_extents(scop), fixed)
    flow = _Flow(memory, chains(memory, found))
    check_alone(flow.chains, leaves)
    check_kept(memory, flow.chains, leaves)
    for leaf in leaves:
        flow.check_writable(leaf)
        flow.check(leaf)
        flow.check_lanes(leaf)
    events = tuple(e for leaf in leaves for e in flow.events(leaf))
    check_order(events)
    check_contracted(memory, leaves, events)


def defined_extents(scop: Scop) -> dict[str, Defined]:
    """Return where each tensor is defined."""
    return {tensor.name: defined_on(scop, tensor.name) for tensor in scop.tensors}


@dataclass(frozen=True, slots=True)
class _Flow:
    memory: Memory
    chains: tuple[Chain, ...]

    def check_writable(self, leaf: Leaf) -> None:
        """Raise where a leaf writes what is not its to write."""
        node = leaf.node
        name = node.c.buffer if isinstance(node, BatchReduceGemm) else node.buffer
        buffer = self.memory.buffers[name]
        is_prepare = leaf.path[0] == 0
        if (
            buffer.memory == "constant"
            or not buffer.is_written
            or (buffer.memory == "prepared" and not is_prepare)
            or (buffer.memory == "argument" and is_prepare)
        ):
            bug(f"{name} is not written here, {leaf.place({})}")

    def check(self, leaf: Leaf) -> None:
        """Raise unless a leaf stores the values of the instances that it executes."""
        match leaf.node:
            case BatchReduceGemm():
                check_product(self.memory, leaf)
            case Store(buffer, _, value, instance) | Accumulate(
                buffer, _, _, value, instance
            ):
                if self.memory.buffers[buffer].memory == "register":
                    return
                if instance is None:
                    if all(c.store is not leaf for c in self.chains):
                        bug(f"a store executes no instance, {leaf.place({})}")
                    return
                self._check_store(leaf, leaf.node, value, instance)

    def _check_store(
        self, leaf: Leaf, node: Store | Accumulate, value: Expr, instance: Instance
    ) -> None:
        copy = self.memory.copies.get(instance.statement)
        wanted: ProgramExpr
        if copy is not None:
            source = self._source(leaf, instance, copy.dims)
            subscripts = tuple(source.names[d] for d in copy.stored)
            source, wanted = in_lines(copy, source, instance)
            tensor, combine = copy.tensor, None
        else:
            statement = self.memory.scop.statement(instance.statement)
            source = self._source(leaf, instance, statement.dims)
            held = {c.buffer: c.tensor for c in self.chains if leaf in c.readers}
            source = replace(source, held=held)
            subscripts = source.subscripts(statement.subscripts)
            tensor, combine, wanted = _parts(statement)
        if instance.where is not None:
            bug(f"{instance.statement} is masked, {leaf.place({})}")
        actual = node.combine if isinstance(node, Accumulate) else None
        if node.buffer != tensor or combine != actual:
            bug(f"{instance.statement} is not computed {leaf.place({})}")
        for expr, form in zip(node.index, subscripts):
            found = nest_form(expr, leaf.names, leaf.hull)
            point = {} if found is None else difference_point(found, form, leaf.hull)
            if point is not None:
                bug(f"{instance.statement} is stored elsewhere {leaf.place(point)}")
        check_value(source, value, wanted)

    def _source(self, leaf: Leaf, instance: Instance, dims: tuple[str, ...]) -> Source:
        names = dict(zip(dims, coordinates(leaf, instance, dims)))
        return Source(self.memory.scop, self.memory.defined, leaf, names, leaf.hull)

    def check_lanes(self, leaf: Leaf) -> None:
        """Raise where two lanes of a vector loop write one element."""
        node = leaf.node
        if isinstance(node, BatchReduceGemm) or not leaf.frames:
            return
        frame = leaf.frames[-1]
        if frame.loop.kind != "vector":
            return
        index = self._index(leaf, node.index)
        used = any(frame.counter in variables(form) for form in index)
        if isinstance(node, Accumulate) and not used:
            return
        address = address_of(self.memory.buffers[node.buffer], index)
        for piece in leaf.pieces:
            point = collision(address, (frame.counter,), piece.space)
            if point is not None:
                bug(
                    f"lanes write the same element of {node.buffer} {leaf.place(point)}"
                )

    def _index(self, leaf: Leaf, index: Sequence[Expr]) -> tuple[Form, ...]:
        """Return subscripts; those that depend on data may be equal for all lanes."""
        forms = (nest_form(e, leaf.names, leaf.hull) for e in index)
        return tuple(ZERO if form is None else form for form in forms)

    # Events

    def events(self, leaf: Leaf) -> Iterator[Event]:
        """Yield the accesses of a leaf to buffers that outlive their loops."""
        node = leaf.node
        if isinstance(node, BatchReduceGemm):
            yield from self._product_events(leaf, node)
            return
        (written, index, _), *read = accesses(leaf)
        chain = next((c for c in self.chains if leaf in (c.fill, c.store)), None)
        if self._is_shared(written):
            kind: EventKind = "update" if isinstance(node, Accumulate) else "first"
            if chain is not None and not chain.starts:
                kind = "update"
            inside, found = self._elements(leaf, written, index)
            yield self._event(written, kind, inside, found)
        yield from self._held_events(leaf)
        for name, place, where in read:
            if self._is_shared(name):
                again = chain is not None and name == chain.tensor and not chain.starts
                inside, found = self._elements(_where(leaf, where), name, place)
                yield self._event(name, "update" if again else "read", inside, found)

    def _held_events(self, leaf: Leaf) -> Iterator[Event]:
        """Yield what is read in registers: an element must be finished by then wherever
        else it is combined into."""
        instance = leaf.node.instance
        for chain in self.chains:
            if leaf not in chain.readers or chain.tensor not in self.memory.buffers:
                continue
            assert instance is not None
            statement = self.memory.scop.statement(instance.statement)
            source = self._source(leaf, instance, statement.dims)
            for access in program_accesses(statement.value):
                if access.tensor == chain.tensor:
                    forms = source.subscripts(access.subscripts)
                    yield self._event(chain.tensor, "read", leaf, forms)

    def _elements(
        self, leaf: Leaf, name: str, index: Sequence[Expr]
    ) -> tuple[Leaf, tuple[Form, ...]]:
        """Return the subscripts of an access, and the leaf with a variable for each
        that depends on data."""
        found = tuple(nest_form(expr, leaf.names, leaf.hull) for expr in index)
        return self._anywhere(leaf, name, found)

    def _anywhere(
        self, leaf: Leaf, name: str, found: Sequence[Form | None]
    ) -> tuple[Leaf, tuple[Form, ...]]:
        """Return subscripts with a variable for each that is not known: it may be any
        element of its dimension."""
        forms: list[Form] = []
        for axis, form in enumerate(found):
            if form is None:
                anywhere = f"anywhere@{axis}"
                ends = (0, self.memory.buffers[name].shape[axis] - 1)
                leaf = with_variable(leaf, anywhere, ends)
                form = variable(anywhere)
            forms.append(form)
        return leaf, tuple(forms)

    def _product_events(self, leaf: Leaf, node: BatchReduceGemm) -> Iterator[Event]:
        kind: EventKind = "update" if node.accumulate else "first"
        for name, found, conditions in product_elements(self.memory, leaf):
            if self._is_shared(name):
                inside = _where(leaf, conditions)
                yield self._event(name, kind, *self._anywhere(inside, name, found))
            kind = "read"

    def _is_shared(self, name: str) -> bool:
        copy = self.memory.copies.get(name)
        if copy is not None:
            return not copy.local
        return self.memory.buffers[name].memory in ("argument", "prepared", "scratch")

    def _event(
        self, name: str, kind: EventKind, leaf: Leaf, forms: tuple[Form, ...]
    ) -> Event:
        buffer = self.memory.buffers[name]
        if leaf.path[0] == 1 and buffer.memory == "prepared":
            kind = "read"
        return Event(name, kind, leaf, forms, buffer.shape)


def _where(leaf: Leaf, conditions: Sequence[Condition]) -> Leaf:
    """Return a leaf at those of its points where conditions hold, too."""
    if not conditions:
        return leaf
    pieces = (Piece(p.space, (*p.conditions, *conditions)) for p in leaf.pieces)
    return replace(leaf, pieces=tuple(pieces))


def _parts(statement: Statement) -> tuple[str, str | None, ProgramExpr]:
    return statement.tensor, statement.combine, statement.value
