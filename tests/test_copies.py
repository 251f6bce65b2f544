"""Packed copies of padded, strided, dilated images: proved, and run on every ISA row.

A tile of lanes meets several lines of the image, begins and ends within one, and the
last tile is shorter; lines are longer or shorter than a vector. NumPy says what comes
out. The packed factor lies beside pages that cannot be touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from emitter_harness import Worker
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from test_emitter import ROWS
from verify_harness import Array, case, pointed

from polydsl.loops.nest import Guard, Loop, Node, children
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import MatrixPoint, Reading, TileLoop

TEXT = """
kernel conv(x: f32[C, H, W], w: f32[K, C, R, S], *, stride: int, padding: int,
            dilation: int) -> f32[K, P, Q]:
    P = (H + 2*padding - dilation*(R - 1) - 1) // stride + 1
    Q = (W + 2*padding - dilation*(S - 1) - 1) // stride + 1
    y[k, p, q] += pad(x[c, p*stride + r*dilation - padding,
                        q*stride + s*dilation - padding], 1.5) * w[k, c, r, s]
    return y
"""


@dataclass(frozen=True)
class Image:
    """A convolution and how its image is packed: in tiles of so many lanes, in parts of
    the depth, before all loops or for every tile."""

    shape: tuple[int, int, int]
    window: tuple[int, int]
    stride: int
    padding: int
    dilation: int
    tile: int
    depth_block: int
    is_whole: bool


def images() -> st.SearchStrategy[Image]:
    """Return images whose lines are shorter and longer than a vector."""
    return st.builds(
        Image,
        st.tuples(st.integers(2, 4), st.integers(5, 9), st.integers(5, 45)),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        *(st.integers(1, 5), st.integers(0, 2), st.integers(1, 2)),
        *(st.integers(1, 40), st.sampled_from((2, 6, 100)), st.booleans()),
    )


def convolved(image: Image, x: Array, w: Array) -> Array:
    """Return the convolution by NumPy."""
    edge = image.padding
    wide = np.pad(x, ((0, 0), (edge, edge), (edge, edge)), constant_values=1.5)
    window = [image.dilation * (n - 1) + 1 for n in image.window]
    views = np.lib.stride_tricks.sliding_window_view(wide, window, (1, 2))
    step, hop = image.stride, image.dilation
    return np.einsum("cpqrs,kcrs->kpq", views[:, ::step, ::step, ::hop, ::hop], w)


def packed(image: Image) -> MatrixPoint:
    """Return the schedule that packs the image as the vector side."""
    place = 0 if image.is_whole else 2
    axes = ("columns", "depth", "rows")
    return MatrixPoint(
        True,
        ("k",),
        ("p", "q"),
        ("c", "r", "s"),
        *(4, image.tile, image.depth_block, 1),
        tuple(TileLoop(axis) for axis in axes),
        Reading("in place"),
        Reading("packed", place),
    )


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(image=images(), isa=st.sampled_from(ROWS))
def test_images_are_packed_line_by_line(worker: Worker, image: Image, isa: str) -> None:
    constants = {n: getattr(image, n) for n in ("stride", "padding", "dilation")}
    height, width = (
        n + 2 * image.padding - image.dilation * (r - 1)
        for n, r in zip(image.shape[1:], image.window)
    )
    assume(height > 0 and width > 0)
    weights = (6, image.shape[0], *image.window)
    made = case(TEXT, {"x": image.shape, "w": weights}, constants, cores=1)
    # Plain loops are cheaper for the smallest: they have no product to schedule.
    assume(any(isinstance(p, MatrixPlan) for p in made.schedule.plans))
    made = pointed(made, packed(image))
    made.verify()
    rng = np.random.default_rng(3)
    x = rng.standard_normal(image.shape).astype(np.float32)
    w = rng.standard_normal(weights).astype(np.float32)
    found = worker.run(made.nest, isa, {"x": x, "w": w})["y"]
    np.testing.assert_allclose(found, convolved(image, x, w), rtol=1e-4, atol=1e-4)


PIXELS = """
kernel mix(x: f32[H, W, C], w: f32[C, K], *, stride: int) -> f32[P, Q, K]:
    P = (H - 1) // stride + 1
    Q = (W - 1) // stride + 1
    y[p, q, k] += x[p * stride, q * stride, c] * w[c, k]
    return y
"""


def turned(tile: int, place: int) -> MatrixPoint:
    """Return the schedule that packs pixels as the scalar side, channels turned."""
    return MatrixPoint(
        False,
        ("p", "q"),
        ("k",),
        ("c",),
        *(tile, 8, 100, 1),
        tuple(TileLoop(axis) for axis in ("rows", "columns", "depth")),
        Reading("packed", place),
        Reading("in place"),
    )


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    lines=st.integers(2, 4),
    length=st.integers(2, 23),
    channels=st.integers(4, 11),
    stride=st.integers(1, 2),
    tile=st.integers(1, 30),
    place=st.sampled_from((0, 1)),
    isa=st.sampled_from(ROWS),
)
@example(lines=2, length=7, channels=4, stride=1, tile=5, place=0, isa="generic")
@example(lines=2, length=7, channels=4, stride=1, tile=5, place=1, isa="generic")
def test_lines_that_miss_a_tile_have_no_blocks(
    worker: Worker,
    lines: int,
    length: int,
    channels: int,
    stride: int,
    tile: int,
    place: int,
    isa: str,
) -> None:
    """Blocks of a line that ended before it began were begun before the line."""
    shapes = {"x": (lines * stride, length * stride, channels), "w": (channels, 8)}
    made = case(PIXELS, shapes, {"stride": stride}, cores=1)
    assume(any(isinstance(p, MatrixPlan) for p in made.schedule.plans))
    made = pointed(made, turned(min(tile, lines * length), place))
    (plan,) = (p for p in made.schedule.plans if isinstance(p, MatrixPlan))
    assert plan.a.pack is not None
    made.verify()
    rng = np.random.default_rng(3)
    x, w = (rng.standard_normal(shapes[n]).astype(np.float32) for n in "xw")
    found = worker.run(made.nest, isa, {"x": x, "w": w})["y"]
    expected = x[::stride, ::stride] @ w
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def _loops(nodes: tuple[Node, ...]) -> Iterator[Loop]:
    for node in nodes:
        if isinstance(node, Loop):
            yield node
        yield from _loops(children(node))


def test_tiles_that_keep_to_lines_need_no_search_for_them() -> None:
    image = Image((2, 6, 48), (1, 1), 2, 0, 1, 8, 100, is_whole=True)
    constants = {"stride": 2, "padding": 0, "dilation": 1}
    made = case(TEXT, {"x": image.shape, "w": (6, 2, 1, 1)}, constants)
    lines = pointed(made, packed(image)).nest.body
    assert not any(loop.var == "run'" for loop in _loops(lines))
    assert not any(isinstance(node, Guard) for node in lines)


def test_a_part_of_the_depth_has_whole_dimensions() -> None:
    image = Image((4, 6, 20), (3, 3), 1, 1, 1, 16, 18, is_whole=False)
    constants = {"stride": 1, "padding": 1, "dilation": 1}
    made = case(TEXT, {"x": image.shape, "w": (6, 4, 3, 3)}, constants)
    (plan,) = (
        p
        for p in pointed(made, packed(image)).schedule.plans
        if isinstance(p, MatrixPlan)
    )
    assert plan.b.pack is not None and plan.b.pack.shape == (2, 3, 3, 16)
