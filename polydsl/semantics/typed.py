"""The symbolic typed kernel: everything but the numbers.

A `TypedKernel` is one kernel for given dtypes and ranks of its arguments: names are
resolved, `...` is expanded, types are inferred, conversions are written out. Its
sizes are names without values. `steps` is an order in which ranges and shapes can be
found from the shapes of the arguments; `bind` follows it with numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from polydsl.base.dtypes import DType
from polydsl.base.source import Span
from polydsl.semantics.program import Definition, Expr


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions that a declaration gives a tensor, as size expressions."""

    dims: tuple[Expr, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class TypedTensor:
    """A tensor of a kernel. Several declarations of one tensor must agree.

    An undeclared local has no declarations; the result of a call may have none.
    """

    name: str
    dtype: DType
    rank: int
    declared: tuple[Shape, ...]
    is_parameter: bool
    is_declared: bool
    span: Span


@dataclass(frozen=True, slots=True)
class ConstantParameter:
    """A constant of a kernel: `dtype` is i64, f64 or bool."""

    name: str
    dtype: DType
    default: int | float | bool | None
    span: Span


@dataclass(frozen=True, slots=True)
class SizeDefinition:
    """`P = expr`."""

    name: str
    expr: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Range:
    """A declared range `lo <= index < hi`."""

    index: str
    lo: Expr
    hi: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Copy:
    """A new name for a reduction's index that hides an outer one.

    It has the range of `of`, in which the indices of `renamed` have new names too.
    """

    index: str
    of: str
    renamed: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RangeSource:
    """A place where an index stands alone as subscript `dim` of a tensor.

    `rank` is 2, 3 or 4: the sources of least rank give the range.
    """

    index: str
    rank: int
    tensor: str
    dim: int
    span: Span


@dataclass(frozen=True, slots=True)
class KernelCall:
    """`targets = callee(arguments, constants)`, on whole tensors.

    `constants` are expressions of the caller's sizes and constants.
    """

    callee: TypedKernel
    arguments: tuple[str, ...]
    constants: tuple[tuple[str, Expr], ...]
    targets: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class FindRange:
    """Find an index's range: its declared one, or the extent at `source`."""

    index: str
    source: RangeSource | None


@dataclass(frozen=True, slots=True)
class FindShape:
    """Find the shape of an undeclared local from its left-hand ranges."""

    tensor: str


@dataclass(frozen=True, slots=True)
class FindResults:
    """Inline the call at this place of the body; its results get their shapes."""

    position: int


Step: TypeAlias = FindRange | FindShape | FindResults


@dataclass(frozen=True, slots=True)
class TypedKernel:
    """One kernel, typed. `depth` is 1, or one more than that of the deepest callee."""

    name: str
    parameters: tuple[str, ...]
    constants: tuple[ConstantParameter, ...]
    sizes: tuple[str, ...]
    size_definitions: tuple[SizeDefinition, ...]
    tensors: tuple[TypedTensor, ...]
    ranges: tuple[Range, ...]
    copies: tuple[Copy, ...]
    sources: tuple[RangeSource, ...]
    body: tuple[Definition | KernelCall, ...]
    results: tuple[str, ...]
    steps: tuple[Step, ...]
    depth: int
    span: Span

    def tensor(self, name: str) -> TypedTensor:
        """Return the tensor called *name*."""
        return next(t for t in self.tensors if t.name == name)

    def definitions(self) -> Iterator[Definition]:
        """Yield the statements that are not calls."""
        return (s for s in self.body if isinstance(s, Definition))
