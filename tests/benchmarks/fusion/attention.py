"""Attention that libraries have no kernel for: ALiBi, a sliding window, long rows.

What row i does not see is left out of the ranges here. PyTorch and JAX get the bias,
with -inf where nothing is seen, as a matrix that is made before they are timed; the
`flex_attention` of PyTorch gets it as a function, and which blocks are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.nn.attention import flex_attention as flex

import polydsl
from tests.benchmarks.fusion.case import (
    Array,
    Case,
    Run,
    compiled_run,
    draws,
    jax_run,
    torch_run,
)

attention = polydsl.stdlib.attention

KERNELS = polydsl.loads(
    """
kernel alibi_window(q: f32[N, A, L, D], k: f32[N, A, L, D], v: f32[N, A, L, E],
                    slope: f32[A], *, window: int) -> f32[N, A, L, E]:
    j in range(max(0, i - window + 1), i + 1)
    dots[n, a, i, j] += q[n, a, i, d] * k[n, a, j, d]
    scores[n, a, i, j] = dots[n, a, i, j] / sqrt(D) + slope[a] * (j - i)
    m[n, a, i] = max[j](scores[n, a, i, j])
    e[n, a, i, j] = exp(scores[n, a, i, j] - m[n, a, i])
    total[n, a, i] = sum[j](e[n, a, i, j])
    dividend[n, a, i, c] += e[n, a, i, j] * v[n, a, j, c]
    o[n, a, i, c] = dividend[n, a, i, c] / total[n, a, i]
    return o
"""
)

HEADS, STEPS, DEPTH, WINDOW = 12, 512, 64, 128


def cases() -> Iterator[Case]:
    """Yield the layers."""
    draw = draws()
    q, k, v = (draw(1, HEADS, STEPS, DEPTH) for _ in range(3))
    slope = (2.0 ** (-8 * (np.arange(HEADS) + 1) / HEADS)).astype(np.float32)
    arguments = {"q": q, "k": k, "v": v, "slope": slope}
    shape = f"{HEADS} x {STEPS} x {DEPTH}"
    yield Case(
        f"attention with ALiBi, causal: {shape}",
        attention.attention_alibi,
        arguments,
        theirs=_others(q, k, v, slope, STEPS),
        asked="1.8 times the best",
    )
    yield Case(
        f"attention with ALiBi, window of {WINDOW}: {shape}",
        KERNELS.alibi_window,
        arguments,
        constants={"window": WINDOW},
        theirs=_others(q, k, v, slope, WINDOW),
        asked="3 times the best",
    )
    none = np.zeros_like(slope)
    yield Case(
        f"attention, window of {WINDOW}: {shape}",
        attention.attention_window,
        {"q": q, "k": k, "v": v},
        constants={"window": WINDOW},
        theirs=_others(q, k, v, none, WINDOW),
        asked="3 times the best",
    )
    q, k, v = (draw(2, 8192, DEPTH) for _ in range(3))
    yield Case(
        "attention, long: 2 x 8192 x 64",
        attention.attention,
        {"q": q, "k": k, "v": v},
        theirs={
            "PyTorch": torch_run(
                functional.scaled_dot_product_attention, q[None], k[None], v[None]
            ),
        },
        asked="memory that is linear in the length",
    )


def _others(
    q: Array, k: Array, v: Array, slope: Array, window: int
) -> dict[str, Run | None]:
    """Return the others' ways to compute one head for each slope."""
    distance = np.arange(STEPS) - np.arange(STEPS)[:, None]
    seen = (distance <= 0) & (distance > -window)
    bias = np.where(seen, slope[:, None, None] * distance, -np.inf)[None]
    arrays = (q, k, v, bias.astype(np.float32))
    return {
        "PyTorch": torch_run(_plain, *arrays),
        "SDPA": torch_run(functional.scaled_dot_product_attention, *arrays),
        "compiled": compiled_run(_plain, *arrays),
        "flex": torch_run(_flex(slope, window), q, k, v),
        "JAX": jax_run(_jax, *arrays),
    }


def _plain(q: Any, k: Any, v: Any, bias: Any) -> Any:
    scores = q @ k.transpose(2, 3) / DEPTH**0.5 + bias
    return torch.softmax(scores, 3) @ v


def _jax(jax: Any, q: Any, k: Any, v: Any, bias: Any) -> Any:
    scores = q @ k.swapaxes(2, 3) / DEPTH**0.5 + bias
    return jax.nn.softmax(scores, 3) @ v


def _flex(slope: Array, window: int) -> Callable[..., Any]:
    slopes = torch.from_numpy(slope)

    def score(s: Any, n: Any, a: Any, i: Any, j: Any) -> Any:
        return s + slopes[a] * (j - i)

    def seen(n: Any, a: Any, i: Any, j: Any) -> Any:
        return (j <= i) & (j > i - window)

    blocks = flex.create_block_mask(seen, None, None, STEPS, STEPS, device="cpu")
    compiled = torch.compile(flex.flex_attention, dynamic=False)
    return partial(compiled, score_mod=score, block_mask=blocks)
