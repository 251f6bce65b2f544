"""The loop nest IR: loops over buffers, vector loops and microkernel calls.

The last IR before LLVM and the first with memory. A `LoopNest` is executed top to
bottom; everything in it is static: extents, strides, tables. Its meaning is that of
`polydsl.loops.interpret`, which runs it one element at a time.

Expressions are one small language for values and for subscripts (i64). A `Select`
evaluates only the arm it takes, so a load in an arm may be out of bounds elsewhere:
padding needs no other form.

A *vector* loop is innermost: its body holds only `Store` and `Accumulate`. It means
the same as the sequential loop, except that a sum may be taken in another order; the
emitter runs it `lanes` points at a time with a masked tail. Register tiles are written
out: a *register* buffer is subscripted by unrolled loop variables and, as the last
subscript, by a vector loop's variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal as OneOf
from typing import TypeAlias, assert_never

from polydsl.base.dtypes import I64, DType
from polydsl.base.functions import Combine
from polydsl.base.inner_product import MULTIPLY_ADD, InnerProduct
from polydsl.base.providers import BUILT_IN

# Expressions


@dataclass(frozen=True, slots=True)
class Literal:
    """A number of the given type."""

    value: int | float | bool
    dtype: DType


@dataclass(frozen=True, slots=True)
class Var:
    """A loop variable; i64."""

    name: str

    @property
    def dtype(self) -> DType:
        """i64, always."""
        return I64


@dataclass(frozen=True, slots=True)
class Load:
    """An element of a buffer."""

    buffer: str
    index: tuple[Expr, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Call:
    """A row of the function table (`polydsl.base.functions`) on operands."""

    function: str
    arguments: tuple[Expr, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Select:
    """`then` where `condition` (bool) holds, else `otherwise`; lazy in both arms."""

    condition: Expr
    then: Expr
    otherwise: Expr
    dtype: DType


@dataclass(frozen=True, slots=True)
class Cast:
    """A conversion with the rules of the language (saturating, NaN to 0)."""

    operand: Expr
    dtype: DType


Expr: TypeAlias = Literal | Var | Load | Call | Select | Cast

# Buffers

Memory = OneOf["argument", "prepared", "scratch", "register", "constant"]


@dataclass(frozen=True, slots=True)
class Buffer:
    """A block of memory with a static shape; strides count elements.

    * ``argument``: belongs to the caller: inputs and results
    * ``prepared``: filled once by the nest's `prepare` part and kept for later calls
    * ``scratch``: lives for one call; with `private`, one copy for each thread
    * ``register``: stays in vector registers
    * ``constant``: a table known at compile time, whose elements are `data`

    `data` is the little-endian content of a constant buffer. Scratch, prepared and
    constant buffers are aligned to 64 bytes; arguments to their element size.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    memory: Memory
    is_written: bool = True
    private: bool = False
    data: bytes = field(default=b"", repr=False)

    @property
    def span_elements(self) -> int:
        """The distance from the first element to one past the last, in elements."""
        if 0 in self.shape:
            return 0
        reach = ((n - 1) * s for n, s in zip(self.shape, self.strides))
        return 1 + sum(step for step in reach if step > 0)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the row-major strides of *shape*, in elements."""
    strides: list[int] = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(extent, 1)
    return tuple(reversed(strides))


# Instances: what the proofs look at


TILE = ("m'", "n'", "t'", "k'")
"""Row, column, tap and depth inside a microkernel, in the coordinates of its instance.
They are marked because a loop around it may be called m, n, t or k."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Which instance of a scop statement a node executes: one coordinate for each
    dimension of its domain, in loop variables (and `TILE` in a microkernel). `terms`
    gives other names in which its value is written: the line and the column of a
    copy's lanes. Where a condition, `where`, does not hold, none is executed: an update
    combines the neutral element then."""

    statement: str
    coordinates: tuple[tuple[str, Expr], ...]
    terms: tuple[tuple[str, Expr], ...] = ()
    where: Expr | None = None


# Nodes

LoopKind = OneOf["sequential", "parallel", "vector", "unrolled"]


@dataclass(frozen=True, slots=True)
class Loop:
    """`for var in lo..hi step step`. `lanes` is the vector length of a vector loop,
    `vectors` in how many vectors of partial results it reduces.

    The iterations of a parallel loop are independent. An unrolled loop has constant
    bounds. `note` says what the loop is for; it is printed and means nothing.
    """

    var: str
    lo: Expr
    hi: Expr
    body: tuple[Node, ...]
    step: int = 1
    kind: LoopKind = "sequential"
    lanes: int = 1
    vectors: int = 1
    note: str = ""


@dataclass(frozen=True, slots=True)
class Guard:
    """The body, if the condition (bool) holds. Never inside a vector loop."""

    condition: Expr
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Store:
    """`buffer[index] = value`."""

    buffer: str
    index: tuple[Expr, ...]
    value: Expr
    instance: Instance | None = None


@dataclass(frozen=True, slots=True)
class Accumulate:
    """`buffer[index] = combine(buffer[index], value)`.

    In a vector loop over a variable that `index` does not hold, the lanes are combined
    before or after the loop: the order is the emitter's.
    """

    buffer: str
    index: tuple[Expr, ...]
    combine: Combine
    value: Expr
    instance: Instance | None = None


# Batch-reduce GEMM


@dataclass(frozen=True, slots=True)
class Strided:
    """Position i is at `i * step` elements."""

    step: int


@dataclass(frozen=True, slots=True)
class Table:
    """Position i is at `buffer[start + i]` elements; an i32 constant buffer."""

    buffer: str
    start: Expr


Offsets: TypeAlias = Strided | Table


@dataclass(frozen=True, slots=True)
class Rows:
    """The broadcast side A: element (t, m, k) is at
    `base + batch[t] + row[m] + k * depth_step` of `buffer`, counted in elements."""

    buffer: str
    base: Expr
    batch: Offsets
    row: Offsets
    depth_step: int


@dataclass(frozen=True, slots=True)
class GuardedRows:
    """The broadcast side A with padding: element (t, m, k) is at
    `base + table[start + t * rows + m] + k * depth_step` of `buffer`; where the table
    holds `OUTSIDE`, it is the value of `zeros[k * depth_step]` instead, a line of
    padding values that is long enough."""

    buffer: str
    base: Expr
    table: str
    start: Expr
    zeros: str
    depth_step: int


OUTSIDE = -(2**31)
"""The entry of a `GuardedRows` table that stands for a padded row."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The vector side B: element (t, k, n) is at
    `base + batch[t] + k * depth_step + n` of `buffer`."""

    buffer: str
    base: Expr
    batch: Offsets
    depth_step: int


@dataclass(frozen=True, slots=True)
class Tile:
    """The result C: element (m, n) is at `base + row[m] + n` of `buffer`."""

    buffer: str
    base: Expr
    row: Offsets


@dataclass(frozen=True, slots=True)
class BatchReduceGemm:
    """One register tile of a product.

        C[m, n] = (C[m, n] if accumulate else 0) + sum over t, k of A[t,m,k] * B[t,k,n]

    for m < `rows`, n < `columns`, t < `batch`, k < `depth`; the extents are static and
    the tile of accumulators fits the vector registers. `inner` may put another function
    in place of the product, and another combining one in place of the sum, which then
    starts at its neutral element. The coordinates of `instance` may hold the variables
    `TILE`, those of `initial`, the instances that give C its first value where the tile
    does not accumulate, the first two of them. `provider` names who computes it
    (`polydsl.base.providers`); it changes nothing of what is computed.
    """

    c: Tile
    a: Rows | GuardedRows
    b: Columns
    rows: int
    columns: int
    batch: int
    depth: int
    accumulate: bool
    dtype: DType
    instance: Instance | None = None
    initial: Instance | None = None
    inner: InnerProduct = MULTIPLY_ADD
    provider: str = BUILT_IN


# Checks of indirect subscripts


@dataclass(frozen=True, slots=True)
class Check:
    """Ends the call if a subscript was found outside; only at the top of the body.

    The scalar `buffer` holds a position below `positions`, or `NOWHERE`. In the first
    case, the call reports its own `number`, the position, and `value`, the subscript
    there: an i64 expression over the variable `position`.
    """

    number: int
    buffer: str
    position: str
    positions: int
    value: Expr


Node: TypeAlias = Loop | Guard | Store | Accumulate | BatchReduceGemm | Check


@dataclass(frozen=True, slots=True)
class LoopNest:
    """A compiled kernel: its buffers, what is prepared once, and what every call runs.

    `arguments` names the argument buffers in calling order, inputs before results.
    """

    name: str
    buffers: tuple[Buffer, ...]
    arguments: tuple[str, ...]
    prepare: tuple[Node, ...]
    body: tuple[Node, ...]

    def buffer(self, name: str) -> Buffer:
        """Return the buffer called *name*."""
        return next(b for b in self.buffers if b.name == name)


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly inside *node*."""
    match node:
        case Loop(body=body) | Guard(body=body):
            return body
        case Store() | Accumulate() | BatchReduceGemm() | Check():
            return ()
        case _:
            assert_never(node)


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Yield the nodes and everything inside them, in order of execution."""
    for node in nodes:
        yield node
        yield from walk(children(node))


def operands(expr: Expr) -> tuple[Expr, ...]:
    """Return the direct subexpressions of *expr*."""
    match expr:
        case Literal() | Var():
            return ()
        case Load(index=index):
            return index
        case Call(arguments=arguments):
            return arguments
        case Select(condition, then, otherwise):
            return (condition, then, otherwise)
        case Cast(operand):
            return (operand,)
        case _:
            assert_never(expr)


def subexpressions(expr: Expr) -> Iterator[Expr]:
    """Yield *expr* and everything below it."""
    yield expr
    for operand in operands(expr):
        yield from subexpressions(operand)
