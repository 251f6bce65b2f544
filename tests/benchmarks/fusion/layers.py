"""Layers of a few lines: convolutions, norms, softmax, attention, an LSTM.

What they cannot be faster than is the layer without what was fused into it: the
convolution and one pass over the residual, the product alone, or a copy of the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import polydsl
from tests.benchmarks.fusion.case import Case, Draw, draws, torch_run

KERNELS = polydsl.loads(
    """
kernel nhwc(x: f32[N, H, W, C], w: f32[R, S, C, K]) -> f32[N, H, W, K]:
    y[n, p, q, k] += pad(x[n, p + r - R//2, q + s - S//2, c]) * w[r, s, c, k]
    return y

kernel nhwc_post(x: f32[N, H, W, C], w: f32[R, S, C, K], b: f32[K],
                 z: f32[N, H, W, K]) -> f32[N, H, W, K]:
    h[n, p, q, k] += pad(x[n, p + r - R//2, q + s - S//2, c]) * w[r, s, c, k]
    y[n, p, q, k] = max(h[n, p, q, k] + b[k] + z[n, p, q, k], 0)
    return y

kernel nchw(x: f32[N, C, H, W], w: f32[K, C, R, S]) -> f32[N, K, H, W]:
    y[n, k, p, q] += pad(x[n, c, p + r - R//2, q + s - S//2]) * w[k, c, r, s]
    return y

kernel nchw_post(x: f32[N, C, H, W], w: f32[K, C, R, S], b: f32[K],
                 z: f32[N, K, H, W]) -> f32[N, K, H, W]:
    h[n, k, p, q] += pad(x[n, c, p + r - R//2, q + s - S//2]) * w[k, c, r, s]
    y[n, k, p, q] = max(h[n, k, p, q] + b[k] + z[n, k, p, q], 0)
    return y

kernel product(x: f32[N, C], w: f32[C, K]) -> f32[N, K]:
    y[i, k] += x[i, c] * w[c, k]
    return y

kernel rms_product(x: f32[N, C], w: f32[C, K]) -> f32[N, K]:
    v[i] += x[i, c] * x[i, c]
    n[i, c] = x[i, c] / sqrt(v[i] / C + 1e-5)
    y[i, k] += n[i, c] * w[c, k]
    return y

kernel layer_norm(x: f32[N, M], g: f32[M], b: f32[M]) -> f32[N, M]:
    m[i] += x[i, j]
    u[i] = m[i] / M
    d[i, j] = x[i, j] - u[i]
    v[i] += d[i, j] * d[i, j]
    r[i] = 1 / sqrt(v[i] / M + 1e-5)
    h[i, j] = d[i, j] * r[i]
    y[i, j] = h[i, j] * g[j] + b[j]
    return y

kernel group_norm_swish(x: f32[N, G, C, P]) -> f32[N, G, C, P]:
    m[n, g] += x[n, g, c, p]
    d[n, g, c, p] = x[n, g, c, p] - m[n, g] / (C * P)
    v[n, g] += d[n, g, c, p] ** 2
    h[n, g, c, p] = d[n, g, c, p] / sqrt(v[n, g] / (C * P) + 1e-5)
    y[n, g, c, p] = h[n, g, c, p] * sigmoid(h[n, g, c, p])
    return y

kernel softmax(x: f32[N, M]) -> f32[N, M]:
    e[i, j] = exp(x[i, j] - max[k](x[i, k]))
    s[i] += e[i, j]
    y[i, j] = e[i, j] / s[i]
    return y

kernel attention(q: f32[H, T, D], k: f32[H, S, D], v: f32[H, S, D]) -> f32[H, T, D]:
    s[h, i, j] += q[h, i, d] * k[h, j, d] / sqrt(D)
    e[h, i, j] = exp(s[h, i, j] - max[m](s[h, i, m]))
    l[h, i] += e[h, i, j]
    o[h, i, d] += e[h, i, j] / l[h, i] * v[h, j, d]
    return o

kernel lstm(x: f32[T, B, I], w: f32[I, G], u: f32[U, G], b: f32[G]) -> f32[T, B, U]:
    p[t, n, g] += x[t, n, i] * w[i, g]
    q[t, n, g] += pad(h[t - 1, n, k]) * u[k, g]
    z[t, n, g] = p[t, n, g] + q[t, n, g] + b[g]
    c[t, n, j] = (sigmoid(z[t, n, U + j]) * pad(c[t - 1, n, j])
                  + sigmoid(z[t, n, j]) * tanh(z[t, n, 2*U + j]))
    h[t, n, j] = sigmoid(z[t, n, 3*U + j]) * tanh(c[t, n, j])
    return h
"""
)


def cases() -> Iterator[Case]:
    """Yield the layers."""
    draw = draws()
    for layout in ("nhwc", "nchw"):
        for size, c, k, r in ((56, 64, 256, 1), (28, 128, 128, 3), (14, 256, 1024, 1)):
            yield _convolution(layout, size, c, k, r, draw)
    yield _convolution("nhwc", 7, 512, 512, 3, draw)
    yield _convolution("nchw", 7, 512, 512, 3, draw)
    x, w = draw(512, 1024), draw(1024, 1024)
    plain = KERNELS.product.bind(w=w)
    yield Case(
        "RMS norm, product: 512 x 1024 x 1024",
        KERNELS.rms_product,
        {"x": x, "w": w},
        ("w",),
        least=lambda threads: plain(x=x, threads=threads),
    )
    x, g = draw(512, 768), draw(768)
    copied = np.empty_like(x)
    yield Case(
        "layer norm: 512 x 768",
        KERNELS.layer_norm,
        {"x": x, "g": g, "b": g},
        least=lambda threads: np.copyto(copied, x),
        theirs={
            "PyTorch": torch_run(
                lambda x, g: functional.layer_norm(x, (768,), g, g), x, g
            )
        },
    )
    yield Case(
        "softmax: 512 x 768",
        KERNELS.softmax,
        {"x": x},
        least=lambda threads: np.copyto(copied, x),
        theirs={"PyTorch": torch_run(lambda x: functional.softmax(x, 1), x)},
    )
    image = draw(4, 32, 10, 32 * 32)
    other = np.empty_like(image)
    yield Case(
        "group norm, swish: 4 x 320 x 32 x 32",
        KERNELS.group_norm_swish,
        {"x": image},
        least=lambda threads: np.copyto(other, image),
        theirs={
            "PyTorch": torch_run(
                lambda x: functional.silu(functional.group_norm(x, 32)),
                image.reshape(4, 320, 32, 32),
            )
        },
    )
    q, k, v = draw(12, 512, 64), draw(12, 512, 64), draw(12, 512, 64)
    yield Case(
        "attention: 12 x 512 x 64",
        KERNELS.attention,
        {"q": q, "k": k, "v": v},
        theirs={
            "PyTorch": torch_run(
                functional.scaled_dot_product_attention, q[None], k[None], v[None]
            )
        },
    )
    yield _lstm(draw)


def _convolution(layout: str, size: int, c: int, k: int, r: int, draw: Draw) -> Case:
    if layout == "nhwc":
        x, w, z = draw(1, size, size, c), draw(r, r, c, k), draw(1, size, size, k)
        order = (3, 2, 0, 1)
    else:
        x, w, z = draw(1, c, size, size), draw(k, c, r, r), draw(1, k, size, size)
        order = (0, 1, 2, 3)
    b, copied = draw(k), np.empty_like(z)
    plain = getattr(KERNELS, layout).bind(w=w)

    def least(threads: int) -> None:
        # The convolution, and the residual once.
        plain(x=x, threads=threads)
        np.add(z, 0, out=copied)

    def theirs(x: Any, w: Any, b: Any, z: Any) -> Any:
        if layout == "nhwc":
            x, z = x.permute(0, 3, 1, 2), z.permute(0, 3, 1, 2)
        y = functional.relu(functional.conv2d(x, w, b, padding=r // 2) + z)
        return y.permute(0, 2, 3, 1) if layout == "nhwc" else y

    return Case(
        f"convolution {r}x{r}, {c} to {k} at {size}x{size}, {layout}, and bias, "
        "residual, ReLU",
        getattr(KERNELS, f"{layout}_post"),
        {"x": x, "w": w, "b": b, "z": z},
        ("w", "b"),
        least=least,
        theirs={
            "PyTorch": torch_run(
                theirs, x, np.ascontiguousarray(w.transpose(order)), b, z
            )
        },
    )


def _lstm(draw: Draw) -> Case:
    t, n, u = 128, 8, 256
    arguments = {
        "x": draw(t, n, u),
        "w": draw(u, 4 * u) / 4,
        "u": draw(u, 4 * u) / 4,
        "b": draw(4 * u),
    }
    layer = torch.nn.LSTM(u, u).eval()
    weights = (arguments["w"].T, arguments["u"].T, arguments["b"], 0 * arguments["b"])
    with torch.no_grad():
        for parameter, weight in zip(layer.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(weight))
    return Case(
        f"LSTM: {t} steps, {n} x {u}",
        KERNELS.lstm,
        arguments,
        ("w", "u", "b"),
        theirs={"PyTorch": torch_run(lambda x: layer(x)[0], arguments["x"])},
    )
