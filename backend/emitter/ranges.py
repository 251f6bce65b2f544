"""Intervals of index expressions, and the affine form of a subscript.

An expression over loop variables is brought into the form `constant + sum of
coefficient * atom`, where an atom is a variable or something that is not affine. From
it follow strides, constant trip counts and addresses that are folded; the intervals
tell which conditions always hold, which loads need no mask and which indices fit 32
bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from polydsl.base.dtypes import I64
from polydsl.loops.nest import Call, Cast, Expr, Literal, Load, Select, Var
from polydsl.loops.terms import floordiv

Interval: TypeAlias = tuple[int, int]
"""The least and the greatest value."""

_INT64 = (-(2**63), 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Affine:
    """`constant` plus the sum of coefficient times atom; no coefficient is 0."""

    constant: int
    terms: tuple[tuple[Expr, int], ...] = ()

    def __add__(self, other: Affine) -> Affine:
        total = dict(self.terms)
        for atom, factor in other.terms:
            total[atom] = total.get(atom, 0) + factor
        kept = tuple((atom, factor) for atom, factor in total.items() if factor)
        return Affine(self.constant + other.constant, kept)

    def __mul__(self, factor: int) -> Affine:
        if factor == 0:
            return Affine(0)
        scaled = tuple((atom, old * factor) for atom, old in self.terms)
        return Affine(self.constant * factor, scaled)

    def __sub__(self, other: Affine) -> Affine:
        return self + other * -1

    def coefficient(self, var: str) -> int:
        """Return the factor of a loop variable."""
        return next((f for atom, f in self.terms if atom == Var(var)), 0)

    def without(self, var: str) -> Affine:
        """Return the form without the terms of a loop variable itself."""
        kept = tuple(term for term in self.terms if term[0] != Var(var))
        return Affine(self.constant, kept)


class Ranges(dict[str, Interval]):
    """The interval of each loop variable in scope.

    What was worked out for an expression is kept by its identity, beside the expression
    itself: the forms and the intervals below `//` and `%` need each other, at every
    level anew.
    """

    __slots__ = ("forms", "intervals")

    def __init__(self, ends: Mapping[str, Interval]) -> None:
        super().__init__(ends)
        self.forms: dict[int, tuple[Expr, Affine]] = {}
        self.intervals: dict[int, tuple[Expr, Interval]] = {}


def affine(expr: Expr, ranges: Ranges) -> Affine:
    """Return the affine form of an integer expression."""
    known = ranges.forms.get(id(expr))
    if known is None:
        known = ranges.forms[id(expr)] = expr, _affine(expr, ranges)
    return known[1]


def _affine(expr: Expr, ranges: Ranges) -> Affine:
    match expr:
        case Literal(value):
            return Affine(int(value))
        case Var(name):
            low, high = ranges.get(name, _INT64)
            return Affine(low) if low == high else Affine(0, ((expr, 1),))
        case Call("add", (left, right)):
            return _exact(expr, affine(left, ranges) + affine(right, ranges), ranges)
        case Call("sub", (left, right)):
            return _exact(expr, affine(left, ranges) - affine(right, ranges), ranges)
        case Call("neg", (operand,)):
            return _exact(expr, affine(operand, ranges) * -1, ranges)
        case Call("pos", (operand,)):
            return affine(operand, ranges)
        case Call("mul", (left, right)):
            form = _product(expr, affine(left, ranges), affine(right, ranges))
            return _exact(expr, form, ranges)
        case Call("floordiv" | "mod", (left, right)):
            return _division(expr, affine(left, ranges), affine(right, ranges), ranges)
        case Call("min" | "max", arguments) if len(arguments) == 2:
            return _extremum(expr, ranges)
        case _:
            return Affine(0, ((expr, 1),))


def _exact(expr: Expr, form: Affine, ranges: Ranges) -> Affine:
    """Return a form if it cannot leave 64 bits; where it holds data, it may, and wraps
    around, so that it is not taken apart."""
    if all(isinstance(atom, Var) for atom, _ in form.terms):
        return form
    return form if is_within(bounds(form, ranges), 64) else Affine(0, ((expr, 1),))


def _product(expr: Expr, left: Affine, right: Affine) -> Affine:
    if not right.terms:
        return left * right.constant
    return right * left.constant if not left.terms else Affine(0, ((expr, 1),))


def _division(expr: Call, left: Affine, right: Affine, ranges: Ranges) -> Affine:
    """Split `(divisor * q + rest) // divisor`, where rest lies in 0..divisor."""
    opaque = Affine(0, ((expr, 1),))
    divisor = right.constant
    if right.terms or divisor < 1:
        return opaque
    whole = tuple((a, f // divisor) for a, f in left.terms if f % divisor == 0)
    quotient = Affine(left.constant // divisor, whole)
    rest = left - quotient * divisor
    low, high = bounds(rest, ranges)
    if low < 0 or high >= divisor:
        return opaque
    return quotient if expr.function == "floordiv" else rest


def recombined(form: Affine, ranges: Ranges) -> Affine:
    """Return a form with quotients and rests of one term put together, where they
    stand as far apart as in the term: rows of a flattened tensor are one run.

        c * d * (u // d) + c * (u % d)  ->  c * u
    """
    terms = dict(form.terms)
    for atom, factor in form.terms:
        match atom:
            case Call("mod", (term, Literal(int(divisor)))):
                whole = _quotient(term, divisor)
                if terms.get(whole) == factor * divisor:
                    rest = tuple(t for t in form.terms if t[0] not in (atom, whole))
                    joined = Affine(form.constant, rest) + affine(term, ranges) * factor
                    return recombined(joined, ranges)
            case _:
                pass
    return form


def _quotient(term: Expr, divisor: int) -> Expr:
    """Return `term // divisor`; where the term is a quotient itself, a single one."""
    match term:
        case Call("floordiv", (inner, Literal(int(first)))):
            return floordiv(inner, first * divisor)
        case _:
            return floordiv(term, divisor)


def _extremum(expr: Call, ranges: Ranges) -> Affine:
    left, right = (affine(argument, ranges) for argument in expr.arguments)
    low, high = bounds(left - right, ranges)
    if expr.function == "max":
        low, high = -high, -low
    if high <= 0:
        return left
    return right if low >= 0 else Affine(0, ((expr, 1),))


def bounds(form: Affine, ranges: Ranges) -> Interval:
    """Return an interval that holds every value of an affine form."""
    low = high = form.constant
    for atom, factor in form.terms:
        ends = [factor * end for end in _atom_interval(atom, ranges)]
        low, high = low + min(ends), high + max(ends)
    return low, high


def interval(expr: Expr, ranges: Ranges) -> Interval:
    """Return an interval that holds every value of an integer expression."""
    return bounds(affine(expr, ranges), ranges)


def _atom_interval(atom: Expr, ranges: Ranges) -> Interval:
    known = ranges.intervals.get(id(atom))
    if known is None:
        known = ranges.intervals[id(atom)] = atom, _ends(atom, ranges)
    return known[1]


def _ends(atom: Expr, ranges: Ranges) -> Interval:
    match atom:
        case Var(name):
            return ranges.get(name, _INT64)
        case Call("min" | "max" as function, arguments):
            ends = [interval(argument, ranges) for argument in arguments]
            pick: Callable[..., int] = min if function == "min" else max
            return pick(low for low, _ in ends), pick(high for _, high in ends)
        case Call("floordiv", (left, Literal(int(divisor)))) if divisor > 0:
            low, high = interval(left, ranges)
            return low // divisor, high // divisor
        case Call("mod", (_, Literal(int(divisor)))) if divisor > 0:
            return 0, divisor - 1
        case Call("abs", (operand,)):
            low, high = interval(operand, ranges)
            if low <= _INT64[0]:
                return _INT64
            return (max(0, low, -high), max(abs(low), abs(high)))
        case Call("clamp", (_, low_end, high_end)):
            return interval(low_end, ranges)[0], interval(high_end, ranges)[1]
        case Call("inside", (_, extent)):
            return 0, interval(extent, ranges)[1] - 1
        case Select(_, then, otherwise):
            first, second = interval(then, ranges), interval(otherwise, ranges)
            return min(first[0], second[0]), max(first[1], second[1])
        case Cast(operand, dtype) if operand.dtype.is_int:
            low, high = interval(operand, ranges)
            return max(low, dtype.least), min(high, dtype.greatest)
        case Load(dtype=dtype) if dtype.is_int:
            return dtype.least, dtype.greatest
        case _:
            return _INT64


def decide(condition: Expr, ranges: Ranges) -> bool | None:
    """Return whether a condition always or never holds, or None if it depends."""
    match condition:
        case Literal(value):
            return bool(value)
        case Call("not", (operand,)):
            known = decide(operand, ranges)
            return None if known is None else not known
        case Call("and" | "or" as function, (left, right)):
            both = decide(left, ranges), decide(right, ranges)
            absorbing = function == "or"
            if absorbing in both:
                return absorbing
            return None if None in both else not absorbing
        case Call("lt" | "le" as function, (left, right)):
            return _ordered(left, right, ranges, allow_equal=function == "le")
        case Call("gt" | "ge" as function, (left, right)):
            return _ordered(right, left, ranges, allow_equal=function == "ge")
        case _:
            return None


def open_conjuncts(condition: Expr, ranges: Ranges) -> tuple[Expr, ...] | None:
    """Return the parts of a conjunction that the ranges leave open.

    None says that it never holds; without parts it always holds.
    """
    match condition:
        case Call("and", (left, right)):
            first = open_conjuncts(left, ranges)
            second = open_conjuncts(right, ranges)
            return None if first is None or second is None else first + second
        case _:
            known = decide(condition, ranges)
            return (condition,) if known is None else () if known else None


def _ordered(
    low: Expr, high: Expr, ranges: Ranges, *, allow_equal: bool
) -> bool | None:
    """Return whether *low* is always or never below *high*, or None.

    What may leave 64 bits wraps around, and is not decided.
    """
    if low.dtype != I64 or high.dtype != I64:
        return None
    left, right = affine(low, ranges), affine(high, ranges)
    if not (
        is_within(bounds(left, ranges), 64) and is_within(bounds(right, ranges), 64)
    ):
        return None
    least, greatest = bounds(left - right, ranges)
    limit = 1 if allow_equal else 0
    if greatest < limit:
        return True
    return False if least >= limit else None


def is_within(ends: Interval, bits: int) -> bool:
    """Return whether an interval lies inside the signed integers of *bits*."""
    limit = 1 << (bits - 1)
    return -limit <= ends[0] and ends[1] < limit
