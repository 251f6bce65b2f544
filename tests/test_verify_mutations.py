"""The proofs refuse nests with a mistake, and name a point.

Mistakes that are likely in a generator are planted one by one. Beside them, all small
changes of a nest are tried, a sample of them: what the proofs accept is run, and must
give the same results as the nest that was changed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matrix_loops import INNER
from nest_mutations import mutations
from verify_harness import Case, case, in_body, once, pointed, run
from verify_kernels import (
    KERNELS,
    NCHW,
    NHWC,
    convolution,
    matmul,
)
from verify_orders import ORDERS

from polydsl.base.diagnostics import CompilerBug
from polydsl.base.dtypes import BOOL, I32, I64
from polydsl.loops.nest import (
    OUTSIDE,
    Accumulate,
    BatchReduceGemm,
    Buffer,
    Call,
    Guard,
    Literal,
    Load,
    Loop,
    LoopNest,
    Node,
    Select,
    Store,
    Strided,
    Var,
)
from polydsl.loops.verify_forms import Unproved
from polydsl.schedule.matrix_point import MatrixPoint, Reading, TileLoop

Change = Callable[[Any], Any]


def number(value: int) -> Literal:
    return Literal(value, I64)


def more(expr: Any, amount: int = 1) -> Any:
    return Call("add", (expr, number(amount)), I64)


def is_product(node: Node) -> bool:
    return isinstance(node, BatchReduceGemm)


def product(change: Change) -> Callable[[LoopNest], LoopNest]:
    """Change the first product."""
    return lambda nest: in_body(nest, once(BatchReduceGemm, change))


def loop(var: str, change: Change) -> Callable[[LoopNest], LoopNest]:
    """Change the first loop of a name."""
    found = once(Loop, lambda n: change(n) if n.var == var else n)
    return lambda nest: in_body(nest, found)


def store(change: Change) -> Callable[[LoopNest], LoopNest]:
    """Change the first store."""
    return lambda nest: in_body(nest, once(Store, change))


def buffer(
    name: str, change: Callable[[Buffer], Buffer]
) -> Callable[[LoopNest], LoopNest]:
    """Change the buffer whose name ends so."""

    def apply(nest: LoopNest) -> LoopNest:
        assert any(b.name.endswith(name) for b in nest.buffers), nest.buffers
        buffers = tuple(change(b) if b.name.endswith(name) else b for b in nest.buffers)
        return replace(nest, buffers=buffers)

    return apply


def entry(position: int, amount: int) -> Callable[[Buffer], Buffer]:
    """Add to an entry of a table; OUTSIDE is put in its place, or replaced."""

    def apply(table: Buffer) -> Buffer:
        entries = np.frombuffer(table.data, table.dtype.numpy).copy()
        old = 0 if entries[position] == OUTSIDE else int(entries[position])
        entries[position] = OUTSIDE if amount == OUTSIDE else old + amount
        return replace(table, data=entries.tobytes())

    return apply


# Cases


def guarded() -> Case:
    """Borders through a row table; weights packed for each panel; taps in blocks."""
    point = MatrixPoint(
        False,
        ("p", "q"),
        ("k",),
        ("c",),
        *(5, 8, 3, 4),
        tuple(TileLoop(axis) for axis in ("columns", "taps", "depth", "rows")),
        Reading("in place"),
        Reading("packed", 1),
        parallel=0,
    )
    return pointed(case(*CONVOLUTION, vector_bytes=16), point)


def chunked() -> Case:
    """A padded copy; rows in chunks with a tail behind a guard; depth in blocks."""
    point = MatrixPoint(
        False,
        ("p", "q"),
        ("k",),
        ("c",),
        *(4, 8, 2, 1),
        (TileLoop("rows", 4), *(TileLoop(axis) for axis in INNER)),
        Reading("padded"),
        Reading("in place"),
        parallel=0,
    )
    return pointed(case(*CONVOLUTION, vector_bytes=16), point)


def lined() -> Case:
    """An image packed line by line: tiles meet lines of 5, and the last is shorter."""
    point = MatrixPoint(
        True,
        ("k",),
        ("p", "q"),
        ("c", "r", "s"),
        *(4, 8, 27, 1),
        (TileLoop("columns"), TileLoop("rows")),
        Reading("in place"),
        Reading("packed", 1),
    )
    image = convolution(NCHW, 1, 3, 9, 5, 3, padding=1, stride=2)
    return pointed(case(*image, vector_bytes=16), point)


CONVOLUTION = convolution(NHWC, 1, 3, 5, 20, 3, padding=1)


def kernel(name: str) -> Case:
    text, shapes, constants = {**KERNELS, **ORDERS}[name]
    return case(text, shapes, constants)


def prepared() -> Case:
    """A product whose right factor is packed once."""
    first = case(matmul(False, True), {"a": (13, 7), "b": (35, 7)}, bound=("b",))
    assert first.nest.prepare
    return first


CASES: dict[str, Callable[[], Case]] = {
    "guarded": guarded,
    "chunked": chunked,
    "lined": lined,
    "prepared": prepared,
    **{name: (lambda name=name: kernel(name)) for name in (*KERNELS, *ORDERS)},
}


def base(side: str, amount: int) -> Change:
    return lambda g: replace(
        g, **{side: replace(getattr(g, side), base=more(getattr(g, side).base, amount))}
    )


def body_of(change: Callable[[tuple[Node, ...]], tuple[Node, ...]]) -> Change:
    return lambda n: replace(n, body=change(n.body))


def condition_of(change: Change) -> Change:
    """Change the condition of a selection that pads."""

    def apply(node: Store) -> Store:
        value = node.value
        assert isinstance(value, Select)
        return replace(node, value=replace(value, condition=change(value.condition)))

    return apply


def first_literal(expr: Any, amount: int) -> Any:
    """Add to the last number of a condition."""
    match expr:
        case Call(arguments=(*rest, Literal(value, dtype))):
            return replace(expr, arguments=(*rest, Literal(value + amount, dtype)))
        case Call(arguments=(*rest, last)):
            return replace(expr, arguments=(*rest, first_literal(last, amount)))
        case _:
            raise AssertionError(expr)


def swap_first_two(nest: LoopNest) -> LoopNest:
    one, two, *rest = nest.body
    return replace(nest, body=(two, one, *rest))


def without_first(kind: type, where: Callable[[Any], bool] = lambda _: True) -> Change:
    change = once(kind, lambda n: None if where(n) else n)
    return lambda nest: in_body(nest, change)


def twice(kind: type, where: Callable[[Any], bool] = lambda _: True) -> Change:
    change = once(kind, lambda n: (n, n) if where(n) else n)
    return lambda nest: in_body(nest, change)


def accumulates(node: Any) -> bool:
    return isinstance(node, BatchReduceGemm) and node.accumulate


def parallel(node: Loop) -> Loop:
    return replace(node, kind="parallel")


def shorter(buffer: Buffer) -> Buffer:
    return replace(buffer, shape=(buffer.shape[0] - 1, *buffer.shape[1:]))


MUTATIONS: tuple[tuple[str, str, Change, str], ...] = (
    # places of the operands of a product
    ("guarded", "A is read one element further", product(base("a", 1)), "wrong"),
    ("guarded", "B is read one element further", product(base("b", 1)), "B|pack|read"),
    ("guarded", "C is written one element further", product(base("c", 1)), "C is not"),
    ("chunked", "A is read one row further", product(base("a", 7)), "another element"),
    (
        "matmul",
        "the depth of A has a wrong step",
        product(lambda g: replace(g, a=replace(g.a, depth_step=2))),
        "another element",
    ),
    (
        "matmul",
        "the rows of C overlap",
        product(lambda g: replace(g, c=replace(g.c, row=Strided(34)))),
        "C is not",
    ),
    (
        "grouped",
        "a tap of the table is off",
        buffer("tap_table", entry(3, 1)),
        "another",
    ),
    (
        "chunked",
        "a row of the table is off",
        buffer("row_table", entry(4, -1)),
        "another",
    ),
    ("guarded", "a guarded row is off", buffer("x_rows", entry(22, 1)), "wrong offset"),
    (
        "guarded",
        "a row is padded",
        buffer("x_rows", entry(22, OUTSIDE)),
        "wrong padding",
    ),
    ("guarded", "a border is not", buffer("x_rows", entry(0, 0)), "wrong padding"),
    ("guarded", "a tile has a wrong base", buffer("x_base", entry(2, 3)), "wrong"),
    (
        "guarded",
        "a tile has a wrong start",
        buffer("x_start", entry(2, 1)),
        "wrong|access",
    ),
    (
        "guarded",
        "the padding is not zero",
        buffer("x_padding", entry(1, 1)),
        "another padding",
    ),
    (
        "guarded",
        "the line of padding is short",
        buffer("x_padding", lambda b: replace(b, shape=(2,), data=b.data[:8])),
        "too short",
    ),
    # bounds, tails, repetitions
    (
        "matmul",
        "a row is left out",
        product(lambda g: replace(g, rows=g.rows - 1)),
        "never",
    ),
    (
        "guarded",
        "a column is left out",
        product(lambda g: replace(g, columns=g.columns - 1)),
        "never executed",
    ),
    (
        "guarded",
        "a tap is done twice",
        product(lambda g: replace(g, batch=5)),
        "more than",
    ),
    (
        "guarded",
        "a step is done twice",
        product(lambda g: replace(g, depth=4)),
        "outside",
    ),
    ("chunked", "the tail is missing", without_first(Guard), "never executed"),
    (
        "chunked",
        "both chunks do the tail",
        lambda nest: in_body(nest, once(Guard, lambda g: g.body)),
        "more than once|again|outside",
    ),
    (
        "guarded",
        "a panel is missing",
        loop("panel'", lambda n: replace(n, hi=number(0))),
        "never executed",
    ),
    (
        "guarded",
        "a block of taps is done twice",
        loop("tap_block'", lambda n: replace(n, body=(*n.body[0].body, *n.body[1:]))),
        "executed again",
    ),
    (
        "softmax",
        "a point is missing",
        loop("j", lambda n: replace(n, lo=number(1))),
        "never",
    ),
    (
        "softmax",
        "a point too many",
        loop("j", lambda n: replace(n, hi=more(n.hi))),
        "outside its domain",
    ),
    (
        "depthwise_long",
        "the tail of the vectors is too short",
        lambda nest: in_body(
            nest, lambda n: replace(n, hi=number(4)) if _is_tail(n) else n
        ),
        "never executed",
    ),
    ("matmul", "a product is done twice", twice(BatchReduceGemm), "more than once"),
    (
        "softmax",
        "an assignment is done twice",
        twice(Loop, lambda n: n.var == "j"),
        "once",
    ),
    (
        "triangle",
        "a triangle has one point too many",
        loop("j", lambda n: replace(n, hi=more(n.hi))),
        "outside its domain",
    ),
    (
        "triangle",
        "the border of a triangle is off",
        lambda nest: in_body(nest, once(Store, _with_shorter_border)),
        "outside|not the value",
    ),
    # initialisation and order
    (
        "guarded",
        "the first block accumulates",
        product(lambda g: replace(g, accumulate=True, initial=None)),
        "never executed",
    ),
    (
        "guarded",
        "a later block does not accumulate",
        lambda nest: in_body(
            nest,
            once(
                BatchReduceGemm,
                lambda g: replace(g, accumulate=False) if g.accumulate else g,
            ),
        ),
        "accumulates and initialises",
    ),
    (
        "softmax",
        "an accumulator is not set",
        without_first(Store, lambda n: n.buffer.endswith("_acc")),
        "never executed|before it is filled",
    ),
    (
        "softmax",
        "an accumulator starts with another value",
        store(lambda n: replace(n, value=Literal(0.0, n.value.dtype))),
        "not the value",
    ),
    (
        "softmax",
        "an accumulator is not stored",
        without_first(Store, lambda n: isinstance(n.value, Load) and not n.instance),
        "not stored",
    ),
    ("softmax", "a reduction is read before it is done", swap_first_two, "before"),
    ("chunked", "the copy is made too late", swap_first_two, "before"),
    (
        "several",
        "products are added before the tensor is set",
        lambda nest: replace(nest, body=(*nest.body[1:], nest.body[0])),
        "before",
    ),
    (
        "guarded",
        "the panel is packed after its use",
        loop("panel'", body_of(lambda b: (*b[2:], *b[:2]))),
        "before it is filled",
    ),
    (
        "pool",
        "an update is combined by another operation",
        lambda nest: in_body(
            nest, once(Accumulate, lambda n: replace(n, combine="min"))
        ),
        "combines by",
    ),
    # copies
    (
        "chunked",
        "the border of a copy begins too late",
        store(condition_of(lambda c: first_literal(c, -1))),
        "not the value",
    ),
    (
        "chunked",
        "a copy reads another element",
        store(
            lambda n: replace(n, value=replace(n.value, then=_shifted(n.value.then)))
        ),
        "outside|not the value",
    ),
    ("chunked", "the copy is too small", buffer("x_rows_pad", shorter), "outside"),
    (
        "guarded",
        "a pack is stored elsewhere",
        store(lambda n: replace(n, index=(*n.index[:-2], n.index[-1], n.index[-2]))),
        "outside|elsewhere|not",
    ),
    (
        "guarded",
        "a pack is not complete",
        loop("S1_w_columns_pack_c", lambda n: replace(n, hi=number(2))),
        "never executed",
    ),
    (
        "guarded",
        "threads share a pack",
        buffer("w_columns_pack", lambda b: replace(b, private=False)),
        "thread",
    ),
    (
        "lined",
        "a run begins a lane too early",
        loop("S1_x_columns_pack_lane'", lambda n: replace(n, lo=more(n.lo, -1))),
        "leaves its line|elsewhere|outside|more than once",
    ),
    (
        "lined",
        "a run is a lane short",
        loop("S1_x_columns_pack_lane'", lambda n: replace(n, hi=more(n.hi, -1))),
        "never executed",
    ),
    (
        "lined",
        "a tile meets one line less",
        loop("run'", lambda n: replace(n, hi=more(n.hi, -1))),
        "never executed",
    ),
    (
        "lined",
        "a run is said to be of the next line",
        store(lambda n: replace(n, instance=_in_next_line(n.instance))),
        "elsewhere in its line",
    ),
    (
        "lined",
        "a run has no line",
        store(lambda n: replace(n, instance=replace(n.instance, terms=()))),
        "not past its end",
    ),
    (
        "lined",
        "a run is copied from the next column",
        store(
            lambda n: replace(n, value=replace(n.value, then=_shifted(n.value.then)))
        ),
        "outside|not the value",
    ),
    (
        "lined",
        "lanes past the end are not set to zero",
        without_first(Guard),
        "never executed",
    ),
    # buffers
    (
        "matmul",
        "rows of the result overlap",
        buffer("d", lambda b: replace(b, strides=(34, 1))),
        "one address",
    ),
    (
        "several",
        "a result is private",
        buffer("y", lambda b: replace(b, private=True)),
        "memory",
    ),
    (
        "prepared",
        "a prepared pack is lost",
        buffer("_pack", lambda b: replace(b, memory="scratch")),
        "memory",
    ),
    (
        "prepared",
        "a pack is prepared too late",
        lambda nest: replace(nest, prepare=(), body=(*nest.prepare, *nest.body)),
        "not written here",
    ),
    (
        "prepared",
        "what is not known is prepared",
        lambda nest: replace(nest, prepare=(*nest.prepare, *nest.body), body=()),
        "not known|not written",
    ),
    # threads and lanes
    ("chunked", "threads share a depth", loop("depth_block'", parallel), "parallel"),
    ("integers", "threads share a sum", loop("k", parallel), "thread"),
    ("scatter", "threads meet in an element", loop("p", parallel), "parallel|thread"),
    (
        "pool",
        "lanes share an accumulator",
        store(
            lambda n: replace(n, index=(*n.index[:-1], number(0))) if n.instance else n
        ),
        "is not filled",
    ),
)


def _with_shorter_border(node: Store) -> Store:
    if not isinstance(node.value, Select):
        return node
    return condition_of(lambda c: first_literal(c, 1))(node)  # type: ignore[no-any-return]


def _is_tail(node: Node) -> bool:
    return isinstance(node, Loop) and node.var == "lane'" and node.hi != number(16)


def _in_next_line(instance: Any) -> Any:
    (line, place), *rest = instance.terms
    return replace(instance, terms=((line, more(place)), *rest))


def _shifted(load: Any) -> Any:
    return replace(load, index=(*load.index[:-1], more(load.index[-1])))


@pytest.mark.parametrize(
    ("name", "mutation", "change", "match"),
    MUTATIONS,
    ids=[f"{name}: {mutation}" for name, mutation, _, _ in MUTATIONS],
)
def test_a_mistake_is_refused(
    name: str, mutation: str, change: Change, match: str
) -> None:
    found = CASES[name]()
    found.verify()
    changed = change(found.nest)
    assert changed != found.nest, mutation
    found.refuses(changed, match)


# All small changes


FEW, MANY = 8, 24
"""So many changes of a case are tried."""
LARGE = ("nhwc_strided", "softmax_wide")
"""Running these in the interpreter takes too long."""
EMPTY = ("matmul_no_rows",)
"""These do nothing, and need no memory for it."""


@pytest.mark.parametrize(
    "sample", [FEW, pytest.param(MANY, marks=pytest.mark.thorough)]
)
@pytest.mark.parametrize("name", [n for n in CASES if n not in LARGE + EMPTY])
def test_what_is_accepted_computes_the_same(name: str, sample: int) -> None:
    found = CASES[name]()
    wanted = run(found, found.nest)
    changed = list(mutations(found.nest))
    random.Random(len(name)).shuffle(changed)
    refused = 0
    for nest in changed[:sample]:
        try:
            found.verify(nest)
        except CompilerBug:
            refused += 1
            continue
        for result, value in run(found, nest).items():
            np.testing.assert_allclose(value, wanted[result], rtol=1e-3, atol=1e-4)
    assert refused


def test_what_cannot_be_proved_is_no_silence() -> None:
    found = case(
        "kernel f(x: f32[N, N]) -> f32[N, N]:\n"
        "    y[i, j] = x[i, j] * 2\n    return y\n",
        {"x": (5000, 5000)},
    )
    data = np.array([0, 1], np.int32).tobytes()
    table = Buffer("table", I32, (2,), (1,), "constant", False, data=data)
    place = Call("add", (Var("i"), Var("j")), I64)
    half = Call("floordiv", (place, number(5000)), I64)
    odd = Call("eq", (Load("table", (half,), I64), half), BOOL)

    def guarded_points(node: Loop) -> Loop:
        body = (Guard(odd, node.body),)
        return replace(node, kind="sequential", lanes=1, body=body)

    nest = replace(found.nest, buffers=(*found.nest.buffers, table))
    nest = loop("j", guarded_points)(nest)
    with pytest.raises(Unproved, match="25000000 points"):
        found.verify(nest)
