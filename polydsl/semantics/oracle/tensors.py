"""The tensors of a program while it is evaluated: elements, domains, definedness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.semantics.oracle.casts import StoredNum
from polydsl.semantics.oracle.errors import undefined
from polydsl.semantics.oracle.grids import Grid
from polydsl.semantics.oracle.numbers import (
    AVAILABLE,
    AVAILABLE_KEY,
    EXACT,
    NO,
    YES,
    Array,
    Bools,
    Floats,
    Ints,
    Num,
)
from polydsl.semantics.program import Access

_KINDS = {"float": np.float64, "int": np.int64, "bool": np.bool_}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a recurrence has come: which elements of a tensor are known.

    Elements of all its tensors are numbered through, from `offset` on.
    """

    known: Bools
    offset: int


class Elements:
    """The elements of a tensor, filled piece by piece; masks only where needed."""

    def __init__(self, extents: tuple[int, ...], kind: str) -> None:
        self.extents = extents
        self.value: Array = np.zeros(extents, _KINDS[kind])
        self.error: Floats = EXACT
        self.undecided: Bools = NO
        self.overflow: Bools = NO

    def put(self, at: tuple[slice, ...], num: Num, where: Bools = YES) -> None:
        """Set a block, where the mask holds."""
        self._make_room(num)
        for own, new in self._parts(num):
            block = own[at] if at else own
            np.copyto(block, new, where=where)

    def put_flat(self, at: Ints, num: Num) -> None:
        """Set single elements, by their row-major numbers."""
        self._make_room(num)
        for own, new in self._parts(num):
            own.reshape(-1)[at] = new

    def _make_room(self, num: Num) -> None:
        if not num.is_exact:
            self.error = self._full(self.error, np.float64)
        if num.undecided.any():
            self.undecided = self._full(self.undecided, np.bool_)
        if num.overflow.any():
            self.overflow = self._full(self.overflow, np.bool_)

    def _full(self, array: Array, kind: type) -> Array:
        if array.shape == self.extents and array.flags.writeable:
            return array
        return np.zeros(self.extents, kind)

    def _parts(self, num: Num) -> list[tuple[Array, Array]]:
        pairs = [
            (self.value, num.value),
            (self.error, num.error),
            (self.undecided, num.undecided),
            (self.overflow, num.overflow),
        ]
        return [(own, new) for own, new in pairs if own.flags.writeable]

    def num(self) -> Num:
        """Return all elements."""
        return Num(self.value, self.error, self.undecided, self.overflow)


class TensorStore:
    """Where accesses of a dense evaluation find their elements."""

    def __init__(self, extents: Mapping[str, tuple[int, ...]]) -> None:
        self._extents = dict(extents)
        self._stored: dict[str, StoredNum] = {}
        self._domains: dict[str, Bools] = {}
        self._progress: dict[str, tuple[Progress, Elements]] = {}

    def extents(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._extents[tensor]

    def domain(self, tensor: str) -> Bools:
        """Return where a tensor is defined in the end."""
        return self._domains.get(tensor, YES)

    def set_domain(self, tensor: str, domain: Bools) -> None:
        """Say where a tensor is defined in the end."""
        self._domains[tensor] = domain

    def set(self, tensor: str, stored: StoredNum) -> None:
        """Store a finished tensor."""
        self._stored[tensor] = stored
        self._progress.pop(tensor, None)

    def begin(self, tensor: str, progress: Progress, elements: Elements) -> None:
        """Make the elements of a tensor of a recurrence readable as they come."""
        self._progress[tensor] = (progress, elements)

    def stored(self, tensor: str) -> StoredNum:
        """Return a finished tensor."""
        return self._stored[tensor]

    def read(
        self, access: Access, subscripts: tuple[Ints, ...], grid: Grid, needed: Bools
    ) -> Num:
        """Return elements, which must be defined where they are needed."""
        tensor = access.tensor
        if 0 in self._extents[tensor]:
            shape = np.broadcast_shapes(*(s.shape for s in subscripts))
            return Num(np.zeros(shape, _KINDS[access.dtype.kind]))
        self.check_defined(access, subscripts, grid, needed)
        if tensor in self._progress:
            progress, elements = self._progress[tensor]
            missing = self._missing(progress, subscripts, grid, needed)
            return gathered(elements.num(), subscripts, missing)
        if tensor not in self._stored:
            bug(f"{tensor} is read before it is evaluated")
        return gathered(self._stored[tensor].read, subscripts)

    def check_defined(
        self, access: Access, subscripts: tuple[Ints, ...], grid: Grid, needed: Bools
    ) -> None:
        """Raise if an element is read that is never defined."""
        domain = self.domain(access.tensor)
        if domain.ndim:
            lacking = needed & ~gather(domain, subscripts)
            if grid.points and lacking.any():
                undefined(access.tensor, subscripts, access.span, grid, lacking)

    def _missing(
        self,
        progress: Progress,
        subscripts: tuple[Ints, ...],
        grid: Grid,
        needed: Bools,
    ) -> Ints:
        """Name elements that are not known yet, the nearest to the reader first.

        The key is twice the distance of the element's number from the reader's own,
        plus one if it stands before it (`recurrences.blocker`).
        """
        lacking = needed & ~gather(progress.known, subscripts)
        if not lacking.any():
            return np.full(1, AVAILABLE_KEY)
        if grid.own is None:
            bug("a recurrence is evaluated without numbered points")
        extents = progress.known.shape
        flat = np.ravel_multi_index(subscripts, extents) if extents else np.int64(0)
        number = np.asarray(flat) + progress.offset
        key = 2 * np.abs(number - grid.own) + (number < grid.own)
        return np.where(lacking, key, AVAILABLE_KEY)


def gathered(num: Num, subscripts: tuple[Ints, ...], missing: Ints = AVAILABLE) -> Num:
    """Return elements of a tensor."""
    return Num(
        gather(num.value, subscripts),
        gather(num.error, subscripts),
        gather(num.undecided, subscripts),
        gather(num.overflow, subscripts),
        missing,
    )


def gather(array: Array, subscripts: tuple[Ints, ...]) -> Array:
    """Index an array; one value for all elements stays one."""
    if array.ndim == 0:
        return array
    view = _as_view(array, subscripts)
    return array[subscripts] if view is None else view


def _as_view(array: Array, subscripts: tuple[Ints, ...]) -> Array | None:
    """Read without a copy where each subscript steps along an axis of its own."""
    slices, axes = [], []
    for subscript in subscripts:
        varying = [axis for axis, n in enumerate(subscript.shape) if n != 1]
        if len(varying) > 1 or subscript.size == 0:
            return None
        flat = subscript.reshape(-1)
        start, step = int(flat[0]), int(flat[1] - flat[0]) if varying else 1
        if step == 0 or not np.array_equal(flat, start + step * np.arange(flat.size)):
            return None
        stop = start + step * flat.size
        slices.append(slice(start, stop if stop >= 0 else None, step))
        axes.append(varying[0] - subscript.ndim if varying else 0)
    return _arranged(array[tuple(slices)], axes)


def _arranged(view: Array, axes: list[int]) -> Array | None:
    """Move each dimension to its axis, counted from the last; 0 drops it."""
    kept = [axis for axis in axes if axis < 0]
    if len(set(kept)) < len(kept):
        return None
    dropped = tuple(d for d, axis in enumerate(axes) if axis == 0)
    view = view.squeeze(axis=dropped).transpose(np.argsort(kept))
    shape = [1] * -min(kept, default=0)
    for axis, extent in zip(sorted(kept), view.shape, strict=True):
        shape[axis] = extent
    return view.reshape(shape)
