"""The typed program: what a kernel means once every name, type and size is known.

A `Program` is one kernel with its calls inlined, its dtype variables, `...` and sizes
bound. It is the input of the NumPy oracle, which defines its meaning, and of the
polyhedral compiler. Sizes stay in it by name, next to their numbers (`binding`).

Invariants, established by the checker:

* Every expression has a concrete dtype, and the operands of an operation have the
  dtype that its row of the function table asks for: conversions are explicit `Cast`
  nodes. Expressions of indices, sizes and integer literals alone are i64; other weak
  expressions f64 (or bool), until a `Cast` brings them to what they meet.
* Index names are unique: a reduction's index that hides an outer one, and the
  indices of an inlined kernel, were renamed. `ranges` knows each of them.
* Tensors are defined by one `=`, or by one or more `+=`, or by one or more `*=`.
* The value of `=` has its tensor's dtype. The values of `+=` and `*=` have the dtype in
  which they accumulate, the same for all statements of a tensor: at least f32 or i32.
  The finished sum or product is stored in the tensor's dtype.
* The body of `sum`, `prod` and `mean` has the dtype in which it accumulates.
* Results are distinct tensors, and none is a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal as OneOf
from typing import TypeAlias, assert_never

from polydsl.base.dtypes import I64, DType
from polydsl.base.functions import Reduction
from polydsl.base.source import Span, span_field

Value: TypeAlias = int | float | bool


@dataclass(frozen=True, slots=True)
class Literal:
    """A number of the given type."""

    value: Value
    dtype: DType
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Size:
    """A size, a constant or a size definition, by name; its number is in `binding`."""

    name: str
    dtype: DType
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Index:
    """An index used as a value or in a subscript; i64."""

    name: str
    span: Span = span_field()

    @property
    def dtype(self) -> DType:
        """i64, always."""
        return I64


@dataclass(frozen=True, slots=True)
class Access:
    """`x[e1, ..., en]`: one i64 subscript a dimension (none for a scalar).

    A subscript is quasi-affine (`is_affine`), or holds accesses to integer tensors
    (an indirect subscript; a narrower integer is under a `Cast` to i64).
    """

    tensor: str
    subscripts: tuple[Expr, ...]
    dtype: DType
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Pad:
    """`access`, or `value` where a subscript is outside or the point is not defined.

    `value` has the dtype of the whole; that of `access` may be narrower.
    """

    access: Access
    value: Expr
    dtype: DType
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Call:
    """A row of the function table applied to its operands: operators too."""

    function: str
    arguments: tuple[Expr, ...]
    dtype: DType
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Select:
    """`then if condition else otherwise`, and `where`. The condition is bool.

    If the condition is affine (`is_affine`), each arm is needed only where it is used;
    else both arms are read, restricted by the affine conjuncts that stand to the left
    of the first data-dependent one (`then` arm).
    """

    condition: Expr
    then: Expr
    otherwise: Expr
    dtype: DType
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Reduce:
    """`op[indices](body)`. `argmax` and `argmin` give the row-major position in the
    box from 0 to the indices' greatest upper bounds: for one index, its value."""

    op: Reduction
    indices: tuple[str, ...]
    body: Expr
    dtype: DType
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Cast:
    """A conversion. `explicit` ones are written by the user and always take effect."""

    operand: Expr
    dtype: DType
    explicit: bool
    span: Span = span_field()


Expr: TypeAlias = Literal | Size | Index | Access | Pad | Call | Select | Reduce | Cast

Operator = OneOf["=", "+=", "*="]


@dataclass(frozen=True, slots=True)
class Definition:
    """One statement `tensor[subscripts] op value`.

    `reduced` are the indices that are free in `value` and not on the left, in order of
    appearance; they are summed (`+=`) or multiplied (`*=`). `subscripts` are distinct
    `Index` nodes, except in a scatter. `calls` are the places of the kernel calls
    through which it was inlined, outermost first.
    """

    tensor: str
    subscripts: tuple[Expr, ...]
    op: Operator
    value: Expr
    reduced: tuple[str, ...]
    span: Span = span_field()
    calls: tuple[Span, ...] = field(default=(), compare=False, repr=False)

    @property
    def is_scatter(self) -> bool:
        """Whether the left side is more than distinct index names."""
        return not are_distinct(self.subscripts)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A parameter or a local tensor. `shape` holds size expressions (i64)."""

    name: str
    dtype: DType
    shape: tuple[Expr, ...]
    is_parameter: bool
    is_declared: bool
    span: Span = span_field()

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)


@dataclass(frozen=True, slots=True)
class IndexRange:
    """`lo <= name < hi`: bounds are quasi-affine, also in other indices."""

    name: str
    lo: Expr
    hi: Expr
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Passed:
    """A tensor that was passed to a kernel at `span`: every element of it is read."""

    tensor: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Program:
    """One specialised kernel. See the module's docstring for the invariants."""

    name: str
    parameters: tuple[str, ...]
    results: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    ranges: tuple[IndexRange, ...]
    definitions: tuple[Definition, ...]
    binding: tuple[tuple[str, Value], ...]
    span: Span = span_field()
    passed: tuple[Passed, ...] = field(default=(), compare=False)

    def tensor(self, name: str) -> Tensor:
        """Return the tensor called *name*."""
        return next(t for t in self.tensors if t.name == name)

    def range(self, index: str) -> IndexRange:
        """Return the range of an index."""
        return next(r for r in self.ranges if r.name == index)

    def extents(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor in numbers."""
        sizes = dict(self.binding)
        return tuple(evaluate_size(e, sizes) for e in self.tensor(name).shape)


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the direct subexpressions, in order."""
    match expr:
        case Literal() | Size() | Index():
            return ()
        case Access(_, subscripts):
            return subscripts
        case Pad(access, value):
            return (access, value)
        case Call(_, arguments):
            return arguments
        case Select(condition, then, otherwise):
            return (condition, then, otherwise)
        case Reduce(_, _, body):
            return (body,)
        case Cast(operand):
            return (operand,)
        case _:
            assert_never(expr)


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield *expr* and everything below it, outermost first."""
    pending = [expr]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(children(node)))


def accesses(expr: Expr) -> Iterator[Access]:
    """Yield every access in *expr*, those inside subscripts included."""
    return (node for node in walk(expr) if isinstance(node, Access))


def reads(expr: Expr, tensor: str) -> bool:
    """Whether an element of a tensor is read in *expr*, also inside a subscript."""
    return any(access.tensor == tensor for access in accesses(expr))


_TERMS = ("add", "sub", "neg", "pos", "min", "max", "abs", "clamp")
_CONDITIONS = ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not")
_AFFINE = frozenset((*_TERMS, *_CONDITIONS))


def has_index(expr: Expr) -> bool:
    """Whether an index occurs in *expr*."""
    return any(isinstance(node, Index) for node in walk(expr))


def are_distinct(subscripts: Sequence[Expr]) -> bool:
    """Whether subscripts are index names, each of them once."""
    names = {s.name for s in subscripts if isinstance(s, Index)}
    return len(names) == len(subscripts)


def is_affine(expr: Expr) -> bool:
    """Whether a term or a condition is quasi-affine in the indices.

    Sizes and constants count as numbers: `p*stride` is affine, `i*j` is not, `i // 2`
    and `i % G` are.
    """
    match expr:
        case Literal() | Index():
            return not expr.dtype.is_float
        case Size(_, dtype):
            return not dtype.is_float
        case Call("mul", (left, right)):
            product = not (has_index(left) and has_index(right))
            return product and is_affine(left) and is_affine(right)
        case Call("floordiv" | "mod", (left, right)):
            return is_affine(left) and is_affine(right) and not has_index(right)
        case Call(function, arguments) if function in _AFFINE:
            return all(is_affine(argument) for argument in arguments)
        case _:
            return False


def evaluate_size(expr: Expr, sizes: Mapping[str, Value]) -> int:
    """Return the number that a size expression stands for.

    Raises ZeroDivisionError for a zero divisor.
    """
    match expr:
        case Literal(value):
            return int(value)
        case Size(name):
            return int(sizes[name])
        case Call(function, arguments):
            return _SIZE_OPERATIONS[function](
                *(evaluate_size(argument, sizes) for argument in arguments)
            )
        case _:
            raise TypeError(f"not a size expression: {expr}")


_SIZE_OPERATIONS: dict[str, Callable[..., int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "neg": lambda a: -a,
    "pos": lambda a: a,
    "min": min,
    "max": max,
    "abs": abs,
    "clamp": lambda x, lo, hi: min(max(x, lo), hi),
}
