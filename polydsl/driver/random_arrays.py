"""Random arrays of given layouts: inputs for timing that nobody gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from typing import Literal as OneOf

import numpy as np

from polydsl.backend.arrays import ArrayLayout, unaligned_bytes
from polydsl.driver.random_subscripts import subscript_limits
from polydsl.semantics.program import Program

Array = np.ndarray[Any, Any]
Distribution = OneOf["normal", "uniform"]


def random_array(
    layout: ArrayLayout,
    generator: np.random.Generator,
    distribution: Distribution = "normal",
    limit: int = 8,
) -> Array:
    """Return an array of a layout, strides included, with random elements.

    Integers are not negative and below a limit, so that they may serve as subscripts.
    """
    dtype, shape = layout.dtype, layout.shape
    if dtype.kind == "bool":
        values: Array = generator.integers(0, 2, shape)
    elif dtype.is_int:
        values = generator.integers(0, min(limit, dtype.greatest + 1), shape)
    elif distribution == "uniform":
        values = generator.random(shape, np.float32)
    else:
        values = generator.standard_normal(shape, np.float32)
    placed = _memory(layout)
    placed[...] = np.asarray(values).astype(dtype.numpy)
    return placed


def random_arguments(
    program: Program,
    layouts: Mapping[str, ArrayLayout],
    generator: np.random.Generator,
    distribution: Distribution = "normal",
) -> dict[str, Array]:
    """Return random arguments of a program in given layouts; what is read in subscripts
    keeps them inside their tensors, wherever that is possible."""
    limits = subscript_limits(program)
    return {
        name: random_array(layout, generator, distribution, limits.get(name, 8))
        for name, layout in layouts.items()
    }


def _memory(layout: ArrayLayout) -> Array:
    """Return memory of a layout, filled with zeros; steps may run backwards."""
    if 0 in layout.shape:
        return np.zeros(layout.shape, layout.dtype.numpy)
    reach = [(n - 1) * step for n, step in zip(layout.shape, layout.strides)]
    before = -sum(r for r in reach if r < 0)
    after = sum(r for r in reach if r > 0)
    count = (before + after + 1) * layout.dtype.bytes
    memory = unaligned_bytes(count).view(layout.dtype.numpy)
    memory[:] = 0
    steps = tuple(step * layout.dtype.bytes for step in layout.strides)
    return np.lib.stride_tricks.as_strided(memory[before:], layout.shape, steps)
