"""Numbers that are known when a kernel is compiled: `folded(scop) -> Scop`.

    s[i] / sqrt(D)    ->    s[i] / 8.0    ->    s[i] * 0.125

What literals and sizes alone give is computed here, in `f64` and rounded to its type;
what may not be finite stays. A division by a power of two is the product with its
inverse, bit for bit, and takes a fifth of the time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from polydsl.base.dtypes import F32, F64, DType
from polydsl.base.functions import FUNCTIONS
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import with_parts
from polydsl.semantics.program import Call, Cast, Expr, Literal, Size, Value

_FAR = {F32: 126, F64: 1022}
"""Numbers of magnitudes 2**-far to 2**far have inverses that are normal numbers."""


def folded(scop: Scop) -> Scop:
    """Return the scop with the numbers in its values computed."""
    statements = tuple(_folded(scop, s) for s in scop.statements)
    changed = any(new is not old for new, old in zip(statements, scop.statements))
    return replace(scop, statements=statements) if changed else scop


def _folded(scop: Scop, statement: Statement) -> Statement:
    value = _simpler(statement.value, scop.sizes)
    if value == statement.value:
        return statement
    ranges, conditions = statement.ranges, statement.conditions
    return rebuilt(scop, replace(statement, value=value), {}, ranges, conditions)


def _simpler(expr: Expr, sizes: Mapping[str, Value]) -> Expr:
    found = with_parts(expr, lambda part: _simpler(part, sizes))
    if not isinstance(found, Call | Cast) or found.dtype not in _FAR:
        return found
    number = _number(found, sizes)
    if number is not None:
        return Literal(number, found.dtype, found.span)
    match found:
        case Call("div", (left, Literal() as right)):
            by = inverse(right)
            if by is not None and abs(math.frexp(by.value)[0]) == 0.5:
                return replace(found, function="mul", arguments=(left, by))
    return found


def _number(expr: Expr, sizes: Mapping[str, Value]) -> float | None:
    """Return the finite number that an expression is, None where it is none."""
    match expr:
        case Literal(value):
            return float(value)
        case Size(name):
            return float(sizes[name])
        case Cast(operand, dtype) if dtype in _FAR:
            return _rounded(_number(operand, sizes), dtype)
        case Call(name, arguments, dtype) if dtype in _FAR:
            numbers = [
                _number(a, sizes) if a.dtype in _FAR else None for a in arguments
            ]
            if any(number is None for number in numbers):
                return None
            with np.errstate(all="ignore"):
                value = FUNCTIONS[name].numpy(*map(np.float64, numbers))
            return _rounded(float(value), dtype)
    return None


def _rounded(number: float | None, dtype: DType) -> float | None:
    if number is None:
        return None
    with np.errstate(all="ignore"):
        rounded = float(dtype.numpy.type(number))
    return rounded if math.isfinite(rounded) else None


def inverse(number: Literal) -> Literal | None:
    """Return the rounded inverse of a number, None where that is none or denormal."""
    far = _FAR.get(number.dtype)
    value = float(number.value)
    if far is None or not 2.0**-far <= abs(value) <= 2.0**far:
        return None
    return replace(number, value=float(number.dtype.numpy.type(1.0 / value)))
