"""The meaning of a loop nest: it is run one element at a time, and checked.

`interpret` takes a `LoopNest` and arrays for its arguments and stores the results in
them. Every access is checked: a subscript outside its buffer, an element read before
it was written, a store to a read-only buffer or a dependence between iterations of a
parallel loop is a `CompilerBug` that names the node and the point. So errors of the
loops are told apart from errors of the emission. Arithmetic is that of NumPy's scalars
in the dtype of each expression.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import assert_never

import numpy as np

from polydsl.base.checks import NOWHERE
from polydsl.base.diagnostics import bug
from polydsl.base.functions import FUNCTIONS, identity
from polydsl.base.inner_product import fold
from polydsl.loops.evaluate import (
    Access,
    Run,
    load_element,
    store_element,
    value_of,
)
from polydsl.loops.memory import Addresses, Array, CheckedBuffer, Fault
from polydsl.loops.nest import (
    OUTSIDE,
    Accumulate,
    BatchReduceGemm,
    Buffer,
    Check,
    Guard,
    GuardedRows,
    Loop,
    LoopNest,
    Node,
    Offsets,
    Rows,
    Store,
    Strided,
    Table,
    Tile,
)
from polydsl.loops.render import render_node


class Outside(Exception):
    """A check found a subscript outside: its number, the position, the value."""

    def __init__(self, number: int, position: int, value: int) -> None:
        self.number, self.position, self.value = number, position, value
        super().__init__(number, position, value)


def interpret(
    nest: LoopNest,
    arguments: Mapping[str, Array],
    prepared: Mapping[str, Array] | None = None,
    *,
    shuffle: int | None = None,
    trace: list[Access] | None = None,
) -> dict[str, Array]:
    """Run *nest* on *arguments*, write its results, and return what it prepared.

    With *prepared*, the arrays of an earlier run, the `prepare` part is left out. With
    a seed in *shuffle*, the iterations of parallel loops run in a random order. *trace*
    receives every access to a buffer that is not a register, in order. Raises
    `Outside` where a check of the nest fails; then nothing is written.
    """
    run = Run(nest, trace, shuffle)
    for buffer in nest.buffers:
        run.memory[buffer.name] = _checked(buffer, arguments, prepared or {})
    with np.errstate(all="ignore"):
        if prepared is None:
            _run_part(run, nest.prepare)
        for name in _names(nest, "prepared"):
            run.memory[name].writable = False
        _run_part(run, nest.body)
    for name in nest.arguments:
        values, defined = run.memory[name].contents()
        if run.memory[name].writable:
            np.copyto(arguments[name], values, where=defined)
    return {name: run.memory[name].contents()[0] for name in _names(nest, "prepared")}


def _names(nest: LoopNest, memory: str) -> Iterator[str]:
    return (buffer.name for buffer in nest.buffers if buffer.memory == memory)


def _checked(
    buffer: Buffer, arguments: Mapping[str, Array], prepared: Mapping[str, Array]
) -> CheckedBuffer:
    """Give *buffer* its memory. Results start undefined, whatever the array holds."""
    content: Array | None = None
    writable = True
    if buffer.memory == "argument":
        if arguments[buffer.name].shape != buffer.shape:
            bug(f"argument {buffer.name} has shape {arguments[buffer.name].shape}")
        content = None if buffer.is_written else arguments[buffer.name]
        writable = buffer.is_written
    elif buffer.memory == "prepared":
        content = prepared.get(buffer.name)
    elif buffer.memory == "constant":
        flat = np.frombuffer(buffer.data, buffer.dtype.numpy)
        content = flat.reshape(buffer.shape)
        writable = False
    return CheckedBuffer(buffer, content, writable=writable)


def _run_part(run: Run, nodes: tuple[Node, ...]) -> None:
    """Run `prepare` or `body`: scratch lives for one of them."""
    for memory in run.memory.values():
        if memory.buffer.memory in ("scratch", "register"):
            memory.poison()
    _execute_all(run, nodes)


def _execute_all(run: Run, nodes: tuple[Node, ...]) -> None:
    for node in nodes:
        try:
            _execute(run, node)
        except Fault as fault:
            point = ", ".join(f"{name} = {value}" for name, value in run.point.items())
            text = render_node(node).splitlines()[0]
            bug(f"{run.nest.name}: {fault}, at {point or 'the top level'}, in {text}")


def _execute(run: Run, node: Node) -> None:
    match node:
        case Loop():
            _execute_loop(run, node)
        case Guard(condition, body):
            if value_of(run, condition):
                _execute_all(run, body)
        case Store(buffer, index, value):
            result = value_of(run, value)
            store_element(run, buffer, index, result)
        case Accumulate(buffer, index, combine, value):
            old, new = load_element(run, buffer, index), value_of(run, value)
            if old.dtype != new.dtype:
                bug(f"{run.nest.name}: {render_node(node)} mixes dtypes")
            result = FUNCTIONS[combine].numpy(old, new)
            store_element(run, buffer, index, old.dtype.type(result))
        case BatchReduceGemm():
            _execute_gemm(run, node)
        case Check():
            _execute_check(run, node)
        case _:
            assert_never(node)


def _execute_check(run: Run, check: Check) -> None:
    position = load_element(run, check.buffer, ())
    if position == NOWHERE:
        return
    if not 0 <= position < check.positions:
        raise Fault(f"check {check.number} has no position {position}")
    run.point = {check.position: position}
    value = value_of(run, check.value)
    raise Outside(check.number, int(position), int(value))


# Loops


def _execute_loop(run: Run, loop: Loop) -> None:
    lo, hi = int(value_of(run, loop.lo)), int(value_of(run, loop.hi))
    if loop.step < 1:
        bug(f"{run.nest.name}: loop {loop.var} has step {loop.step}")
    values: list[int] = list(range(lo, hi, loop.step))
    if loop.kind == "parallel" and run.shuffle is not None:
        np.random.default_rng(run.shuffle + run.iterations).shuffle(values)
    if loop.kind == "parallel" and not run.is_parallel:
        _execute_parallel(run, loop, values)
    else:
        _execute_iterations(run, loop, values)


def _execute_iterations(run: Run, loop: Loop, values: list[int]) -> None:
    outer = run.point
    for value in values:
        run.point = {**outer, loop.var: np.int64(value)}
        _execute_all(run, loop.body)
    run.point = outer


def _execute_parallel(run: Run, loop: Loop, values: list[int]) -> None:
    """Run iterations that may not depend on each other, nor on private memory."""
    run.is_parallel = True
    for value in values:
        run.iterations += 1
        _begin_iteration(run, run.iterations)
        _execute_iterations(run, loop, [value])
    _begin_iteration(run, 0)
    run.is_parallel = False


def _begin_iteration(run: Run, iteration: int) -> None:
    for memory in run.memory.values():
        memory.enter(iteration)
        if not memory.is_shared:
            memory.poison()


# Batch-reduce GEMM


def _execute_gemm(run: Run, node: BatchReduceGemm) -> None:
    dtype = node.dtype.numpy
    c = _tile_addresses(run, node.c, node.rows, node.columns)
    combine = FUNCTIONS[node.inner.combine].numpy
    start = identity(node.inner.combine, node.dtype)
    total = np.full((node.rows, node.columns), start, dtype)
    if node.accumulate:
        total = run.read(node.c.buffer, c)
    for t in range(node.batch):
        for k in range(node.depth):
            a = _a_column(run, node, t, k)[:, np.newaxis]
            b = _b_row(run, node, t, k)[np.newaxis, :]
            total = combine(total, _term(node, a, b))
    run.write(node.c.buffer, c, total.astype(dtype))


def _term(node: BatchReduceGemm, a: Array, b: Array) -> Array:
    """Return the inner product's function of broadcast elements of A and B."""

    def apply(function: str, operands: tuple[Array, ...]) -> Array:
        row = FUNCTIONS[function]
        if not row.variadic:
            return np.asarray(row.numpy(*operands))
        return reduce(row.numpy, operands)

    return fold(
        node.inner.function,
        lambda side: a if side == "A" else b,
        lambda number: np.asarray(number, node.dtype.numpy),
        apply,
    )


def _tile_addresses(run: Run, c: Tile, rows: int, columns: int) -> Addresses:
    base = int(value_of(run, c.base))
    starts = base + _offsets(run, c.row, np.arange(rows))
    return starts[:, np.newaxis] + np.arange(columns)


def _offsets(run: Run, offsets: Offsets, positions: Addresses) -> Addresses:
    match offsets:
        case Strided(step):
            return positions * step
        case Table(buffer, start):
            at = int(value_of(run, start)) + positions
            return run.read(buffer, at).astype(np.int64)
        case _:
            assert_never(offsets)


def _a_column(run: Run, node: BatchReduceGemm, t: int, k: int) -> Array:
    """Return A[t, :, k]."""
    a = node.a
    rows = np.arange(node.rows)
    start = int(value_of(run, a.base)) + k * a.depth_step
    match a:
        case Rows(batch=batch, row=row):
            start += int(_offsets(run, batch, np.array([t]))[0])
            return run.read(a.buffer, start + _offsets(run, row, rows))
        case GuardedRows(table=table, start=first, zeros=zeros):
            at = int(value_of(run, first)) + t * node.rows + rows
            offsets = run.read(table, at).astype(np.int64)
            inside = offsets != OUTSIDE
            column = np.empty(node.rows, node.dtype.numpy)
            column[inside] = run.read(a.buffer, start + offsets[inside])
            if not inside.all():
                column[~inside] = run.read(zeros, np.array([k * a.depth_step]))
            return column
        case _:
            assert_never(a)


def _b_row(run: Run, node: BatchReduceGemm, t: int, k: int) -> Array:
    """Return B[t, k, :]."""
    b = node.b
    start = int(value_of(run, b.base)) + k * b.depth_step
    start += int(_offsets(run, b.batch, np.array([t]))[0])
    return run.read(b.buffer, start + np.arange(node.columns))
