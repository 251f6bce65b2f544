"""Arithmetic on size expressions: building, simplifying, evaluating.

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


def arithmetic(name: str, span: Span, left: Quantity, right: Quantity) -> Quantity:
    """Apply a binary operation of integers to two quantities."""
    value = int(_OPERATIONS[name](left.value, right.value))
    expr = Call(name, (left.expr, right.expr), I64, span)
    return Quantity(simplify(expr), value)


def plus_one(value: Quantity) -> Quantity:
    """Return the quantity plus 1."""
    one = quantity(1, value.expr.span)
    return arithmetic("add", value.expr.span, value, one)


def minus_one(value: Quantity) -> Quantity:
    """Return the quantity minus 1."""
    one = quantity(1, value.expr.span)
    return arithmetic("sub", value.expr.span, value, one)


def least_upper(values: list[Quantity]) -> Quantity:
    """Return the greatest of some quantities, at least 0: the extent that holds all."""
    result = values[0]
    for value in values[1:]:
        if value.expr != result.expr:
            result = arithmetic("max", value.expr.span, result, value)
    if result.value < 0:
        return quantity(0, result.expr.span)
    return result


def is_simple(expr: Expr) -> bool:
    """Whether an expression is a number or a name."""
    return isinstance(expr, Literal | Size)
