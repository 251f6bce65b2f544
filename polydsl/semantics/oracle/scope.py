"""What expressions refer to, and how one evaluates another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from polydsl.semantics.oracle.grids import Grid, Interval
from polydsl.semantics.oracle.numbers import Bools, Ints, Num
from polydsl.semantics.program import Access, Expr, Program, Value


class Tensors(Protocol):
    """Where accesses find their elements."""

    def extents(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""

    def domain(self, tensor: str) -> Bools:
        """Return where a tensor is defined in the end: a mask, or one True."""

    def read(
        self, access: Access, subscripts: tuple[Ints, ...], grid: Grid, needed: Bools
    ) -> Num:
        """Return elements; `needed` says at which points the subscripts count."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression refers to: ranges, sizes and tensors.

    `evaluate` is the evaluator of expressions, for the parts that it is made of.
    """

    program: Program
    sizes: Mapping[str, Value]
    boxes: Mapping[str, Interval]
    tensors: Tensors
    evaluate: Callable[[Expr, Grid, Scope], Num]

    @property
    def order(self) -> tuple[str, ...]:
        """The program's indices in their order."""
        return tuple(r.name for r in self.program.ranges)
