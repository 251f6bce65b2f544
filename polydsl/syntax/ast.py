"""The abstract syntax of the polydsl language, exactly as it is written.

Nodes are frozen and hold tuples; a span never takes part in equality, so that
`parse(unparse(tree)) == tree` can be asked. Nothing is resolved here: a name is a
name, whether it is a size, a constant, a tensor or an index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from polydsl.base.source import Span, span_field

# Expressions


@dataclass(frozen=True, slots=True)
class Number:
    """A literal: `2`, `1e-5`, `inf`, `True`. An `int` and a `bool` are told apart."""

    value: int | float | bool
    span: Span = span_field()

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Number)
            and type(self.value) is type(other.value)
            and self.value == other.value
        )

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class Name:
    """A bare name: an index used as a value, a size, a constant or a scalar tensor."""

    name: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Ellipsis:
    """The `...` of a subscript or a dimension: any number of leading dimensions."""

    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Access:
    """`x[e1, ..., en]`. Only the first subscript may be an `Ellipsis`."""

    tensor: str
    subscripts: tuple[Expr | Ellipsis, ...]
    span: Span = span_field()
    tensor_span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Pad:
    """`pad(access, value=0)`: `access` is any expression to the parser."""

    access: Expr
    value: Expr | None
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `+x`, `not x`. `op` is the symbol."""

    op: str
    operand: Expr
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Binary:
    """`+ - * / // % **`, `and`, `or`. `op` is the symbol."""

    op: str
    left: Expr
    right: Expr
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Compare:
    """A chain `a < b <= c`: `ops` are the symbols, one fewer than `operands`."""

    ops: tuple[str, ...]
    operands: tuple[Expr, ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Conditional:
    """`then if condition else otherwise`."""

    then: Expr
    condition: Expr
    otherwise: Expr
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call; `name` is None for a positional one."""

    name: str | None
    value: Expr
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Call:
    """`f(a, b, c=d)`: a function, a cast, or, alone on a right side, a kernel."""

    function: str
    arguments: tuple[Argument, ...]
    span: Span = span_field()
    function_span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Reduce:
    """`sum[k, l](e)`. `indices` are names with their places."""

    op: str
    indices: tuple[Name, ...]
    body: Expr
    span: Span = span_field()


Expr: TypeAlias = (
    Number
    | Name
    | Access
    | Pad
    | Unary
    | Binary
    | Compare
    | Conditional
    | Call
    | Reduce
)

# Statements


@dataclass(frozen=True, slots=True)
class TensorType:
    """`f32[N, C // G]`: `dtype` is a dtype or a dtype variable.

    A scalar has no dims, whether it is written `f32` or `f32[]`.
    """

    dtype: str
    dims: tuple[Expr | Ellipsis, ...]
    span: Span = span_field()
    dtype_span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Assign:
    """`y[i, j] = e`, `+=`, `*=`; a scalar or a size definition has no subscripts.

    `target` is an `Access`, or a `Name` where no brackets are written.
    """

    target: Access | Name
    op: str
    value: Expr
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class MultiAssign:
    """`a, b = kernel(...)`: a call with several results."""

    targets: tuple[Name, ...]
    value: Expr
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Declare:
    """`y: f32[N, M]`."""

    name: Name
    type: TensorType
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class InRange:
    """`i in range(lo, hi)`; `lo` is None in `range(n)`."""

    index: Name
    lo: Expr | None
    hi: Expr
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Return:
    """`return a, b`."""

    names: tuple[Name, ...]
    span: Span = span_field()


Statement: TypeAlias = Assign | MultiAssign | Declare | InRange | Return

# Definitions


@dataclass(frozen=True, slots=True)
class Parameter:
    """A tensor parameter `x: f32[N, C]`."""

    name: Name
    type: TensorType
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant parameter `stride: int = 1`; `type` is `int`, `float` or `bool`."""

    name: Name
    type: str
    default: Expr | None
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel definition. `results` is None where no `-> ...` is written."""

    name: Name
    parameters: tuple[Parameter, ...]
    constants: tuple[Constant, ...]
    results: tuple[TensorType, ...] | None
    docstring: str | None
    body: tuple[Statement, ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Import:
    """`from .gates import swish, glu`: `level` counts the leading dots."""

    level: int
    module: tuple[str, ...]
    names: tuple[Name, ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Module:
    """A `.pdl` file, or the one kernel of a Python function."""

    docstring: str | None
    imports: tuple[Import, ...]
    kernels: tuple[Kernel, ...]
    span: Span = span_field()


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the direct subexpressions, in the order in which they are written."""
    match expr:
        case Number() | Name():
            return ()
        case Access(_, subscripts):
            return tuple(s for s in subscripts if not isinstance(s, Ellipsis))
        case Pad(access, value):
            return (access,) if value is None else (access, value)
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case Compare(_, operands):
            return operands
        case Conditional(then, condition, otherwise):
            return (then, condition, otherwise)
        case Call(_, arguments):
            return tuple(argument.value for argument in arguments)
        case Reduce(_, _, body):
            return (body,)
        case _:
            assert_never(expr)


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield *expr* and everything below it, outermost first."""
    pending = [expr]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(children(node)))
