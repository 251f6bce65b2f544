"""A program under construction, and the kernels that are being bound into it."""

from __future__ import annotations

from dataclasses import dataclass, field

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.source import Span
from polydsl.semantics.intervals import Interval
from polydsl.semantics.program import (
    Definition,
    Expr,
    IndexRange,
    Passed,
    Tensor,
    Value,
)
from polydsl.semantics.sizes import Quantity
from polydsl.semantics.substitute import Renaming
from polydsl.semantics.typed import TypedKernel

Extents = tuple[Quantity, ...]
"""A shape: for every dimension its size expression and its number."""


class Misfit(Exception):
    """Arguments do not fit a kernel's sizes; `parameter` is the one to blame."""

    def __init__(self, parameter: str, reason: str) -> None:
        self.parameter = parameter
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class Builder:
    """The program as far as it has been built."""

    names: set[str]
    found: Diagnostics = field(default_factory=Diagnostics)
    binding: dict[str, Value] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    ranges: list[IndexRange] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    intervals: dict[str, Interval] = field(default_factory=dict)
    inlined: int = 0

    def fresh(self, base: str) -> str:
        """Return *base*, or *base* with a number if the name is taken."""
        name, number = base, 1
        while name in self.names:
            number += 1
            name = f"{base}_{number}"
        self.names.add(name)
        return name

    def prefix(self, kernel: str) -> str:
        """Return `kernel_1`, `kernel_2`, ... for the next call of a kernel."""
        number = 1
        while f"{kernel}_{number}" in self.names:
            number += 1
        self.names.add(f"{kernel}_{number}")
        return f"{kernel}_{number}"


@dataclass(frozen=True, slots=True)
class Inlining:
    """Where a kernel is bound: the prefix of its names and the calls that led here."""

    prefix: str
    calls: tuple[Span, ...]

    @property
    def is_root(self) -> bool:
        """Whether the kernel is the program itself."""
        return not self.calls


@dataclass(frozen=True, slots=True)
class BoundFrame:
    """One kernel under binding. The mappings grow while its steps are followed."""

    typed: TypedKernel
    inlining: Inlining
    builder: Builder
    tensors: dict[str, str]
    indices: dict[str, str]
    sizes: dict[str, Expr]
    shapes: dict[str, Extents]
    inlined: dict[int, tuple[Definition, ...]]

    def error(
        self, code: str, message: str, span: Span, *, label: str, hint: str
    ) -> None:
        """Record an error; in an inlined kernel it says from where it was called."""
        calls = self.inlining.calls
        where = f" (called at {calls[-1]})" if calls else ""
        self.builder.found.error(code, message + where, span, label=label, hint=hint)

    @property
    def renaming(self) -> Renaming:
        """Return how the kernel's expressions are written in the program."""
        return Renaming(self.tensors, self.indices, self.sizes)


def numbers(extents: Extents) -> str:
    """Return a shape in numbers, as an error shows it."""
    return "[" + ", ".join(str(extent.value) for extent in extents) + "]"
