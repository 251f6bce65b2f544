"""Nests that fusion must not make: each is refused by a proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import Mock, patch

import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

from polydsl.base.diagnostics import CompilerBug
from polydsl.driver.stages import Compilation
from polydsl.loops.nest import (
    Accumulate,
    BatchReduceGemm,
    Buffer,
    Call,
    Expr,
    Guard,
    Load,
    Loop,
    LoopNest,
    Node,
    Store,
)
from polydsl.loops.terms import ZERO, number
from polydsl.loops.verify import verify_nest

Change = Callable[[Node], tuple[Node, ...]]

ROWWISE = """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    s[i] += x[i, j]
    e[i, j] = exp(x[i, j] - s[i])
    t[i] = max[j](e[i, j])
    y[i, j] = e[i, j] / t[i]
    return y
"""
PRODUCT = """\
kernel f(x: f32[N, K], w: f32[K, M], z: f32[N, M]) -> f32[N, M]:
    h[i, j] += x[i, k] * w[k, j]
    y[i, j] = max(h[i, j], z[i, j])
    return y
"""


SUMS = """\
kernel f(x: f32[N, M]) -> (f32[N, M], f32[M], f32[M]):
    p[i, j] = exp(x[i, j])
    l[j] += p[i, j]
    z[j] = l[j] * 0.5
    return p, l, z
"""


def compiled(text: str, *shapes: tuple[int, ...]) -> Compilation:
    """Return a program compiled with every chain in shared loops, on two threads."""
    names = "xwz"
    arguments = tuple((n, "f32", shape) for n, shape in zip(names, shapes))
    with (
        patch("polydsl.schedule.fusion_chain.START", -1e9),
        patch("polydsl.schedule.schedule.LEAST_POINTS", 0),
    ):
        return run_case(Case(Program(text, arguments), ROWS[0])).state


@pytest.fixture(scope="module")
def rows() -> Compilation:
    return compiled(ROWWISE, (6, 40))


@pytest.fixture(scope="module")
def tiles() -> Compilation:
    return compiled(PRODUCT, (6, 24), (24, 32), (6, 32))


def refused(state: Compilation, nest: LoopNest, message: str) -> None:
    assert state.scop and state.schedule and state.nest
    assert nest != state.nest
    verify_nest(state.scop, state.schedule, state.nest)
    with pytest.raises(CompilerBug, match=message):
        verify_nest(state.scop, state.schedule, nest)


def changed(nodes: tuple[Node, ...], change: Change) -> tuple[Node, ...]:
    """Return nodes with each of them, those further in first, changed."""
    found: list[Node] = []
    for node in nodes:
        if isinstance(node, Loop | Guard):
            node = replace(node, body=changed(node.body, change))
        found += change(node)
    return tuple(found)


def with_buffer(
    nest: LoopNest, name: str, change: Callable[[Buffer], Buffer]
) -> LoopNest:
    buffers = (change(b) if b.name == name else b for b in nest.buffers)
    return replace(nest, buffers=tuple(buffers))


@pytest.fixture(scope="module")
def sums() -> Compilation:
    better = Mock(return_value=("it is asked for", True))
    with patch("polydsl.schedule.group_plan.GroupPlanning._comparison", better):
        return compiled(SUMS, (6, 40))


def nest_of(state: Compilation) -> LoopNest:
    assert state.nest is not None
    return state.nest


def test_threads_share_no_row(rows: Compilation) -> None:
    shared = with_buffer(nest_of(rows), "e", lambda b: replace(b, private=False))
    refused(rows, shared, "threads share a row of e")


def test_a_private_row_needs_threads_around_it(rows: Compilation) -> None:
    def alone(node: Node) -> tuple[Node, ...]:
        if isinstance(node, Loop) and node.kind == "parallel":
            return (replace(node, kind="sequential"),)
        return (node,)

    nest = nest_of(rows)
    refused(rows, replace(nest, body=changed(nest.body, alone)), "share a row of")


def test_no_row_is_kept_for_another_loop(rows: Compilation) -> None:
    """What follows in a loop of its own finds the last row only."""

    def apart(node: Node) -> tuple[Node, ...]:
        if isinstance(node, Loop) and node.kind == "parallel":
            *before, last = node.body
            return replace(node, body=tuple(before)), replace(node, body=(last,))
        return (node,)

    nest = nest_of(rows)
    parted = replace(nest, body=changed(nest.body, apart))
    refused(rows, parted, "used in several loops")


def test_lanes_have_memory(rows: Compilation) -> None:
    flat = with_buffer(nest_of(rows), "e", lambda b: replace(b, strides=(0, 0)))
    refused(rows, flat, "at once|same element|another row")


def with_first(node: Store, first: Expr) -> Store:
    """Return a store whose value has another first operand."""
    assert isinstance(node.value, Call)
    arguments = (first, *node.value.arguments[1:])
    return replace(node, value=replace(node.value, arguments=arguments))


def _other_slot(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Store) and node.buffer == "y":
        assert isinstance(node.value, Call)
        held = node.value.arguments[0]
        assert isinstance(held, Load)
        return (with_first(node, replace(held, index=(ZERO, held.index[1]))),)
    return (node,)


def _other_element(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Store) and node.buffer == "y":
        return (replace(node, index=(ZERO, node.index[1])),)
    return (node,)


def _other_start(node: Node) -> tuple[Node, ...]:
    match node:
        case BatchReduceGemm(c=tile):
            return (replace(node, c=replace(tile, base=number(1))),)
    return (node,)


def _never(node: Node) -> tuple[Node, ...]:
    return () if isinstance(node, BatchReduceGemm) else (node,)


def _half(node: Node) -> tuple[Node, ...]:
    """Half of the depth only."""
    match node:
        case BatchReduceGemm(depth=depth):
            return (replace(node, depth=depth // 2),)
    return (node,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_slot, "another element|another slot|is stored to"),
        (_other_element, "stored elsewhere"),
        (_other_start, "no tile of the product"),
        (_never, "S0 is never executed"),
        (_half, "S1"),
    ],
)
def test_a_tile_is_what_its_readers_take_it_for(
    tiles: Compilation, change: Change, message: str
) -> None:
    nest = nest_of(tiles)
    refused(tiles, replace(nest, body=changed(nest.body, change)), message)


def test_what_is_read_elsewhere_is_stored(tiles: Compilation) -> None:
    """A sum that is left in registers is in no memory that others could read."""
    nest = nest_of(tiles)
    assert all(buffer.name != "h" for buffer in nest.buffers)

    def elsewhere(node: Node) -> tuple[Node, ...]:
        if isinstance(node, Store) and node.buffer == "y":
            return (with_first(node, Load("h", node.index, node.value.dtype)),)
        return (node,)

    memory = Buffer("h", nest.buffers[0].dtype, (6, 32), (32, 1), "scratch")
    read = replace(
        nest,
        buffers=(*nest.buffers, memory),
        body=changed(nest.body, elsewhere),
    )
    refused(tiles, read, "S1_tile is filled and not stored")


def _too_late(node: Node) -> tuple[Node, ...]:
    """What is summed is made after it."""
    if isinstance(node, Loop) and any(isinstance(n, Accumulate) for n in node.body):
        return (replace(node, body=(*node.body[1:], node.body[0])),)
    return (node,)


def _another_row(node: Node) -> tuple[Node, ...]:
    """The sum is over the first row, again and again."""
    if isinstance(node, Accumulate) and isinstance(node.value, Load):
        index = (ZERO, *node.value.index[1:])
        return (replace(node, value=replace(node.value, index=index)),)
    return (node,)


def _never_made(node: Node) -> tuple[Node, ...]:
    return () if isinstance(node, Store) and node.buffer == "p" else (node,)


def _made_twice(node: Node) -> tuple[Node, ...]:
    return (node, node) if isinstance(node, Store) and node.buffer == "p" else (node,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_too_late, "p is read before it is finished"),
        (_another_row, "not the value of the statement"),
        (_never_made, "S0 is never executed"),
        (_made_twice, "S0 is executed more than once"),
    ],
)
def test_what_is_summed_is_made_before(
    sums: Compilation, change: Change, message: str
) -> None:
    nest = nest_of(sums)
    refused(sums, replace(nest, body=changed(nest.body, change)), message)
