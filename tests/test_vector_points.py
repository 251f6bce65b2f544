"""What is no product runs as any point of its space says, or is refused with words.

Random points of small statements of many kinds, with indices unrolled, windows written
out, loops in any order and at two levels, are proved, run by the interpreter and as
machine code on every row of the ISA table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machines import machine
from program_harness import ROWS, tools_for
from tree_harness import scop_of
from vector_points import random_vector_points
from verify_harness import case, run
from verify_kernels import DEPTHWISE, POOL, SOFTMAX, TRIANGLE

import polydsl
from polydsl.backend.arrays import layout_of
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.loops.generate import default_layout
from polydsl.schedule.vector_builder import Refused, VectorSetting, build, evened
from polydsl.schedule.vector_plan import Run, VectorPlan
from polydsl.schedule.vector_point import IndexLoop, Unrolled, VectorPoint
from polydsl.semantics.oracle.compare import compare
from polydsl.semantics.oracle.evaluate import evaluate

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

CORRELATION = """
kernel correlation(x: f32[C, H, W], z: f32[C, H, W]) -> f32[3, 3, H, W]:
    u in range(3)
    v in range(3)
    y[u, v, h, w] += x[c, h, w] * pad(z[c, h + u - 1, w + v - 1])
    return y
"""
INVOLUTION = """
kernel involution(x: f32[H, W, C], f: f32[H, W, R, S, G]) -> f32[H, W, C]:
    y[p, q, c] += pad(x[p + r - 1, q + s - 1, c]) * f[p, q, r, s, c // (C // G)]
    return y
"""
POOLED = """
kernel pooled(x: f32[C, H, W]) -> f32[C, H//2, W//2]:
    y[c, p, q] = max[r, s](pad(x[c, 2*p + r - 1, 2*q + s - 1], value=-inf))
    r in range(3)
    s in range(3)
    return y
"""
SCALED = """
kernel scaled(x: f32[M, N], m: f32[M], w: f32[N]) -> f32[M, N]:
    y[i, j] = (x[i, j] - m[i]) * w[j]
    return y
"""
DISTANCE = """
kernel distance(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += abs(a[i, k] - b[k, j]) ** 2
    return c
"""

KERNELS = (
    (DEPTHWISE, {"x": (5, 6, 19), "w": (3, 3, 19)}),
    (CORRELATION, {"x": (3, 4, 21), "z": (3, 4, 21)}),
    (INVOLUTION, {"x": (4, 5, 16), "f": (4, 5, 3, 3, 2)}),
    (POOL, {"x": (3, 6, 14)}),
    (POOLED, {"x": (3, 8, 22)}),
    (SCALED, {"x": (7, 21), "m": (7,), "w": (21,)}),
    (SOFTMAX, {"x": (5, 23)}),
    (DISTANCE, {"a": (7, 5), "b": (5, 19)}),
)

PROVED = (*KERNELS, (TRIANGLE, {"x": (6, 6), "z": (6, 20)}))
"""With what machine code is not made of yet."""

WANTED = frozenset((
    "two unrolled", "three unrolled", "second tile", "several vectors", "taps",
    "several taps", "cut", "two levels", "shared", "shared inside", "scalar",
    "rows together", "unrolled assignment", "partial vector",
))  # fmt: skip


def kinds(plan: VectorPlan) -> Iterator[str]:
    """Yield what a plan has."""
    point = plan.point
    yield from ("two unrolled", "three unrolled")[: len(point.unrolled) - 1]
    runs = dict(plan.runs)
    sides = [u.index for u in point.unrolled]
    if any(len({r.size for r in runs[d]}) > 1 for d in sides):
        yield "second tile"
    if any(r.is_partial for d in runs for r in runs[d]):
        yield "partial vector"
    names = {
        "several vectors": point.vectors > 1,
        "taps": bool(point.taps),
        "several taps": len(point.taps) > 1,
        "cut": any(len(runs[d]) > 2 for d in point.cut if d in runs),
        "two levels": any(loop.tiles > 1 for loop in point.loops),
        "shared": point.parallel == 0,
        "shared inside": point.parallel > 0,
        "scalar": point.vector is None,
        "rows together": bool(sides and plan.updates and point.vector not in runs),
        "unrolled assignment": bool(sides and not plan.updates),
    }
    yield from (name for name, is_so in names.items() if is_so)


def test_random_points_are_proved_and_interpreted() -> None:
    seen: Counter[str] = Counter()
    plain = [case(*kernel, vector_bytes=32) for kernel in PROVED]
    wanted = [run(found, found.nest) for found in plain]

    @settings(SETTINGS, max_examples=25)
    @given(st.integers(0, len(PROVED) - 1), st.integers(0, 1 << 20))
    def check(number: int, seed: int) -> None:
        plans: list[VectorPlan] = []
        with random_vector_points(seed, plans):
            other = case(*PROVED[number], vector_bytes=32)
        seen.update(kind for plan in plans for kind in kinds(plan))
        other.verify()
        if seed % 8:
            return
        for name, value in run(other, other.nest).items():
            expected = wanted[number][name]
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)

    check()
    missing = sorted(WANTED - seen.keys())
    assert not missing, f"no point has {', '.join(missing)}"


@pytest.mark.parametrize("isa", ROWS)
def test_random_points_run_as_machine_code(isa: str) -> None:
    """The oracle says what comes out; one thread and two give the same bits."""
    found: list[VectorPlan] = []

    @settings(SETTINGS, max_examples=7)
    @given(st.sampled_from(KERNELS), st.integers(0, 1 << 20))
    def check(drawn: tuple[str, dict[str, tuple[int, ...]]], seed: int) -> None:
        text, shapes = drawn
        rng = np.random.default_rng(seed)
        arrays = {
            name: rng.standard_normal(shape).astype(np.float32)
            for name, shape in shapes.items()
        }
        name = text.split("(")[0].split()[-1]
        function = getattr(polydsl.loads(text), name)
        program = function.program(**arrays)
        layouts = {n: layout_of(a) for n, a in arrays.items()}
        request = Request(function.library, name, layouts, {})
        with random_vector_points(seed, found):
            special = Specialization(request, tools_for(isa), {})
        passed = [arrays[n] for n in special.tensors]
        one, two = (special.run(passed, threads) for threads in (1, 2))
        assert one is not None and two is not None
        for a, b in zip(one, two):
            assert a.tobytes() == b.tobytes()
        compare(program, evaluate(program, arrays), one)

    check()
    assert len({plan.describe() for plan in found}) > 10


# Tiles and refusals


@given(
    st.integers(-3, 3), st.integers(1, 300), st.integers(1, 9), st.sampled_from((1, 8))
)
def test_tiles_are_even_and_cover_everything(
    lo: int, extent: int, size: int, unit: int
) -> None:
    runs = evened(lo, lo + extent - 1, size, unit)
    at = lo
    for tile in runs:
        assert tile.start == at and tile.size % unit == 0
        at = min(tile.start + tile.count * tile.size, tile.end)
        assert not tile.is_partial or tile.count == 1
    assert at == lo + extent
    sizes = {tile.size // unit for tile in runs}
    assert max(sizes) <= size and max(sizes) - min(sizes) <= 1


def test_a_cut_ends_where_padding_is_not_asked_for() -> None:
    plan = build(_depthwise(), VectorPoint("c", loops=_LOOPS, **_REST, cut=("h", "v")))
    assert isinstance(plan, VectorPlan)
    expected = (Run(0, 1, 1, 1), Run(1, 7, 1, 8), Run(8, 1, 1, 9))
    assert plan.runs_of("h") == expected


_LOOPS = (IndexLoop("h"), IndexLoop("v"), IndexLoop("c"))
_REST = {"reduction": ("r", "s")}


def _depthwise() -> VectorSetting:
    scop = scop_of(DEPTHWISE, x=(9, 6, 19), w=(3, 3, 19))
    first, update = scop.statements
    return VectorSetting(scop, default_layout(scop), machine(), "y", first, (update,))


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        (VectorPoint("c", 40, reduction=("r", "s"), loops=_LOOPS), "do not fit"),
        (VectorPoint("c", reduction=("r",), loops=_LOOPS), "reduced indices, each"),
        (VectorPoint("c", reduction=("r", "s"), loops=_LOOPS[:2]), "have no loop"),
        (
            VectorPoint("c", 1, (Unrolled("c", 2),), (), ("r", "s"), _LOOPS),
            "different left-hand indices",
        ),
        (
            VectorPoint("c", 1, (), (), ("r", "s"), (IndexLoop("h", 3), *_LOOPS[1:])),
            "span",
        ),
        (VectorPoint("c", 1, (), (), ("r", "s"), _LOOPS, (), 7), "no loop 7"),
        (VectorPoint("c", 0, (), (), ("r", "s"), _LOOPS), "is empty"),
    ],
)
def test_a_point_is_refused_with_words(point: VectorPoint, reason: str) -> None:
    refused = build(_depthwise(), point)
    assert isinstance(refused, Refused) and reason in refused.reason
