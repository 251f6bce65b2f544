"""Grids: the points at which an expression is evaluated.

A grid gives every index in scope an integer array; the arrays broadcast against each
other. On a dense grid each index varies along an axis of its own; on a list of points
all left-hand indices vary along one axis. Reductions put their indices on new axes
in front, so arrays made before need no reshaping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import assert_never

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.semantics.oracle.numbers import YES, Bools, Ints
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    IndexRange,
    Literal,
    Pad,
    Program,
    Reduce,
    Select,
    Size,
    evaluate_size,
    walk,
)

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """Points: a value for every index, and where the expression is needed.

    `own` numbers, in a recurrence, the element that each point belongs to.
    """

    indices: Mapping[str, Ints]
    shape: tuple[int, ...]
    active: Bools = field(default_factory=lambda: YES)
    own: Ints | None = None

    @property
    def points(self) -> int:
        """The number of points."""
        return prod(self.shape)

    def restricted(self, mask: Bools) -> Grid:
        """Return the grid, needed only where *mask* holds too."""
        if mask.all():
            return self
        return Grid(self.indices, self.shape, self.active & mask, self.own)

    def with_axis(self, name: str, values: Ints) -> Grid:
        """Return the grid with a new first axis, along which *name* takes *values*."""
        axis = values.reshape((-1,) + (1,) * len(self.shape))
        indices = {**self.indices, name: axis}
        return Grid(indices, (len(values), *self.shape), self.active, self.own)


def box_grid(names: Sequence[str], box: Sequence[Interval]) -> Grid:
    """Return the dense grid of a box, one axis an index."""
    indices = {}
    for axis, (name, (low, high)) in enumerate(zip(names, box, strict=True)):
        shape = [1] * len(names)
        shape[axis] = -1
        indices[name] = np.arange(low, high, dtype=np.int64).reshape(shape)
    return Grid(indices, tuple(max(0, high - low) for low, high in box))


def point_grid(names: Sequence[str], points: Ints, own: Ints | None = None) -> Grid:
    """Return the grid of a list of points, one row of *points* each."""
    columns = {name: points[:, axis] for axis, name in enumerate(names)}
    return Grid(columns, (len(points),), own=own)


def index_names(expr: Expr) -> tuple[str, ...]:
    """Return the indices that occur in *expr*, each once, in order."""
    names = (node.name for node in walk(expr) if isinstance(node, Index))
    return tuple(dict.fromkeys(names))


def used_indices(bounds: IndexRange) -> tuple[str, ...]:
    """Return the other indices that the bounds of a range use."""
    return tuple(dict.fromkeys((*index_names(bounds.lo), *index_names(bounds.hi))))


def closure(program: Program, names: Iterable[str]) -> tuple[str, ...]:
    """Return *names* and every index that their ranges depend on."""
    pending, seen = list(names), dict[str, None]()
    while pending:
        name = pending.pop(0)
        if name not in seen:
            seen[name] = None
            pending.extend(used_indices(program.range(name)))
    return tuple(seen)


def boxes(program: Program) -> dict[str, Interval]:
    """Return the least box of every index, by interval arithmetic, as (low, high)."""
    sizes = dict(program.binding)
    ranges = {r.name: r for r in program.ranges}
    found: dict[str, Interval] = {}

    def visit(name: str) -> None:
        if name in found:
            return
        for other in used_indices(ranges[name]):
            visit(other)
        inner = {n: (low, high - 1) for n, (low, high) in found.items()}
        if any(
            high < low for low, high in (inner[n] for n in used_indices(ranges[name]))
        ):
            found[name] = (0, 0)
            return
        low = _interval(ranges[name].lo, inner, sizes)[0]
        high = _interval(ranges[name].hi, inner, sizes)[1]
        found[name] = (low, max(low, high))

    for name in ranges:
        visit(name)
    return found


def _interval(
    expr: Expr, inner: Mapping[str, Interval], sizes: Mapping[str, int | float | bool]
) -> Interval:
    """Return the least and the greatest value of a quasi-affine expression."""
    match expr:
        case Literal() | Size():
            number = evaluate_size(expr, sizes)
            return number, number
        case Index(name):
            return inner[name]
        case Cast(operand):
            return _interval(operand, inner, sizes)
        case Call(function, arguments):
            parts = [_interval(argument, inner, sizes) for argument in arguments]
            return _interval_call(function, parts)
        case Access() | Pad() | Select() | Reduce():
            bug(f"an index range is not quasi-affine: {expr}")
        case _:
            assert_never(expr)


def _interval_call(function: str, parts: Sequence[Interval]) -> Interval:
    first = parts[0]
    match function:
        case "mod":
            divisor = parts[1][0]
            if first[0] // divisor == first[1] // divisor:
                return first[0] % divisor, first[1] % divisor
            return min(0, divisor + 1), max(0, divisor - 1)
        case "abs" if first[0] <= 0 <= first[1]:
            return 0, max(-first[0], first[1])
        case _:
            # Monotone in each operand: the extremes are at the corners.
            values = [_CORNER[function](*corner) for corner in product(*parts)]
            return min(values), max(values)


_CORNER: dict[str, Callable[..., int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b,
    "neg": lambda a: -a,
    "pos": lambda a: a,
    "abs": abs,
    "min": min,
    "max": max,
    "clamp": lambda x, low, high: min(max(x, low), high),
}
