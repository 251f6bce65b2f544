"""Formulas of recurrent layers, state-space models and alignments, step by step."""

import math
from collections.abc import Callable
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Formula = Callable[..., Any]


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def minimal_gru(
    x: Array, h: Array, wz: Array, bz: Array, wh: Array, bh: Array
) -> Array:
    rows = []
    for now in x:
        z = sigmoid(now @ wz.T + bz)
        h = h + z * (now @ wh.T + bh - h)
        rows.append(h)
    return np.array(rows)


def independent(x: Array, h: Array, w: Array, u: Array, b: Array) -> Array:
    rows = []
    for now in x:
        h = np.maximum(now @ w.T + u * h + b, 0)
        rows.append(h)
    return np.array(rows)


def quasi(z: Array, f: Array, o: Array, c: Array) -> tuple[Array, Array]:
    rows = []
    for t in range(len(z)):
        c = z[t] + f[t] * (c - z[t])
        rows.append(c)
    return o * np.array(rows), np.array(rows)


def moving_average(x: Array, h: Array, alpha: Array) -> Array:
    rows = []
    for now in x:
        h = h + alpha * (now - h)
        rows.append(h)
    return np.array(rows)


def unit(
    x: Array,
    nu: Array,
    theta: Array,
    gamma: Array,
    b_re: Array,
    b_im: Array,
    c_re: Array,
    c_im: Array,
    d: Array,
) -> Array:
    lam = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    h = np.zeros((x.shape[1], len(nu)), complex)
    rows = []
    for now in x:
        h = lam * h + gamma * (now @ (b_re + 1j * b_im).T)
        rows.append((h @ (c_re + 1j * c_im).T).real + now @ d.T)
    return np.array(rows)


def selective_scan(
    x: Array, delta: Array, a: Array, b: Array, c: Array, skip: Array
) -> Array:
    n, length, _ = x.shape
    y = np.zeros_like(x)
    for i in range(n):
        h = np.zeros(a.shape)
        for t in range(length):
            h = np.exp(delta[i, t][:, None] * a) * h
            h += np.outer(delta[i, t] * x[i, t], b[i, t])
            y[i, t] = h @ c[i, t] + skip * x[i, t]
    return y


def mamba_inner(
    x: Array,
    gate: Array,
    delta: Array,
    bias: Array,
    log: Array,
    b: Array,
    c: Array,
    skip: Array,
) -> Array:
    y = selective_scan(x, np.log1p(np.exp(delta + bias)), -np.exp(log), b, c, skip)
    return y * gate * sigmoid(gate)


def dual(x: Array, decay: Array, b: Array, c: Array) -> Array:
    """Every pair of steps by itself."""
    y = np.zeros_like(x)
    for t in range(x.shape[1]):
        for u in range(t + 1):
            share = np.exp(decay[:, u + 1 : t + 1].sum(1)) * (c[:, t] * b[:, u]).sum(-1)
            y[:, t] += share[..., None] * x[:, u]
    return y


def memory(q: Array, k: Array, v: Array, step: Callable[[Array, int], Array]) -> Array:
    """o[t] = q[t] . s, where a step makes the state s of the one before."""
    s = np.zeros((*q.shape[:-2], q.shape[-1], v.shape[-1]))
    rows = []
    for t in range(q.shape[-2]):
        s = step(s, t)
        rows.append((q[..., t, None, :] @ s)[..., 0, :])
    return np.stack(rows, -2)


def outer(k: Array, v: Array, t: int) -> Array:
    return k[..., t, :, None] * v[..., t, None, :]


def gated(q: Array, k: Array, v: Array, alpha: Array) -> Array:
    return memory(q, k, v, lambda s, t: alpha[..., t, :, None] * s + outer(k, v, t))


def linear_causal(q: Array, k: Array, v: Array) -> Array:
    def feature(x: Array) -> Array:
        return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))

    weights = np.tril(feature(q) @ np.swapaxes(feature(k), -1, -2))
    return np.asarray(weights / weights.sum(-1, keepdims=True) @ v)


def retention(q: Array, k: Array, v: Array, gamma: Array) -> Array:
    return memory(q, k, v, lambda s, t: gamma[:, None, None] * s + outer(k, v, t))


def delta_rule(q: Array, k: Array, v: Array, beta: Array) -> Array:
    def step(s: Array, t: int) -> Array:
        size = k.shape[-1]
        rate = beta[..., t, None, None]
        return (np.eye(size) - rate * outer(k, k, t)) @ s + rate * outer(k, v, t)

    return memory(q, k, v, step)


def rwkv(k: Array, v: Array, w: Array, u: Array) -> Array:
    """Each step as the weighted mean that it is."""
    y = np.zeros_like(v)
    for t in range(k.shape[1]):
        age = np.arange(t - 1, -1, -1)[:, None]
        past = np.exp(-age * w + k[:, :t])
        now = np.exp(u + k[:, t])
        total = past.sum(1) + now
        y[:, t] = ((past * v[:, :t]).sum(1) + now * v[:, t]) / total
    return y


def griffin(x: Array, r: Array, i: Array, a: Array) -> Array:
    h = np.zeros((len(x), x.shape[2]))
    rows = []
    for t in range(x.shape[1]):
        p = sigmoid(-a) ** (8 * sigmoid(r[:, t]))
        h = p * h + np.sqrt(1 - p**2) * (sigmoid(i[:, t]) * x[:, t])
        rows.append(h)
    return np.stack(rows, 1)


def diagonal(x: Array, a: Array, b: Array, c: Array, delta: Array) -> Array:
    """The convolution with the impulse response c * p**t * q."""
    p = np.exp(delta[:, None] * a)
    q = (p - 1) / a * b
    y = np.zeros_like(x)
    for t in range(x.shape[1]):
        for u in range(t + 1):
            y[:, t] += x[:, u] * (c * p ** (t - u) * q).sum(1)
    return y


def transducer(log_blank: Array, log_label: Array) -> Array:
    """The sum over all paths, one by one: when each label is said."""
    n, frames, states = log_blank.shape
    labels = states - 1
    totals = np.zeros(n)
    moves = frames - 1 + labels
    for said in combinations(range(moves), labels):
        t = u = 0
        path = np.zeros(n)
        for move in range(moves):
            if move in said:
                path += log_label[:, t, u]
                u += 1
            else:
                path += log_blank[:, t, u]
                t += 1
        totals += np.exp(path + log_blank[:, t, u])
    return -np.log(totals)


def warping(x: Array, y: Array, least: Callable[[list[float]], float]) -> float:
    cost = ((x[:, None] - y) ** 2).sum(-1)

    @cache
    def reach(i: int, j: int) -> float:
        if i == 0 and j == 0:
            return float(cost[0, 0])
        before = [(i - 1, j), (i, j - 1), (i - 1, j - 1)]
        reached = [reach(*p) for p in before if min(p) >= 0]
        return float(cost[i, j]) + least(reached)

    return reach(len(x) - 1, len(y) - 1)


def soft_warping(x: Array, y: Array, gamma: float) -> float:
    return warping(
        x, y, lambda v: -gamma * math.log(sum(math.exp(-r / gamma) for r in v))
    )


def edit_distance(x: Array, y: Array) -> int:
    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        if x[i - 1] == y[j - 1]:
            return distance(i - 1, j - 1)
        return 1 + min(distance(i - 1, j), distance(i, j - 1), distance(i - 1, j - 1))

    return distance(len(x), len(y))


FORMULAS: dict[str, Formula] = {
    "minimal_gru": minimal_gru,
    "independent_rnn": independent,
    "quasi_rnn": quasi,
    "moving_average": moving_average,
    "linear_recurrent_unit": unit,
    "selective_scan": selective_scan,
    "mamba_inner": mamba_inner,
    "state_space_dual": dual,
    "state_space_dual_quadratic": dual,
    "gated_linear_attention": gated,
    "linear_attention_causal": linear_causal,
    "retention": retention,
    "retention_parallel": retention,
    "delta_rule": delta_rule,
    "rwkv": rwkv,
    "griffin_recurrence": griffin,
    "diagonal_state_space": diagonal,
    "transducer": transducer,
    "dynamic_time_warping": lambda x, y: warping(x, y, min),
    "soft_dynamic_time_warping": soft_warping,
    "edit_distance": edit_distance,
}
