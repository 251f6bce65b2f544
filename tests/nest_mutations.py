"""Every nest that differs from a given one in one place: a number, an operator, a
bound, the order, a table entry, a node left out or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from polydsl.base.dtypes import I64
from polydsl.base.inner_product import A, Apply, B
from polydsl.loops.nest import (
    OUTSIDE,
    Accumulate,
    BatchReduceGemm,
    Buffer,
    Call,
    Cast,
    Check,
    Expr,
    Guard,
    GuardedRows,
    Literal,
    Load,
    Loop,
    LoopNest,
    Node,
    Select,
    Store,
    Strided,
    Table,
)

_OTHER = {
    "add": "sub", "sub": "add", "mul": "add", "floordiv": "mod", "mod": "floordiv",
    "ge": "gt", "gt": "ge", "lt": "le", "le": "lt", "eq": "ne", "ne": "eq",
    "min": "max", "max": "min", "and": "or", "or": "and",
}  # fmt: skip


def mutations(nest: LoopNest) -> Iterator[LoopNest]:
    """Yield every mutation of a nest."""
    for body in _bodies(nest.body):
        yield replace(nest, body=body)
    for prepare in _bodies(nest.prepare):
        yield replace(nest, prepare=prepare)
    for position, buffer in enumerate(nest.buffers):
        for other in _buffers(buffer):
            buffers = _with(nest.buffers, position, other)
            yield replace(nest, buffers=buffers)


def _with(items: tuple[Any, ...], position: int, item: Any) -> tuple[Any, ...]:
    return (*items[:position], item, *items[position + 1 :])


def _bodies(nodes: tuple[Node, ...]) -> Iterator[tuple[Node, ...]]:
    for position, node in enumerate(nodes):
        before, after = nodes[:position], nodes[position + 1 :]
        yield before + after
        yield (*before, node, node, *after)
        if after:
            yield (*before, after[0], node, *after[1:])
        for other in _nodes(node):
            yield (*before, other, *after)


def _nodes(node: Node) -> Iterator[Node]:
    match node:
        case Loop():
            yield from (replace(node, lo=e) for e in _exprs(node.lo))
            yield from (replace(node, hi=e) for e in _exprs(node.hi))
            yield replace(node, step=node.step + 1)
            if node.kind == "sequential":
                yield replace(node, kind="parallel")
            yield from (replace(node, body=b) for b in _bodies(node.body))
        case Guard(condition, body):
            yield from (replace(node, condition=e) for e in _exprs(condition))
            yield from (replace(node, body=b) for b in _bodies(body))
        case Store() | Accumulate():
            yield from (replace(node, index=i) for i in _indices(node.index))
            yield from (replace(node, value=e) for e in _exprs(node.value))
            if isinstance(node, Accumulate):
                yield replace(node, combine="max" if node.combine != "max" else "min")
        case BatchReduceGemm():
            yield from _products(node)
        case Check():
            yield replace(node, number=node.number + 1)
            yield replace(node, positions=node.positions + 1)
            yield from (replace(node, value=e) for e in _exprs(node.value))


def _products(node: BatchReduceGemm) -> Iterator[Node]:
    yield replace(node, accumulate=not node.accumulate)
    initial = None if node.initial else node.instance
    yield replace(node, accumulate=not node.accumulate, initial=initial)
    yield replace(node, rows=node.rows + 1)
    yield replace(node, columns=node.columns + 1)
    yield replace(node, batch=node.batch + 1)
    yield replace(node, depth=node.depth + 1)
    other = "max" if node.inner.combine != "max" else "min"
    yield replace(node, inner=replace(node.inner, combine=other))
    yield replace(node, inner=replace(node.inner, function=Apply("sub", (A, B))))
    yield replace(node, inner=replace(node.inner, function=Apply("sub", (B, A))))
    if node.columns > 1:
        yield replace(node, columns=node.columns - 1)
    if node.depth > 1:
        yield replace(node, depth=node.depth - 1)
    for side in ("a", "b", "c"):
        yield from (replace(node, **{side: s}) for s in _sides(getattr(node, side)))


def _sides(side: Any) -> Iterator[Any]:
    for base in (*_exprs(side.base), _next(side.base)):
        yield replace(side, base=base)
    if not hasattr(side, "row") or hasattr(side, "depth_step"):
        yield replace(side, depth_step=side.depth_step + 1)
    if isinstance(side, GuardedRows):
        for start in (*_exprs(side.start), _next(side.start)):
            yield replace(side, start=start)
    for name in ("batch", "row"):
        match getattr(side, name, None):
            case Strided(step):
                yield replace(side, **{name: Strided(step + 1)})
            case Table(buffer, start):
                yield replace(side, **{name: Table(buffer, _next(start))})
            case _:
                pass


def _next(expr: Expr) -> Expr:
    return Call("add", (expr, Literal(1, I64)), I64)


def _indices(index: tuple[Expr, ...]) -> Iterator[tuple[Expr, ...]]:
    for position, expr in enumerate(index):
        for other in (*_exprs(expr), _next(expr)):
            yield _with(index, position, other)


def _exprs(expr: Expr) -> Iterator[Expr]:
    match expr:
        case Literal(value, dtype) if dtype == I64 and abs(value) < 2**62:
            yield replace(expr, value=value + 1)
            yield replace(expr, value=value - 1)
        case Literal(value, dtype) if dtype.is_float:
            yield replace(expr, value=value + 1.0)
        case Call(function, arguments):
            if function in _OTHER:
                yield replace(expr, function=_OTHER[function])
            for position, argument in enumerate(arguments):
                for other in _exprs(argument):
                    yield replace(expr, arguments=_with(arguments, position, other))
        case Load(index=index):
            yield from (replace(expr, index=i) for i in _indices(index))
        case Select(condition, then, otherwise):
            yield then
            yield from (replace(expr, condition=e) for e in _exprs(condition))
            yield from (replace(expr, then=e) for e in _exprs(then))
            yield from (replace(expr, otherwise=e) for e in _exprs(otherwise))
        case Cast(operand):
            yield from (replace(expr, operand=e) for e in _exprs(operand))
        case _:
            pass


def _buffers(buffer: Buffer) -> Iterator[Buffer]:
    if buffer.memory == "constant":
        yield from _tables(buffer)
    elif buffer.memory != "argument":
        if buffer.private:
            yield replace(buffer, private=False)
        for axis, extent in enumerate(buffer.shape):
            yield replace(buffer, shape=_with(buffer.shape, axis, extent - 1))


def _tables(buffer: Buffer) -> Iterator[Buffer]:
    entries = np.frombuffer(buffer.data, buffer.dtype.numpy)
    for position in sorted({0, len(entries) // 2, len(entries) - 1}):
        for value in (entries[position] + 1, OUTSIDE, 0):
            changed = entries.copy()
            changed[position] = value
            if changed.tobytes() != buffer.data:
                yield replace(buffer, data=changed.tobytes())
    if len(entries) > 1:
        data = entries[:-1].tobytes()
        yield replace(buffer, data=data, shape=(len(entries) - 1,))
