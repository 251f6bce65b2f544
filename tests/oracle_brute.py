"""A second interpreter, one element and one term at a time, for the tests.

It shares no code with the oracle. Floats are rounded to their type after every
operation, functions come out up to their promised error off, sums run in a random
order: one legal compiled evaluation, which has to lie within the oracle's bound.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from polydsl.base.dtypes import DType
from polydsl.base.functions import FUNCTIONS
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Definition,
    Expr,
    Index,
    Literal,
    Pad,
    Program,
    Reduce,
    Select,
    Size,
    is_affine,
)

Env = dict[str, int]


class Undefined(Exception):
    """An element is read that no statement defines."""


def wrap(value: int, dtype: DType) -> int:
    span = 1 << dtype.bits
    value %= span
    return value - span if dtype.signed and value >= span // 2 else value


def clip(value: int, dtype: DType) -> int:
    return min(max(value, dtype.least), dtype.greatest)


def truncated(value: float, dtype: DType) -> int:
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return dtype.greatest if value > 0 else dtype.least
    return clip(math.trunc(value), dtype)


class Brute:
    """Evaluates elements of a program's tensors, each once."""

    def __init__(
        self, program: Program, inputs: Mapping[str, np.ndarray], seed: int = 0
    ) -> None:
        self.program, self.inputs = program, inputs
        self.random = random.Random(seed)
        self.sizes = dict(program.binding)
        self.memo: dict[tuple[str, tuple[int, ...]], Any] = {}

    def result(self, name: str) -> np.ndarray:
        extents = self.program.extents(name)
        dtype = self.program.tensor(name).dtype
        out = np.zeros(extents, dtype.numpy)
        for place in np.ndindex(*extents):
            out[place] = self.element(name, place)
        return out

    def results(self) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return [self.result(name) for name in self.program.results]

    # Tensors

    def definitions(self, name: str) -> list[Definition]:
        return [d for d in self.program.definitions if d.tensor == name]

    def element(self, name: str, place: tuple[int, ...]) -> Any:
        if name in self.inputs:
            value = self.inputs[name][place]
            return (
                float(value)
                if self.program.tensor(name).dtype.is_float
                else value.item()
            )
        key = name, place
        if key not in self.memo:
            terms = [t for d in self.definitions(name) for t in self.terms(d, place)]
            definition = self.definitions(name)[0]
            value = self.joined(definition, terms, name, place)
            source = definition.value.dtype
            self.memo[key] = self.stored(value, source, self.program.tensor(name).dtype)
        return self.memo[key]

    def joined(
        self,
        definition: Definition,
        terms: list[Any],
        name: str,
        place: tuple[int, ...],
    ) -> Any:
        if definition.op == "=":
            if not terms:
                raise Undefined(f"{name}{place}")
            return terms[0]
        op = "sum" if definition.op == "+=" else "prod"
        return self.reduced(op, terms, definition.value.dtype, definition.value.dtype)

    def is_defined(self, name: str, place: tuple[int, ...]) -> bool:
        definitions = self.definitions(name)
        if not definitions or any(d.op == "+=" and d.is_scatter for d in definitions):
            return True
        return any(True for d in definitions for _ in self.points(d, place))

    def terms(self, definition: Definition, place: tuple[int, ...]) -> Iterator[Any]:
        for env in self.points(definition, place):
            yield self.expr(definition.value, env)

    def points(self, definition: Definition, place: tuple[int, ...]) -> Iterator[Env]:
        names: dict[str, None] = {}
        for subscript in definition.subscripts:
            names.update(dict.fromkeys(_indices(subscript)))
        for env in self.ranges([*names, *definition.reduced], {}):
            at = tuple(self.expr(s, env) for s in definition.subscripts)
            if at == place:
                yield env

    def ranges(self, names: list[str], env: Env) -> Iterator[Env]:
        """All points of index ranges, those first on which others depend."""
        if not names:
            yield dict(env)
            return
        for position, name in enumerate(names):
            bounds = self.program.range(name)
            needs = {*_indices(bounds.lo), *_indices(bounds.hi)}
            if needs <= set(env):
                rest = names[:position] + names[position + 1 :]
                for value in range(
                    self.expr(bounds.lo, env), self.expr(bounds.hi, env)
                ):
                    yield from self.ranges(rest, {**env, name: value})
                return
        raise Undefined(f"ranges of {names}")

    # Expressions

    def expr(self, expr: Expr, env: Env) -> Any:
        match expr:
            case Literal(value, dtype):
                return self.round(value, dtype) if dtype.is_float else value
            case Size(name):
                return self.sizes[name]
            case Index(name):
                return env[name]
            case Access(tensor, subscripts):
                place = tuple(self.expr(s, env) for s in subscripts)
                return self.element(tensor, place)
            case Pad(access, value):
                place = tuple(self.expr(s, env) for s in access.subscripts)
                extents = self.program.extents(access.tensor)
                inside = all(0 <= p < n for p, n in zip(place, extents, strict=True))
                if inside and self.is_defined(access.tensor, place):
                    return self.element(access.tensor, place)
                return self.expr(value, env)
            case Call():
                return self.call(expr, env)
            case Select(condition, then, otherwise):
                chosen = self.expr(condition, env)
                if not is_affine(condition):
                    return self.expr(then if chosen else otherwise, env)
                return self.expr(then if chosen else otherwise, env)
            case Reduce():
                return self.reduce(expr, env)
            case Cast(operand, dtype, explicit):
                value = self.expr(operand, env)
                return self.cast(value, operand.dtype, dtype, explicit)
        raise TypeError(expr)

    def reduce(self, node: Reduce, env: Env) -> Any:
        points = list(self.ranges(list(node.indices), env))
        values = [self.expr(node.body, point) for point in points]
        if node.op in ("argmax", "argmin"):
            best = max(values) if node.op == "argmax" else min(values)
            return points[values.index(best)][node.indices[0]]
        return self.reduced(node.op, values, node.body.dtype, node.dtype)

    def reduced(self, op: str, values: list[Any], source: DType, dtype: DType) -> Any:
        if op == "any":
            return any(values)
        if op == "all":
            return all(values)
        if op in ("max", "min"):
            if not values and source.is_float:
                return -math.inf if op == "max" else math.inf
            if not values:
                return source.least if op == "max" else source.greatest
            return max(values) if op == "max" else min(values)
        order = list(values)
        self.random.shuffle(order)
        join = "mul" if op == "prod" else "add"
        total: Any = 1 if op == "prod" else 0
        if dtype.is_float:
            total = float(total)
        for value in order:
            total = self.arithmetic(join, (total, value), dtype)
        if op == "mean":
            count = len(values)
            return self.round(total / count, dtype) if count else math.nan
        return total

    def call(self, node: Call, env: Env) -> Any:
        values = [self.expr(argument, env) for argument in node.arguments]
        if node.function in ("and", "or", "not"):
            a, *b = values
            if node.function == "not":
                return not a
            return (a and b[0]) if node.function == "and" else (a or b[0])
        return self.arithmetic(node.function, tuple(values), node.dtype)

    def arithmetic(self, name: str, values: tuple[Any, ...], dtype: DType) -> Any:
        if name == "power" and values[1] == 2:
            return self.arithmetic("mul", (values[0], values[0]), dtype)
        if not dtype.is_float:
            result = _DISCRETE[name](*values)
            return wrap(int(result), dtype) if dtype.is_int else bool(result)
        row = FUNCTIONS[name]
        with np.errstate(all="ignore"):
            exact = row.numpy(*(np.float64(v) for v in values))
            if row.variadic:
                exact = _DISCRETE[name](*values)
        value = self.round(float(exact), dtype)
        if row.ulp < 1 or not math.isfinite(value) or dtype.name != "f32":
            return value
        if name == "floordiv" and abs(value) < 2**24:
            return value
        toward = self.random.choice((-math.inf, value, math.inf))
        other = np.nextafter(np.float32(value), np.float32(toward))
        allowed = row.ulp * float(np.spacing(np.abs(np.float32(value))))
        return float(other) if abs(other - exact) <= allowed else value

    def round(self, value: float, dtype: DType) -> float:
        with np.errstate(all="ignore"):
            return float(np.float64(value).astype(dtype.numpy))

    def cast(self, value: Any, source: DType, dtype: DType, explicit: bool) -> Any:
        if dtype.is_float:
            return self.round(float(value), dtype)
        if dtype.name == "bool":
            return value != 0
        if source.is_float:
            return truncated(value, dtype)
        return wrap(int(value), dtype) if explicit else clip(int(value), dtype)

    def stored(self, value: Any, source: DType, dtype: DType) -> Any:
        if source.is_float and dtype.is_int:
            return truncated(float(np.rint(value)), dtype)
        if source.is_float and dtype.is_float and self.random.random() < 0.5:
            # A local may be kept wide; what results show is rounded by the caller.
            return value
        return self.cast(value, source, dtype, explicit=False)


def _indices(expr: Expr) -> list[str]:
    if isinstance(expr, Index):
        return [expr.name]
    if isinstance(expr, Call):
        return list(itertools.chain.from_iterable(map(_indices, expr.arguments)))
    if isinstance(expr, Cast):
        return _indices(expr.operand)
    if isinstance(expr, Access):
        return list(itertools.chain.from_iterable(map(_indices, expr.subscripts)))
    return []


def _integer_power(x: int, y: int) -> int:
    if y >= 0:
        return int(x**y)
    return (1 if y % 2 == 0 else x) if abs(x) == 1 else 0


_DISCRETE: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b if b else 0,
    "mod": lambda a, b: a % b if b else 0,
    "power": _integer_power,
    "neg": lambda a: -a,
    "pos": lambda a: a,
    "abs": abs,
    "floor": lambda a: a,
    "ceil": lambda a: a,
    "round": lambda a: a,
    "sign": lambda a: (a > 0) - (a < 0),
    "relu": lambda a: max(a, 0),
    "min": min,
    "max": max,
    "clamp": lambda x, a, b: min(max(x, a), b),
    "fma": lambda x, y, z: x * y + z,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "isnan": lambda a: a != a,
}
