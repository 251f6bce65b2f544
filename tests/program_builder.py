"""What a random program has so far: sizes, indices, tensors, and how to draw more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, TypeVar

from hypothesis import strategies as st

Kind = Literal["float", "int", "bool"]
T = TypeVar("T")

POINTS = 20_000
"""No statement has more points, so that the oracle and the proofs stay quick."""
EXTENTS = (1, 2, 3, 5, 7, 8, 11, 13, 16, 17, 19, 33, 37, 67, 0, 1)
SMALL = (1, 2, 3, 2, 5, 0)
"""The extents of the size that is always there: with it, statements stay small."""
FLOATS = ("f32", "f64", "bf16", "f16")
INTEGERS = ("i32", "i64", "i8", "u8", "i16")
KINDS: dict[str, Kind] = {
    "bool": "bool", **dict.fromkeys(FLOATS, "float"), **dict.fromkeys(INTEGERS, "int"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Program:
    """A text whose kernel `f` is tried: dtype and shape of each argument, constants.

    `large` says that integer arguments hold the greatest and the least numbers too.
    The arguments in `bounded` are subscripts: their numbers are below an extent.
    """

    text: str
    arguments: tuple[tuple[str, str, tuple[int, ...]], ...]
    constants: tuple[tuple[str, int | float | bool], ...] = ()
    large: bool = False
    bounded: tuple[tuple[str, int], ...] = ()

    def __repr__(self) -> str:
        shapes = ", ".join(f"{n}: {d}{list(s)}" for n, d, s in self.arguments)
        return f"\n{self.text}# {shapes} {dict(self.constants)}\n"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor: its dimensions as size expressions; its dtype, where that is known.

    A partial tensor is not defined everywhere: only padded accesses may read it.
    """

    kind: Kind
    dims: tuple[str, ...]
    dtype: str = ""
    partial: bool = False


@dataclass(slots=True)
class Builder:
    """Draws the parts of one program and remembers them."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    sizes: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, TensorInfo] = field(default_factory=dict)
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    indices: dict[str, str] = field(default_factory=dict)
    ranges: dict[str, str] = field(default_factory=dict)
    bounded: dict[str, str] = field(default_factory=dict)
    dtype: str = "f32"

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of some options; the first one is the simplest."""
        picked: T = self.draw(st.sampled_from(options))
        return picked

    def chance(self, percent: int) -> bool:
        """Draw True so often."""
        return self.number(0, 99) >= 100 - percent

    def number(self, low: int, high: int) -> int:
        """Draw an integer, both ends included."""
        return int(self.draw(st.integers(low, high)))

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Draw an order."""
        return list(self.draw(st.permutations(items))) if len(items) > 1 else [*items]

    # Sizes

    def extent(self, dim: str) -> int:
        """Return the number that a size expression stands for."""
        names = {**self.sizes, "max": max, "min": min}
        return int(eval(dim, {"__builtins__": {}}, names))

    def points(self, indices: Sequence[str]) -> int:
        """Return the number of points of some indices; an empty one counts once."""
        return prod(max(1, self.extent(self.indices[i])) for i in indices)

    def size(self, beside: Sequence[str] = ()) -> str:
        """Draw a size whose index keeps a statement with the indices *beside* small."""
        room = POINTS // self.points(beside)
        fitting = [s for s, n in self.sizes.items() if n <= room]
        return self.pick(fitting or ["A"])

    # Indices

    def index(self, dim: str, taken: Sequence[str] = ()) -> str:
        """Return an index that runs over a dimension: a new one or one used before."""
        known = [
            i for i, d in self.indices.items()
            if d == dim and i not in taken and self.ranges[i] == dim
        ]  # fmt: skip
        if known and self.chance(60):
            return self.pick(known)
        return self.new_index(dim, dim)

    def new_index(self, dim: str, bounds: str) -> str:
        """Return a new index inside a dimension, with the bounds of its range."""
        name = f"k{len(self.indices)}"
        self.indices[name] = dim
        self.ranges[name] = bounds
        return name

    def reduced(self, beside: Sequence[str]) -> str:
        """Return an index to reduce over; sometimes it leaves out the ends."""
        dim = self.size(beside)
        if self.chance(80):
            return self.index(dim, beside)
        lower = f"min(1, {dim}), {dim}"
        return self.new_index(dim, self.pick((lower, f"max(0, {dim} - 1)")))

    # Tensors

    def parameter(self, kind: Kind, dims: Sequence[str], dtype: str = "") -> str:
        """Return a new parameter."""
        if not dtype:
            others = {"float": FLOATS, "int": INTEGERS, "bool": ("bool",)}
            dtype = self.pick(others[kind])
            if kind == "float" and self.chance(85):
                dtype = self.dtype
        name = f"x{len(self.parameters)}"
        info = TensorInfo(kind, tuple(dims), dtype)
        self.parameters[name] = self.tensors[name] = info
        return name

    def of_kind(self, kind: Kind) -> list[str]:
        """Return the tensors of a kind."""
        return [n for n, t in self.tensors.items() if t.kind == kind]
