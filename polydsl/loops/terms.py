"""Index expressions of the loop nest, folded while they are built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod

from polydsl.base.dtypes import BOOL, I64
from polydsl.loops.nest import Call, Expr, Literal
from polydsl.poly.terms import Linear


def number(value: int) -> Literal:
    """Return an i64 literal."""
    return Literal(value, I64)


ZERO = number(0)


def plus(left: Expr, right: Expr) -> Expr:
    """Return `left + right`."""
    if isinstance(left, Literal) and isinstance(right, Literal):
        return number(int(left.value) + int(right.value))
    if left == ZERO:
        return right
    return left if right == ZERO else Call("add", (left, right), I64)


def minus(left: Expr, right: Expr) -> Expr:
    """Return `left - right`."""
    if isinstance(left, Literal) and isinstance(right, Literal):
        return number(int(left.value) - int(right.value))
    if left == right:
        return ZERO
    return left if right == ZERO else Call("sub", (left, right), I64)


def times(left: Expr, factor: int) -> Expr:
    """Return `left * factor`."""
    if isinstance(left, Literal):
        return number(int(left.value) * factor)
    if factor == 0:
        return ZERO
    return left if factor == 1 else Call("mul", (left, number(factor)), I64)


def floordiv(left: Expr, divisor: int) -> Expr:
    """Return `left // divisor`."""
    if isinstance(left, Literal):
        return number(int(left.value) // divisor)
    return left if divisor == 1 else Call("floordiv", (left, number(divisor)), I64)


def modulo(left: Expr, divisor: int) -> Expr:
    """Return `left % divisor`."""
    if isinstance(left, Literal):
        return number(int(left.value) % divisor)
    return ZERO if divisor == 1 else Call("mod", (left, number(divisor)), I64)


def minimum(left: Expr, right: Expr) -> Expr:
    """Return the lesser of two terms."""
    if isinstance(left, Literal) and isinstance(right, Literal):
        return number(min(int(left.value), int(right.value)))
    return Call("min", (left, right), I64)


def maximum(left: Expr, right: Expr) -> Expr:
    """Return the greater of two terms."""
    if isinstance(left, Literal) and isinstance(right, Literal):
        return number(max(int(left.value), int(right.value)))
    return Call("max", (left, right), I64)


def both(conditions: Iterable[Expr]) -> Expr | None:
    """Return the conjunction of conditions, None if there are none."""
    result: Expr | None = None
    for condition in conditions:
        result = condition if result is None else Call("and", (result, condition), BOOL)
    return result


def either(conditions: Iterable[Expr]) -> Expr:
    """Return the disjunction of conditions, of which there is at least one."""
    first, *others = conditions
    for condition in others:
        first = Call("or", (first, condition), BOOL)
    return first


def conjuncts(condition: Expr) -> Iterator[Expr]:
    """Yield the parts of a conjunction, from left to right."""
    match condition:
        case Call("and", (left, right)):
            yield from conjuncts(left)
            yield from conjuncts(right)
        case _:
            yield condition


def equal(left: Expr, right: Expr) -> Expr:
    """Return `left == right`."""
    return Call("eq", (left, right), BOOL)


def at_least(left: Expr, right: Expr) -> Expr:
    """Return `left >= right`."""
    return Call("ge", (left, right), BOOL)


def less(left: Expr, right: Expr) -> Expr:
    """Return `left < right`."""
    return Call("lt", (left, right), BOOL)


def of_linear(form: Linear, values: Mapping[str, Expr]) -> Expr:
    """Return a linear form with expressions for its indices; an index without one
    stands at 0."""
    total: Expr = ZERO
    for name, factor in form.coefficients:
        if name in values:
            total = plus(total, times(values[name], factor))
    return plus(total, number(form.constant))


def unflatten(
    flat: Expr, dims: tuple[str, ...], sizes: Mapping[str, int]
) -> dict[str, Expr]:
    """Return each dimension of a row-major flattening in terms of the position."""
    result: dict[str, Expr] = {}
    for axis, d in enumerate(dims):
        inner = prod(sizes[e] for e in dims[axis + 1 :])
        term = floordiv(flat, inner)
        result[d] = term if axis == 0 else modulo(term, sizes[d])
    return result


def flatten(
    values: Mapping[str, Expr], dims: tuple[str, ...], sizes: Mapping[str, int]
) -> Expr:
    """Return the row-major position of a point."""
    flat: Expr = ZERO
    for d in dims:
        flat = plus(times(flat, sizes[d]), values[d])
    return flat
