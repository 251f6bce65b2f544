"""Schedule trees: in which order, and how, the instances of statements run.

A tree is read from the root to a leaf. A `Sequence` runs its children one after the
other; a `Band` is a nest of loops, its members, around its child; a `Leaf` is one
statement. The other nodes say how what is below them is computed and change no order,
but for `Microkernel`, which is a band of its own. Compare Verdoolaege et al.,
"Schedule trees" (IMPACT 2014); here a member is a floor of a row-major position and not
any function, which is all that our transformations make.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal as OneOf
from typing import TypeAlias, assert_never

Kind = OneOf["sequential", "parallel", "vector", "unrolled"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A dimension of the statements, or a part of one, counted from 0.

    Its value is `(dim - lower) // divisor % extent`; the dimension has `size` points.
    A statement without the dimension is at 0, or at the end.
    """

    dim: str
    lower: int
    size: int
    divisor: int
    extent: int

    @property
    def is_first(self) -> bool:
        """Whether no other part of the dimension is above this one."""
        return self.divisor * self.extent >= self.size

    def value(self, coordinate: int) -> int:
        """Return the value at one coordinate of the dimension."""
        return (coordinate - self.lower) // self.divisor % self.extent

    def __str__(self) -> str:
        divided = f"{self.dim}/{self.divisor}" if self.divisor > 1 else self.dim
        return divided if self.is_first else f"{divided}%{self.extent}"


def whole(dim: str, lower: int, size: int) -> Axis:
    """Return the axis that is a whole dimension."""
    return Axis(dim, lower, size, 1, size)


@dataclass(frozen=True, slots=True)
class Member:
    """One loop of a band, over `position // tile`.

    The position is that of the axes in row-major order, the last one fastest. Inside
    of a member with a larger tile over the same axes, the loop runs over that tile.
    """

    var: str
    axes: tuple[Axis, ...]
    tile: int = 1
    kind: Kind = "sequential"

    @property
    def positions(self) -> int:
        """The number of positions of the axes."""
        return prod(axis.extent for axis in self.axes)

    @property
    def trips(self) -> int:
        """The number of values of the loop over all positions."""
        return -(-self.positions // self.tile)

    @property
    def dims(self) -> frozenset[str]:
        """The dimensions that the member's axes are parts of."""
        return frozenset(axis.dim for axis in self.axes)

    @property
    def place(self) -> str:
        """The axes as text, in row-major order."""
        return ".".join(str(axis) for axis in self.axes) or "0"

    def __str__(self) -> str:
        axes = self.place
        if self.tile > 1:
            axes = f"({axes})" if len(self.axes) > 1 else axes
            axes = f"{axes}/{self.tile}"
        name = self.var if axes == self.var else f"{self.var} = {axes}"
        kind = "" if self.kind == "sequential" else f" [{self.kind}]"
        return f"{name} in 0..{self.trips}{kind}"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One statement. `reduced` are the dimensions that what it writes is free of. In
    loops over dimensions that it does not have it runs in the first iteration, or
    `at_end` in the last."""

    statement: str
    tensor: str
    dims: tuple[str, ...]
    reduced: tuple[str, ...]
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """The children, one after the other."""

    children: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """Nested loops around the child, the first member outermost."""

    members: tuple[Member, ...]
    child: Tree

    def member(self, var: str) -> Member:
        """Return the member called *var*."""
        return next(m for m in self.members if m.var == var)

    @property
    def vars(self) -> tuple[str, ...]:
        """The names of the members, outermost first."""
        return tuple(m.var for m in self.members)


@dataclass(frozen=True, slots=True)
class Mark:
    """A remark about what is below: a copy that is made here, for example."""

    text: str
    child: Tree


@dataclass(frozen=True, slots=True)
class RegisterTile:
    """The elements of `tensor` that are touched below stay in registers meanwhile."""

    tensor: str
    child: Tree


@dataclass(frozen=True, slots=True)
class Microkernel:
    """A tile of a contraction, computed by batch-reduce GEMM.

    It runs like a band of `taps`, `depth`, `rows` and `columns` around its leaves: the
    initialisation, if the microkernel sets the tile to zero, the update, and what
    follows on the tile in registers.
    """

    taps: Member
    depth: Member
    rows: Member
    columns: Member
    leaves: tuple[Leaf, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        """The loops inside, outermost first."""
        return self.taps, self.depth, self.rows, self.columns


Tree: TypeAlias = Sequence | Band | Mark | RegisterTile | Microkernel | Leaf

Step: TypeAlias = Member | int
"""A loop that a statement is in, or its place in a sequence."""


def children(tree: Tree) -> tuple[Tree, ...]:
    """Return the nodes directly below a node, in order."""
    match tree:
        case Sequence(below):
            return below
        case Band(_, child) | Mark(_, child) | RegisterTile(_, child):
            return (child,)
        case Microkernel():
            return tree.leaves
        case Leaf():
            return ()
        case _:
            assert_never(tree)


def parts(tree: Tree) -> tuple[Tree, ...]:
    """Return the children of a sequence, or the node alone."""
    return tree.children if isinstance(tree, Sequence) else (tree,)


def fresh(name: str, taken: Collection[str]) -> str:
    """Return a name for a loop that is not taken, *name* if it can be."""
    while name in taken:
        name += "_"
    return name


def leaves(tree: Tree) -> Iterator[tuple[Leaf, tuple[Step, ...]]]:
    """Yield every leaf, in order, with the steps from the root to it."""
    match tree:
        case Leaf():
            yield tree, ()
        case Sequence(below):
            for place, child in enumerate(below):
                yield from _after((place,), child)
        case Band(members, child):
            yield from _after(members, child)
        case Mark(_, child) | RegisterTile(_, child):
            yield from leaves(child)
        case Microkernel():
            for place, leaf in enumerate(tree.leaves):
                yield leaf, (*tree.members, place)
        case _:
            assert_never(tree)


def _after(
    steps: tuple[Step, ...], child: Tree
) -> Iterator[tuple[Leaf, tuple[Step, ...]]]:
    for leaf, below in leaves(child):
        yield leaf, (*steps, *below)


def render(tree: Tree) -> str:
    """Return the text of the `tree` stage: one line for each node."""
    return "\n".join(_lines(tree)) + "\n"


def _lines(tree: Tree) -> Iterator[str]:
    yield _title(tree)
    below = () if isinstance(tree, Microkernel) else children(tree)
    for left, child in zip(reversed(range(len(below))), below):
        first, rest = ("├─ ", "│  ") if left else ("└─ ", "   ")
        head, *others = _lines(child)
        yield first + head
        yield from (rest + line for line in others)


def _title(tree: Tree) -> str:
    match tree:
        case Sequence():
            return "sequence"
        case Band(members):
            return f"band {', '.join(str(m) for m in members)}"
        case Mark(text):
            return f"mark {text}"
        case RegisterTile(tensor):
            return f"registers {tensor}"
        case Microkernel():
            names = ("taps", "depth", "rows", "columns")
            parts = (
                f"{name} {member.place}"
                for name, member in zip(names, tree.members)
                if member.axes
            )
            done = ", ".join(_title(leaf) for leaf in tree.leaves)
            return f"microkernel {', '.join(parts)}: {done}"
        case Leaf(statement, tensor, dims):
            return f"{statement}[{', '.join(dims)}] -> {tensor}"
        case _:
            assert_never(tree)
