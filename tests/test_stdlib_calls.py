"""The ways a layer is called: views, results, bound weights, threads, other layers."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import polydsl
from polydsl.stdlib import activation, conv, linalg, normalization, pooling

Array = npt.NDArray[Any]


def randoms(*shapes: tuple[int, ...]) -> tuple[Array, ...]:
    rng = np.random.default_rng(len(shapes))
    return tuple(rng.standard_normal(s).astype(np.float32) for s in shapes)


A, B, LONG, IMAGE = randoms((9, 7), (7, 33), (80, 10), (2, 6, 18, 18))

VIEWS = {
    "broadcast rows": (linalg.matmul, (np.broadcast_to(A[:1], (9, 7)), B), {}),
    "broadcast columns": (linalg.matmul, (A, np.broadcast_to(B[:, :1], (7, 5))), {}),
    "reversed": (linalg.matmul, (A[::-1, ::-1], B[::-1, ::-1]), {}),
    "steps": (linalg.matmul, (LONG[::9, :7], B[:, ::-3]), {}),
    "transposed": (linalg.matmul, (LONG.T, LONG), {}),
    "overlapping": (
        linalg.matmul,
        (np.lib.stride_tricks.sliding_window_view(LONG[:, 0], 7), B),
        {},
    ),
    "reversed rows": (activation.softmax, (LONG[:, ::-1],), {}),
    "columns": (activation.softmax, (LONG.T,), {}),
    "strided rows": (
        normalization.layer_norm,
        (LONG[::2].T, LONG[:40, 0], LONG[::2, 1]),
        {},
    ),
    "mirrored image": (
        pooling.max_pool2d,
        (IMAGE[:, :, ::-1, ::-1],),
        {"window": 3, "stride": 2, "padding": 1},
    ),
    "thinned image": (
        conv.conv2d,
        (IMAGE[:, ::2, ::2, ::-2], IMAGE[:, :3, :3, 4:1:-1]),
        {"padding": 1},
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_of_any_strides(name: str) -> None:
    kernel, arrays, constants = VIEWS[name]
    kernel.verify(*arrays, **constants)


def test_unaligned_memory() -> None:
    shifted = np.frombuffer(b"x" + A.tobytes(), np.uint8)[1:].view(np.float32)
    packed = np.zeros((9, 7), [("value", np.float32), ("flag", np.uint8)])
    packed["value"] = A
    linalg.matmul.verify(shifted.reshape(9, 7), B)
    linalg.matmul.verify(packed["value"], B)


@pytest.mark.parametrize(
    "target",
    [
        np.empty((9, 33), np.float32),
        np.empty((33, 9), np.float32).T,
        np.empty((9, 66), np.float32)[:, ::2],
        np.empty((9, 33), np.float32)[::-1, ::-1],
    ],
    ids=["plain", "transposed", "steps", "reversed"],
)
def test_results_are_written_where_asked(target: Array) -> None:
    assert linalg.matmul(A, B, out=target) is target
    np.testing.assert_allclose(target, A @ B, rtol=1e-4, atol=1e-5)


def test_elements_between_those_of_out_are_left_alone() -> None:
    target = np.zeros((9, 66), np.float32)
    linalg.matmul(A, B, out=target[:, ::2])
    assert not target[:, 1::2].any()


def test_later_writes_to_a_bound_weight_are_not_seen() -> None:
    weight = B.copy()
    layer = linalg.matmul.bind(b=weight)
    before = layer(A)
    weight[:] = 0
    np.testing.assert_array_equal(layer(A), before)
    np.testing.assert_allclose(layer(A[:4]), before[:4], rtol=1e-5, atol=1e-5)


def test_a_bound_constant_stays() -> None:
    (x, w) = randoms((1, 2, 9), (3, 2, 3))
    layer = conv.conv1d.bind(stride=2)
    np.testing.assert_array_equal(layer(x, w), conv.conv1d(x, w, stride=2))
    with pytest.raises(polydsl.ArgumentError, match="stride is bound already"):
        layer(x, w, stride=1)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    (x,) = randoms((300, 300))
    for kernel, arrays in ((linalg.matmul, (x, x)), (activation.softmax, (x,))):
        one = kernel(*arrays, threads=1)
        for threads in (2, 3, 100):
            np.testing.assert_array_equal(kernel(*arrays, threads=threads), one)


def test_many_python_threads_share_a_kernel() -> None:
    module = polydsl.loads(
        "kernel f(x: T[N, K], w: T[K, M]) -> T[N, M]:\n"
        "    y[n, m] += x[n, k] * w[k, m]\n"
        "    z[n, m] = gelu(y[n, m])\n"
        "    return z\n"
    )
    xs = randoms(*[(5 + i % 4, 7) for i in range(32)])
    wanted = [module.f.reference(x, B) for x in xs]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda x: [module.f(x, B) for _ in range(50)][-1], xs))
    for got, want in zip(found, wanted):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_layers_are_used_by_kernels_of_a_text() -> None:
    module = polydsl.loads(
        "from stdlib.activation import softmax\n"
        "from stdlib.conv import conv2d_bias_relu\n"
        "from stdlib.pooling import global_avg_pool2d\n"
        "kernel head(x: T[N, C, H, W], w: T[K, C, 3, 3], b: T[K])"
        " -> (T[N, K], T[N, K]):\n"
        "    y = conv2d_bias_relu(x, w, b, padding=1)\n"
        "    m = global_avg_pool2d(y)\n"
        "    p = softmax(m)\n"
        "    return p, m\n"
    )
    x, w, b = randoms((1, 3, 7, 5), (17, 3, 3, 3), (17,))
    probabilities, means = module.head(x, w, b)
    module.head.verify(x, w, b)
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-5)
    assert means.shape == (1, 17)


def test_layers_are_used_by_decorated_functions() -> None:
    softmax = activation.softmax

    @polydsl.kernel
    def shifted(x: "T[N, C]") -> "T[N, C]":
        z = softmax(x)
        y[n, c] = z[n, c] + 1
        return y

    assert softmax.name == "softmax"
    shifted.verify(LONG)
    shifted.verify(LONG.astype(np.float64))
