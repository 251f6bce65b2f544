"""Texts of values that are equal but for names: `canonical(dims, text)`, `Texts`.

    x[i, k] * w[k, j]    and    w[c, q] * x[p, c]    ->    x[0, 2] * w[2, 1]

Two values with one text are the same number wherever their tensors are: indices are
called after the places where they stand, operands whose order changes nothing are
sorted, sizes are numbers and subscripts linear forms. Values that are equal for other
reasons have different texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, permutations, product
from math import factorial, prod
from typing import TypeAlias

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import I64, DType
from polydsl.base.inner_product import COMMUTATIVE
from polydsl.poly.terms import linear
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Pad,
    Select,
    Size,
    Value,
    is_affine,
)

_ANY_ORDER = COMMUTATIVE | {"eq", "ne"}
"""Functions of operands in any order. Of `and` and `or`, the first operand may say
where the second is evaluated."""

_TURNED = {"gt": "lt", "ge": "le"}

MOST_ORDERS = 24
"""So many orders of indices that stand in like places are tried."""

Names: TypeAlias = Mapping[str, str]
"""What each index is called."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Writes expressions: `binding` has the numbers of sizes, `tensors` what a tensor
    is called, where that is not its name."""

    binding: Mapping[str, Value]
    tensors: Mapping[str, str]

    def of(self, expr: Expr, names: Names) -> str:
        """Return the text of an expression with its indices called so."""
        if expr.dtype == I64 and is_affine(expr):
            form = linear(expr, self.binding)
            if form is not None:
                terms = sorted(f"{c}{names[name]}" for name, c in form.coefficients)
                return f"({' '.join(terms)} {form.constant})"
        return self._text(expr, names)

    def _text(self, expr: Expr, names: Names) -> str:
        match expr:
            case Literal(value, dtype):
                return _number(value, dtype)
            case Size(name, dtype):
                return _number(self.binding[name], dtype)
            case Index(name):
                return names[name]
            case Access(tensor, subscripts):
                own = self.tensors.get(tensor, tensor)
                return f"{own}[{', '.join(self.of(s, names) for s in subscripts)}]"
            case Pad(access, value, dtype):
                return f"pad {dtype}({self.of(access, names)}, {self.of(value, names)})"
            case Call(function, arguments, dtype):
                return self._call(function, arguments, dtype, names)
            case Select(condition, then, otherwise):
                parts = (self.of(e, names) for e in (condition, then, otherwise))
                return f"if({', '.join(parts)})"
            case Cast(Literal(value), dtype) if dtype.is_float:
                return _number(value, dtype)
            case Cast(Size(name), dtype) if dtype.is_float:
                return _number(self.binding[name], dtype)
            case Cast(operand, dtype, explicit):
                kind = "cast" if explicit else "as"
                return f"{kind} {dtype}({self.of(operand, names)})"
            case _:
                bug(f"a reduction in a statement: {expr}")

    def _call(
        self, function: str, arguments: Sequence[Expr], dtype: DType, names: Names
    ) -> str:
        texts = [self.of(argument, names) for argument in arguments]
        if function in _ANY_ORDER:
            texts.sort()
        if function in _TURNED:
            function, texts = _TURNED[function], texts[::-1]
        return f"{function} {dtype}({', '.join(texts)})"


def _number(value: Value, dtype: DType) -> str:
    """Return the text of a number; zeros of both signs have their own."""
    return f"{dtype} {dtype.numpy.type(value).item()!r}"


def canonical(
    dims: Sequence[str], text: Callable[[Names], str]
) -> tuple[str, tuple[str, ...]]:
    """Return a text that does not depend on what its indices are called, nor on their
    order in *dims*; and the indices in the order in which it numbers them. *text* gives
    it for any names.

    An index is told by the text with all others alike. Of those that this does not
    tell apart every order is tried, and the least text taken.
    """
    marked = {d: text({**dict.fromkeys(dims, "_"), d: "*"}) for d in dims}
    order = sorted(dims, key=lambda d: marked[d])
    alike = [tuple(same) for _, same in groupby(order, key=lambda d: marked[d])]
    found = (
        (text({d: f".{n}" for n, d in enumerate(each)}), each)
        for each in _orders(alike)
    )
    return min(found, key=lambda pair: pair[0])


def _orders(alike: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield the orders of indices in which those that are alike change places."""
    if prod(factorial(len(same)) for same in alike) > MOST_ORDERS:
        yield tuple(d for same in alike for d in same)
        return
    for parts in product(*map(permutations, alike)):
        yield tuple(d for part in parts for d in part)
