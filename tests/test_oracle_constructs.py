"""Every construct of the language, in the oracle against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from oracle_brute import Brute
from oracle_text import check, run, typed

from polydsl.semantics.oracle import compare, evaluate

RNG = np.random.default_rng(7)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def i32(low: int, high: int, *shape: int) -> np.ndarray:
    return RNG.integers(low, high, shape).astype(np.int32)


# Each kernel is also run through the element-by-element interpreter of the tests,
# which rounds to float32 and sums in another order.
KERNELS = {
    "matmul": (
        """
kernel k(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    d[i, j] = relu(c[i, j])
    return d
""",
        {"a": f32(4, 7), "b": f32(7, 5)},
    ),
    "convolution": (
        """
kernel k(x: f32[N, C, H], w: f32[K, C, R], b: f32[K], *, stride: int = 2,
         padding: int = 1) -> f32[N, K, P]:
    P = (H + 2*padding - R) // stride + 1
    y[n, k, p] += pad(x[n, c, p*stride + r - padding]) * w[k, c, r]
    z[n, k, p] = y[n, k, p] + b[k]
    return z
""",
        {"x": f32(2, 3, 9), "w": f32(2, 3, 3), "b": f32(2)},
    ),
    "groups": (
        """
kernel k(x: f32[C, H], w: f32[C, R]) -> f32[C, P]:
    P = H - R + 1
    y[c, p] += x[c // 2 * 2 + r % 2, p + r] * w[c, r]
    return y
""",
        {"x": f32(4, 6), "w": f32(4, 3)},
    ),
    "softmax": (
        """
kernel k(x: f32[M, N]) -> f32[M, N]:
    m[i] = max[j](x[i, j])
    e[i, j] = exp(x[i, j] - m[i])
    y[i, j] = e[i, j] / sum[k](e[i, k])
    return y
""",
        {"x": f32(4, 5)},
    ),
    "reductions": (
        """
kernel k(x: f32[M, N]) -> (f32[M], f32[M], f32[N], f32, bool[M], bool[N], f32):
    a[i] = prod[j](x[i, j])
    b[i] = mean[j](x[i, j])
    c[j] = min[i](x[i, j])
    d = max[i, j](x[i, j])
    e[i] = any[j](x[i, j] > 1)
    f[j] = all[i](x[i, j] > -1)
    g = sum[i](sum[j](x[i, j]) * x[i, 0])
    return a, b, c, d, e, f, g
""",
        {"x": f32(4, 3)},
    ),
    "triangle": (
        """
kernel k(x: f32[N, N]) -> (f32[N], f32[N]):
    j in range(0, i + 1)
    m in range(max(0, i - 1), min(i + 2, N))
    y[i] += x[i, j] * 2
    z[i] = mean[m](x[m, i])
    return y, z
""",
        {"x": f32(5, 5)},
    ),
    "several sums": (
        """
kernel k(x: f32[N, M], b: f32[M]) -> f32[N]:
    y[i] += x[i, j] * b[j]
    y[i] += x[i, 0]
    y[i] += 1
    return y
""",
        {"x": f32(4, 3), "b": f32(3)},
    ),
    "product": (
        """
kernel k(x: f32[N, M]) -> (f32[N], i32[M]):
    y[i] *= x[i, j]
    z[j] *= i32(x[i, j] * 3)
    return y, z
""",
        {"x": f32(3, 4)},
    ),
    "condition": (
        """
kernel k(x: f32[N], m: bool[N]) -> (f32[N], f32[N], f32[N]):
    a[i] = x[i - 1] if i > 0 else 7
    b[i] = x[i - 1] if i > 0 and m[i] else 0
    c[i] = where(x[i] > 0.5, x[i], x[i] * 0.01)
    return a, b, c
""",
        {"x": f32(6), "m": RNG.random(6) > 0.5},
    ),
    "gather": (
        """
kernel k(t: f32[V, D], ids: i32[N]) -> (f32[N, D], f32[N, D]):
    y[n, d] = t[ids[n], d]
    z[n, d] = pad(t[ids[n] - 1, d + 1], 9)
    return y, z
""",
        {"t": f32(5, 3), "ids": i32(0, 5, 6)},
    ),
    "scatter": (
        """
kernel k(ids: i32[N], g: f32[P, R], v: f32[N]) -> (i32[9], f32[6], f32[9]):
    hist[ids[n]] += 1
    dx[p*2 + r] += g[p, r]
    s[ids[n]] += v[n]
    return hist, dx, s
""",
        {"ids": i32(0, 9, 20), "g": f32(2, 3), "v": f32(20)},
    ),
    "diagonal": (
        """
kernel k(x: f32[N]) -> f32[N, N]:
    d[i, i] += x[i]
    return d
""",
        {"x": f32(4)},
    ),
    "narrow": (
        """
kernel k(x: i8[N], y: u8[N]) -> (i32[N], i8[N], f32[N], u8[N]):
    a[i] = x[i]*y[i] - y[i]
    b[i] = a[i]
    c[i] = x[i] / y[i]
    d[i] = min(y[i], u8(3))
    return a, b, c, d
""",
        {"x": i32(-128, 128, 9).astype("i1"), "y": i32(1, 256, 9).astype("u1")},
    ),
    "locals": (
        """
kernel k(x: f32[N]) -> (f16[N], f32[N]):
    h: f16[N]
    h[i] = x[i] * 3
    y[i] = h[i] + 1
    return h, y
""",
        {"x": f32(8)},
    ),
    "recurrence": (
        """
kernel k(a: f32[T, D], h0: f32[D]) -> (f32[T, D], f32[T]):
    h[t, d] = a[t, d] * pad(h[t - 1, d], h0[d]) + 0.5
    c[t] = pad(c[t + 1]) * 0.5 + h[t, 0]
    return h, c
""",
        {"a": f32(5, 3), "h0": f32(3)},
    ),
}


@pytest.mark.parametrize("name", KERNELS)
def test_one_element_at_a_time_agrees(name: str) -> None:
    text, given = KERNELS[name]
    program, arrays = typed(text, **given)
    outcome = evaluate(program, arrays)
    assert not any(result.undecided.any() for result in outcome.results)
    for seed in range(3):
        compare(program, outcome, Brute(program, arrays, seed).results())


def test_matmul_is_numpys() -> None:
    text, given = KERNELS["matmul"]
    check(text, [np.maximum(given["a"] @ given["b"], 0)], **given)


def test_softmax_is_numpys() -> None:
    text, given = KERNELS["softmax"]
    e = np.exp(given["x"] - given["x"].max(1, keepdims=True))
    check(text, [e / e.sum(1, keepdims=True)], **given)


def test_argmax_gives_first_positions() -> None:
    x = np.array([[1, 5, 5], [5, 2, 5]], np.float32)
    text = """
kernel k(x: f32[M, N]) -> (i64[M], i64[M], i64, i64):
    a[i] = argmax[j](x[i, j])
    b[i] = argmin[j](x[i, j])
    c = argmax[i, j](x[i, j])
    d = argmax[j, i](x[i, j])
    return a, b, c, d
"""
    check(text, [[1, 0], [0, 1], 1, 1], x=x)


def test_argmax_counts_from_zero_in_a_range_that_does_not_start_there() -> None:
    text = """
kernel k(x: f32[N]) -> (i64, i64[N]):
    j in range(2, N)
    m in range(i, N)
    a = argmax[j](x[j])
    b[i] = argmax[m](x[m])
    return a, b
"""
    x = np.array([9, 8, 1, -np.inf, 3, -np.inf], np.float32)
    check(text, [4, [0, 1, 4, 4, 4, 5]], x=x)


EMPTY = """
kernel k(x: f32[N], z: i32[N]) -> (f32, f32, f32, f32, f32, bool, bool, i32, i32, i32):
    a = sum[i](x[i])
    b = prod[i](x[i])
    c = max[i](x[i])
    d = min[i](x[i])
    e = mean[i](x[i])
    f = any[i](x[i] > 0)
    g = all[i](x[i] > 0)
    h = max[i](z[i])
    p = min[i](z[i])
    q += z[i]
    return a, b, c, d, e, f, g, h, p, q
"""


def test_reductions_of_nothing() -> None:
    least, greatest = -(2**31), 2**31 - 1
    expected = [0, 1, -np.inf, np.inf, np.nan, False, True, least, greatest, 0]
    x, z = np.zeros(0, np.float32), np.zeros(0, np.int32)
    assert check(EMPTY, expected, x=x, z=z).ratio == 0


def test_a_sum_without_terms_defines_its_elements() -> None:
    text = """
kernel k(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
"""
    check(text, [np.zeros((2, 3))], a=f32(2, 0), b=f32(0, 3))
    check(text, [np.zeros((0, 3))], a=f32(0, 2), b=f32(2, 3))


def test_a_triangle_is_defined_on_its_projection() -> None:
    text = """
kernel k(x: f32[N]) -> f32[M]:
    M = N + 2
    i in range(0, N)
    j in range(i, i + 3)
    y[j] += x[i]
    return y
"""
    x = f32(4)
    expected = np.convolve(x.astype(np.float64), np.ones(3))
    check(text, [expected], x=x)


def test_pad_gives_its_value_outside_the_domain_of_a_local_tensor() -> None:
    text = """
kernel k(x: f32[N]) -> f32[N]:
    i in range(1, N - 1)
    t[i] = x[i] * 2
    y[j] = pad(t[j], -1)
    return y
"""
    x = f32(5)
    check(text, [[-1, *(2 * x[1:4]), -1]], x=x)


def test_the_value_of_pad_may_be_an_access_in_bounds_only_where_it_is_used() -> None:
    text = """
kernel k(x: f32[N], y: f32[M]) -> f32[P]:
    P = N + M
    z[i] = pad(x[i], y[i - N])
    return z
"""
    x, y = f32(3), f32(2)
    check(text, [np.concatenate([x, y])], x=x, y=y)


def test_results_may_be_scalars_and_parameters_too() -> None:
    text = """
kernel k(x: f32[N], s: f32) -> (f32, f32[N]):
    t += x[i] * s
    return t, x
"""
    x = f32(4)
    check(text, [x.sum() * 2, x], x=x, s=np.array(2, np.float32))


def test_a_kernel_may_return_its_parameter() -> None:
    outcome = run("kernel k(x: f32[N]) -> f32[N]:\n    return x\n", x=f32(3))
    assert outcome.sampled is None
    assert outcome.results[0].value.shape == (3,)
