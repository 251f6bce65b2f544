"""The texts of kernels whose schedule trees are tested."""

from __future__ import annotations

MATMUL = """
kernel mm(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    d[i, j] = relu(c[i, j])
    return d
"""
CONVOLUTION = """
kernel conv(x: f32[N, H, W, C], w: f32[R, S, C, K]) -> f32[N, P, Q, K]:
    P = H + 2 - R + 1
    Q = W + 2 - S + 1
    y[n, p, q, k] += pad(x[n, p + r - 1, q + s - 1, c]) * w[r, s, c, k]
    return y
"""
CHANNELS_FIRST = """
kernel conv(x: f32[N, C, H, W], w: f32[K, C, R, S]) -> f32[N, K, P, Q]:
    P = (H + 2 - R) // 2 + 1
    Q = (W + 2 - S) // 2 + 1
    y[n, k, p, q] += pad(x[n, c, p*2 + r - 1, q*2 + s - 1]) * w[k, c, r, s]
    return y
"""
GROUPS = """
kernel groups(x: f32[P, C], w: f32[D, K]) -> f32[P, K]:
    y[p, k] += x[p, (k // (K // 2)) * (C // 2) + d] * w[d, k]
    return y
"""
DEPTHWISE = """
kernel depthwise(x: f32[H, W, C], w: f32[R, S, C]) -> f32[H, W, C]:
    y[h, v, c] += pad(x[h + r - 1, v + s - 1, c]) * w[r, s, c]
    return y
"""
SOFTMAX = """
kernel softmax(x: f32[M, N]) -> f32[M, N]:
    e[i, j] = exp(x[i, j] - max[k](x[i, k]))
    y[i, j] = e[i, j] / sum[k](e[i, k])
    return y
"""
SUMS = """
kernel sums(x: f32[N, M], b: f32[M], a: f32[N, K], w: f32[K, M]) -> (f32[N, M], f32):
    y[i, j] += b[j]
    y[i, j] += x[i, l] * x[j, l]
    y[i, j] += a[i, k] * w[k, j]
    j in range(M)
    l in range(min(N, M))
    i in range(N)
    s += y[i, j]
    return y, s
"""
BATCHES = """
kernel batches(a: f32[B, M, K], b: f32[B, K, N]) -> f32[B, M, N]:
    c[p, i, j] += a[p, i, k] * b[p, k, j]
    return c
"""
BIASED = """
kernel biased(b: f32[M], a: f32[N, K], w: f32[K, M]) -> f32[N, M]:
    y[i, j] += b[j]
    y[i, j] += a[i, k] * w[k, j]
    return y
"""
NAMES = """
kernel names(a: f32[M, K], b: f32[K, N], d: f32[L, N]) -> (f32[M, N], f32[L]):
    c[panel, j] += a[panel, k] * b[k, j]
    s[j_vector] += d[j_vector, j]
    return c, s
"""
SUM = """
kernel f(x: f32[M, N]) -> f32[M]:
    y[i] += x[i, j]
    return y
"""
