"""Quasi-affine terms and conditions of the typed program: as text for isl, as
intervals, and as integer-linear forms.

`Terms` folds sizes to their numbers. The three views agree: isl's text is exact, the
interval holds every value, and a linear form, where there is one, is equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import BOOL, I64
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Size,
    Value,
    evaluate_size,
    has_index,
    is_affine,
)

Interval = tuple[int, int]
"""The least and the greatest value, both included."""

COMPARISONS = {"eq": "=", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


_ISL_WORDS = frozenset(
    ("mod", "exists", "ceil", "ceild", "floord", "infty", "infinity", "nan", "rat")
)


def isl_name(name: str) -> str:
    """Return a name of the program as isl may read it: its own words are marked."""
    return f"{name}_" if name.lower() in _ISL_WORDS else name


@dataclass(frozen=True, slots=True)
class Linear:
    """`constant + sum of coefficient * index`; coefficients are not 0."""

    coefficients: tuple[tuple[str, int], ...]
    constant: int

    def coefficient(self, index: str) -> int:
        """Return the factor of an index, 0 if it does not occur."""
        return dict(self.coefficients).get(index, 0)


def linear_from(coefficients: Mapping[str, int], constant: int) -> Linear:
    """Return the linear form without its zero coefficients."""
    kept = tuple((name, c) for name, c in coefficients.items() if c != 0)
    return Linear(kept, constant)


def integer(expr: Expr, binding: Mapping[str, Value]) -> int:
    """Return the number that a term without indices stands for."""
    return evaluate_size(expr, binding)


def term_text(expr: Expr, binding: Mapping[str, Value]) -> str:
    """Return a quasi-affine term in isl's notation, sizes folded to numbers."""
    match expr:
        case Literal(value):
            return str(int(value))
        case Size(name):
            return str(int(binding[name]))
        case Index(name):
            return isl_name(name)
        case Cast(operand):
            return term_text(operand, binding)
        case Call("mul", (left, right)):
            factor, term = (right, left) if has_index(left) else (left, right)
            return f"{integer(factor, binding)}*({term_text(term, binding)})"
        case Call("floordiv", (left, right)):
            return _floor_text(term_text(left, binding), integer(right, binding))
        case Call("mod", (left, right)):
            text, divisor = term_text(left, binding), integer(right, binding)
            return f"(({text}) - {divisor}*{_floor_text(text, divisor)})"
        case Call(function, arguments):
            texts = [term_text(argument, binding) for argument in arguments]
            return _call_text(function, texts)
        case _:
            bug(f"not a quasi-affine term: {expr}")


def _floor_text(term: str, divisor: int) -> str:
    sign = "-" if divisor < 0 else ""
    return f"floor({sign}({term})/{abs(divisor)})"


def _call_text(function: str, args: list[str]) -> str:
    match function:
        case "add" | "sub":
            return f"({args[0]} {'+' if function == 'add' else '-'} ({args[1]}))"
        case "neg":
            return f"(-({args[0]}))"
        case "pos":
            return args[0]
        case "min" | "max":
            return f"{function}({args[0]}, {args[1]})"
        case "abs":
            return f"max({args[0]}, -({args[0]}))"
        case "clamp":
            return f"min(max({args[0]}, {args[1]}), {args[2]})"
        case _:
            bug(f"{function} is not quasi-affine")


def condition_text(expr: Expr, binding: Mapping[str, Value]) -> str:
    """Return an affine condition in isl's notation."""
    match expr:
        case Literal(value):
            return "0 = 0" if value else "0 = 1"
        case Size(name):
            return "0 = 0" if binding[name] else "0 = 1"
        case Cast(operand):
            return condition_text(operand, binding)
        case Call(function, (left, right)) if function in COMPARISONS:
            texts = term_text(left, binding), term_text(right, binding)
            return f"{texts[0]} {COMPARISONS[function]} {texts[1]}"
        case Call("and" | "or" as function, (left, right)):
            texts = condition_text(left, binding), condition_text(right, binding)
            return f"({texts[0]}) {function} ({texts[1]})"
        case Call("not", (operand,)):
            return f"not ({condition_text(operand, binding)})"
        case _:
            bug(f"not an affine condition: {expr}")


def interval(
    expr: Expr, binding: Mapping[str, Value], box: Mapping[str, Interval]
) -> Interval:
    """Return bounds of a quasi-affine term over a box of indices; an integer tensor in
    it may hold any number of its type, and what leaves 64 bits wraps around."""
    match expr:
        case Literal() | Size():
            value = integer(expr, binding)
            return value, value
        case Index(name):
            return box[name]
        case Access(dtype=dtype) if dtype.is_int:
            return dtype.least, dtype.greatest
        case Cast(operand):
            return interval(operand, binding, box)
        case Call(function, arguments):
            ranges = [interval(argument, binding, box) for argument in arguments]
            return in_64_bits(interval_of(function, ranges))
        case _:
            bug(f"not a quasi-affine term: {expr}")


def in_64_bits(ends: Interval) -> Interval:
    """Return an interval that holds the values of another after they wrapped around."""
    whole = I64.least, I64.greatest
    return ends if whole[0] <= ends[0] and ends[1] <= whole[1] else whole


def interval_of(function: str, ranges: Sequence[Interval]) -> Interval:
    """Return bounds of a function of integers that lie within *ranges*."""
    (a, b), (c, d) = ranges[0], ranges[1] if len(ranges) > 1 else (0, 0)
    match function:
        case "add":
            return a + c, b + d
        case "sub":
            return a - d, b - c
        case "neg":
            return -b, -a
        case "pos":
            return a, b
        case "mul":
            corners = (a * c, a * d, b * c, b * d)
            return min(corners), max(corners)
        case "floordiv":
            return min(a // c, b // c), max(a // c, b // c)
        case "mod":
            if a // c == b // c:
                return a % c, b % c
            return (0, c - 1) if c > 0 else (c + 1, 0)
        case "min":
            return min(a, c), min(b, d)
        case "max":
            return max(a, c), max(b, d)
        case "abs":
            return (0 if a <= 0 <= b else min(abs(a), abs(b))), max(abs(a), abs(b))
        case "clamp":
            lo, hi = ranges[2]
            return min(max(a, c), lo), min(max(b, d), hi)
        case "inside":
            return (a, b) if a >= 0 and b < c else (0, d - 1)
        case _:
            bug(f"{function} is not quasi-affine")


def linear(expr: Expr, binding: Mapping[str, Value]) -> Linear | None:
    """Return a term as a linear form, or None where it has `//`, `%`, `min` ..."""
    match expr:
        case Literal() | Size():
            return Linear((), integer(expr, binding))
        case Index(name):
            return Linear(((name, 1),), 0)
        case Cast(operand):
            return linear(operand, binding)
        case Call("add" | "sub" as function, (left, right)):
            return add_linear(
                linear(left, binding),
                linear(right, binding),
                1 if function == "add" else -1,
            )
        case Call("neg", (operand,)):
            return add_linear(Linear((), 0), linear(operand, binding), -1)
        case Call("pos", (operand,)):
            return linear(operand, binding)
        case Call("mul", (left, right)):
            factor, term = (right, left) if has_index(left) else (left, right)
            if not is_affine(factor):
                return None
            return add_linear(
                Linear((), 0), linear(term, binding), integer(factor, binding)
            )
        case _ if not has_index(expr) and is_affine(expr):
            return Linear((), integer(expr, binding))
        case _:
            return None


def add_linear(left: Linear | None, right: Linear | None, factor: int) -> Linear | None:
    """Return `left + factor * right`, None where one of them is no linear form."""
    if left is None or right is None:
        return None
    total = dict(left.coefficients)
    for name, c in right.coefficients:
        total[name] = total.get(name, 0) + factor * c
    return linear_from(total, left.constant + factor * right.constant)


def conjuncts(condition: Expr) -> tuple[Expr, ...]:
    """Return the parts of a conjunction, from left to right."""
    match condition:
        case Call("and", (left, right)):
            return conjuncts(left) + conjuncts(right)
        case _:
            return (condition,)


def within(term: Expr, wanted: Interval, known: Interval) -> list[Expr]:
    """Return the conditions that a term is in an interval, but for what is known."""
    return _at_ends(("ge", "le"), term, wanted, known)


def beyond(term: Expr, wanted: Interval, known: Interval) -> list[Expr]:
    """Return the conditions that a term is beyond an end of an interval; one of them
    holds where it is outside. Left out are those that are known not to hold."""
    return _at_ends(("lt", "gt"), term, wanted, known)


def _at_ends(
    functions: tuple[str, str], term: Expr, wanted: Interval, known: Interval
) -> list[Expr]:
    """Compare a term with those ends of an interval that it may be beyond."""
    may_be_beyond = known[0] < wanted[0], known[1] > wanted[1]
    ends = zip(functions, wanted, may_be_beyond)
    return [
        _compared(function, term, end) for function, end, is_open in ends if is_open
    ]


def _compared(function: str, term: Expr, number: int) -> Expr:
    right = Literal(number, I64, term.span)
    return Call(function, (term, right), BOOL, term.span)
