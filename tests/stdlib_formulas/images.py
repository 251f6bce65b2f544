"""Formulas of layers of images."""

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Formula = Callable[..., Any]


def places(*extents: int) -> Iterator[tuple[int, ...]]:
    return product(*map(range, extents))


def windows(
    x: Array,
    rows: int,
    columns: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    fill: float = 0.0,
) -> Array:
    """The windows [N, P, Q, R, S, C] of images [N, H, W, C]."""
    border = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    wide = np.pad(x, border, constant_values=fill)
    high, broad = (dilation * (n - 1) + 1 for n in (rows, columns))
    p = (wide.shape[1] - high) // stride + 1
    q = (wide.shape[2] - broad) // stride + 1
    found = [
        [
            wide[
                :,
                i * stride : i * stride + high : dilation,
                j * stride : j * stride + broad : dilation,
            ]
            for j in range(q)
        ]
        for i in range(p)
    ]
    return np.moveaxis(np.array(found), 2, 0)


def last(x: Array) -> Array:
    return np.moveaxis(x, 1, -1)


def first(x: Array) -> Array:
    return np.moveaxis(x, -1, 1)


def involution(x: Array, filters: Array, **k: int) -> Array:
    n, p, q, r, s, g = filters.shape
    y = np.zeros((n, p, q, x.shape[3]))
    taps = windows(x, r, s, **k)
    size = x.shape[3] // g
    for group in range(g):
        part = slice(group * size, (group + 1) * size)
        weight = filters[..., group, None]
        y[..., part] = (taps[..., part] * weight).sum((3, 4))
    return y


def involution_layer(
    x: Array, a: Array, b: Array, c: Array, d: Array, window: int, groups: int
) -> Array:
    filters = np.maximum(x @ a.T + b, 0) @ c.T + d
    filters = filters.reshape(*x.shape[:3], window, window, groups)
    return involution(x, filters, padding=window // 2)


def adder(x: Array, weight: Array, **k: int) -> Array:
    taps = windows(x, *weight.shape[:2], **k)
    return -np.abs(taps[..., None] - weight).sum((3, 4, 5))


def dynamic_filter(x: Array, filters: Array) -> Array:
    _, r, s, *_ = filters.shape
    wide = np.pad(x, ((0, 0), (0, 0), (r // 2, r // 2), (s // 2, s // 2)))
    taps = windows(last(wide), r, s)
    return np.einsum("nhwrsc,nrshw->nchw", taps, filters)


def correlation(x: Array, z: Array, radius: int) -> Array:
    taps = windows(last(z), 2 * radius + 1, 2 * radius + 1, padding=radius)
    return np.einsum("nchw,nhwuvc->nuvhw", x, taps) / x.shape[1]


def all_pairs(x: Array, z: Array) -> Array:
    return np.einsum("nchw,ncpq->nhwpq", x, z) / math.sqrt(x.shape[1])


def locally_connected2d(x: Array, w: Array, b: Array, stride: int = 1) -> Array:
    p, q, k, _, r, s = w.shape
    y = np.zeros((len(x), k, p, q))
    for i, j in places(p, q):
        patch = x[:, :, i * stride : i * stride + r, j * stride : j * stride + s]
        y[:, :, i, j] = np.tensordot(patch, w[i, j], ((1, 2, 3), (1, 2, 3))) + b[i, j]
    return y


def locally_connected1d(x: Array, w: Array, b: Array, stride: int = 1) -> Array:
    y = locally_connected2d(x[:, :, None], w[None, ..., None, :], b[None], stride)
    return y[:, :, 0]


def convolution(x: Array, weight: Array, **k: int) -> Array:
    taps = windows(last(x), *weight.shape[2:], **k)
    return first(np.einsum("npqrsc,kcrs->npqk", taps, weight))


def conditional(x: Array, experts: Array, gate: Array, **k: int) -> Array:
    rows = [
        convolution(x[n : n + 1], np.tensordot(gate[n], experts, 1), **k)
        for n in range(len(x))
    ]
    return np.concatenate(rows)


def conditional_layer(x: Array, experts: Array, w: Array, b: Array, **k: int) -> Array:
    gate = 1 / (1 + np.exp(-(x.mean((2, 3)) @ w.T + b)))
    return conditional(x, experts, gate, **k)


def between(image: Array, v: float, u: float) -> Array:
    """[C, H, W] at a point: pixels count as far as they are nearer than 1."""
    total = np.zeros(len(image))
    for h, w in places(*image.shape[1:]):
        near = max(0.0, 1 - abs(v - h)) * max(0.0, 1 - abs(u - w))
        total += near * image[:, h, w]
    return total


def bilinear_sample(x: Array, v: Array, u: Array) -> Array:
    y = np.zeros((len(x), x.shape[1], *v.shape[1:]))
    for n, p, q in places(*v.shape):
        y[n, :, p, q] = between(x[n], v[n, p, q], u[n, p, q])
    return y


def grid_sample(x: Array, grid: Array) -> Array:
    height, width = x.shape[2:]
    u = (grid[..., 0] + 1) * width / 2 - 0.5
    v = (grid[..., 1] + 1) * height / 2 - 0.5
    return bilinear_sample(x, v, u)


def deformable(
    x: Array,
    offset: Array,
    mask: Array,
    weight: Array,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Array:
    k, _, rows, columns = weight.shape
    n, _, _, height, width = offset.shape
    y = np.zeros((n, k, height, width))
    for i, p, q, r, s in places(n, height, width, rows, columns):
        tap = r * columns + s
        v = p * stride - padding + r * dilation + offset[i, tap, 0, p, q]
        u = q * stride - padding + s * dilation + offset[i, tap, 1, p, q]
        y[i, :, p, q] += weight[:, :, r, s] @ between(x[i], v, u) * mask[i, tap, p, q]
    return y


def max_plus_conv(x: Array, weight: Array, **k: int) -> Array:
    taps = windows(last(x), *weight.shape[2:], fill=-math.inf, **k)
    total = taps[..., None] + np.transpose(weight, (2, 3, 1, 0))
    return first(total.max((3, 4, 5)))


def squash(s: Array) -> Array:
    length = np.linalg.norm(s, axis=-1, keepdims=True)
    return length**2 / (1 + length**2) * s / np.sqrt(length**2 + 1e-8)


def softmax(b: Array) -> Array:
    e = np.exp(b)
    return np.asarray(e / e.sum(-1, keepdims=True))


def routing_step(votes: Array, b: Array) -> tuple[Array, Array]:
    v = squash(np.einsum("nij,nijd->njd", softmax(b), votes))
    return v, b + (votes * v[:, None]).sum(-1)


def routed(votes: Array) -> Array:
    b = np.zeros(votes.shape[:3])
    for _ in range(3):
        v, b = routing_step(votes, b)
    return v


def capsules(u: Array, weight: Array) -> Array:
    return routed(np.einsum("ijde,nie->nijd", weight, u))


def capsule_conv(u: Array, weight: Array, stride: int, padding: int) -> Array:
    r, s, i, j, d, e = weight.shape
    n, height, width = u.shape[:3]
    flat = windows(u.reshape(n, height, width, i * e), r, s, stride, padding)
    p, q = flat.shape[1:3]
    votes = np.einsum(
        "npqrsie,rsijde->npqrsijd", flat.reshape(n, p, q, r, s, i, e), weight
    )
    return routed(votes.reshape(n * p * q, r * s * i, j, d)).reshape(n, p, q, j, d)


def squeeze(x: Array, a: Array, b: Array, c: Array, d: Array) -> Array:
    hidden = np.maximum(x.mean((2, 3)) @ a.T + b, 0)
    return x / (1 + np.exp(-(hidden @ c.T + d)))[:, :, None, None]


def shift(x: Array, dh: Array, dw: Array) -> Array:
    y = np.zeros_like(x)
    height, width = x.shape[2:]
    for c, h, w in places(*x.shape[1:]):
        i, j = h + dh[c], w + dw[c]
        if 0 <= i < height and 0 <= j < width:
            y[:, c, h, w] = x[:, c, i, j]
    return y


def octave(x: Array, weight: Array) -> Array:
    half = (
        x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]
    ) / 4
    return convolution(half, weight, padding=weight.shape[2] // 2)


FORMULAS: dict[str, Formula] = {
    "involution": involution,
    "involution_layer": involution_layer,
    "max_plus": lambda a, b: np.max(a[:, :, None] + b, axis=1, initial=-math.inf),
    "l1_distance": lambda a, b: np.abs(a[:, :, None] - b).sum(1),
    "adder_conv2d": adder,
    "dynamic_filter": dynamic_filter,
    "correlation": correlation,
    "correlation_all_pairs": all_pairs,
    "locally_connected1d": locally_connected1d,
    "locally_connected2d": locally_connected2d,
    "conditional_conv2d": conditional,
    "conditional_conv2d_layer": conditional_layer,
    "bilinear_sample": bilinear_sample,
    "grid_sample": grid_sample,
    "deformable_conv2d": deformable,
    "max_plus_conv2d": max_plus_conv,
    "squash": squash,
    "routing_step": routing_step,
    "capsules": capsules,
    "capsule_conv2d": capsule_conv,
    "squeeze_excitation": squeeze,
    "shift2d": shift,
    "octave_down": octave,
    "winograd_conv2d": lambda x, w, *matrices, **k: convolution(x, w, **k),
    "winograd_conv2d_3x3": convolution,
}
