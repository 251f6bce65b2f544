"""Formulas of products: factored weights, sparse structures, functions on edges."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev

Array = npt.NDArray[Any]
Formula = Callable[..., Any]


def toeplitz(t: Array, x: Array, rows: int) -> Array:
    matrix = np.array([t[i : i + len(x)][::-1] for i in range(rows)])
    return matrix @ x


def banded(a: Array, x: Array, below: int) -> Array:
    n = len(x)
    matrix = np.zeros((n, n))
    for (i, d), value in np.ndenumerate(a):
        if 0 <= i + d - below < n:
            matrix[i, i + d - below] = value
    return matrix @ x


def lu(a: Array) -> tuple[Array, Array]:
    """Elimination: one row at a time is taken from all below it."""
    low, up = np.eye(len(a)), a.copy()
    for k in range(len(a)):
        low[k + 1 :, k] = up[k + 1 :, k] / up[k, k]
        up[k + 1 :] -= np.outer(low[k + 1 :, k], up[k])
    return low, np.triu(up)


def autocorrelation(x: Array, lags: int) -> Array:
    rows = [np.correlate(row, row, "full")[len(row) - 1 :][:lags] for row in x]
    return np.array(rows)


def moments(x: Array) -> tuple[Array, ...]:
    z = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    return x.mean(-1), x.var(-1), (z**3).mean(-1), (z**4).mean(-1)


def overlap_add(frames: Array, stride: int) -> Array:
    *lead, count, size = frames.shape
    y = np.zeros((*lead, (count - 1) * stride + size))
    for f in range(count):
        y[..., f * stride : f * stride + size] += frames[..., f, :]
    return y


def tucker(x: Array, core: Array, u: Array, v: Array, a: Array, b: Array) -> Array:
    weight = np.einsum("pqrs,kp,lq,ir,js->klij", core, a, b, u, v)
    return np.tensordot(x, weight, ((1, 2), (2, 3)))


def train(x: Array, a: Array, b: Array, c: Array) -> Array:
    weight = np.einsum("oir,rpjs,sqk->opqijk", a, b, c)
    return np.tensordot(x, weight, ((1, 2, 3), (3, 4, 5)))


def canonical(x: Array, a: Array, b: Array, c: Array) -> Array:
    weight = sum(np.multiply.outer(np.outer(p, q), r) for p, q, r in zip(a, b, c))
    return np.tensordot(x, weight, 2)


def monarch(x: Array, a: Array, b: Array) -> Array:
    n, g, _ = x.shape
    o, p, _ = b.shape
    y = np.zeros((n, p, o))
    for k, q in np.ndindex(o, g):
        y[:, :, k] += np.outer(x[:, q] @ a[q, k], b[k, :, q]).reshape(n, p)
    return y


def machine(x: Array, v: Array) -> Array:
    y = np.zeros(len(x))
    for i in range(x.shape[1]):
        for j in range(i):
            y += v[i] @ v[j] * x[:, i] * x[:, j]
    return y


def chebyshev_basis(x: Array, degrees: int) -> Array:
    return np.cos(np.arange(degrees) * np.arccos(x)[..., None])


def kan_chebyshev(x: Array, coefficients: Array) -> Array:
    z = np.tanh(x)
    o, i, _ = coefficients.shape
    return sum(
        np.stack([chebyshev.chebval(z[:, j], coefficients[k, j]) for k in range(o)], 1)
        for j in range(i)
    )


def spline(x: float, knots: Array, degree: int, j: int) -> float:
    """Cox and de Boor, as it is defined: one function of the next lower degree each."""
    if degree == 0:
        return float(knots[j] <= x < knots[j + 1])
    left = (x - knots[j]) / (knots[j + degree] - knots[j])
    right = (knots[j + degree + 1] - x) / (knots[j + degree + 1] - knots[j + 1])
    return left * spline(x, knots, degree - 1, j) + right * spline(
        x, knots, degree - 1, j + 1
    )


def splines(x: Array, knots: Array, degree: int) -> Array:
    count = len(knots) - degree - 1
    y = np.zeros((*x.shape, count))
    for n, i, b in np.ndindex(*y.shape):
        y[n, i, b] = spline(x[n, i], knots, degree, b)
    return y


def kan_spline(x: Array, c: Array, base: Array, knots: Array, degree: int = 3) -> Array:
    edges = np.tensordot(splines(x, knots, degree), c, ((1, 2), (1, 2)))
    return x / (1 + np.exp(-x)) @ base.T + edges


def radial(x: Array, centre: Array, gamma: Array, weight: Array) -> Array:
    distance = np.linalg.norm(x[:, None] - centre, axis=2)
    return np.exp(-gamma * distance**2) @ weight.T


def softmax(x: Array) -> Array:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def softmaxes(h: Array, weight: Array, mix: Array) -> Array:
    return (softmax(mix)[..., None] * softmax(h @ weight.T)).sum(1)


def block_sparse(
    blocks: Array, row: Array, column: Array, x: Array, rows: int
) -> Array:
    """The whole matrix, blocks and zeros, times the whole x."""
    _, b, c = blocks.shape
    whole = np.zeros((rows * b, len(x) * c))
    for block, i, j in zip(blocks, row, column):
        whole[i * b : (i + 1) * b, j * c : (j + 1) * c] += block
    return (whole @ x.reshape(-1, x.shape[2])).reshape(rows, b, -1)


def block_rows(blocks: Array, column: Array, x: Array) -> Array:
    p, z, b, c = blocks.shape
    row = np.repeat(np.arange(p), z)
    return block_sparse(blocks.reshape(-1, b, c), row, column.reshape(-1), x, p)


def dense(value: Array, row: Array, column: Array, shape: tuple[int, int]) -> Array:
    matrix = np.zeros(shape)
    np.add.at(matrix, (row, column), value)
    return matrix


def sparse(value: Array, row: Array, column: Array, x: Array, rows: int) -> Array:
    return dense(value, row, column, (rows, len(x))) @ x


def ell(value: Array, column: Array, x: Array) -> Array:
    m, z = value.shape
    row = np.repeat(np.arange(m), z)
    return dense(value.reshape(-1), row, column.reshape(-1), (m, len(x))) @ x


def adjacency(source: Array, target: Array, count: int) -> Array:
    return dense(np.ones(len(source)), target, source, (count, count))


def graph_conv(x: Array, source: Array, target: Array, weight: Array) -> Array:
    a = adjacency(source, target, len(x)) + np.eye(len(x))
    d = np.diag(a.sum(1) ** -0.5)
    return d @ a @ d @ x @ weight.T


def graph_attention(
    x: Array, source: Array, target: Array, weight: Array, a: Array, b: Array
) -> Array:
    h = x @ weight.T
    score = (h @ a)[source] + (h @ b)[target]
    e = np.exp(np.where(score > 0, score, 0.2 * score))
    shares = dense(e, target, source, (len(x), len(x)))
    return shares / shares.sum(1, keepdims=True) @ h


def experts(x: Array, expert: Array, weight: Array, bias: Array) -> Array:
    return np.array([weight[e] @ row + bias[e] for row, e in zip(x, expert)])


def mixture(
    x: Array, expert: Array, share: Array, gate: Array, up: Array, down: Array
) -> Array:
    y = np.zeros((len(x), down.shape[1]))
    for (n, k), e in np.ndenumerate(expert):
        g = gate[e] @ x[n]
        y[n] += share[n, k] * (down[e] @ (g / (1 + np.exp(-g)) * (up[e] @ x[n])))
    return y


def top_expert(x: Array, weight: Array) -> tuple[Array, Array]:
    p = softmax(x @ weight.T)
    return p.argmax(-1), p.max(-1)


def dispatch(x: Array, slot: Array, slots: int) -> Array:
    y = np.zeros((slots, x.shape[1]))
    y[slot] = x
    return y


def low_bit(x: Array, codes: Array, table: Array) -> Array:
    return x @ np.take_along_axis(table, codes.astype(int), 1).T


FORMULAS: dict[str, Formula] = {
    "toeplitz_matvec": toeplitz,
    "banded_matvec": banded,
    "lu": lu,
    "autocorrelation": autocorrelation,
    "moments": moments,
    "overlap_add": overlap_add,
    "low_rank_linear": lambda x, a, b: x @ (b @ a).T,
    "lora_linear": lambda x, w, c, a, b, alpha: x @ (w + alpha / len(a) * b @ a).T + c,
    "tucker_linear": tucker,
    "tensor_train_linear": train,
    "cp_linear": canonical,
    "kronecker_linear": lambda x, a, b: (
        x.reshape(len(x), -1) @ np.kron(a, b).T
    ).reshape(len(x), len(a), len(b)),
    "block_diagonal_linear": lambda x, w: np.stack(
        [x[:, g] @ w[g].T for g in range(len(w))], 1
    ),
    "monarch_linear": monarch,
    "factorized_bilinear": lambda x, z, u, v: np.einsum(
        "nij,iok,jok->no", x[:, :, None] * z[:, None], u, v
    ),
    "factorization_machine": machine,
    "cross_network": lambda x, y, w, b: x * (y @ w.T + b) + y,
    "chebyshev_basis": chebyshev_basis,
    "kan_chebyshev": kan_chebyshev,
    "b_spline_basis": splines,
    "kan_spline": kan_spline,
    "radial_basis": radial,
    "mixture_of_softmaxes": softmaxes,
    "block_sparse_matmul": block_sparse,
    "block_sparse_rows_matmul": block_rows,
    "sampled_matmul": lambda a, b, row, column: (a @ b.T)[row, column],
    "sparse_matmul": sparse,
    "sparse_matvec_ell": ell,
    "graph_sum": lambda x, s, t: adjacency(s, t, len(x)) @ x,
    "graph_conv": graph_conv,
    "graph_attention": graph_attention,
    "graph_isomorphism": lambda x, s, t, eps: (
        (adjacency(s, t, len(x)) + (1 + eps) * np.eye(len(x))) @ x
    ),
    "expert_linear": experts,
    "mixture_of_experts": mixture,
    "top_expert": top_expert,
    "dispatch": dispatch,
    "combine": lambda y, slot, share: np.diag(share) @ y[slot],
    "low_bit_linear": low_bit,
}
