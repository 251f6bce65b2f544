"""Random batch-reduce GEMM tiles: a node with its nest, its data, its reference, and
its native run with every operand against guard pages.

Values are small integers, so every sum is exact and results must be equal, whatever
the order. What a tile must not read is NaN; what it must not write is checked.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from llvmlite import ir

from polydsl.backend.jit import compile_object, load
from polydsl.backend.microkernel import emit_gemm
from polydsl.backend.providers.table import Libraries, foreign_symbols
from polydsl.backend.target import Target, host_target
from polydsl.base.dtypes import DTYPES, I32, I64
from polydsl.base.inner_product import (
    MULTIPLY_ADD,
    A,
    Apply,
    B,
    InnerProduct,
    Number,
    Term,
)
from polydsl.base.options import Options
from polydsl.base.providers import BUILT_IN
from polydsl.loops.interpret import interpret
from polydsl.loops.nest import (
    OUTSIDE,
    BatchReduceGemm,
    Buffer,
    Columns,
    Expr,
    GuardedRows,
    Literal,
    Load,
    Loop,
    LoopNest,
    Rows,
    Store,
    Strided,
    Table,
    Tile,
    Var,
)

ENTRY = "polydsl_test"
ORDER = ("c", "a", "b", "zeros", "c_rows", "a_rows", "a_batch", "b_batch")

Function = Callable[[np.ndarray, np.ndarray], np.ndarray]


def apply(function: str, *arguments: Term) -> Term:
    return Apply(function, arguments)


_UNIT = apply("clamp", apply("mul", A, B), Number(-1.0), Number(1.0))
INNER: dict[str, tuple[InnerProduct, np.ufunc, Function]] = {
    "a * b": (MULTIPLY_ADD, np.add, lambda a, b: a * b),
    "max-plus": (InnerProduct("max", apply("add", A, B)), np.maximum, np.add),
    "min of b - 2a": (
        InnerProduct("min", apply("sub", B, apply("mul", Number(2.0), A))),
        np.minimum,
        lambda a, b: b - 2 * a,
    ),
    "L1": (
        InnerProduct("add", apply("abs", apply("sub", A, B))),
        np.add,
        lambda a, b: abs(a - b),
    ),
    "squares": (
        InnerProduct("add", apply("mul", apply("sub", A, B), apply("sub", A, B))),
        np.add,
        lambda a, b: (a - b) ** 2,
    ),
    "intersection": (
        InnerProduct("add", apply("min", A, B, Number(2.0))),
        np.add,
        lambda a, b: np.minimum(np.minimum(a, b), 2),
    ),
    "hinge": (
        InnerProduct("add", apply("relu", apply("neg", apply("sub", A, B)))),
        np.add,
        lambda a, b: np.maximum(b - a, 0),
    ),
    "signs": (
        InnerProduct("mul", _UNIT),
        np.multiply,
        lambda a, b: np.clip(a * b, -1, 1),
    ),
    "sum of signs": (
        InnerProduct("add", _UNIT),
        np.add,
        lambda a, b: np.clip(a * b, -1, 1),
    ),
}
"""Inner products by name, with their meaning in NumPy; all are exact on integers."""

JUNK = 3
"""Entries before the start of every table; they are never used."""


@dataclass(frozen=True, slots=True)
class Case:
    """One tile. Modes are "strided" or "table"; `a_row` may also be "guarded", or
    "contiguous": then it is the depth that has steps, of all rows and the gap."""

    rows: int
    columns: int
    batch: int
    depth: int
    accumulate: bool = False
    dtype: str = "f32"
    a_row: str = "strided"
    a_batch: str = "strided"
    b_batch: str = "strided"
    c_row: str = "strided"
    a_depth: int = 1
    gap: int = 0
    seed: int = 0
    provider: str = BUILT_IN
    inner: str = "a * b"

    @property
    def a_step(self) -> int:
        """The elements of A between two steps of the depth."""
        return self.rows + self.gap if self.a_row == "contiguous" else self.a_depth


@dataclass(frozen=True, slots=True)
class Problem:
    """A case made concrete: the node, its nest, and the arrays by buffer name."""

    node: BatchReduceGemm
    nest: LoopNest
    arrays: dict[str, np.ndarray]
    expected: np.ndarray


class Layout:
    """Gives positions to the rows or batch steps of one operand."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.tables: dict[str, np.ndarray] = {}

    def place(self, name: str, mode: str, count: int, step: int) -> tuple:
        """Return the offsets of *count* positions and how the node states them."""
        if mode == "strided":
            return np.arange(count) * step, Strided(step)
        order = self.rng.permutation(count) * step
        return order, self.table(name, order)

    def table(self, name: str, entries: np.ndarray) -> Table:
        junk = np.full(JUNK, 1 << 30)
        self.tables[name] = np.concatenate([junk, entries.ravel()]).astype(np.int32)
        return Table(name, number(JUNK))


def number(value: int) -> Literal:
    return Literal(value, I64)


def problem(case: Case) -> Problem:
    """Lay out the operands of *case*, fill them, and compute the result with NumPy."""
    rng = np.random.default_rng(case.seed)
    layout, dtype = Layout(rng), DTYPES[case.dtype]
    line = (case.depth - 1) * case.a_step + 1 + case.gap
    k = np.arange(case.depth)
    zeros = rng.integers(-2, 3, (case.depth - 1) * case.a_step + 1)
    a_at, a_side = _broadcast_side(case, layout, line)
    a_at = a_at[:, :, None] + k * case.a_step
    b_line = case.columns + case.gap
    steps, b_batch = layout.place(
        "b_batch", case.b_batch, case.batch, case.depth * b_line
    )
    b_at = (steps[:, None] + k * b_line)[:, :, None] + np.arange(case.columns)
    c_steps, c_row = layout.place("c_rows", case.c_row, case.rows, b_line)
    c_at = c_steps[:, None] + np.arange(case.columns)

    is_outside = a_at < 0
    a = _scattered(rng, np.where(is_outside, 0, a_at), dtype.numpy)
    b = _scattered(rng, b_at, dtype.numpy)
    c = rng.integers(-9, 10, c_at.max() + 1).astype(dtype.numpy)
    padding = np.broadcast_to(zeros[k * case.a_step], a_at.shape)
    left = np.where(is_outside, padding, a[np.maximum(a_at, 0)])
    inner, combine, function = INNER[case.inner]
    terms = function(left[..., None].astype(float), b[b_at][:, None].astype(float))
    total = combine.reduce(terms, axis=(0, 2))
    expected = c.copy()
    expected[c_at] = combine(c[c_at], total) if case.accumulate else total

    arrays = {"c": c, "a": a, "b": b, "zeros": zeros.astype(dtype.numpy)}
    arrays |= layout.tables
    node = BatchReduceGemm(
        c=Tile("c", number(0), c_row),
        a=a_side,
        b=Columns("b", number(0), b_batch, b_line),
        rows=case.rows,
        columns=case.columns,
        batch=case.batch,
        depth=case.depth,
        accumulate=case.accumulate,
        dtype=dtype,
        provider=case.provider,
        inner=inner,
    )
    return Problem(node, nest_of(node, arrays), arrays, expected)


def _broadcast_side(case: Case, layout: Layout, line: int) -> tuple:
    """Return the offset of every row (t, m), negative for padding, and the node's A."""
    if case.a_row == "guarded":
        shape = (case.batch, case.rows)
        at = layout.rng.permutation(case.batch * case.rows).reshape(shape) * line
        is_outside = layout.rng.random(shape) < 0.3
        table = layout.table("a_rows", np.where(is_outside, OUTSIDE, at))
        side = GuardedRows("a", number(0), "a_rows", table.start, "zeros", case.a_depth)
        return np.where(is_outside, -(1 << 40), at), side
    whole = case.rows * line
    if case.a_row == "contiguous":
        rows, row = layout.place("a_rows", "strided", case.rows, 1)
        whole = case.depth * case.a_step
    else:
        rows, row = layout.place("a_rows", case.a_row, case.rows, line)
    steps, batch = layout.place("a_batch", case.a_batch, case.batch, whole)
    side = Rows("a", number(0), batch, row, case.a_step)
    return steps[:, None] + rows, side


def _scattered(rng: np.random.Generator, at: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return an array with small integers at the places *at* and NaN elsewhere."""
    values = np.full(at.max() + 1, np.nan, dtype)
    values[at] = rng.integers(-4, 5, at.shape)
    return values


def nest_of(node: BatchReduceGemm, arrays: dict[str, np.ndarray]) -> LoopNest:
    """Wrap the node in a nest whose tables are constants, the rest arguments."""
    buffers = []
    for name, array in arrays.items():
        is_table = array.dtype == np.int32
        dtype = I32 if is_table else node.dtype
        data = array.tobytes() if is_table else b""
        memory = "constant" if is_table else "argument"
        shape = (array.size,)
        buffers.append(Buffer(name, dtype, shape, (1,), memory, name == "c", data=data))
    arguments = tuple(b.name for b in buffers if b.memory == "argument")
    return LoopNest("tile", tuple(buffers), arguments, (), (node,))


def interpreted(found: Problem) -> np.ndarray:
    """Return C as the interpreter of loop nests computes it.

    A result holds nothing at first, so the nest begins by copying C from an input.
    """
    first = replace(found.nest.buffer("c"), name="start", is_written=False)
    copied = Load("start", (Var("i"),), found.node.dtype)
    fill = Loop(
        "i", number(0), number(first.shape[0]), (Store("c", (Var("i"),), copied),)
    )
    nest = replace(
        found.nest,
        buffers=(first, *found.nest.buffers),
        arguments=("start", *found.nest.arguments),
        body=(fill, found.node),
    )
    arrays = {name: array.copy() for name, array in found.arrays.items()}
    arrays["start"] = found.arrays["c"]
    interpret(nest, {name: arrays[name] for name in nest.arguments})
    return arrays["c"]


# The native run


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """What `emit_gemm` asks of the emitter: here buffers are pointers in an array."""

    module: ir.Module
    target: Target
    nest: LoopNest
    pointers: dict[str, ir.Value]

    def value(self, expr: Expr) -> ir.Value:
        assert isinstance(expr, Literal)
        return ir.IntType(64)(expr.value)

    def address(self, buffer: str) -> ir.Value:
        return self.pointers[buffer]


def module_text(found: Problem, target: Target, times: int = 1) -> str:
    """Return LLVM IR that runs the node *times* times in a row."""
    module = ir.Module("test")
    module.triple = target.triple
    pointer = ir.PointerType()
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    builder = ir.IRBuilder(ir.Function(module, kind, ENTRY).append_basic_block())
    array = builder.function.args[0]
    pointers = {}
    for i, name in enumerate(ORDER):
        slot = builder.gep(array, [ir.IntType(64)(i)], source_etype=pointer)
        pointers[name] = builder.load(slot, typ=pointer)
    place = Place(module, target, found.nest, pointers)
    for _ in range(times):
        emit_gemm(builder, found.node, place)
    builder.ret_void()
    return str(module)


class Guarded:
    """A copy of an array that ends, or begins, at a page that must not be touched."""

    _libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, array: np.ndarray, *, at_end: bool) -> None:
        page = mmap.PAGESIZE
        inside = -(-array.nbytes // page) * page
        self.area = mmap.mmap(-1, inside + 2 * page)
        start = np.frombuffer(self.area, np.uint8).ctypes.data
        for edge in (start, start + page + inside):
            assert self._libc.mprotect(ctypes.c_void_p(edge), page, 0) == 0
        offset = page + (inside - array.nbytes if at_end else 0)
        self.array = np.frombuffer(self.area, array.dtype, array.size, offset)
        self.array[:] = array


def libraries() -> Libraries:
    """The providers' libraries, where the environment says or where they are found."""
    return Libraries(Options.from_environment(os.environ).libraries)


def native(found: Problem, isa: str, *, at_end: bool) -> np.ndarray:
    """Return C as compiled code for the row *isa* computes it, between guard pages."""
    target = host_target(isa)
    code = compile_object(module_text(found, target), target)
    linked = libraries().link(foreign_symbols(found.nest))
    assert linked is not None, f"{found.node.provider} does not make the kernel"
    kernel = load(code, linked.addresses, (ENTRY,), linked.owners)
    guarded = {n: Guarded(a, at_end=at_end) for n, a in found.arrays.items()}
    addresses = [
        guarded[name].array.ctypes.data if name in guarded else 0 for name in ORDER
    ]
    pointers = (ctypes.c_void_p * len(ORDER))(*addresses)
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(kernel.address(ENTRY))
    entry(pointers)
    return guarded["c"].array.copy()


def compare(case: Case, isa: str) -> str:
    """Run *case* twice, at either end of its pages; return what is wrong, or ""."""
    found = problem(case)
    for at_end in (True, False):
        result = native(found, isa, at_end=at_end)
        wrong = np.flatnonzero(result != found.expected)
        if wrong.size:
            at = wrong[0]
            return f"C[{at}] is {result[at]}, not {found.expected[at]}"
    return ""


def overrun(case: Case, isa: str) -> str:
    """Run *case* on a C that is one element too short: must hit the guard page."""
    found = problem(case)
    arrays = found.arrays | {"c": found.arrays["c"][:-1]}
    native(Problem(found.node, found.nest, arrays, found.expected), isa, at_end=True)
    return ""
