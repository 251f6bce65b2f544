"""Small products with their settings, for the tests of the search over schedules."""

from __future__ import annotations

from machines import machine
from tree_harness import scop_of

from polydsl.loops.generate import default_layout
from polydsl.schedule.contraction import Contraction, NoContraction, match
from polydsl.schedule.setting import Setting

PRODUCT = """
kernel product(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
"""
CONVOLUTION = """
kernel convolution(x: f32[H, W, C], w: f32[R, S, C, K]) -> f32[P, Q, K]:
    P = H - R + 1
    Q = W - S + 1
    y[p, q, k] += x[p + r, q + s, c] * w[r, s, c, k]
    return y
"""

CASES = {
    "product": (PRODUCT, {"a": (24, 32), "b": (32, 96)}),
    "convolution": (CONVOLUTION, {"x": (8, 8, 16), "w": (3, 3, 16, 32)}),
}


def setting_of(case: str) -> tuple[Setting, Contraction, str]:
    """Return a product with its setting and its initialisation."""
    text, shapes = CASES[case]
    scop = scop_of(text, **shapes)
    first, update = scop.statements
    setting = Setting(
        scop, update, default_layout(scop), machine("avx512"), frozenset()
    )
    matched = match(scop, update)
    assert not isinstance(matched, NoContraction)
    return setting, matched, first.name
