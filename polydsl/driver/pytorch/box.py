"""A statement made ready for tensor operations: axes that start at 0, without `//`.

An index i in [2, 10) becomes `i + 2` with i in [0, 8); an index c under `c // 4` and
`c % 4` becomes `4*c_o + c_i`. What a user does with `view` and slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from polydsl.base.diagnostics import PolydslError
from polydsl.base.dtypes import I64
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.substitute import linear_term, resolve, substitute
from polydsl.poly.terms import Interval, Linear, integer
from polydsl.semantics.program import Call, Expr, Index, Literal, Value, has_index, walk


class Untranslatable(PolydslError):
    """A statement has no translation; the message says which one, and why."""


@dataclass(frozen=True, slots=True)
class Box:
    """The points of a statement: `left` axes in the order of the result's dimensions,
    then `reduced` ones. `value` is in these axes."""

    statement: Statement
    left: tuple[str, ...]
    reduced: tuple[str, ...]
    extents: Mapping[str, int]
    value: Expr
    sizes: Mapping[str, Value]

    @property
    def axes(self) -> tuple[str, ...]:
        """All axes: of every tensor that is computed on the way, the dimensions."""
        return (*self.left, *self.reduced)

    @property
    def points(self) -> int:
        """The number of points."""
        return prod(self.extents[axis] for axis in self.axes)

    @property
    def intervals(self) -> dict[str, Interval]:
        """The interval of each axis."""
        return {axis: (0, n - 1) for axis, n in self.extents.items()}

    def shape(self, axes: tuple[str, ...]) -> tuple[int, ...]:
        """Return the extents of some axes."""
        return tuple(self.extents[axis] for axis in axes)

    def linear(self, subscript: Expr) -> Linear | None:
        """Return a subscript as a linear form of the axes, None if it is none."""
        return resolve(subscript, self.sizes, self.intervals)

    def part(self, axis: str, start: int, extent: int) -> Box:
        """Return the points of a range of one axis."""
        span = self.statement.span
        shifted = linear_term(Linear(((axis, 1),), start), span)
        return replace(
            self,
            extents={**self.extents, axis: extent},
            value=substitute(self.value, {axis: shifted}),
        )


def box_of(scop: Scop, statement: Statement) -> Box:
    """Return the points of a statement. Raises `Untranslatable`."""
    if statement.conditions:
        raise Untranslatable("its indices do not range over a box")
    shape = scop.tensor(statement.tensor).shape
    names: list[str] = []
    for subscript, extent in zip(statement.subscripts, shape):
        if not isinstance(subscript, Index):
            raise Untranslatable(f"it does not define {statement.tensor} in order")
        if statement.ranges[subscript.name] != (0, extent - 1):
            raise Untranslatable(f"it defines {statement.tensor} only in part")
        names.append(subscript.name)
    return _split(statement, tuple(names), scop.sizes)


def _split(
    statement: Statement, left: tuple[str, ...], sizes: Mapping[str, Value]
) -> Box:
    divisors = _divisors(statement.value, sizes)
    terms: dict[str, Expr] = {}
    extents: dict[str, int] = {}
    made: dict[str, tuple[str, ...]] = {}
    for name, (lo, hi) in statement.ranges.items():
        extent, divisor = hi - lo + 1, divisors.get(name, 0)
        form = Linear(((name, 1),), lo)
        made[name] = (name,)
        extents[name] = extent
        if divisor > 1 and lo == 0 and extent % divisor == 0:
            outer, inner = f"{name}_o", f"{name}_i"
            form = Linear(((outer, divisor), (inner, 1)), 0)
            made[name] = (outer, inner)
            del extents[name]
            extents |= {outer: extent // divisor, inner: divisor}
        terms[name] = linear_term(form, statement.span)
    return Box(
        statement,
        tuple(axis for name in left for axis in made[name]),
        tuple(axis for name in statement.reduced for axis in made[name]),
        extents,
        substitute(statement.value, terms),
        sizes,
    )


def _divisors(value: Expr, sizes: Mapping[str, Value]) -> dict[str, int]:
    """Return the divisor of each index that stands under `//` or `%`."""
    found: dict[str, int] = {}
    for node in walk(value):
        match node:
            case Call("floordiv" | "mod", (Index(name), by)) if (
                by.dtype == I64 and not has_index(by)
            ):
                found.setdefault(name, max(integer(by, sizes), 0))
            case _:
                pass
    return found


def is_zero(expr: Expr) -> bool:
    """Whether an expression is the literal 0."""
    return isinstance(expr, Literal) and expr.value == 0
