"""Sums over a softmax in blocks of columns: `in_blocks(scop, softmax, size)`.

    m[i] = max of s[i, :]                      for a block b of columns j:
    e[i, j] = exp(s[i, j] - m[i])       ->       t[i] = max(m[i], max of s[i, j])
    o[i, d] += e[i, j] * v[j, d]                 c[i] = exp(m[i] - t[i]);  m[i] = t[i]
                                                 e[i, j] = exp(s[i, j] - t[i])
                                                 o[i, d] = o * c[i] + sum of e * v

A recurrence over blocks takes the place of the sums: what earlier blocks have summed is
scaled when a greater score is found, so that the scores and exponentials of one block
are in memory, however long a row is. (Milakov and Gimelshein, "Online normalizer
calculation for softmax", 2018; Dao et al., "FlashAttention", NeurIPS 2022.)

In exact arithmetic these are the same sums, which is what the language asks for; and of
numbers that are none:

* Scores of -inf only in the blocks so far: what is subtracted is 0 then, so that the
  exponentials are 0 and not NaN, and the sums go on from 0.
* A maximum of -inf or inf in the end: the sums are multiplied by exp(m - m), which is
  NaN then, as they are in the program, and otherwise 1.
* A score that is NaN: its exponential is NaN whatever the maximum is taken for, and
  makes NaN of the sums of its row.
* An infinite factor v makes the product infinite where its exponential is positive and
  NaN where that is 0, or is rounded to 0. In blocks it is taken from the greatest score
  so far and so less often rounded to 0: the sum may then be infinite, its value in
  exact arithmetic, where the program run statement by statement gives NaN. A local may
  be kept wider than its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from polydsl.base.dtypes import BOOL, I64
from polydsl.poly.scop import Group, Item, Recurrence, Scop, Statement, TensorInfo
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import with_parts
from polydsl.poly.terms import Interval
from polydsl.schedule.epilogues import is_read_outside
from polydsl.schedule.softmax import Column, Softmax, shifted
from polydsl.schedule.strip_mining import Moved, Strip, moved_tensor, strip_mined
from polydsl.schedule.tree import fresh
from polydsl.semantics.program import (
    Access,
    Call,
    Expr,
    Index,
    Literal,
    Pad,
    Select,
    accesses,
)

INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class InBlocks:
    """A scop with the statements and tensors of a softmax in blocks, and the items that
    take the place of its groups."""

    scop: Scop
    items: tuple[Item, ...]


def in_blocks(scop: Scop, softmax: Softmax, size: int) -> InBlocks:
    """Return a softmax in blocks of so many columns, fewer than there are."""
    making = _Making(scop, softmax)
    lo, hi = making.range
    taken = {d for c in softmax.columns for s in making.old(c) for d in s.dims}
    span = softmax.shift.span
    block = fresh(f"{softmax.exponentials.index}_block", taken)
    strip = Strip(block, lo, size, (hi - lo + 1) // size)
    before = making.sums("_so_far", (strip.count,), Index(block, span), is_padded=True)
    last = Literal(strip.count - 1, I64, span)
    after = replace(before, place=last, is_padded=False)
    body = making.step(strip, "_block", before, before.names)
    items: tuple[Item, ...] = (Recurrence(block, 0, strip.count - 1, body),)
    if rest := (hi - lo + 1) % size:
        sums = making.sums("_rest_so_far", (), None, is_padded=False)
        strip = Strip(None, hi + 1 - rest, rest)
        items += making.step(strip, "_rest", after, sums.names)
        after = sums
    items += making.finished(after)
    return InBlocks(making.scop, items)


@dataclass(frozen=True, slots=True)
class _Sums:
    """The tensors that hold the maximum and the sums over some blocks of columns, by
    the names of those over all. They are at a `place`, a number of a block; with
    padding, in the block before, if there is one."""

    names: Mapping[str, str]
    place: Expr | None
    is_padded: bool

    def of(self, tensor: str, like: Statement, neutral: float) -> Expr:
        """Return what was summed before for the element that a statement defines."""
        dtype, span = like.value.dtype, like.span
        place = self.place
        if place is not None and self.is_padded:
            place = Call("sub", (place, Literal(1, I64, span)), I64, span)
        subscripts = like.subscripts if place is None else (place, *like.subscripts)
        access = Access(self.names[tensor], subscripts, dtype, span)
        if not self.is_padded:
            return access
        return Pad(access, Literal(neutral, dtype, span), dtype, span)


@dataclass(slots=True)
class _Making:
    """Makes the statements of a softmax in blocks: `scop` has those made so far."""

    scop: Scop
    softmax: Softmax

    @property
    def range(self) -> Interval:
        """The range of the columns."""
        (statement,) = self.old(self.softmax.exponentials)
        return statement.ranges[self.softmax.exponentials.index]

    def old(self, column: Column) -> tuple[Statement, ...]:
        """Return the statements of a group of the program."""
        return tuple(map(self.scop.statement, column.group.names))

    def sums(
        self,
        suffix: str,
        blocks: tuple[int, ...],
        place: Expr | None,
        *,
        is_padded: bool,
    ) -> _Sums:
        """Return new tensors for the maximum and the sums."""
        columns = (self.softmax.maximum, *self.softmax.sums)
        tensors = (c.group.tensor for c in columns)
        names = {t: self._tensor(t, suffix, blocks) for t in tensors}
        return _Sums(names, place, is_padded)

    def step(
        self, strip: Strip, suffix: str, before: _Sums, names: Mapping[str, str]
    ) -> tuple[Item, ...]:
        """Return the groups for the columns of a block, which go on from the sums
        before and leave theirs in tensors of some names."""
        making = _Step(self, strip, suffix, self._moved(strip, suffix))
        scores = (making.cut(column) for column in self.softmax.scores)
        return (*scores, *making.sums(before, names))

    def finished(self, sums: _Sums) -> tuple[Item, ...]:
        """Return the groups that give the program's tensors their values."""
        first, update = self.old(self.softmax.maximum)
        top = sums.of(first.tensor, first, 0.0)
        difference = Call("sub", (top, top), top.dtype, update.span)
        one = Call("exp", (difference,), top.dtype, update.span)
        exact = self.assign(first, self._tensor(first.tensor, "_one", ()), one)
        groups = [Group(exact.tensor, (exact.name,))]
        (exponential,) = self.old(self.softmax.exponentials)
        own = (first.name, update.name, exponential.name)
        if is_read_outside(self.scop, Group(first.tensor, own)):
            self._replace(first, top)
            groups.append(Group(first.tensor, (first.name,)))
        for column in self.softmax.sums:
            first, update, *_ = self.old(column)
            total = sums.of(first.tensor, first, 0.0)
            factor = self.of_row(exact.tensor, (), update)
            groups.append(self._last(column, _multiplied(total, factor)))
        return tuple(groups)

    def _last(self, column: Column, value: Expr) -> Group:
        """Return the group of a sum that is a value in the end, with what follows on
        its elements."""
        first, group = self.scop.statement(column.group.statements[0]), column.group
        self._replace(first, value)
        if not group.epilogue or is_read_outside(self.scop, group):
            return replace(group, statements=(first.name,))
        # What follows computes the value itself, so that nothing needs to be stored.
        for statement in map(self.scop.statement, group.epilogue):
            new = _with_value(statement.value, first.tensor, value)
            self._replace(statement, new)
        name, *after = group.epilogue
        return Group(self.scop.statement(name).tensor, (name,), tuple(after))

    # Parts

    def assign(self, like: Statement, tensor: str, value: Expr) -> Statement:
        """Add an assignment to another tensor at the elements of a statement."""
        return self.add(replace(like, tensor=tensor, value=value), like.ranges)

    def add(self, statement: Statement, box: Mapping[str, Interval]) -> Statement:
        """Add a statement over a box, by a name of its own."""
        statement = replace(statement, name=self.name(statement.tensor))
        made = rebuilt(self.scop, statement, {}, box, ())
        return self.put(made)

    def put(self, statement: Statement) -> Statement:
        """Add a statement as it is."""
        self.scop = replace(self.scop, statements=(*self.scop.statements, statement))
        return statement

    def name(self, wish: str) -> str:
        """Return the name of a new statement."""
        return fresh(f"S_{wish}", [s.name for s in self.scop.statements])

    def of_row(self, tensor: str, block: tuple[Expr, ...], update: Statement) -> Access:
        """Return the element, of a tensor with the axes of the maximum, that belongs to
        the exponential that a sum reads."""
        (exponentials,) = self.old(self.softmax.exponentials)
        name = exponentials.tensor
        (read,) = (a for a in accesses(update.value) if a.tensor == name)
        terms = dict(zip(exponentials.subscripts, read.subscripts))
        row = (terms[subscript] for subscript in self.softmax.shift.subscripts)
        return Access(tensor, (*block, *row), read.dtype, read.span)

    def new(self, info: TensorInfo) -> None:
        """Add a tensor."""
        self.scop = replace(self.scop, tensors=(*self.scop.tensors, info))

    def _tensor(self, like: str, suffix: str, blocks: tuple[int, ...]) -> str:
        tensor = self.scop.tensor(like)
        name = fresh(f"{like}{suffix}", [t.name for t in self.scop.tensors])
        shape = (*blocks, *tensor.shape)
        self.new(replace(tensor, name=name, shape=shape, role="local"))
        return name

    def tensor(self, like: str, suffix: str, strip: Strip) -> str:
        """Return a new tensor with the axes of another one, for each block."""
        blocks = () if strip.block is None else (strip.count,)
        return self._tensor(like, suffix, blocks)

    def _moved(self, strip: Strip, suffix: str) -> dict[str, Moved]:
        """Return what tensors with columns have become, and add them."""
        found: dict[str, Moved] = {}
        for column in (*self.softmax.scores, self.softmax.exponentials):
            for s in self.old(column):
                names = [d.name for d in s.subscripts if isinstance(d, Index)]
                tensor = self.scop.tensor(s.tensor)
                taken = [t.name for t in self.scop.tensors]
                name = fresh(f"{s.tensor}{suffix}", taken)
                if s.tensor not in found:
                    axis = names.index(column.index)
                    found[s.tensor] = moved_tensor(tensor, axis, strip, name)
                    self.new(found[s.tensor].tensor)
        return found

    def _replace(self, old: Statement, value: Expr) -> None:
        new = rebuilt(self.scop, replace(old, value=value), {}, old.ranges, ())
        statements = (new if s is old else s for s in self.scop.statements)
        self.scop = replace(self.scop, statements=tuple(statements))


@dataclass(frozen=True, slots=True)
class _Step:
    """Makes the groups of a softmax for the columns of a strip: of a block, or of those
    that are left."""

    making: _Making
    strip: Strip
    suffix: str
    moved: Mapping[str, Moved]

    def sums(self, before: _Sums, names: Mapping[str, str]) -> tuple[Group, ...]:
        """Return the groups of the maximum, the exponentials and the sums."""
        making, softmax = self.making, self.making.softmax
        old, _ = making.old(softmax.maximum)
        part, first = self._part(softmax.maximum)
        earlier = before.of(old.tensor, old, -INFINITY)
        dtype, span = earlier.dtype, earlier.span
        greater = Call("max", (earlier, first.element), dtype, span)
        top = making.assign(first, self._tensor(old.tensor, "_top"), greater)
        least, zero = (Literal(n, dtype, span) for n in (-INFINITY, 0.0))
        is_above = Call("gt", (top.element, least), BOOL, span)
        finite = Select(is_above, top.element, zero, dtype, span)
        shift = making.assign(first, self._tensor(old.tensor, "_shift"), finite)
        (exponential,) = making.old(softmax.exponentials)
        value, sizes = exponential.value, making.scop.sizes
        scale = shifted(value, sizes, shift.element, earlier)
        factor = making.assign(first, self._tensor(old.tensor, "_factor"), scale)
        running = making.assign(first, names[old.tensor], top.element)
        subscripts = (*self._block, *softmax.shift.subscripts)
        value = shifted(value, sizes, replace(shift.element, subscripts=subscripts))
        exponentials = self._cut(softmax.exponentials, exponential, value)
        sums = (self._sum(c, before, names, factor.tensor) for c in softmax.sums)
        return (
            replace(part, epilogue=(top.name,)),
            Group(shift.tensor, (shift.name,), (factor.name,)),
            Group(running.tensor, (running.name,)),
            Group(exponentials.tensor, (exponentials.name,)),
            *sums,
        )

    def _sum(
        self, column: Column, before: _Sums, names: Mapping[str, str], factor: str
    ) -> Group:
        """Return the group of a sum: that over the strip, and with what was before."""
        old, update, *_ = self.making.old(column)
        part, first = self._part(column)
        scale = self.making.of_row(factor, self._block, update)
        earlier = _multiplied(before.of(old.tensor, old, 0.0), scale)
        total = Call("add", (earlier, first.element), earlier.dtype, old.span)
        running = self.making.assign(first, names[old.tensor], total)
        return replace(part, epilogue=(running.name,))

    def cut(self, column: Column) -> Group:
        """Return a group of scores for the columns of the strip."""
        made = {s.name: self._cut(column, s, s.value) for s in self.making.old(column)}
        group = column.group.renamed({old: new.name for old, new in made.items()})
        return replace(group, tensor=self.moved[column.group.tensor].tensor.name)

    def _cut(self, column: Column, statement: Statement, value: Expr) -> Statement:
        name = self.making.name(f"{statement.tensor}{self.suffix}")
        statement = replace(statement, name=name, value=value)
        scop, moved = self.making.scop, self.moved
        made = strip_mined(scop, statement, column.index, self.strip, moved)
        return self.making.put(made)

    def _part(self, column: Column) -> tuple[Group, Statement]:
        """Return the group that reduces the columns of the strip, and its first
        statement."""
        old, update, *_ = self.making.old(column)
        tensor = self._tensor(old.tensor, "")
        subscripts = (*self._block, *old.subscripts)
        first = replace(old, tensor=tensor, subscripts=subscripts)
        block = self.strip.box("")
        del block[""]
        first = self.making.add(first, {**block, **old.ranges})
        update = replace(update, tensor=tensor, subscripts=subscripts)
        update = self._cut(column, update, update.value)
        return Group(tensor, (first.name, update.name)), first

    def _tensor(self, like: str, suffix: str) -> str:
        return self.making.tensor(like, f"{self.suffix}{suffix}", self.strip)

    @property
    def _block(self) -> tuple[Expr, ...]:
        """The subscript of the block's number, if there are several."""
        block, span = self.strip.block, self.making.softmax.shift.span
        return () if block is None else (Index(block, span),)


def _with_value(expr: Expr, tensor: str, value: Expr) -> Expr:
    """Return an expression with a value in the place of what is read of a tensor."""
    if isinstance(expr, Access) and expr.tensor == tensor:
        return value
    return with_parts(expr, lambda part: _with_value(part, tensor, value))


def _multiplied(value: Expr, factor: Expr) -> Expr:
    return Call("mul", (value, factor), value.dtype, value.span)
