"""Proof (b) and (c) for products: a microkernel reads and writes the elements of the
statement it executes.

The instance on a `BatchReduceGemm` says which instance of the statement the term
(m, n, t, k) is. The address of C is that of the element which the instance writes, and
A and B hold the two factors of which its value is the node's function, wherever they
are read from: the tensor, a padded copy, a packed one, or a table that sends padded
rows to a line of padding. What is no access is read from copies (`verify_factors`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, TypeAlias

from polydsl.base.diagnostics import bug
from polydsl.base.functions import identity
from polydsl.loops.nest import (
    TILE,
    BatchReduceGemm,
    Buffer,
    Columns,
    Expr,
    GuardedRows,
    Offsets,
    Rows,
    Strided,
    Table,
)
from polydsl.loops.verify_conditions import (
    All,
    Condition,
    negation,
    within,
)
from polydsl.loops.verify_cuts import Piece
from polydsl.loops.verify_elements import (
    address_of,
    collision,
    has_distinct_elements,
    subscripts_at,
)
from polydsl.loops.verify_equal import difference_point
from polydsl.loops.verify_factors import Comparison
from polydsl.loops.verify_forms import (
    Form,
    Lookup,
    Point,
    Space,
    add,
    atom,
    combine,
    variable,
)
from polydsl.loops.verify_guards import check_guarded
from polydsl.loops.verify_instances import coordinates
from polydsl.loops.verify_points import Leaf
from polydsl.loops.verify_search import outside_point, some_point
from polydsl.loops.verify_terms import bindings
from polydsl.loops.verify_translate import Names, nest_form, program_condition
from polydsl.loops.verify_values import Mismatch, Source, within_zero
from polydsl.poly.defined import Defined
from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.inner_product import factor_access, widened_access
from polydsl.schedule.matrix_plan import Copy
from polydsl.semantics import program


@dataclass(frozen=True, slots=True)
class Memory:
    """The scop, the buffers and copies of a nest, where tensors are defined, and the
    fixed coordinates of each tile-local copy at each leaf that reads it."""

    scop: Scop
    buffers: Mapping[str, Buffer]
    copies: Mapping[str, Copy]
    defined: Mapping[str, Defined]
    fixed: Mapping[tuple[tuple[int, ...], str], Names]


ROW, COLUMN, TAP, STEP = TILE

Element: TypeAlias = tuple[str, tuple[Form | None, ...], tuple[Condition, ...]]
"""A buffer, the subscripts of an element in it in counters, None where they depend on
data, and the conditions under which it is read."""


def product_elements(memory: Memory, leaf: Leaf) -> Iterator[Element]:
    """Yield the result of a product with the element that an instance writes, then
    what it reads, of the factors' tensors also where a copy of them is read."""
    node = leaf.node
    assert isinstance(node, BatchReduceGemm) and node.instance is not None
    statement = memory.scop.statement(node.instance.statement)
    names = dict(zip(statement.dims, coordinates(leaf, node.instance, statement.dims)))
    source = Source(memory.scop, memory.defined, leaf, names, leaf.hull)
    product = _Product(memory, node, Piece(leaf.hull), source)
    yield from product.elements(statement)


def check_product(memory: Memory, leaf: Leaf) -> None:
    """Raise unless a product computes its statement's instances."""
    node = leaf.node
    assert isinstance(node, BatchReduceGemm)
    if node.instance is None:
        bug(f"a product executes no statement, {leaf.place({})}")
    statement = memory.scop.statement(node.instance.statement)
    found = coordinates(leaf, node.instance, statement.dims)
    names = dict(zip(statement.dims, found))
    _check_kind(memory, leaf, node, statement)
    for piece in leaf.pieces:
        source = Source(memory.scop, memory.defined, leaf, names, piece.space)
        try:
            _Product(memory, node, piece, source).check(statement)
        except Mismatch as mismatch:
            bug(str(mismatch))


def _check_kind(
    memory: Memory, leaf: Leaf, node: BatchReduceGemm, statement: Statement
) -> None:
    """Raise unless the statement combines as the product does, and the first value is
    set where it should be."""
    combine = node.inner.combine
    in_register = memory.buffers[node.c.buffer].memory == "register"
    is_own = in_register or node.c.buffer == statement.tensor
    if statement.combine != combine or not is_own:
        bug(f"{statement.name} is no {combine} into {node.c.buffer}, {leaf.place({})}")
    names = (node.c.buffer, node.a.buffer, node.b.buffer)
    if any(memory.buffers[name].dtype != node.dtype for name in names):
        bug(f"a product mixes types, {leaf.place({})}")
    if node.accumulate != (node.initial is None):
        bug(f"a product accumulates and initialises, or neither, {leaf.place({})}")
    if node.initial is None:
        return
    first = memory.scop.statement(node.initial.statement)
    start, value = identity(combine, node.dtype), first.value
    is_start = isinstance(value, program.Literal) and value.value == start
    if not is_start or first.combine is not None or first.tensor != statement.tensor:
        bug(f"{first.name} does not set {node.c.buffer} to {start}, {leaf.place({})}")


@dataclass(frozen=True, slots=True)
class _Product:
    memory: Memory
    node: BatchReduceGemm
    piece: Piece
    source: Source

    @property
    def leaf(self) -> Leaf:
        return self.source.leaf

    @property
    def space(self) -> Space:
        return self.piece.space

    def check(self, statement: Statement) -> None:
        """Raise `Mismatch` unless C, A and B are the statement's. What a C in registers
        stands for is proved with those (`verify_registers`)."""
        if self.memory.buffers[self.node.c.buffer].memory != "register":
            self._check_result(statement, self.source)
            if self.node.initial is not None:
                self._check_initial()
        self._check_factors(statement)

    def _check_result(self, statement: Statement, source: Source) -> None:
        """C is at the element that the instance writes, one for each (m, n)."""
        tile = self.node.c
        buffer = self.memory.buffers[tile.buffer]
        self._check_tables((tile.row, ROW))
        address = combine(
            (self._form_of(tile.base), 1),
            (self._offsets(tile.row, ROW), 1),
            (variable(COLUMN), 1),
        )
        subscripts = source.subscripts(statement.subscripts)
        self._check_inside(buffer, subscripts, ())
        wanted = address_of(buffer, subscripts)
        self._equal(address, wanted, f"C is not at its element of {buffer.name}")
        if not has_distinct_elements(statement, source.names, (ROW, COLUMN)):
            point = collision(address, (ROW, COLUMN), self.space)
            if point is not None:
                self._differ(f"C holds an element of {buffer.name} twice", point)

    def _check_initial(self) -> None:
        """The instances that set the tile to zero write the same elements."""
        initial = self.node.initial
        assert initial is not None
        statement = self.memory.scop.statement(initial.statement)
        found = coordinates(self.leaf, initial, statement.dims)
        names = dict(zip(statement.dims, found))
        self._check_result(statement, replace(self.source, names=names))

    def _check_factors(self, statement: Statement) -> None:
        """A and B hold accesses for which the function is the statement's value."""
        sizes = self.memory.scop.sizes
        found = list(bindings(self.node.inner.function, statement.value, sizes))
        if not found:
            place = self.leaf.place({})
            bug(f"{statement.name} is another function of its factors, {place}")
        origin = self._origin(self.node.a.buffer)
        likely = sorted(found, key=lambda b: not program.reads(b["A"], origin))
        mismatches: list[Mismatch] = []
        for bound in likely:
            try:
                self._check_rows(self.node.a, bound["A"])
                self._check_columns(self.node.b, bound["B"])
            except Mismatch as mismatch:
                mismatches.append(mismatch)
            else:
                return
        raise mismatches[0]

    def _origin(self, buffer: str) -> str:
        copies = self.memory.copies
        return copies[buffer].source if buffer in copies else buffer

    # Operands

    def _check_rows(self, a: Rows | GuardedRows, factor: program.Expr) -> None:
        if isinstance(a, Rows):
            self._check_tables((a.batch, TAP), (a.row, ROW))
            self._check_operand(a.buffer, self._rows_address(a), factor)
            return
        place = combine(
            (self._form_of(a.start), 1),
            (variable(TAP), self.node.rows),
            (variable(ROW), 1),
        )
        self._check_table(a.table, place)
        base = combine((self._form_of(a.base), 1), (variable(STEP), a.depth_step))
        buffer = self.memory.buffers[a.buffer]
        check_guarded(self.source, self.node, a, buffer, base, place, factor)

    def _rows_address(self, a: Rows) -> Form:
        return combine(
            (self._form_of(a.base), 1),
            (self._offsets(a.batch, TAP), 1),
            (self._offsets(a.row, ROW), 1),
            (variable(STEP), a.depth_step),
        )

    def _check_columns(self, b: Columns, factor: program.Expr) -> None:
        self._check_tables((b.batch, TAP))
        self._check_operand(b.buffer, self._columns_address(b), factor)

    def _columns_address(self, b: Columns) -> Form:
        return combine(
            (self._form_of(b.base), 1),
            (self._offsets(b.batch, TAP), 1),
            (variable(STEP), b.depth_step),
            (variable(COLUMN), 1),
        )

    def elements(self, statement: Statement) -> Iterator[Element]:
        """Yield the element of C, and those that A and B read."""
        source, node = self.source, self.node
        yield node.c.buffer, source.subscripts(statement.subscripts), ()
        for side in (node.a, node.b):
            if side.buffer in self.memory.copies:
                assert not isinstance(side, GuardedRows)
                address = (
                    self._rows_address(side)
                    if isinstance(side, Rows)
                    else self._columns_address(side)
                )
                buffer = self.memory.buffers[side.buffer]
                yield side.buffer, subscripts_at(buffer, address, self.space), ()
        for read in statement.reads:
            forms = tuple(source.form(s) for s in read.access.subscripts)
            where = (self._known(source, c) for c in read.conditions)
            yield read.access.tensor, forms, tuple(c for c in where if c is not None)

    def _offsets(self, offsets: Offsets, position: str) -> Form:
        match offsets:
            case Strided(step):
                return combine((variable(position), step))
            case Table(buffer, start):
                place = add(self._form_of(start), variable(position))
                return atom(Lookup(buffer, place))

    def _check_tables(self, *parts: tuple[Offsets, str]) -> None:
        for offsets, position in parts:
            if isinstance(offsets, Table):
                place = add(self._form_of(offsets.start), variable(position))
                self._check_table(offsets.buffer, place)

    def _check_table(self, table: str, place: Form) -> None:
        if table not in self.space.tables:
            bug(f"{table} is no constant table, {self.leaf.place({})}")
        self._check_inside(self.memory.buffers[table], (place,), ())

    def _check_operand(self, buffer: str, address: Form, factor: program.Expr) -> None:
        """An operand without guards holds the factor, in the tensor or in a copy."""
        if buffer in self.memory.copies:
            self._check_copy(buffer, address, factor)
            return
        access = factor_access(factor)
        if access is None or access.tensor != buffer:
            self._differ(f"{buffer} is read for another value", {})
        subscripts = self.source.subscripts(access.subscripts)
        self._check_inside(self.memory.buffers[buffer], subscripts, ())
        if isinstance(widened_access(factor), program.Pad):
            self._always(self.source.inside(access), f"padding of {buffer} is read")
        wanted = address_of(self.memory.buffers[buffer], subscripts)
        self._equal(address, wanted, f"another element of {buffer} is read")

    def _check_copy(self, name: str, address: Form, factor: program.Expr) -> None:
        """The copy's definition, at the subscripts of the address, is the factor."""
        copy = self.memory.copies[name]
        buffer = self.memory.buffers[name]
        stored = subscripts_at(buffer, address, self.space)
        self._check_inside(buffer, stored, ())
        fixed = self.memory.fixed.get((self.leaf.path, name), {})
        names = {**fixed, **dict(zip(copy.stored, stored))}
        self._check_limits(copy, names)
        held = replace(self.source, names=names)
        value = copy.content
        if copy.has_rest and isinstance(value, program.Select):
            condition = self._condition(held, value.condition)
            self._always(condition, f"a lane of {name} without an element is read")
            value = value.then
        Comparison(
            held,
            self.source,
            name,
            self._equal,
            self._always,
            lambda message: self._differ(message, {}),
        ).values(value, factor)

    def _check_limits(self, copy: Copy, names: Names) -> None:
        """No block of a copy is read past the end of its axis, where it is not
        filled."""
        for limit in copy.limits:
            held = copy.shape[copy.stored.index(limit.dim)]
            place = combine((names[limit.block], held), (names[limit.dim], 1))
            inside = within(place, 0, limit.total - 1)
            self._always(All(inside), f"{copy.tensor} is read past its end")

    def _condition(self, source: Source, expr: program.Expr) -> Condition:
        found = self._known(source, expr)
        if found is None:
            bug(f"a copy depends on data, {self.leaf.place({})}")
        return found

    def _known(self, source: Source, expr: program.Expr) -> Condition | None:
        sizes = self.memory.scop.sizes
        return program_condition(expr, source.names, sizes, self.space)

    # Questions

    def _form_of(self, expr: Expr) -> Form:
        form = nest_form(expr, self.leaf.names, self.space)
        if form is None:
            bug(f"the place of a product depends on data, {self.leaf.place({})}")
        return form

    def _equal(self, left: Form, right: Form, message: str) -> None:
        point = difference_point(left, right, self.space)
        if point is not None and self.piece.conditions:
            unequal = negation(All(within_zero(left, right)))
            point = some_point(All((*self.piece.conditions, unequal)), self.space)
        if point is not None:
            self._differ(message, point)

    def _always(self, condition: Condition, message: str) -> None:
        where = (*self.piece.conditions, negation(condition))
        point = some_point(All(where), self.space)
        if point is not None:
            self._differ(message, point)

    def _check_inside(
        self, buffer: Buffer, forms: Sequence[Form], where: tuple[Condition, ...]
    ) -> None:
        conditions = (*where, *self.piece.conditions)
        for axis, (form, extent) in enumerate(zip(forms, buffer.shape)):
            point = outside_point(form, 0, extent - 1, conditions, self.space)
            if point is not None:
                self._differ(
                    f"{buffer.name} has extent {extent} on axis {axis}, and is "
                    "accessed outside",
                    point,
                )

    def _differ(self, message: str, point: Point) -> NoReturn:
        raise Mismatch(f"{message} {self.leaf.place(point)}")
