"""What nodes of a nest use: their expressions, and the buffers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from polydsl.loops.nest import (
    Accumulate,
    BatchReduceGemm,
    Check,
    Expr,
    Guard,
    Load,
    Loop,
    LoopNest,
    Node,
    Store,
    operands,
    walk,
)


def parts(*roots: Expr) -> Iterator[Expr]:
    """Yield the expressions and everything below them, each shared one once."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        expr = stack.pop()
        if id(expr) not in seen:
            seen.add(id(expr))
            yield expr
            stack.extend(operands(expr))


def expressions(node: Node) -> tuple[Expr, ...]:
    """Return the expressions of a node itself, but for the places of a product."""
    match node:
        case Loop(lo=lo, hi=hi):
            return (lo, hi)
        case Guard(condition):
            return (condition,)
        case Store(_, index, value) | Accumulate(_, index, _, value):
            return (*index, value)
        case Check(value=value):
            return (value,)
        case BatchReduceGemm():
            return ()
        case _:
            assert_never(node)


def touched_buffers(nodes: tuple[Node, ...]) -> frozenset[str]:
    """Return the names of the buffers that nodes, and those inside them, read or write;
    of a product those of its three operands."""
    found: set[str] = set()
    for node in walk(nodes):
        match node:
            case BatchReduceGemm():
                found |= {node.c.buffer, node.a.buffer, node.b.buffer}
            case Store(buffer) | Accumulate(buffer) | Check(buffer=buffer):
                found.add(buffer)
            case _:
                pass
        below = parts(*expressions(node))
        found |= {e.buffer for e in below if isinstance(e, Load)}
    return frozenset(found)


def touched_bytes(nest: LoopNest) -> int:
    """Return the bytes of memory that a call touches, buffer by buffer for each node at
    the top of the nest: what one of them leaves, and another one needs, counts twice.
    Of a contracted tensor, one row counts."""
    size = {
        b.name: b.span_elements * b.dtype.bytes
        for b in nest.buffers
        if b.memory not in ("register", "constant")
    }
    touched = (touched_buffers((node,)) for node in nest.body)
    return sum(size.get(name, 0) for names in touched for name in names)
