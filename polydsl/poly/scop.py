"""Statements as integer sets and access maps.

A `Scop` is a list of statements, in an order in which every tensor is finished before
it is read. Each statement writes one element for each point of its domain, by `=` or
by combining (`+=` and the like); nothing is implicit: initialising an accumulator,
dividing a mean, the reductions inside an expression are statements of their own.
Sizes are folded into the sets; `binding` keeps their names.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal as OneOf
from typing import TypeAlias

from polydsl.base.checks import SubscriptCheck
from polydsl.base.dtypes import DType
from polydsl.base.functions import Combine
from polydsl.base.source import Span
from polydsl.poly.isl import Map, Set
from polydsl.poly.terms import Interval
from polydsl.semantics.program import Access, Expr, Value

Role = OneOf["input", "local", "result"]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor with its extents in numbers. A result may also be read."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    role: Role
    span: Span = field(compare=False, repr=False)

    @property
    def bytes(self) -> int:
        """The bytes of all elements."""
        return prod(self.shape) * self.dtype.bytes


@dataclass(frozen=True, slots=True)
class Read:
    """One access of a statement: from the domain's points that need it to elements.

    `conditions` hold where the access is evaluated, in its expression; of a padded
    access, `relation` holds the points inside the tensor only.
    """

    access: Access
    conditions: tuple[Expr, ...]
    is_padded: bool
    relation: Map = field(hash=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Statement:
    """`tensor[subscripts] combine= value` for every point of `domain`.

    `box` holds an interval for each dimension of `dims`; the domain is that box where
    `conditions` is empty. `reduced` are the dimensions that the written element does
    not depend on. `combine` is None for `=`. `calls` are the places of the kernel calls
    through which it was inlined, outermost first.
    """

    name: str
    dims: tuple[str, ...]
    box: tuple[Interval, ...]
    conditions: tuple[Expr, ...]
    tensor: str
    subscripts: tuple[Expr, ...]
    combine: Combine | None
    value: Expr
    reduced: tuple[str, ...]
    reads: tuple[Read, ...]
    domain: Set = field(hash=False, compare=False, repr=False)
    write: Map = field(hash=False, compare=False, repr=False)
    span: Span = field(compare=False, repr=False)
    calls: tuple[Span, ...] = field(default=(), compare=False, repr=False)

    @property
    def ranges(self) -> dict[str, Interval]:
        """The box by dimension name."""
        return dict(zip(self.dims, self.box))

    @property
    def points(self) -> int:
        """The number of points of the box."""
        return prod(max(hi - lo + 1, 0) for lo, hi in self.box)

    @property
    def left(self) -> tuple[str, ...]:
        """The dimensions that the written element depends on, in order."""
        return tuple(d for d in self.dims if d not in self.reduced)

    @property
    def element(self) -> Access:
        """The element that it defines, as an access."""
        return Access(self.tensor, self.subscripts, self.value.dtype, self.span)

    def inside(self, fixed: Container[str]) -> Statement:
        """Return the statement as one iteration of loops over some dimensions sees it:
        none of these is summed there."""
        return replace(self, reduced=tuple(d for d in self.reduced if d not in fixed))


@dataclass(frozen=True, slots=True)
class Group:
    """The statements that define one tensor, by name, and the `epilogue`: assignments
    to other tensors that follow at each of its elements, in the same loops. The groups
    of the `prologue`, all of them assignments, come before the update, at each of its
    points."""

    tensor: str
    statements: tuple[str, ...]
    epilogue: tuple[str, ...] = ()
    prologue: tuple[Group, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all statements, in order."""
        return (*self.names_before, *self.statements, *self.epilogue)

    @property
    def names_before(self) -> tuple[str, ...]:
        """The names of the statements of the prologue, in order."""
        return tuple(name for group in self.prologue for name in group.names)

    def renamed(self, names: Mapping[str, str]) -> Group:
        """Return the group with other statements in the places of its own."""
        return replace(
            self,
            statements=tuple(names[n] for n in self.statements),
            epilogue=tuple(names[n] for n in self.epilogue),
            prologue=tuple(group.renamed(names) for group in self.prologue),
        )


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Tensors that need each other: `lo <= index <= hi`, one value after the other, and
    for each value the items of the body. Every statement inside has the index. Of the
    `contracted` tensors, one step is in memory at a time: an element is written where
    that of the step before was, when nothing needs this any more."""

    index: str
    lo: int
    hi: int
    body: tuple[Item, ...]
    contracted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fused:
    """Tensors that share a loop: `lo <= index <= hi`, and for each value, whatever the
    others do, the items of the body. Every statement inside has the index on its left
    side, or sums over it, and needs inside what has the same value of it. Of the
    `contracted` tensors, which nothing outside needs, one value of the index is in
    memory at a time."""

    index: str
    lo: int
    hi: int
    body: tuple[Item, ...]
    contracted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Once:
    """Tensors that are computed before the first call, from bound parameters alone."""

    body: tuple[Group, ...]


Item: TypeAlias = Group | Recurrence | Fused | Once


def groups_of(items: tuple[Item, ...]) -> Iterator[Group]:
    """Yield the groups of items, in order."""
    for item in items:
        if isinstance(item, Group):
            yield item
        else:
            yield from groups_of(item.body)


@dataclass(frozen=True, slots=True)
class Check:
    """A check of an indirect subscript: the scalar `tensor` holds the least position of
    `subject` at which the subscript is outside, or `NOWHERE`. `value` is the subscript
    at a point where it is evaluated."""

    tensor: str
    subject: SubscriptCheck
    value: Expr


@dataclass(frozen=True, slots=True)
class Scop:
    """The statements of one specialised kernel.

    `items` say in which order tensors are computed; as long as they are not worked out,
    there are none. `read_whole` names tensors every element of which is read at a place
    in the text: those that were passed to a kernel. `checks` are made in their order,
    the early ones first: the statements that define their tensors come before all
    others.
    """

    name: str
    parameters: tuple[str, ...]
    results: tuple[str, ...]
    tensors: tuple[TensorInfo, ...]
    statements: tuple[Statement, ...]
    binding: tuple[tuple[str, Value], ...]
    read_whole: tuple[tuple[str, Span], ...] = field(default=(), compare=False)
    items: tuple[Item, ...] = ()
    checks: tuple[Check, ...] = ()

    def tensor(self, name: str) -> TensorInfo:
        """Return the tensor called *name*."""
        return next(t for t in self.tensors if t.name == name)

    def statement(self, name: str) -> Statement:
        """Return the statement called *name*."""
        return next(s for s in self.statements if s.name == name)

    def statements_of(self, items: tuple[Item, ...]) -> tuple[Statement, ...]:
        """Return the statements of items, in order."""
        names = (name for group in groups_of(items) for name in group.names)
        return tuple(self.statement(name) for name in names)

    @property
    def sizes(self) -> dict[str, Value]:
        """The numbers of sizes and constants by name."""
        return dict(self.binding)


def render(scop: Scop) -> str:
    """Return the text of the `scop` stage: domains and access maps in isl notation."""
    lines = [f"scop {scop.name}"]
    for tensor in scop.tensors:
        shape = ", ".join(str(n) for n in tensor.shape)
        lines.append(f"  {tensor.role} {tensor.name}: {tensor.dtype}[{shape}]")
    for statement in scop.statements:
        symbol = f"{statement.combine}=" if statement.combine else "="
        lines.append(f"  {statement.name}  ({statement.tensor} {symbol})")
        lines.append(f"    domain {statement.domain}")
        lines.append(f"    write  {statement.write}")
        lines.extend(f"    read   {read.relation}" for read in statement.reads)
    for check in scop.checks:
        subject = check.subject
        where = f"subscript {subject.dimension} of {subject.tensor}"
        point = ", ".join(subject.indices)
        lines.append(f"  check {check.tensor}: {where} at [{point}]")
    return "\n".join(lines) + "\n"
