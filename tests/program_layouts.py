"""Arrays of any strides: transposed, reversed, every second element, repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from hypothesis import strategies as st

Array: TypeAlias = np.ndarray[Any, Any]
Form = Literal["plain", "transposed", "reversed", "step 2", "zero", "shifted", "mixed"]
FORMS: tuple[Form, ...] = (
    "plain", "transposed", "reversed", "step 2", "zero", "shifted", "mixed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Placing:
    """How an array lies in memory; `axis` says which dimension is meant."""

    form: Form = "plain"
    axis: int = 0


PLAIN = Placing()

placings = st.builds(
    Placing, st.sampled_from(("plain", "plain", *FORMS)), st.integers(0, 2)
)


def placed(array: Array, placing: Placing, *, written: bool = False) -> Array:
    """Return the elements of an array in another layout.

    A repeated dimension holds the first of its values everywhere; an array that will
    be written cannot have one.
    """
    if array.ndim == 0:
        return array
    axis = placing.axis % array.ndim
    match placing.form:
        case "transposed":
            moved = np.moveaxis(array, axis, -1)
            return np.moveaxis(np.ascontiguousarray(moved), -1, axis)
        case "reversed":
            return np.flip(np.flip(array, axis).copy(), axis)
        case "step 2":
            return _every_second(array, axis)
        case "zero" if array.shape[axis] and not written:
            return np.broadcast_to(array.take([0], axis).copy(), array.shape)
        case "shifted":
            flat = np.empty(array.size + 1, array.dtype)[1:]
            shifted = flat.reshape(array.shape)
            shifted[...] = array
            return shifted
        case "mixed":
            order = np.roll(np.arange(array.ndim), 1 + axis)
            moved = np.flip(array.transpose(order), 0)
            wide = _every_second(moved, axis)
            return np.flip(wide, 0).transpose(np.argsort(order))
        case _:
            return np.ascontiguousarray(array).copy()


def _every_second(array: Array, axis: int) -> Array:
    """Return the array with as much space between the elements of an axis."""
    order = np.argsort([-abs(s) for s in array.strides], kind="stable")
    shape = list(array.shape)
    shape[axis] *= 2
    wide = np.zeros([shape[a] for a in order], array.dtype).transpose(np.argsort(order))
    picked = wide[(slice(None),) * axis + (slice(None, None, 2),)]
    picked[...] = array
    return picked
