"""The proofs accept what the generator makes, for every kind of kernel and of plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from verify_harness import alternatives, case, run
from verify_kernels import GROUPED, KERNELS, NCHW, NHWC, convolution, matmul

from polydsl.loops.nest import BatchReduceGemm, Columns, GuardedRows, Rows, walk

SETTINGS = {
    "plain": {},
    "one_core": {"cores": 1},
    "bound": {"bound": ("w", "b"), "cores": 3},
    "short_vectors": {"vector_bytes": 16, "cores": 5},
}


THOROUGH = ("one_core", "short_vectors")


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(s, marks=[pytest.mark.thorough] if s in THOROUGH else [])
        for s in SETTINGS
    ],
)
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_is_proved(name: str, setting: str) -> None:
    text, shapes, constants = KERNELS[name]
    case(text, shapes, constants, **SETTINGS[setting]).verify()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bound", [(), pytest.param(("w",), marks=pytest.mark.thorough)]
)
@pytest.mark.parametrize(
    ("text", "shapes", "constants"),
    [
        convolution(NHWC, 2, 3, 4, 9, 3, padding=1),
        convolution(NCHW, 2, 3, 4, 9, 3, padding=1),
        convolution(NHWC, 1, 5, 7, 6, 3, padding=2, dilation=2, stride=2),
        (GROUPED, {"x": (2, 4, 4, 4), "w": (2, 2, 2, 12)}, {"groups": 2}),
        (matmul(True, True), {"a": (9, 11), "b": (13, 9)}, {}),
    ],
)
def test_every_plan_is_proved_and_right(text, shapes, constants, bound) -> None:  # type: ignore[no-untyped-def]
    first = case(text, shapes, constants, bound, vector_bytes=16)
    wanted = run(first, first.nest)
    for number, other in enumerate(alternatives(first, bound)):
        other.verify()
        if number % 5 == 0:
            found = run(other, other.nest)
            for name, value in wanted.items():
                np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4)


RESNET = (
    (3, 224, 64, 7, 2, 3), (64, 56, 64, 3, 1, 1), (256, 56, 128, 1, 2, 0),
    (128, 28, 128, 3, 1, 1), (256, 14, 256, 3, 1, 1), (512, 7, 512, 3, 1, 1),
    (512, 14, 512, 3, 2, 1), (2048, 7, 512, 1, 1, 0),
)  # fmt: skip


@pytest.mark.parametrize("layer", RESNET)
@pytest.mark.parametrize("text", [NHWC, NCHW], ids=["nhwc", "nchw"])
def test_layers_of_a_real_size_are_proved(text: str, layer: tuple[int, ...]) -> None:
    c, h, k, r, stride, padding = layer
    text, shapes, constants = convolution(
        text, 1, c, h, k, r, stride=stride, padding=padding
    )
    for bound in ((), ("w",)):
        case(text, shapes, constants, bound, cores=4).verify()


def test_the_layers_meet_every_way_to_read_an_operand() -> None:
    found = set()
    for layer in RESNET:
        c, h, k, r, stride, padding = layer
        for text in (NHWC, NCHW):
            args = convolution(text, 1, c, h, k, r, stride=stride, padding=padding)
            nest = case(*args, bound=("w",)).nest
            for node in walk((*nest.prepare, *nest.body)):
                if isinstance(node, BatchReduceGemm):
                    found |= {type(node.a), nest.buffer(node.b.buffer).memory}
    assert {Rows, GuardedRows, "argument", "scratch", "prepared"} <= found
    assert Columns not in found


def test_long_loops_are_proved_in_closed_form() -> None:
    text = "kernel f(x: f32[N]) -> f32[N]:\n    y[i] = x[i] + 1\n    return y\n"
    case(text, {"x": (300_000_007,)}).verify()


def test_a_long_triangle_is_proved_by_isl() -> None:
    text = (
        "kernel f(x: f32[N, N]) -> f32[N]:\n    j in range(0, i + 1)\n"
        "    y[i] += x[i, j] * 2\n    return y\n"
    )
    case(text, {"x": (9000, 9000)}).verify()


def test_arguments_with_other_strides_are_proved() -> None:
    found = case(matmul(False, False), {"a": (13, 7), "b": (7, 35)})
    buffers = tuple(
        replace(b, strides=(b.strides[0] + 3, 1)) if b.name == "d" else b
        for b in found.nest.buffers
    )
    found.verify(replace(found.nest, buffers=buffers))
