"""Small scops with dependences of many kinds, for the tests of schedule trees."""

from __future__ import annotations

from tree_harness import scop_of

MATMUL = scop_of(
    """
kernel mm(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
""",
    a=(3, 4),
    b=(4, 5),
)
CHAIN = scop_of(
    """
kernel chain(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[i, j] * 2
    z[i, j] = pad(y[i + 1, j - 1]) + y[i, j]
    return z
""",
    x=(4, 3),
)
SHIFT = scop_of(
    """
kernel shift(x: f32[N, M]) -> f32[N, M]:
    y[i, j] = x[i, j] * 2
    z[i, j] = pad(y[i - 1, j + 1]) + y[i, j]
    return z
""",
    x=(3, 3),
)
SCATTER = scop_of(
    """
kernel scatter(x: f32[P], w: f32[R]) -> f32[7]:
    y: f32[7]
    y[p + r] += x[p] * w[r]
    return y
""",
    x=(5,),
    w=(3,),
)
HISTOGRAM = scop_of(
    """
kernel histogram(ids: i32[N], v: f32[N, M]) -> f32[3]:
    h: f32[3]
    h[ids[n]] += v[n, m]
    return h
""",
    ids=(4,),
    v=(4, 2),
)
MIRROR = scop_of(
    """
kernel mirror(x: f32[N]) -> (f32[N], f32[N]):
    y[i] = x[i] + 1
    z[i] = y[5 - i] + y[(i // 2) * 2]
    return y, z
""",
    x=(6,),
)
GROUPS = scop_of(
    """
kernel groups(x: f32[P, C], w: f32[D, K], b: f32[K]) -> f32[P, K]:
    y[p, k] += x[p, (k // 2) * 2 + d] * w[d, k]
    y[p, k] += b[k]
    d in range(2)
    return y
""",
    x=(3, 4),
    w=(2, 4),
    b=(4,),
)
SCOPS = (MATMUL, CHAIN, SHIFT, SCATTER, HISTOGRAM, MIRROR, GROUPS)
