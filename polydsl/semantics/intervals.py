"""Interval arithmetic: the values that a quasi-affine expression can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from polydsl.base.source import Span
from polydsl.semantics.program import Call, Expr, Index, Literal, Size, Value
from polydsl.semantics.sizes import Quantity, arithmetic, quantity


@dataclass(frozen=True, slots=True)
class Interval:
    """All values from `least` to `greatest`, both included."""

    least: Quantity
    greatest: Quantity


def bounds(
    expr: Expr, sizes: Mapping[str, Value], ranges: Mapping[str, Interval]
) -> Interval:
    """Return an interval that holds every value of a quasi-affine expression.

    An index runs over its interval in *ranges*. Exact where each index occurs once.
    """
    match expr:
        case Literal(value):
            return _point(expr, int(value))
        case Size(name):
            return _point(expr, int(sizes[name]))
        case Index(name):
            return ranges[name]
        case Call(function, arguments):
            inner = [bounds(argument, sizes, ranges) for argument in arguments]
            return _INTERVALS[function](expr.span, *inner)
        case _:
            raise TypeError(f"not a quasi-affine expression: {expr}")


def _point(expr: Expr, value: int) -> Interval:
    return Interval(Quantity(expr, value), Quantity(expr, value))


def _add(span: Span, left: Interval, right: Interval) -> Interval:
    return Interval(
        arithmetic("add", span, left.least, right.least),
        arithmetic("add", span, left.greatest, right.greatest),
    )


def _negate(span: Span, operand: Interval) -> Interval:
    zero = quantity(0, span)
    return Interval(
        arithmetic("sub", span, zero, operand.greatest),
        arithmetic("sub", span, zero, operand.least),
    )


def _subtract(span: Span, left: Interval, right: Interval) -> Interval:
    return _add(span, left, _negate(span, right))


def _corners(name: str) -> Callable[[Span, Interval, Interval], Interval]:
    """An operation whose extremes over a box lie at its corners."""

    def combine(span: Span, left: Interval, right: Interval) -> Interval:
        corners = [
            arithmetic(name, span, a, b)
            for a in (left.least, left.greatest)
            for b in (right.least, right.greatest)
        ]
        return _hull(corners)

    return combine


def _hull(points: list[Quantity]) -> Interval:
    return Interval(
        min(points, key=lambda point: point.value),
        max(points, key=lambda point: point.value),
    )


def _modulo(span: Span, left: Interval, right: Interval) -> Interval:
    divisor = right.greatest
    zero, one = quantity(0, span), quantity(1, span)
    if divisor.value == 0:
        raise ZeroDivisionError
    if divisor.value < 0:
        return Interval(arithmetic("add", span, divisor, one), zero)
    if left.least.value >= 0 and left.greatest.value < divisor.value:
        return left
    return Interval(zero, arithmetic("sub", span, divisor, one))


def _monotone(name: str) -> Callable[..., Interval]:
    def combine(span: Span, *operands: Interval) -> Interval:
        least, greatest = operands[0].least, operands[0].greatest
        for operand in operands[1:]:
            least = arithmetic(name, span, least, operand.least)
            greatest = arithmetic(name, span, greatest, operand.greatest)
        return Interval(least, greatest)

    return combine


def _absolute(span: Span, operand: Interval) -> Interval:
    negated = _negate(span, operand)
    if operand.least.value >= 0:
        return operand
    if operand.greatest.value <= 0:
        return negated
    greatest = arithmetic("max", span, operand.greatest, negated.greatest)
    return Interval(quantity(0, span), greatest)


def _clamp(span: Span, x: Interval, low: Interval, high: Interval) -> Interval:
    return _monotone("min")(span, _monotone("max")(span, x, low), high)


_INTERVALS: dict[str, Callable[..., Interval]] = {
    "add": _add,
    "sub": _subtract,
    "neg": _negate,
    "pos": lambda span, operand: operand,
    "mul": _corners("mul"),
    "floordiv": _corners("floordiv"),
    "mod": _modulo,
    "min": _monotone("min"),
    "max": _monotone("max"),
    "abs": _absolute,
    "clamp": _clamp,
}
