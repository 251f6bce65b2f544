"""Hand-written loop nests of typical kernels, for the tests of the emitter."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from polydsl.base.dtypes import BOOL, F32, F64, I32, I64, DType
from polydsl.base.functions import Combine
from polydsl.loops.memory import Array
from polydsl.loops.nest import (
    Accumulate,
    BatchReduceGemm,
    Buffer,
    Call,
    Cast,
    Columns,
    Expr,
    Literal,
    Load,
    Loop,
    LoopKind,
    LoopNest,
    Memory,
    Node,
    Rows,
    Select,
    Store,
    Strided,
    Table,
    Tile,
    Var,
    contiguous,
)


def number(value: int) -> Literal:
    return Literal(value, I64)


def call(function: str, *operands: Expr) -> Call:
    compares = function in ("lt", "le", "gt", "ge", "eq", "ne", "and")
    return Call(function, operands, BOOL if compares else operands[0].dtype)


def array(
    name: str,
    *shape: int,
    dtype: DType = F32,
    memory: Memory = "argument",
    written: bool = False,
    private: bool = False,
) -> Buffer:
    strides = contiguous(shape)
    return Buffer(name, dtype, shape, strides, memory, written, private)


def loop(var: str, hi: Expr | int, *body: Node, kind: LoopKind = "sequential") -> Loop:
    end = number(hi) if isinstance(hi, int) else hi
    return Loop(var, number(0), end, body, kind=kind)


def vector(var: str, hi: Expr | int, lanes: int, *body: Node) -> Loop:
    end = number(hi) if isinstance(hi, int) else hi
    return Loop(var, number(0), end, body, kind="vector", lanes=lanes, vectors=4)


def nest(
    buffers: Iterable[Buffer], *body: Node, prepare: tuple[Node, ...] = ()
) -> LoopNest:
    found = tuple(buffers)
    arguments = tuple(b.name for b in found if b.memory == "argument")
    return LoopNest("kernel", found, arguments, prepare, body)


def random_arguments(kernel: LoopNest, seed: int = 0) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for name in kernel.arguments:
        buffer = kernel.buffer(name)
        values = random.standard_normal(buffer.shape) * 3
        found[name] = np.asarray(values).astype(buffer.dtype.numpy)
    return found


I, J, K, U, S = (Var(name) for name in ("i", "j", "k", "u", "s"))  # noqa: E741


def copy(n: int, lanes: int) -> LoopNest:
    store = Store("z", (I,), Load("x", (I,), F32))
    buffers = [array("x", n), array("z", n, written=True)]
    return nest(buffers, vector("i", n, lanes, store))


def axpy(n: int, lanes: int) -> LoopNest:
    scaled = call("mul", Literal(2.5, F32), Load("x", (I,), F32))
    store = Store("z", (I,), call("add", scaled, Load("y", (I,), F32)))
    buffers = [array("x", n), array("y", n), array("z", n, written=True)]
    return nest(buffers, vector("i", n, lanes, store))


def row_sum(m: int, n: int, lanes: int) -> LoopNest:
    total = Accumulate("z", (I,), "add", Load("x", (I, J), F32))
    body = (Store("z", (I,), Literal(0.0, F32)), vector("j", n, lanes, total))
    buffers = [array("x", m, n), array("z", m, written=True)]
    return nest(buffers, loop("i", m, *body))


def made_and_summed(m: int, n: int, lanes: int) -> LoopNest:
    """What is stored is summed in the same loop."""
    square = call("mul", Load("x", (I, J), F32), Load("x", (I, J), F32))
    made = Store("p", (I, J), square)
    total = Accumulate("z", (I,), "max", Load("p", (I, J), F32))
    body = (Store("z", (I,), Literal(0.0, F32)), vector("j", n, lanes, made, total))
    buffers = [array("x", m, n)]
    buffers += [array("p", m, n, written=True), array("z", m, written=True)]
    return nest(buffers, loop("i", m, *body))


def window(n: int, lanes: int) -> LoopNest:
    """Five taps, padded with zeros."""
    total: Expr | None = None
    for tap in range(5):
        at = call("add", J, number(tap - 2))
        inside = call("and", call("ge", at, number(0)), call("lt", at, number(n)))
        padded = Select(inside, Load("x", (at,), F32), Literal(0.0, F32), F32)
        term = call("mul", padded, Load("w", (number(tap),), F32))
        total = term if total is None else call("add", total, term)
    assert total is not None
    buffers = [array("x", n), array("w", 5), array("z", n, written=True)]
    return nest(buffers, vector("j", n, lanes, Store("z", (J,), total)))


def softmax(m: int, n: int, lanes: int) -> LoopNest:
    x, z = Load("x", (I, J), F32), Load("z", (I, J), F32)
    most, total = Load("m", (), F32), Load("s", (), F32)
    body = (
        Store("m", (), Literal(float("-inf"), F32)),
        vector("j", n, lanes, Accumulate("m", (), "max", x)),
        Store("s", (), Literal(0.0, F32)),
        vector("j", n, lanes, Store("z", (I, J), call("exp", call("sub", x, most)))),
        vector("j", n, lanes, Accumulate("s", (), "add", z)),
        vector("j", n, lanes, Store("z", (I, J), call("div", z, total))),
    )
    registers = [array(r, memory="register", written=True) for r in "ms"]
    buffers = [array("x", m, n), array("z", m, n, written=True), *registers]
    return nest(buffers, loop("i", m, *body, kind="parallel"))


def every(n: int, step: int, lanes: int) -> LoopNest:
    """Copy every `step`-th element."""
    at = call("mul", I, number(step))
    store = Store("z", (I,), Load("x", (at,), F32))
    buffers = [array("x", step * n), array("z", n, written=True)]
    return nest(buffers, vector("i", n, lanes, store))


def register_tile(
    rows: int, columns: int, depth: int, lanes: int, dtype: DType = F32
) -> LoopNest:
    """A product whose whole result stays in registers."""
    result = Load("acc", (U, J), dtype)
    a, b = Load("a", (U, K), dtype), Load("b", (K, J), dtype)

    def each(node: Node) -> Node:
        return loop("u", rows, vector("j", columns, lanes, node), kind="unrolled")

    buffers = [
        array("a", rows, depth, dtype=dtype),
        array("b", depth, columns, dtype=dtype),
        array("c", rows, columns, dtype=dtype, written=True),
        array("acc", rows, columns, dtype=dtype, memory="register", written=True),
    ]
    update = Accumulate("acc", (U, J), "add", call("mul", a, b))
    return nest(
        buffers,
        each(Store("acc", (U, J), Literal(0.0, dtype))),
        loop("k", depth, each(update)),
        each(Store("c", (U, J), result)),
    )


def partial_tiles(columns: int, depth: int, lanes: int, dtype: DType) -> LoopNest:
    """A vector times a matrix, whose last register is partial at run time."""
    lane = Var("lane")
    active = call("min", number(lanes), call("sub", number(columns), S))
    at = call("add", S, lane)
    term = call("mul", Load("a", (K,), dtype), Load("b", (K, at), dtype))

    def each(node: Node) -> Node:
        return vector("lane", active, lanes, node)

    buffers = [
        array("a", depth, dtype=dtype),
        array("b", depth, columns, dtype=dtype),
        array("c", columns, dtype=dtype, written=True),
        array("acc", lanes, dtype=dtype, memory="register", written=True),
    ]
    body = (
        each(Store("acc", (lane,), Literal(0, dtype))),
        loop("k", depth, each(Accumulate("acc", (lane,), "add", term))),
        each(Store("c", (at,), Load("acc", (lane,), dtype))),
    )
    return nest(buffers, Loop("s", number(0), number(columns), body, step=lanes))


def rounded(n: int, lanes: int, dtype: DType) -> LoopNest:
    """Twice a row in f64, and the row backwards, both rounded to *dtype*."""
    wide = call("mul", Cast(Load("x", (J,), dtype), F64), Literal(2.0, F64))
    back = call("sub", number(n - 1), J)
    more = call("add", Cast(Load("x", (back,), dtype), F32), Literal(0.3, F32))
    body = (
        Store("y", (J,), Cast(wide, dtype)),
        Store("z", (J,), Cast(more, dtype)),
    )
    rows = [array(name, n, dtype=dtype, written=name != "x") for name in "xyz"]
    return nest(rows, *(vector("j", n, lanes, each) for each in body))


def reduction(n: int, lanes: int, combine: Combine, dtype: DType) -> LoopNest:
    """Combine a row with what the result holds; the start is the first element."""
    body = (
        Store("z", (), Load("x", (number(0),), dtype)),
        vector("j", n, lanes, Accumulate("z", (), combine, Load("x", (J,), dtype))),
    )
    return nest(
        [array("x", n, dtype=dtype), array("z", dtype=dtype, written=True)], *body
    )


def row_reductions(
    rows: int, n: int, lanes: int, combine: Combine, dtype: DType, *, together: bool
) -> LoopNest:
    """Combine each row of x with an element of z: all rows in one vector loop, or each
    in a loop of its own."""
    updates = [
        Accumulate("z", (number(r),), combine, Load("x", (number(r), J), dtype))
        for r in range(rows)
    ]
    body = [vector("j", n, lanes, *updates)]
    if not together:
        body = [vector("j", n, lanes, update) for update in updates]
    buffers = [
        array("x", rows, n, dtype=dtype),
        array("z", rows, dtype=dtype, written=True),
    ]
    first = loop("i", rows, Store("z", (I,), Load("x", (I, number(0)), dtype)))
    return nest(buffers, first, *body)


def packed_product(tiles: int, rows: int, columns: int, depth: int) -> LoopNest:
    """relu(a @ b) with b packed beforehand, by microkernels into private scratch."""
    row_starts = np.arange(rows, dtype=np.int32) * depth
    table = Buffer(
        "rows", I32, (rows,), (1,), "constant", False, data=row_starts.tobytes()
    )
    total = tiles * rows
    pack = loop("k", depth, vector("j", columns, 16, _pack(columns)))
    gemm = BatchReduceGemm(
        c=Tile("t", number(0), Strided(columns)),
        a=Rows(
            "a",
            call("mul", I, number(rows * depth)),
            Strided(0),
            Table("rows", number(0)),
            1,
        ),
        b=Columns("p", number(0), Strided(0), columns),
        rows=rows,
        columns=columns,
        batch=1,
        depth=depth,
        accumulate=False,
        dtype=F32,
    )
    row = call("add", call("mul", I, number(rows)), U)
    epilogue = Store("c", (row, J), call("relu", Load("t", (U, J), F32)))
    body = (gemm, loop("u", rows, vector("j", columns, 16, epilogue)))
    buffers = [
        array("a", total, depth),
        array("b", columns, depth),
        array("c", total, columns, written=True),
        array("p", depth, columns, memory="prepared", written=True),
        array("t", rows, columns, memory="scratch", written=True, private=True),
        table,
    ]
    return nest(buffers, loop("i", tiles, *body, kind="parallel"), prepare=(pack,))


def _pack(columns: int) -> Store:
    return Store("p", (K, J), Load("b", (J, K), F32))
