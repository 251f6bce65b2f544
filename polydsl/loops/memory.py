"""Checked memory for the loop nest interpreter: one flat array for each buffer.

A `CheckedBuffer` knows which addresses exist, which elements have been written and
which iteration of a parallel loop touched an element last, so that every wrong access
ends in a `Fault` that says what is wrong with it. Addresses count elements from the
element at subscript zero, as in a batch-reduce GEMM; a stride may be negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from polydsl.loops.nest import Buffer

Array: TypeAlias = NDArray[Any]
Addresses: TypeAlias = NDArray[np.int64]

SEVERAL = -1
"""The stamp of an element that several iterations have read."""


class Fault(Exception):
    """A wrong access; the interpreter adds the node and the point."""


def element_addresses(buffer: Buffer) -> Addresses:
    """Return the address of every element of *buffer*, in the shape of the buffer."""
    addresses = np.zeros(buffer.shape, np.int64)
    for axis, (extent, stride) in enumerate(zip(buffer.shape, buffer.strides)):
        along = np.arange(extent, dtype=np.int64) * stride
        addresses += along.reshape(
            [-1 if a == axis else 1 for a in range(addresses.ndim)]
        )
    return addresses


class CheckedBuffer:
    """The elements of one buffer, and what is known about each."""

    __slots__ = (
        "_low", "_reader", "_writer", "buffer", "defined", "exists", "is_shared",
        "iteration", "values", "writable",
    )  # fmt: skip

    def __init__(
        self, buffer: Buffer, content: Array | None, *, writable: bool
    ) -> None:
        addresses = element_addresses(buffer)
        self.buffer = buffer
        self.writable = writable
        self.is_shared = not buffer.private and buffer.memory != "register"
        self._low = int(addresses.min(initial=0))
        size = int(addresses.max(initial=-1)) + 1 - self._low
        self.values = np.zeros(size, buffer.dtype.numpy)
        self.exists = np.zeros(size, np.bool_)
        self.exists[addresses - self._low] = True
        self.defined = np.zeros(size, np.bool_)
        self._writer = np.zeros(size, np.int64)
        self._reader = np.zeros(size, np.int64)
        self.iteration = 0
        if content is not None:
            self.values[addresses - self._low] = content
            self.defined[addresses - self._low] = True

    def address(self, index: Sequence[int]) -> int:
        """Return the address of the element at *index*, which must lie inside."""
        inside = len(index) == len(self.buffer.shape) and all(
            0 <= i < extent for i, extent in zip(index, self.buffer.shape)
        )
        if not inside:
            place = ", ".join(map(str, index))
            raise Fault(f"{self.buffer.name}[{place}] is outside {self.buffer.shape}")
        return sum(int(i) * s for i, s in zip(index, self.buffer.strides))

    def read(self, addresses: Addresses) -> Array:
        """Return the elements at *addresses*."""
        places = self._places(addresses)
        if not self.defined[places].all():
            missing = int(addresses[~self.defined[places]].flat[0])
            raise Fault(f"element {missing} of {self.buffer.name} was never written")
        if self.iteration and self.is_shared and self.writable:
            self._note_read(places)
        return self.values[places]

    def write(self, addresses: Addresses, values: Array) -> None:
        """Store *values* at *addresses*."""
        if not self.writable:
            raise Fault(f"{self.buffer.name} is read-only here")
        places = self._places(addresses)
        if self.iteration and self.is_shared:
            self._note_write(places)
        self.values[places] = values
        self.defined[places] = True

    def poison(self) -> None:
        """Forget every element: what is read next must have been written again."""
        self.defined[:] = False

    def enter(self, iteration: int) -> None:
        """Begin an iteration of a parallel loop; 0 ends the loop."""
        self.iteration = iteration
        if not iteration:
            self._writer[:] = 0
            self._reader[:] = 0

    def contents(self) -> tuple[Array, NDArray[np.bool_]]:
        """Return the elements in the shape of the buffer, and which are defined."""
        places = element_addresses(self.buffer) - self._low
        return self.values[places], self.defined[places]

    def _places(self, addresses: Addresses) -> Addresses:
        places = addresses - self._low
        inside = (places >= 0) & (places < self.values.size)
        if inside.all():
            inside = self.exists[places]
        if not inside.all():
            wrong = int(addresses[~inside].flat[0])
            raise Fault(f"{self.buffer.name} has no element at address {wrong}")
        return places

    def _note_read(self, places: Addresses) -> None:
        """Find flow between iterations, and remember who read."""
        writer, reader = self._writer[places], self._reader[places]
        if ((writer != 0) & (writer != self.iteration)).any():
            raise Fault(f"{self.buffer.name} is written in another parallel iteration")
        fresh = (reader == 0) | (reader == self.iteration)
        self._reader[places] = np.where(fresh, self.iteration, SEVERAL)

    def _note_write(self, places: Addresses) -> None:
        """Find anti and output dependences between iterations; remember who wrote."""
        for stamps in (self._writer[places], self._reader[places]):
            if ((stamps != 0) & (stamps != self.iteration)).any():
                raise Fault(f"{self.buffer.name} is used in another parallel iteration")
        self._writer[places] = self.iteration
