"""One call of a kernel of the standard library, with random arguments of any kind."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Random: TypeAlias = np.random.Generator
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Integers:
    """Integers from `low` to `high` - 1."""

    shape: Shape
    high: int
    low: int = 0
    dtype: str = "int64"

    def __str__(self) -> str:
        return f"{text_of(self.shape)}i{self.high}"


@dataclass(frozen=True, slots=True)
class Uniform:
    """Real numbers from `low` to `high`."""

    shape: Shape
    low: float = 0.0
    high: float = 1.0

    def __str__(self) -> str:
        return f"{text_of(self.shape)}u"


@dataclass(frozen=True, slots=True)
class Made:
    """What a function makes; floats take the dtype of the case, unless it is fixed."""

    name: str
    make: Callable[[Random], Array] = field(compare=False)
    fixed: bool = False

    def __str__(self) -> str:
        return self.name


Given: TypeAlias = Shape | Integers | Uniform | Made
"""A tensor of a case: a shape stands for normally distributed numbers."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call of a kernel: its tensors and its constants."""

    module: str
    kernel: str
    inputs: tuple[Given, ...]
    constants: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The kernel with its module."""
        return f"{self.module}.{self.kernel}"

    def __str__(self) -> str:
        inputs = "-".join(
            text_of(s) if isinstance(s, tuple) else str(s) for s in self.inputs
        )
        constants = "".join(f"-{n}{v}" for n, v in self.constants.items())
        return f"{self.kernel}-{inputs}{constants}"


@dataclass(frozen=True, slots=True)
class Of:
    """Makes the cases of one module: `of("matmul", (2, 3), (3, 4))`."""

    module: str

    def __call__(self, kernel: str, *inputs: Given, **constants: Any) -> Case:
        return Case(self.module, kernel, inputs, constants)


def text_of(shape: Shape) -> str:
    """Return a shape as it stands in the name of a test."""
    return "x".join(map(str, shape)) or "scalar"


def arrays(case: Case, dtype: npt.DTypeLike) -> list[Array]:
    """Return the tensors of a case, the same in every run; floats have *dtype*."""
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    return [_array(given, rng, dtype) for given in case.inputs]


def _array(given: Given, rng: Random, dtype: npt.DTypeLike) -> Array:
    match given:
        case Integers(shape, high, low, name):
            return rng.integers(low, high, shape).astype(name)
        case Uniform(shape, low, high):
            return rng.uniform(low, high, shape).astype(dtype)
        case Made(make=make, fixed=fixed):
            made = make(rng)
            return made if fixed or made.dtype.kind != "f" else made.astype(dtype)
        case _:
            return rng.standard_normal(given).astype(dtype)
