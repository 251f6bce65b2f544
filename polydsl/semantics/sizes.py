"""Arithmetic on size expressions: building, simplifying, evaluating, intervals.

A `Quantity` is a size expression over the names of a program together with its
number under the binding; every function here keeps the two in step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from polydsl.base.dtypes import I64, DType
from polydsl.base.source import Span
from polydsl.semantics.program import (
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Select,
    Size,
    Value,
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A size expression and its number."""

    expr: Expr
    value: int


@dataclass(frozen=True, slots=True)
class Interval:
    """All values from `least` to `greatest`, both included."""

    least: Quantity
    greatest: Quantity


def literal(value: int, span: Span) -> Expr:
    """Return an i64 literal."""
    return Literal(value, I64, span)


def quantity(value: int, span: Span) -> Quantity:
    """Return a number as a quantity."""
    return Quantity(literal(value, span), value)


# Sums of multiples of atoms: enough to write (N - 1) + 1 as N.


def simplify(expr: Expr) -> Expr:
    """Collect the terms of a size expression: `(N - 1) + 1` is `N`."""
    terms, constant = _terms(expr)
    result: Expr | None = None
    for atom, factor in terms.items():
        result = _plus(result, atom, factor)
    if result is None:
        return literal(constant, expr.span)
    if constant:
        name = "add" if constant > 0 else "sub"
        number = literal(abs(constant), expr.span)
        result = Call(name, (result, number), I64, expr.span)
    return result


def _plus(total: Expr | None, atom: Expr, factor: int) -> Expr:
    span = atom.span
    size = abs(factor)
    product: Expr = atom
    if size != 1:
        product = Call("mul", (literal(size, span), atom), I64, span)
    if total is None:
        return product if factor > 0 else Call("neg", (product,), I64, span)
    return Call("add" if factor > 0 else "sub", (total, product), I64, span)


def _terms(expr: Expr) -> tuple[dict[Expr, int], int]:
    match expr:
        case Literal(value):
            return {}, int(value)
        case Call("add" | "sub" as name, (left, right)):
            return _combine(_terms(left), _terms(right), 1 if name == "add" else -1)
        case Call("neg", (operand,)):
            return _combine(({}, 0), _terms(operand), -1)
        case Call("pos", (operand,)):
            return _terms(operand)
        case Call("mul", (left, right)):
            for number, other in ((left, right), (right, left)):
                factors, constant = _terms(number)
                if not factors:
                    return _combine(({}, 0), _terms(other), constant)
            return {expr: 1}, 0
        case Call(name, arguments, dtype, span):
            return {Call(name, tuple(map(simplify, arguments)), dtype, span): 1}, 0
        case _:
            return {expr: 1}, 0


_Terms = tuple[dict[Expr, int], int]


def _combine(left: _Terms, right: _Terms, factor: int) -> _Terms:
    terms = dict(left[0])
    for atom, count in right[0].items():
        terms[atom] = terms.get(atom, 0) + factor * count
    kept = {atom: count for atom, count in terms.items() if count}
    return kept, left[1] + factor * right[1]


# Numbers


def evaluate(expr: Expr, sizes: Mapping[str, Value]) -> Value:
    """Return the number that an expression of sizes and constants stands for.

    Raises `ZeroDivisionError`, `ValueError` or `OverflowError` where it has none.
    """
    match expr:
        case Literal(value):
            return value
        case Size(name):
            return sizes[name]
        case Cast(operand, dtype):
            return _to(evaluate(operand, sizes), dtype)
        case Select(condition, then, otherwise):
            chosen = then if evaluate(condition, sizes) else otherwise
            return evaluate(chosen, sizes)
        case Call(function, arguments):
            numbers = [evaluate(argument, sizes) for argument in arguments]
            return _OPERATIONS[function](*numbers)
        case _:
            raise ValueError("not an expression of sizes and constants")


def _to(value: Value, dtype: DType) -> Value:
    return float(value) if dtype.is_float else int(value)


def _rint(value: Value) -> Value:
    return round(value)


def _power(base: Value, exponent: Value) -> Value:
    """`base ** exponent`, refused where an integer would grow beyond all bounds."""
    if isinstance(exponent, int) and exponent > _LARGEST_EXPONENT:
        return math.pow(base, exponent)
    result: Value = base**exponent
    return result


_LARGEST_EXPONENT = 1024


_OPERATIONS: dict[str, Callable[..., Value]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "power": _power,
    "pow": math.pow,
    "neg": lambda a: -a,
    "pos": lambda a: a,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "and": lambda a, b: bool(a) and bool(b),
    "or": lambda a, b: bool(a) or bool(b),
    "not": lambda a: not a,
    "min": min,
    "max": max,
    "abs": abs,
    "clamp": lambda x, lo, hi: min(max(x, lo), hi),
    "floor": math.floor,
    "ceil": math.ceil,
    "round": _rint,
    "sqrt": math.sqrt,
    "rsqrt": lambda a: 1 / math.sqrt(a),
    "exp": math.exp,
    "exp2": lambda a: math.pow(2.0, a),
    "log": math.log,
    "log2": math.log2,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
}
"""What a constant expression of a kernel call may compute."""


def is_constant(expr: Expr) -> bool:
    """Whether *expr* holds only sizes, constants, numbers and known operations."""
    match expr:
        case Literal() | Size():
            return True
        case Cast(operand):
            return is_constant(operand)
        case Select(condition, then, otherwise):
            return all(map(is_constant, (condition, then, otherwise)))
        case Call(function, arguments):
            return function in _OPERATIONS and all(map(is_constant, arguments))
        case _:
            return False


# Intervals


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


def _binary(name: str, span: Span, left: Quantity, right: Quantity) -> Quantity:
    value = int(_OPERATIONS[name](left.value, right.value))
    expr = Call(name, (left.expr, right.expr), I64, span)
    return Quantity(simplify(expr), value)


def _add(span: Span, left: Interval, right: Interval) -> Interval:
    return Interval(
        _binary("add", span, left.least, right.least),
        _binary("add", span, left.greatest, right.greatest),
    )


def _negate(span: Span, operand: Interval) -> Interval:
    zero = quantity(0, span)
    return Interval(
        _binary("sub", span, zero, operand.greatest),
        _binary("sub", span, zero, operand.least),
    )


def _subtract(span: Span, left: Interval, right: Interval) -> Interval:
    return _add(span, left, _negate(span, right))


def _corners(name: str) -> Callable[[Span, Interval, Interval], Interval]:
    """An operation whose extremes over a box lie at its corners."""

    def combine(span: Span, left: Interval, right: Interval) -> Interval:
        corners = [
            _binary(name, span, a, b)
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
        return Interval(_binary("add", span, divisor, one), zero)
    if left.least.value >= 0 and left.greatest.value < divisor.value:
        return left
    return Interval(zero, _binary("sub", span, divisor, one))


def _monotone(name: str) -> Callable[..., Interval]:
    def combine(span: Span, *operands: Interval) -> Interval:
        least, greatest = operands[0].least, operands[0].greatest
        for operand in operands[1:]:
            least = _binary(name, span, least, operand.least)
            greatest = _binary(name, span, greatest, operand.greatest)
        return Interval(least, greatest)

    return combine


def _absolute(span: Span, operand: Interval) -> Interval:
    negated = _negate(span, operand)
    if operand.least.value >= 0:
        return operand
    if operand.greatest.value <= 0:
        return negated
    greatest = _binary("max", span, operand.greatest, negated.greatest)
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


def plus_one(value: Quantity) -> Quantity:
    """Return the quantity plus 1."""
    one = quantity(1, value.expr.span)
    return _binary("add", value.expr.span, value, one)


def minus_one(value: Quantity) -> Quantity:
    """Return the quantity minus 1."""
    one = quantity(1, value.expr.span)
    return _binary("sub", value.expr.span, value, one)


def least_upper(values: list[Quantity]) -> Quantity:
    """Return the greatest of some quantities, at least 0: the extent that holds all."""
    result = values[0]
    for value in values[1:]:
        if value.expr != result.expr:
            result = _binary("max", value.expr.span, result, value)
    if result.value < 0:
        return quantity(0, result.expr.span)
    return result


def is_simple(expr: Expr) -> bool:
    """Whether an expression is a number or a name."""
    return isinstance(expr, Literal | Size)
