"""Random small loop nests with their arguments, for Hypothesis.

Every nest is a loop over `i` around vector loops over `j`, with the subscripts that
matter: unit, reversed, strided and irregular ones, table look-ups, triangular bounds,
guards and padding; all dtypes that compile. Values are small dyadic numbers, so that
sums and products are exact and every order of a sum gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from polydsl.base.dtypes import BOOL, DTYPES, F32, F64, I32, I64, U8, DType, widen
from polydsl.base.functions import Combine
from polydsl.loops.memory import Array
from polydsl.loops.nest import (
    Accumulate,
    Buffer,
    Call,
    Cast,
    Expr,
    Guard,
    Literal,
    Load,
    Loop,
    LoopKind,
    LoopNest,
    Node,
    Select,
    Store,
    Var,
    contiguous,
)

COMPILED = tuple(d for d in DTYPES.values() if d.bits > 16 or not d.is_float)
ROW, COLUMN = Var("i"), Var("j")

Draw = Callable[[st.SearchStrategy[object]], object]


@dataclass(frozen=True, slots=True)
class Case:
    """A nest, the arrays it is called with, and how many threads run it."""

    nest: LoopNest
    arguments: dict[str, Array]
    threads: int


def number(value: int) -> Literal:
    return Literal(value, I64)


def call(function: str, *operands: Expr) -> Call:
    """Apply an arithmetic function or a comparison to operands of one type."""
    if function in ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"):
        return Call(function, operands, BOOL)
    dtype = operands[0].dtype
    keeps = function in ("min", "max", "clamp")
    return Call(function, operands, dtype if keeps else widen(dtype))


def cast(expr: Expr, dtype: DType) -> Expr:
    return expr if expr.dtype == dtype else Cast(expr, dtype)


def literals(dtype: DType) -> st.SearchStrategy[Expr]:
    if dtype.kind == "bool":
        return st.booleans().map(lambda b: Literal(b, BOOL))
    if dtype.is_float:
        return st.integers(-4, 4).map(lambda n: Literal(n / 2, dtype))
    return st.integers(-2 if dtype.signed else 0, 3).map(lambda n: Literal(n, dtype))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What expressions may read: buffers and the range of the variables."""

    buffers: tuple[Buffer, ...]
    table: Buffer
    rows: int
    columns: int


@st.composite
def subscripts(draw: Draw, inputs: Inputs) -> Expr:
    """Draw a subscript that may lie anywhere."""
    shift = number(draw(st.integers(-3, 3)))
    kinds = ["unit", "unit", "backward", "double", "long", "row", "none"]
    kind = draw(st.sampled_from([*kinds, "quotient", "rest", "table", "clamped"]))
    base: Expr
    match kind:
        case "unit":
            base = COLUMN
        case "backward":
            base = call("sub", number(inputs.columns), COLUMN)
        case "double":
            base = call("mul", COLUMN, number(draw(st.sampled_from([2, -2, 3, 4]))))
        case "long":
            base = call("mul", number(draw(st.sampled_from([5, 7]))), COLUMN)
        case "row":
            base = call("add", ROW, COLUMN)
        case "none":
            base = ROW
        case "quotient":
            divisor = number(draw(st.sampled_from([2, 3, 4])))
            base = call("floordiv", call("add", COLUMN, shift), divisor)
        case "rest":
            base = call(
                "mod", call("sub", COLUMN, ROW), number(draw(st.integers(2, 4)))
            )
        case "table":
            at = call("mod", COLUMN, number(inputs.table.shape[0]))
            base = Cast(Load(inputs.table.name, (at,), I32), I64)
        case _:
            base = call("min", call("max", COLUMN, number(2)), number(5))
    return call("add", base, shift)


@st.composite
def loads(draw: Draw, inputs: Inputs) -> Expr:
    """Draw a padded access of an input: its element, or a literal outside."""
    buffer = draw(st.sampled_from(inputs.buffers))
    index: list[Expr] = [draw(subscripts(inputs)) for _ in buffer.shape]
    value: Expr = Load(buffer.name, tuple(index), buffer.dtype)
    for expr, extent in zip(index, buffer.shape):
        inside = call(
            "and", call("ge", expr, number(0)), call("lt", expr, number(extent))
        )
        value = Select(inside, value, draw(literals(buffer.dtype)), buffer.dtype)
    return value


def leaves(inputs: Inputs, dtype: DType) -> st.SearchStrategy[Expr]:
    variable = st.sampled_from([ROW, COLUMN, call("sub", COLUMN, ROW)]).map(
        lambda v: cast(v, dtype)
    )
    access = loads(inputs).map(lambda e: cast(e, dtype))
    return st.one_of(access, access, literals(dtype), variable)


@st.composite
def values(draw: Draw, inputs: Inputs, dtype: DType, depth: int = 2) -> Expr:
    """Draw an expression of *dtype*."""
    if depth == 0:
        return draw(leaves(inputs, dtype))
    below = values(inputs, dtype, depth - 1)
    if dtype.kind == "bool":
        return draw(conditions(inputs, depth - 1))
    kind = draw(st.sampled_from(["leaf", "binary", "binary", "unary", "select"]))
    match kind:
        case "leaf":
            return draw(leaves(inputs, dtype))
        case "binary":
            names = ["add", "sub", "mul", "min", "max"]
            function = draw(st.sampled_from(names))
            return cast(call(function, draw(below), draw(below)), dtype)
        case "unary":
            function = draw(st.sampled_from(["neg", "abs", "relu"]))
            return cast(call(function, draw(below)), dtype)
        case _:
            condition = draw(conditions(inputs, depth - 1))
            return Select(condition, draw(below), draw(below), dtype)


@st.composite
def conditions(draw: Draw, inputs: Inputs, depth: int) -> Expr:
    """Draw a condition on the variables or on data."""
    names = ["eq", "ne", "lt", "le", "gt", "ge"]
    if depth and draw(st.booleans()):
        both = [draw(conditions(inputs, depth - 1)) for _ in range(2)]
        joined = call(draw(st.sampled_from(["and", "or"])), *both)
        return call("not", joined) if draw(st.booleans()) else joined
    if draw(st.booleans()):
        bound = number(draw(st.integers(0, inputs.columns + 1)))
        return call(
            draw(st.sampled_from(names)), draw(st.sampled_from([ROW, COLUMN])), bound
        )
    dtype = draw(st.sampled_from([F32, F64, I32, U8]))
    operands = [draw(leaves(inputs, dtype)) for _ in range(2)]
    return call(draw(st.sampled_from(names)), *operands)


@dataclass(frozen=True, slots=True)
class Result:
    """A written buffer, what it starts with, and the statement that fills it."""

    buffer: Buffer
    start: Literal
    statement: Store | Accumulate


_NEUTRAL: dict[Combine, float] = {
    "add": 0, "mul": 1, "max": 1, "min": 1, "and": 1, "or": 0,
}  # fmt: skip


@st.composite
def results(draw: Draw, inputs: Inputs, name: str) -> Result:
    """Draw a statement over (i, j) and the buffer that it writes."""
    dtype = draw(st.sampled_from(COMPILED))
    value = draw(values(inputs, dtype))
    kind = draw(st.sampled_from(["store", "each", "reduce"]))
    factor = draw(st.sampled_from([1, 1, -1, 2])) if kind != "reduce" else 0
    last = max(0, inputs.columns - 1)
    column: Expr = number(0)
    if factor:
        shift = last if factor < 0 else 0
        column = call("add", call("mul", COLUMN, number(factor)), number(shift))
    shape = (inputs.rows, abs(factor) * last + 1)
    strides = (shape[1] + draw(st.integers(0, 2)), 1)
    buffer = Buffer(name, dtype, shape, strides, "argument")
    if kind == "store":
        return Result(buffer, draw(literals(dtype)), Store(name, (ROW, column), value))
    if dtype.kind == "bool":
        combines: list[Combine] = ["and", "or"]
    else:
        combines = ["max", "min", "add"]
    combine = draw(st.sampled_from(combines))
    start = Literal(dtype.numpy.type(_NEUTRAL[combine]).item(), dtype)
    return Result(buffer, start, Accumulate(name, (ROW, column), combine, value))


@st.composite
def inputs_of(draw: Draw, rows: int, columns: int) -> Inputs:
    """Draw the input buffers."""
    buffers = []
    for place in range(draw(st.integers(1, 2))):
        dtype = draw(st.sampled_from(COMPILED))
        wide = max(1, columns + draw(st.integers(-2, 3)))
        shape = (wide,) if draw(st.booleans()) else (max(1, rows), wide)
        strides = list(contiguous(shape))
        kind = draw(st.sampled_from(["plain", "plain", "gaps", "backward", "every 2"]))
        if kind == "gaps" and len(shape) == 2:
            strides[0] += 3
        if kind in ("backward", "every 2"):
            strides = [s * (-1 if kind == "backward" else 2) for s in strides]
        buffers.append(
            Buffer(f"x{place}", dtype, shape, tuple(strides), "argument", False)
        )
    size = draw(st.integers(1, 5))
    entries = np.array(draw(st.lists(st.integers(0, 6), min_size=size, max_size=size)))
    data = entries.astype(np.int32).tobytes()
    table = Buffer("t", I32, (size,), (1,), "constant", False, data=data)
    return Inputs(tuple(buffers), table, rows, columns)


def initialise(result: Result) -> Node:
    """Return the loops that give a result its start."""
    rows, columns = (number(n) for n in result.buffer.shape)
    store = Store(result.buffer.name, (ROW, COLUMN), result.start)
    inner = Loop("j", number(0), columns, (store,), kind="vector", lanes=8)
    return Loop("i", number(0), rows, (inner,))


@st.composite
def cases(draw: Draw) -> Case:
    """Draw a nest with arguments."""
    rows = draw(st.sampled_from([0, 1, 2, 3, 5]))
    columns = draw(st.sampled_from([0, 1, 2, 7, 13, 16, 17, 31, 32, 67, 131]))
    inputs = draw(inputs_of(rows, columns))
    written = [draw(results(inputs, f"y{k}")) for k in range(draw(st.integers(1, 2)))]
    lanes = draw(st.sampled_from([2, 4, 8, 16]))
    lo, hi = draw(extents(rows, columns, lanes))
    vector = Loop(
        "j",
        lo,
        hi,
        tuple(result.statement for result in written),
        step=draw(st.sampled_from([1, 1, 1, 2, 3])),
        kind="vector",
        lanes=lanes,
    )
    inside: Node = vector
    if draw(st.booleans()):
        inside = Guard(draw(conditions_of_row(rows)), (vector,))
    kinds: list[LoopKind] = ["sequential", "parallel", "unrolled"]
    outer = Loop(
        "i", number(0), number(rows), (inside,), kind=draw(st.sampled_from(kinds))
    )
    buffers = (*inputs.buffers, inputs.table, *(r.buffer for r in written))
    arguments = [b for b in buffers if b.memory == "argument"]
    nest = LoopNest(
        "random",
        buffers,
        tuple(b.name for b in arguments),
        (),
        (*(initialise(r) for r in written), outer),
    )
    seed = draw(st.integers(0, 99))
    arrays = {b.name: filled(b, seed) for b in arguments}
    return Case(nest, arrays, draw(st.integers(1, 3)))


def extents(
    rows: int, columns: int, lanes: int
) -> st.SearchStrategy[tuple[Expr, Expr]]:
    """Draw bounds within the columns: constant, triangular, or of a last tile."""
    whole = number(0), number(columns)
    if rows > columns:
        return st.just(whole)
    below = call("min", call("add", ROW, ROW), number(columns))
    partial = call("min", number(lanes), call("sub", number(columns), ROW))
    triangles = (ROW, number(columns)), (number(0), below), (number(0), partial)
    return st.sampled_from([whole, whole, *triangles])


def conditions_of_row(rows: int) -> st.SearchStrategy[Expr]:
    names = st.sampled_from(["lt", "ge", "ne"])
    return names.map(lambda name: call(name, ROW, number(rows // 2)))


def filled(buffer: Buffer, seed: int) -> Array:
    """Return small dyadic numbers, each dtype's own."""
    random = np.random.default_rng([seed, len(buffer.name), buffer.span_elements])
    low = 0 if not buffer.dtype.signed else -4
    whole = random.integers(low, 5, size=buffer.shape)
    if buffer.dtype.is_float:
        return (whole / 2).astype(buffer.dtype.numpy)
    if buffer.dtype.kind == "bool":
        return whole > 2
    return whole.astype(buffer.dtype.numpy)
