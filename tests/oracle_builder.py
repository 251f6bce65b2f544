"""Builds typed programs by hand, for the tests of the oracle.

Expressions are written with Python's operators: `T("a", i, k) * T("b", k, j)`. Types
follow the operands; conversions have to be written (`cast`), as in the typed program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polydsl.base.dtypes import BOOL, DTYPES, F32, I64, DType, widen
from polydsl.base.functions import FUNCTIONS
from polydsl.base.source import Source, Span
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Definition,
    Expr,
    Index,
    IndexRange,
    Literal,
    Pad,
    Program,
    Reduce,
    Select,
    Size,
    Tensor,
    walk,
)

SPAN = Span(Source("test.pdl", "made by hand\n"), 0, 4)


@dataclass(frozen=True, eq=False)
class X:
    """An expression under construction."""

    expr: Expr

    @property
    def dtype(self) -> DType:
        return self.expr.dtype

    def __add__(self, other: Any) -> X:
        return call("add", self, other)

    def __radd__(self, other: Any) -> X:
        return call("add", other, self)

    def __sub__(self, other: Any) -> X:
        return call("sub", self, other)

    def __rsub__(self, other: Any) -> X:
        return call("sub", other, self)

    def __mul__(self, other: Any) -> X:
        return call("mul", self, other)

    def __rmul__(self, other: Any) -> X:
        return call("mul", other, self)

    def __truediv__(self, other: Any) -> X:
        return call("div", self, other)

    def __floordiv__(self, other: Any) -> X:
        return call("floordiv", self, other)

    def __mod__(self, other: Any) -> X:
        return call("mod", self, other)

    def __pow__(self, other: Any) -> X:
        return call("power", self, other)

    def __neg__(self) -> X:
        return call("neg", self)

    def __lt__(self, other: Any) -> X:
        return call("lt", self, other)

    def __le__(self, other: Any) -> X:
        return call("le", self, other)

    def __gt__(self, other: Any) -> X:
        return call("gt", self, other)

    def __ge__(self, other: Any) -> X:
        return call("ge", self, other)

    def eq(self, other: Any) -> X:
        return call("eq", self, other)

    def __and__(self, other: Any) -> X:
        return call("and", self, other)


def index(name: str) -> X:
    return X(Index(name, SPAN))


def size(name: str) -> X:
    return X(Size(name, I64, SPAN))


def lit(value: float | int | bool, like: DType) -> X:
    return X(Literal(value, like, SPAN))


def _lift(value: Any, like: DType) -> X:
    return value if isinstance(value, X) else lit(value, like)


def _common(values: Sequence[Any]) -> DType:
    return next(v.dtype for v in values if isinstance(v, X))


def call(name: str, *values: Any) -> X:
    row = FUNCTIONS[name]
    like = _common(values)
    arguments = tuple(_lift(v, like).expr for v in values)
    dtype = {
        "compare": BOOL,
        "logical": BOOL,
        "test": BOOL,
        "keep": like,
        "arithmetic": widen(like),
        "float": widen(like) if like.is_float else F32,
    }[row.rule]
    return X(Call(name, arguments, dtype, SPAN))


def cast(value: X, dtype: str, *, explicit: bool = True) -> X:
    return X(Cast(value.expr, DTYPES[dtype], explicit, SPAN))


def access(tensor: str, subscripts: Sequence[Any], dtype: str = "f32") -> X:
    parts = tuple(_lift(s, I64).expr for s in subscripts)
    return X(Access(tensor, parts, DTYPES[dtype], SPAN))


def pad(value: X, other: Any = 0.0) -> X:
    assert isinstance(value.expr, Access)
    filler = _lift(other, value.dtype).expr
    return X(Pad(value.expr, filler, value.dtype, SPAN))


def where(condition: X, then: Any, otherwise: Any) -> X:
    like = _common((then, otherwise))
    arms = _lift(then, like).expr, _lift(otherwise, like).expr
    return X(Select(condition.expr, *arms, like, SPAN))


def reduce(op: Any, names: str, body: X, dtype: str | None = None) -> X:
    kinds = {"argmax": I64, "argmin": I64, "any": BOOL, "all": BOOL}
    kept = op in ("max", "min")
    natural = kinds.get(op, body.dtype if kept else widen(body.dtype))
    if op == "mean" and not body.dtype.is_float:
        natural = F32
    result = DTYPES[dtype] if dtype else natural
    return X(Reduce(op, tuple(names.split()), body.expr, result, SPAN))


def define(tensor: str, left: str | Sequence[X], op: Any, value: X) -> Definition:
    """`left` is index names in one string, or subscripts."""
    parts = [index(n) for n in left.split()] if isinstance(left, str) else left
    subscripts = tuple(part.expr for part in parts)
    on_left = {n.name for s in subscripts for n in walk(s) if isinstance(n, Index)}
    bound: set[str] = set()
    free: dict[str, None] = {}
    for node in walk(value.expr):
        if isinstance(node, Reduce):
            bound.update(node.indices)
    for node in walk(value.expr):
        if isinstance(node, Index) and node.name not in bound | on_left:
            free[node.name] = None
    reduced = tuple(free) if op != "=" else ()
    return Definition(tensor, subscripts, op, value.expr, reduced, SPAN)


def program(
    parameters: Mapping[str, tuple[str, Sequence[int]]],
    local: Mapping[str, tuple[str, Sequence[int]]],
    ranges: Mapping[str, Any],
    definitions: Sequence[Definition],
    results: str,
    binding: Mapping[str, Any] | None = None,
) -> Program:
    """`ranges` maps an index to its extent or to (lo, hi), numbers or expressions."""
    tensors = [
        Tensor(
            name,
            DTYPES[dtype],
            tuple(lit(extent, I64).expr for extent in shape),
            name in parameters,
            name in parameters,
            SPAN,
        )
        for name, (dtype, shape) in {**parameters, **local}.items()
    ]
    bounds = []
    for name, given in ranges.items():
        low, high = given if isinstance(given, tuple) else (0, given)
        low, high = _lift(low, I64).expr, _lift(high, I64).expr
        bounds.append(IndexRange(name, low, high, SPAN))
    return Program(
        "made",
        tuple(parameters),
        tuple(results.split()),
        tuple(tensors),
        tuple(bounds),
        tuple(definitions),
        tuple((binding or {}).items()),
        SPAN,
    )
