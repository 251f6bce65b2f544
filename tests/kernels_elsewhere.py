"""A Python module with kernels, for the tests of kernels as values."""

from __future__ import annotations

import polydsl


@polydsl.kernel
def half(x: T[N]) -> T[N]:
    y[i] = x[i] / 2
    return y


layers = polydsl.loads(
    "kernel inc(x: T[N]) -> T[N]:\n    y[i] = x[i] + 1\n    return y\n", "layers"
)
inc = layers.inc


def doubled(x: float) -> float:
    """No kernel."""
    return 2 * x
