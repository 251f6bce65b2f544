"""Where scratch buffers lie: apart where both are needed, else in the same memory."""

from __future__ import annotations

import re

import numpy as np
from emitter_kernels import array, nest, number
from hypothesis import given, settings
from hypothesis import strategies as st

import polydsl
from polydsl.backend.emitter.layout import ALIGNMENT, scratch_layout
from polydsl.base.dtypes import F32
from polydsl.loops.nest import Buffer, Literal, LoopNest, Node, Store


def used(buffers: list[Buffer], lives: list[tuple[int, int]]) -> LoopNest:
    """Return a nest whose n-th buffer is written in the nodes of its life."""
    body: list[Node] = []
    for at in range(max(last for _, last in lives) + 1):
        here = [b for b, (lo, hi) in zip(buffers, lives) if at in (lo, hi)]
        body += [Store(b.name, (number(0),) * len(b.shape), ONE) for b in here]
    return nest(buffers, *body)


ONE = Literal(1.0, F32)


def test_scratch_is_aligned_and_private_blocks_follow() -> None:
    buffers = [
        array("a", 3, memory="scratch"),
        array("p", 5, 5, memory="scratch", private=True),
        array("b", 17, memory="scratch"),
        array("q", 1, memory="scratch", private=True),
        array("x", 9),
    ]
    layout = scratch_layout(used(buffers, [(0, 1)] * 5))
    offsets = {name: layout.offset(name) for name in "abpq"}
    assert offsets == {"b": 0, "a": 128, "p": 0, "q": 128}
    assert (layout.shared_bytes, layout.thread_bytes) == (192, 192)
    assert layout.total_bytes(3) == 192 * 4


def test_what_is_not_needed_at_once_shares_memory() -> None:
    buffers = [array(name, 64, memory="scratch") for name in "abc"]
    layout = scratch_layout(used(buffers, [(0, 1), (2, 4), (3, 5)]))
    assert layout.shared_bytes == 2 * 256
    assert "b" in layout.sharing("a") or "c" in layout.sharing("a")
    assert "c" not in layout.sharing("b")


lives = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(
    lambda ends: (min(ends), max(ends))
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 90), st.booleans(), lives), min_size=1))
def test_nothing_that_is_needed_is_overwritten(
    drawn: list[tuple[int, bool, tuple[int, int]]],
) -> None:
    buffers = [
        array(f"b{n}", size, memory="scratch", private=private)
        for n, (size, private, _) in enumerate(drawn)
    ]
    found = used(buffers, [life for _, _, life in drawn])
    order = {id(node): at for at, node in enumerate(found.body)}
    spans = {
        b.name: [
            order[id(n)]
            for n in found.body
            if isinstance(n, Store) and n.buffer == b.name
        ]
        for b in buffers
    }
    layout = scratch_layout(found)
    places = {place.name: place for place in layout.places}
    for one in buffers:
        place = places[one.name]
        assert place.begin % ALIGNMENT == 0
        assert place.end - place.begin >= one.span_elements * 4
        limit = layout.thread_bytes if one.private else layout.shared_bytes
        assert place.end <= limit
        for other in buffers:
            meet = spans[one.name][0] <= spans[other.name][-1]
            meet = meet and spans[other.name][0] <= spans[one.name][-1]
            if other is not one and meet:
                assert not place.overlaps(places[other.name])


STEPS = """
kernel f(x: f32[N, N]) -> f32[N, N]:
    a[i, j] += x[i, k] * x[k, j]
    b[i, j] += a[i, k] * x[k, j]
    c[i, j] += b[i, k] * x[k, j]
    d[i, j] += c[i, k] * x[k, j]
    return d
"""


def test_a_chain_of_products_needs_two_of_its_tensors_at_once() -> None:
    kernel = polydsl.loads(STEPS).f
    x = np.random.default_rng(0).standard_normal((64, 64), np.float32)
    kernel.verify(x)
    assert "scratch: 32 KiB" in kernel.explain(x)


def test_llvm_is_not_told_that_shared_memory_is_apart() -> None:
    """Else it may move a store to one buffer in front of a load of the other."""
    x = np.zeros((64, 64), np.float32)
    text = polydsl.loads(STEPS).f.emit("llvm", x)
    scopes = dict(re.findall(r'(!\d+) = !{ !"(\w+)", !\d+ }', text))
    apart = re.findall(r"(!\d+) = !{ ((?:!\d+, )*!\d+) }", text)
    named = [{scopes.get(n, "") for n in entry.split(", ")} for _, entry in apart]
    assert {"x", "b", "d"} in named, "a and c share memory"
    assert {"x", "b", "c", "d"} not in named
    assert {"x", "a", "b", "d"} not in named
