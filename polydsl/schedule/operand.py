"""Factors as linear functions of loop indices, and their places in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from polydsl.poly.substitute import bounds
from polydsl.poly.terms import Interval, Linear, linear_from
from polydsl.semantics.program import Expr

Layout = Mapping[str, tuple[int, ...]]
"""The strides of every tensor, in elements."""


@dataclass(frozen=True, slots=True)
class Computed:
    """What an operand is whose elements no tensor holds: its `value` over the names
    `dims`, one for each subscript. `reads` are the accesses in it, the one that moves
    most first; a subscript of theirs that is not linear moves with each of its
    indices."""

    value: Expr
    dims: tuple[str, ...]
    reads: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Operand:
    """An access with linear subscripts. `pad` is the padding value, None without.

    What is `computed` has no place in memory but in copies; `tensor` is then the one of
    which most is read for it."""

    tensor: str
    subscripts: tuple[Linear, ...]
    pad: Expr | None = None
    computed: Computed | None = None

    @property
    def reads(self) -> tuple[Operand, ...]:
        """The accesses that make an element."""
        return (self,) if self.computed is None else self.computed.reads

    @property
    def dims(self) -> frozenset[str]:
        """The indices that occur in the subscripts."""
        return frozenset(n for s in self.subscripts for n, _ in s.coefficients)

    def offset(self, strides: tuple[int, ...]) -> Linear:
        """Return the place of the element, counted from the tensor's first, or from
        that of a copy."""
        total: dict[str, int] = {}
        constant = 0
        for subscript, stride in zip(self.subscripts, strides):
            constant += subscript.constant * stride
            for name, c in subscript.coefficients:
                total[name] = total.get(name, 0) + c * stride
        return linear_from(total, constant)

    def reach(self, box: Mapping[str, Interval]) -> tuple[int, ...]:
        """Return for each axis how many positions lie between the least subscript and
        the greatest."""
        ends = (bounds(s, box) for s in self.subscripts)
        return tuple(hi - lo + 1 for lo, hi in ends)

    def overhangs(
        self, shape: tuple[int, ...], box: Mapping[str, Interval]
    ) -> tuple[bool, ...]:
        """Return for each axis whether the subscript leaves the tensor somewhere."""
        ends = (bounds(s, box) for s in self.subscripts)
        return tuple(lo < 0 or hi >= n for (lo, hi), n in zip(ends, shape))


def flat_step(
    offset: Linear, dims: tuple[str, ...], extents: Mapping[str, int]
) -> int | None:
    """Return the step of the row-major flattening of *dims*, if it is linear.

    With dims (p, q), the position `p * Q + q` is at `step * position` where the
    coefficient of p is Q times that of q. Dimensions of one point do not matter.
    """
    moving = [d for d in dims if extents[d] > 1]
    if not moving:
        return offset.coefficient(dims[-1]) if dims else 0
    step = offset.coefficient(moving[-1])
    expected = step
    for d in reversed(moving):
        if offset.coefficient(d) != expected:
            return None
        expected *= extents[d]
    return step


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a dense array, in elements."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
