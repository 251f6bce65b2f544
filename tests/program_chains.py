"""Random chains of products: `chains()` draws programs in which one product takes what
another one gave, with values of elements and of rows in between.

What is summed, which tensors are read by several, where the indices of batches stand,
and over which values an index goes that is bound to another one, as causal attention
has it: all of it is drawn, with few rows, so that blocks of them have rests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from program_builder import Builder, Program

EXTENTS = (7, 3, 8, 1, 2, 11, 16, 19)
FEW = (2, 1, 3)
BOUND = (
    "{i} + 1",
    "{i}, {N}",
    "max(0, {i} - 3), {i} + 1",
    "max(0, {i} - 2), min({i} + 3, {N})",
    "max(0, 2*{i} - 11), min(2*{i} + 3, {N})",
    "{i} // 2, {N} - {i} // 3",
    "{i} + 1, {N}",
    "min(2, {N}), {N}",
    "{N}",
)
"""Over which values of N an index goes beside an index of rows."""

FORMS = (
    "exp(clamp({0}, -9, 9))",
    "max({0}, 0)",
    "{0} * 0.5 + {1}",
    "tanh({0} * {1})",
    "{0} - {0} * {0}",
    "({0} if {0} > 0.37 else 0.5 * {0})",
)


SUMS = (
    ("+=", "abs({0} - {1})"),
    ("+=", "max({0}, {1})"),
    ("=", "sum[{2}](({0} - {1})**2)"),
    ("=", "max[{2}]({0} + {1})"),
    ("=", "min[{2}]({0} * {1})"),
)
"""Inner products besides the plain one."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A tensor that is computed, with its indices in the order of its axes."""

    name: str
    indices: tuple[str, ...]


@dataclass(slots=True)
class _Chain:
    """A program while it is drawn: what each index runs over, and what is there."""

    b: Builder
    batch: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    dims: dict[str, str] = field(default_factory=dict)
    ranges: dict[str, str] = field(default_factory=dict)
    values: list[_Value] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    # Indices and tensors

    def index(self, dim: str, bounds: str = "") -> str:
        """Return a new index over a size, or over a part of it."""
        name = f"k{len(self.dims)}"
        self.dims[name], self.ranges[name] = dim, bounds or dim
        return name

    def size(self, extents: Sequence[int]) -> str:
        name = f"N{len(self.b.sizes)}"
        self.b.sizes[name] = self.b.pick(extents)
        return name

    def is_whole(self, index: str) -> bool:
        return self.ranges[index] == self.dims[index]

    def is_filled(self, index: str) -> bool:
        """Whether an index has a value beside any value of others."""
        return "+ 1, " not in self.ranges[index] and "min(2" not in self.ranges[index]

    def factor(self, indices: Sequence[str]) -> str:
        """Return an access to a new parameter that moves with some indices."""
        order = self.b.shuffled(indices) if self.b.chance(30) else list(indices)
        dims = [self.dims[d] for d in order]
        name = self.b.parameter("float", dims, self.b.dtype)
        return f"{name}[{', '.join(order)}]"

    def access(self, value: _Value, **to: str) -> str:
        """Return an access to what was computed, at other indices if told."""
        where = ", ".join(to.get(d, d) for d in value.indices)
        return f"{value.name}[{where}]" if where else value.name

    def define(self, indices: Sequence[str], symbol: str, value: str) -> _Value:
        """Add a statement; its indices in another order now and then."""
        order = self.b.shuffled(indices) if self.b.chance(12) else list(indices)
        made = _Value(f"t{len(self.values)}", tuple(order))
        dims = ", ".join(self.dims[d] for d in order)
        self.lines.append(f"{made.name}: {self.b.dtype}[{dims}]")
        self.lines.append(f"{self.access(made)} {symbol} {value}")
        self.values.append(made)
        return made

    def latest(self) -> _Value:
        """Return what the next statement reads: mostly the last that there is."""
        full = [v for v in self.values if len(v.indices) > len(self.batch)]
        return full[-1] if self.b.chance(75) else self.b.pick(full)

    # Statements

    def product(self) -> None:
        """Let a product take the place of one index of a tensor."""
        value = self.latest()
        own = [d for d in value.indices if d not in self.batch]
        columns = [d for d in own if d not in self.rows] or own[-1:]
        if self.b.chance(15):
            # Of what others are bound to, each has its own.
            bounds = " ".join(self.ranges[d] for d in value.indices)
            columns = [self.b.pick([d for d in own if d not in bounds] or columns)]
        summed = columns
        kept = [d for d in value.indices if d not in summed]
        of_rows = [d for d in self.rows if d in kept]
        if of_rows and all(map(self.is_whole, summed)) and self.b.chance(45):
            made = [self.bound_to(d) for d in of_rows]
        else:
            made = [self.index(self.size(EXTENTS))]
        batch = [d for d in self.batch if d in kept and self.b.chance(70)]
        other = self.factor([*batch, *made, *summed])
        if (again := self.read_again(summed, made)) and self.b.chance(30):
            other = again
        pair = [self.access(value), other]
        if self.b.chance(30):
            pair.reverse()
        left = [*kept, *made]
        if self.b.chance(8):
            pair.append(self.factor([self.b.pick(left)]))
        if len(pair) == 2 and self.b.chance(12):
            symbol, form = self.b.pick(SUMS)
            self.define(left, symbol, form.format(*pair, ", ".join(summed)))
            return
        found = self.define(left, "+=", " * ".join(pair))
        if self.b.chance(10):
            self.lines.append(f"{self.access(found)} += {self.factor(left)}")

    def bound_to(self, row: str) -> str:
        dim = self.dims[row]
        bounds = self.b.pick(BOUND).format(i=row, N=dim)
        return self.index(dim, bounds if bounds != dim else "")

    def read_again(self, summed: list[str], made: list[str]) -> str:
        """Return a tensor that is there at other rows, as a factor: nothing where none
        has the shape. Its columns are those of the product, with the same size."""
        wanted = [self.dims[d] for d in (*summed, *made)]
        for value in reversed(self.values):
            own = [d for d in value.indices if d not in self.batch]
            if not all(map(self.is_whole, own)) or len(own) != len(wanted):
                continue
            if {*own} & {*self.rows} and sorted(self.dims[d] for d in own) == sorted(
                wanted
            ):
                left = [*summed, *made]
                to: dict[str, str] = {}
                for d in own:
                    to[d] = next(e for e in left if self.dims[e] == self.dims[d])
                    left.remove(to[d])
                return self.access(value, **to)
        return ""

    def element(self) -> None:
        """Compute elements of what there is, with a parameter or another tensor."""
        value = self.latest()
        alike = [v for v in self.values if {*v.indices} <= {*value.indices}]
        some = [d for d in value.indices if self.b.chance(60)] or value.indices[:1]
        other = self.factor(some) if self.b.chance(50) else ""
        if not other and self.b.chance(15):
            # The row before, which no loop over rows has for itself.
            near = {d: f"{d} - 1" for d in self.rows[-1:]}
            other = f"pad({self.access(value, **near)})"
        other = other or self.access(self.b.pick(alike))
        form = self.b.pick(FORMS).format(self.access(value), other)
        self.define(value.indices, "=", form)

    def row_wise(self) -> None:
        """Let each row be computed from values of all of it, as a softmax does."""
        value = self.latest()
        own = [d for d in value.indices if d not in (*self.batch, *self.rows)]
        summed = own if own else [value.indices[-1]]
        rest = [d for d in value.indices if d not in summed]
        over = ", ".join(summed)
        if not rest:
            return
        if self.b.chance(60) and all(map(self.is_filled, summed)):
            top = self.define(rest, "=", f"max[{over}]({self.access(value)})")
            text = f"exp({self.access(value)} - {self.access(top)})"
            value = self.define(value.indices, "=", text)
        total = self.define(rest, "+=", self.access(value))
        if self.b.chance(70):
            text = f"{self.access(value)} / (1 + abs({self.access(total)}))"
            self.define(value.indices, "=", text)

    def sums(self) -> None:
        """Add up what no chain shares: columns over all rows."""
        value = self.latest()
        kept = [d for d in value.indices if d not in (*self.rows, *self.batch)]
        if kept and all(map(self.is_whole, kept)) and len(self.values) > 1:
            self.define(kept, "+=", self.access(value))

    # The program

    def result(self, value: _Value) -> str:
        """Return a tensor that is computed, padded where it is not defined."""
        if all(map(self.is_whole, value.indices)):
            return value.name
        order = [self.index(self.dims[d]) for d in value.indices]
        text = f"pad({self.access(value, **dict(zip(value.indices, order)))})"
        return self.define(order, "=", text).name

    def program(self) -> Program:
        """Return the program with its header and the ranges of its indices."""
        last, *others = reversed(self.values)
        chosen = [last, *(v for v in others if self.b.chance(12))]
        results = [self.result(value) for value in chosen]
        header = ", ".join(
            f"{name}: {info.dtype}[{', '.join(info.dims)}]"
            for name, info in self.b.parameters.items()
        )
        used = "\n".join(self.lines)
        ranges = [
            f"{d} in range({text})" for d, text in self.ranges.items() if d in used
        ]
        body = "\n    ".join((*ranges, *self.lines, f"return {', '.join(results)}"))
        arguments = tuple(
            (name, info.dtype, tuple(self.b.extent(d) for d in info.dims))
            for name, info in self.b.parameters.items()
        )
        return Program(f"kernel f({header}):\n    {body}\n", arguments)


@st.composite
def chains(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Program:
    """Draw a program with two to four products, each from what was there before."""
    chain = _Chain(Builder(draw))
    b = chain.b
    b.dtype = b.pick(("f32", "f64"))
    chain.batch = tuple(chain.index(chain.size(FEW)) for _ in range(b.number(0, 2)))
    several = b.chance(15)
    extents = EXTENTS[:5] if several else EXTENTS
    rows = [chain.index(chain.size(extents)) for _ in range(1 + several)]
    if b.chance(10):
        dim = chain.dims[rows[0]]
        rows[0] = chain.index(dim, f"min(2, {dim}), {dim}")
    chain.rows = tuple(rows)
    summed = chain.index(chain.size(EXTENTS))
    column = chain.index(chain.size(EXTENTS))
    left = chain.factor([*chain.batch, *rows, summed])
    shared = [d for d in chain.batch if b.chance(50)]
    right = chain.factor([*shared, summed, column])
    axes = [*chain.batch, *rows, column]
    if b.chance(30):
        axes = [*rows, *chain.batch, column]
    chain.define(axes, "+=", f"{left} * {right}")
    for _ in range(b.number(1, 3)):
        for _ in range(b.number(0, 2)):
            b.pick((chain.element, chain.element, chain.row_wise, chain.sums))()
        chain.product()
    if b.chance(40):
        b.pick((chain.element, chain.row_wise))()
    return chain.program()
