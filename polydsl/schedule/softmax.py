"""Sums over exponentials of differences from a maximum: `softmax_sums(scop)`.

    m[i] = max of s[i, :]                  the maximum
    e[i, j] = exp(s[i, j] - m[i])          the exponentials
    l[i] += e[i, j]                        sums, of e as it is or times something
    o[i, d] += e[i, j] * v[j, d]

This is softmax, and attention, however the factor 1/l has left the sum. What is looked
for are groups: those of the maximum, the exponentials and the sums, and the *scores*,
whatever nobody but these needs and has all indices of the exponentials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import TypeAlias

from polydsl.poly.scop import Group, Scop, Statement
from polydsl.poly.substitute import substitute
from polydsl.schedule.elements import is_alike, is_each, is_whole, renaming
from polydsl.schedule.epilogues import is_read_outside
from polydsl.schedule.factors import zeroing
from polydsl.schedule.item_order import Units
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Size,
    Value,
    accesses,
    are_distinct,
    reads,
)

Sizes: TypeAlias = Mapping[str, Value]
"""The numbers of sizes and constants by name."""

EXPONENTIALS = ("exp", "exp2")
"""Functions that make a product of a sum."""


@dataclass(frozen=True, slots=True)
class Column:
    """A group by its place, with the index of its statements that is summed in the
    end."""

    place: int
    group: Group
    index: str


@dataclass(frozen=True, slots=True)
class Softmax:
    """The groups of a softmax and of sums over it, in order: `shift` is the read of the
    maximum in the value of the exponentials."""

    scores: tuple[Column, ...]
    maximum: Column
    exponentials: Column
    sums: tuple[Column, ...]
    shift: Access

    @property
    def columns(self) -> tuple[Column, ...]:
        """All of them."""
        return (*self.scores, self.maximum, self.exponentials, *self.sums)

    def length(self, scop: Scop) -> int:
        """Return the number of columns."""
        statement = scop.statement(self.exponentials.group.statements[0])
        lo, hi = statement.ranges[self.exponentials.index]
        return hi - lo + 1


def softmax_sums(scop: Scop, units: Units) -> Iterator[Softmax]:
    """Yield what there is of softmaxes among the groups of an ordered scop, all of
    whose exponentials and sums are of one type, f32 or f64, and over boxes."""
    groups = {
        place: unit.item
        for place, unit in units.by_place.items()
        if isinstance(unit.item, Group)
    }
    looking = _Looking(scop, units, groups)
    for place, group in groups.items():
        found = looking.at(place, group)
        if found is not None:
            yield found


def is_one_item(units: Units, places: Set[int]) -> bool:
    """Whether nothing that some items need comes in between them."""
    return not any(units.between(places - {place}, place) for place in places)


def bounded_columns(scop: Scop) -> Iterator[tuple[str, str]]:
    """Yield the tensors of exponentials over domains that are no box, with the indices
    of their columns."""
    maxima = {s.tensor for s in scop.statements if s.combine == "max"}
    for statement in scop.statements:
        difference = difference_of(statement.value, scop.sizes)
        if difference is None or not statement.conditions or not is_each(statement):
            continue
        shift = difference.arguments[1]
        if isinstance(shift, Access) and shift.tensor in maxima:
            yield statement.tensor, _other(statement, shift)


def shifted(value: Expr, sizes: Sizes, shift: Expr, score: Expr | None = None) -> Expr:
    """Return the value of an exponential with another term that is subtracted, perhaps
    from another score."""
    difference = difference_of(value, sizes)
    assert difference is not None
    score = score or difference.arguments[0]
    return _replaced(value, difference, replace(difference, arguments=(score, shift)))


def _replaced(expr: Expr, old: Expr, new: Expr) -> Expr:
    if expr is old:
        return new
    if isinstance(expr, Call):
        changed = (_replaced(e, old, new) for e in expr.arguments)
        return replace(expr, arguments=tuple(changed))
    return expr


def difference_of(value: Expr, sizes: Sizes) -> Call | None:
    """Return the difference from a tensor that an exponential is one of, as it is or
    scaled by positive numbers; None where there is none."""
    match value:
        case Call(function, (argument,)) if function in EXPONENTIALS:
            return _scaled_difference(argument, sizes)
        case _:
            return None


def _scaled_difference(expr: Expr, sizes: Sizes) -> Call | None:
    match expr:
        case Call("sub", (_, Access())):
            return expr
        case Call("mul", (left, right)) if _is_positive(left, sizes):
            return _scaled_difference(right, sizes)
        case Call("mul" | "div", (left, right)) if _is_positive(right, sizes):
            return _scaled_difference(left, sizes)
        case _:
            return None


def _is_positive(expr: Expr, sizes: Sizes) -> bool:
    """Whether it can be seen that an expression is a positive number: a constant, say,
    or the root of a size."""
    match expr:
        case Literal(value):
            return 0 < value < float("inf")
        case Size(name):
            return 0 < sizes[name] < float("inf")
        case Cast(operand):
            return _is_positive(operand, sizes)
        case Call("sqrt" | "rsqrt" | "mul" | "div", operands):
            return all(_is_positive(operand, sizes) for operand in operands)
        case _:
            return False


@dataclass(frozen=True, slots=True)
class _Looking:
    """Looks for softmaxes in groups by their places."""

    scop: Scop
    units: Units
    groups: Mapping[int, Group]

    def at(self, place: int, group: Group) -> Softmax | None:
        """Return the softmax with exponentials in some group, if there is one."""
        statement = self.scop.statement(group.statements[0])
        difference = difference_of(statement.value, self.scop.sizes)
        tensor = self.scop.tensor(statement.tensor)
        if difference is None or len(group.names) > 1 or not is_whole(statement):
            return None
        if tensor.role != "local" or tensor.dtype.is_narrow:
            return None
        score, shift = difference.arguments
        assert isinstance(shift, Access)
        maximum = self._maximum(statement, score, shift)
        index = _other(statement, shift)
        sums = self._sums(statement, index)
        if maximum is None or not sums:
            return None
        exponentials = Column(place, group, index)
        scores = self._scores((maximum, exponentials, *sums))
        found = Softmax(scores, maximum, exponentials, sums, shift)
        return found if self._is_possible(found) else None

    def _maximum(
        self, statement: Statement, score: Expr, shift: Access
    ) -> Column | None:
        """Return the group that computes the maximum of just what it is taken from."""
        place, group = self._group(shift.tensor)
        if group is None or len(group.names) != 2:
            return None
        update = self.scop.statement(group.statements[1])
        if update.combine != "max" or len(update.reduced) != 1 or update.conditions:
            return None
        if zeroing(self.scop, update) is None or len(statement.dims) != len(
            update.dims
        ):
            return None
        names = renaming(shift, update)
        if names is None:
            return None
        names[_other(statement, shift)] = update.reduced[0]
        ranges = {new: statement.ranges[d] for d, new in names.items()}
        terms = {d: Index(new, update.span) for d, new in names.items()}
        same = substitute(score, terms) == update.value and ranges == update.ranges
        return Column(place, group, update.reduced[0]) if same else None

    def _sums(self, statement: Statement, index: str) -> tuple[Column, ...]:
        """Return the groups that read exponentials, if all of these are plain sums of
        them along an index."""
        axis = _axis(statement, index)
        found: list[Column] = []
        for place, group in self.groups.items():
            all_of = [*map(self.scop.statement, group.names)]
            if not any(reads(s.value, statement.tensor) for s in all_of):
                continue
            column = self._sum(statement, axis, place, group)
            if column is None:
                return ()
            found.append(column)
        own = [name for c in found for name in c.group.names]
        whole = Group(statement.tensor, (statement.name, *own))
        return () if is_read_outside(self.scop, whole) else tuple(found)

    def _sum(
        self, statement: Statement, axis: int, place: int, group: Group
    ) -> Column | None:
        update = self.scop.statement(group.statements[-1])
        others = (self.scop.statement(n) for n in group.names if n != update.name)
        is_sum = update.combine == "add" and len(group.statements) == 2
        if not is_sum or any(reads(s.value, statement.tensor) for s in others):
            return None
        read = [a for a in accesses(update.value) if a.tensor == statement.tensor]
        if len(read) != 1 or not are_distinct(read[0].subscripts) or update.conditions:
            return None
        column = read[0].subscripts[axis]
        assert isinstance(column, Index)
        is_along = update.reduced == (column.name,) and are_distinct(update.subscripts)
        same = update.value.dtype == statement.value.dtype
        if not is_along or not same or zeroing(self.scop, update) is None:
            return None
        names = renaming(read[0], statement) or {}
        alike = all(update.ranges[e] == statement.ranges[d] for e, d in names.items())
        linear = is_linear(update.value, statement.tensor)
        return Column(place, group, column.name) if linear and alike else None

    def _scores(self, readers: tuple[Column, ...]) -> tuple[Column, ...]:
        """Return the groups of which nobody but these, and such groups, needs anything,
        at their own elements."""
        found: list[Column] = []
        for place, group in reversed([*self.groups.items()]):
            if all(place != c.place for c in readers):
                index = self._score(group, (*readers, *found))
                if index is not None:
                    found.append(Column(place, group, index))
        return tuple(reversed(found))

    def _score(self, group: Group, readers: tuple[Column, ...]) -> str | None:
        """Return the index of a group's statements along which all its readers read at
        their own, None where somebody does not."""
        statements = [*map(self.scop.statement, group.names)]
        first, *updates = map(self.scop.statement, group.statements)
        if not is_whole(first) or not all(is_alike(first, u) for u in updates):
            return None
        if any(s.conditions or not are_distinct(s.subscripts) for s in statements):
            return None
        names = [name for c in readers for name in c.group.names]
        found: set[str] = set()
        for tensor in dict.fromkeys(s.tensor for s in statements):
            if is_read_outside(self.scop, Group(tensor, (*group.names, *names))):
                return None
            for column in readers:
                found |= {*self._at_own(statements, tensor, column)}
        return found.pop() if len(found) == 1 else None

    def _at_own(
        self, statements: list[Statement], tensor: str, column: Column
    ) -> Iterator[str]:
        """Yield the index of the writer of a tensor where readers have their own, no
        name where they read at any other element or have more indices."""
        writer = next(s for s in statements if s.tensor == tensor)
        for reader in map(self.scop.statement, column.group.names):
            for access in accesses(reader.value):
                if access.tensor != tensor:
                    continue
                names = [s.name for s in access.subscripts if isinstance(s, Index)]
                is_own = are_distinct(access.subscripts) and column.index in names
                if is_own and {*names} >= {*reader.left}:
                    own = writer.subscripts[names.index(column.index)]
                    assert isinstance(own, Index)
                    yield own.name
                else:
                    yield ""

    def _is_possible(self, found: Softmax) -> bool:
        """Whether the groups may run in one loop over blocks of columns: what is known
        after it only is needed in none of them, and nothing in between."""
        if not all(column.index for column in found.columns):
            return False
        places = {column.place for column in found.columns}
        late = {column.group.tensor for column in (found.maximum, *found.sums)}
        if not is_one_item(self.units, places):
            return False
        for column in found.columns:
            for statement in map(self.scop.statement, column.group.statements):
                read = [access.tensor for access in accesses(statement.value)]
                if column == found.exponentials:
                    read.remove(found.shift.tensor)
                if late & {*read}:
                    return False
        return True

    def _group(self, tensor: str) -> tuple[int, Group | None]:
        found = (e for e in self.groups.items() if e[1].tensor == tensor)
        return next(found, (-1, None))


def is_linear(value: Expr, tensor: str) -> bool:
    """Whether a value is an element of a tensor, as it is or times something else."""
    match value:
        case Access(name):
            return name == tensor
        case Call("mul", (left, right)) if reads(right, tensor):
            return not reads(left, tensor) and is_linear(right, tensor)
        case Call("mul" | "div", (left, right)):
            return not reads(right, tensor) and is_linear(left, tensor)
        case Call("neg", (operand,)):
            return is_linear(operand, tensor)
    return False


def _other(statement: Statement, shift: Access) -> str:
    """Return the index of exponentials that the maximum does not have."""
    names = {s.name for s in shift.subscripts if isinstance(s, Index)}
    left = [d for d in statement.dims if d not in names]
    return left[0] if len(left) == 1 else ""


def _axis(statement: Statement, index: str) -> int:
    names = [s.name for s in statement.subscripts if isinstance(s, Index)]
    return names.index(index) if index in names else 0
