"""What the implementations of library providers share.

Compiled code calls a library's kernel through an external symbol whose name spells out
which kernel it is. So object code can be kept in the cache and loaded by another
process: whoever loads it parses the names, has the library make those kernels, and
gives the linker their addresses.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, field, fields
from typing import Any, Protocol

from llvmlite import ir

from polydsl.backend.microkernel_spec import TABLE, Microkernel
from polydsl.backend.target import Target
from polydsl.base.diagnostics import bug
from polydsl.base.providers import (
    BroadcastSide,
    Product,
    Provider,
    broadcast_side,
    provider_named,
)

_PREFIX = "polydsl"


@dataclass(frozen=True, slots=True)
class ForeignKernel:
    """A kernel that a library is asked for.

    Leading dimensions count elements. `form` says how the batch comes, in words of the
    provider; where it is by strides, `a_batch` and `b_batch` are they, in elements.
    """

    provider: str
    dtype: str
    rows: int
    columns: int
    depth: int
    a_leading: int
    a_transposed: int
    b_leading: int
    c_leading: int
    accumulate: int
    form: str
    a_batch: int = 0
    b_batch: int = 0

    @property
    def symbol(self) -> str:
        """The name by which compiled code calls it."""
        return "_".join((_PREFIX, *map(str, astuple(self))))

    @staticmethod
    def of_symbol(symbol: str) -> ForeignKernel | None:
        """Return the kernel that a symbol names, None where it names none."""
        prefix, *words = symbol.split("_")
        kinds = [f.type for f in fields(ForeignKernel)]
        if prefix != _PREFIX or len(words) != len(kinds):
            return None
        try:
            values: list[Any] = [
                int(w) if k == "int" else w for w, k in zip(words, kinds)
            ]
        except ValueError:
            return None
        return ForeignKernel(*values)


@dataclass(frozen=True, slots=True)
class Made:
    """A kernel in this process: addresses by symbol, and what keeps it alive."""

    symbols: Mapping[str, int]
    owner: object = field(default=None, repr=False)


class Library(Protocol):
    """A library that was found."""

    @property
    def description(self) -> str:
        """Where it is, and what there is to know about it here."""

    def make(self, kernel: ForeignKernel) -> Made | None:
        """Return the kernel, or None where the library does not make it."""


@dataclass(frozen=True, slots=True)
class Body:
    """A microkernel function under construction: its arguments by name."""

    builder: ir.IRBuilder
    spec: Microkernel
    target: Target
    pointers: dict[str, ir.Value]


@dataclass(frozen=True, slots=True)
class Implementation:
    """How a provider is put to work.

    `emit` emits the body of a microkernel function up to its `ret void`, `kernels`
    names what that body calls, and `find` looks for the library: at a path, or, where
    that is empty, in the usual places.
    """

    provider: Provider
    emit: Callable[[Body], None]
    kernels: Callable[[Microkernel], tuple[ForeignKernel, ...]]
    find: Callable[[str], Library | None]


def product_of(spec: Microkernel) -> Product:
    """Return a microkernel as providers see it."""
    return Product(
        spec.dtype,
        spec.rows,
        spec.columns,
        spec.batch,
        spec.depth,
        spec.a_row if isinstance(spec.a_row, int) else None,
        spec.a_depth,
        spec.b_depth,
        spec.c_row if spec.c_row != TABLE else None,
        spec.inner,
    )


def foreign_kernel(
    spec: Microkernel, form: str, *, accumulate: bool, strides: tuple[int, int] = (0, 0)
) -> ForeignKernel:
    """Return the library kernel of a microkernel that its provider serves."""
    product = product_of(spec)
    refusal = provider_named(spec.provider).refusal(product)
    if refusal:
        bug(f"{spec.name} is given to a provider that does not serve it: {refusal}")
    side = broadcast_side(product) or BroadcastSide(spec.depth, False)
    return ForeignKernel(
        spec.provider,
        spec.dtype.name,
        spec.rows,
        spec.columns,
        spec.depth,
        side.leading,
        int(side.is_transposed),
        spec.b_depth if spec.depth > 1 else spec.columns,
        product.c_row or spec.columns,
        int(accumulate),
        form,
        *strides,
    )


def declare(module: ir.Module, symbol: str, parameters: int) -> ir.Function:
    """Return the declaration of an external function that takes pointers only."""
    known = module.globals.get(symbol)
    if isinstance(known, ir.Function):
        return known
    kind = ir.FunctionType(ir.VoidType(), [ir.PointerType()] * parameters)
    return ir.Function(module, kind, symbol)


def first_library(paths: Iterable[str], functions: tuple[str, ...]) -> Any:
    """Return the first library of *paths* that loads and has *functions*, or None."""
    for path in paths:
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        if all(hasattr(library, name) for name in functions):
            return library
    return None
