"""The arguments of a call as NumPy arrays that compiled code can read, and back.

Compiled code takes elements of a dtype of the language in this machine's byte order,
aligned to their size, at distances that are whole elements (negative and zero ones
too). `read_argument` brings whatever a user passes into that form, without a copy
wherever strides and alignment allow, and never converts a dtype. `write_argument` does
the same for `out=`, where a copy would lose the result. Every refusal is an
`ArgumentError` that names the parameter, what it needs and what came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from polydsl.backend import dlpack
from polydsl.backend.torch_tensors import from_tensor, to_tensor, torch_of
from polydsl.base.diagnostics import ArgumentError
from polydsl.base.dtypes import DTYPES, DType

Array = npt.NDArray[Any]
Kind = Literal["numpy", "torch"]
"""Whose arrays the results are: those of the first tensor argument's library."""

ALIGNMENT = 64
"""What scratch memory, prepared buffers and large results are aligned to, in bytes."""

_ALIGNED_FROM_BYTES = 1 << 16
_OVERLAP_WORK = 10_000
_BY_NUMPY: dict[np.dtype[Any], DType] = {d.numpy: d for d in DTYPES.values()}


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """What a specialisation knows of an argument: dtype, shape, strides in elements.

    Strides that no element is reached by (extent 1, or no elements at all) are those
    of a row-major array, so that layouts which cannot be told apart are equal.
    """

    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


def layout_of(array: Array) -> ArrayLayout:
    """Return the layout of an array that came out of this module."""
    size = array.itemsize
    steps: list[int] = []
    dense = 1
    is_empty = array.size == 0
    for extent, step in zip(reversed(array.shape), reversed(array.strides)):
        steps.append(dense if extent <= 1 or is_empty else step // size)
        dense = max(extent, 1) * (dense if is_empty else abs(steps[-1]))
    return ArrayLayout(_BY_NUMPY[array.dtype], array.shape, tuple(reversed(steps)))


def kind_of(value: object) -> Kind:
    """Return whose array *value* is; anything that is not PyTorch's counts as NumPy."""
    return "torch" if torch_of(value) is not None else "numpy"


def read_argument(value: object, parameter: str, needs: str) -> Array:
    """Return the elements of an input; *needs* is its declared type, for messages."""
    array = _as_numpy(value, parameter, needs)
    canonical = _language_dtype(array, parameter, needs).numpy
    if array.dtype is not canonical:
        array = array.view(canonical)
    return array if _is_readable(array) else array.copy()


def write_argument(value: object, parameter: str, layout: ArrayLayout) -> Array:
    """Return the elements of an `out=` array of the given dtype and shape, to be
    written in place. Its own strides count, those of *layout* do not."""
    needs = str(layout)
    if not isinstance(value, np.ndarray) and not isinstance(value, dlpack.Exporter):
        _refuse(parameter, needs, _description(value))
    array = _as_numpy(value, parameter, needs, may_copy=False)
    if _language_dtype(array, parameter, needs) != layout.dtype:
        _refuse(parameter, needs, _description(array))
    if array.shape != layout.shape:
        _refuse(parameter, needs, _description(array))
    if not array.flags.writeable:
        _refuse(parameter, needs, "an array that cannot be written")
    if not _is_readable(array):
        _refuse(parameter, needs, "an array with elements that are not aligned")
    if _meets_itself(array):
        _refuse(
            parameter,
            needs,
            f"an array with strides {array.strides}, in which "
            "one element stands at two positions",
        )
    return array.view(layout.dtype.numpy)


def read_scalar(value: object, parameter: str, dtype: DType) -> Array:
    """Return the argument of a scalar tensor: a Python number, or an array of rank 0.

    A Python number has no dtype of its own and is rounded to *dtype* if that is a
    float type; an integer type takes only integers that it holds, bool only bools.
    """
    if isinstance(value, np.generic) or not isinstance(value, (bool, int, float)):
        array = read_argument(value, parameter, str(dtype))
        if array.ndim or array.dtype != dtype.numpy:
            _refuse(parameter, str(dtype), _description(array))
        return array
    if dtype.is_float:
        return _float_scalar(value, parameter, dtype)
    if isinstance(value, bool) != (dtype.kind == "bool") or isinstance(value, float):
        _refuse(parameter, str(dtype), f"{type(value).__name__} {value}")
    if dtype.is_int and not dtype.least <= value <= dtype.greatest:
        _refuse(parameter, f"{dtype} ({dtype.least} to {dtype.greatest})", str(value))
    return np.array(value, dtype.numpy)


def result_like(array: Array, first: object) -> object:
    """Return *array* as the kind of array that *first* is; the memory is shared."""
    torch = torch_of(first)
    return array if torch is None else to_tensor(array, torch)


def allocate(dtype: DType, shape: tuple[int, ...]) -> Array:
    """Return an array for a result; a large one on a cache line's boundary.

    (Vector stores of a whole cache line cost twice as much across two lines. For a
    small array, finding the boundary costs more.)
    """
    count = math.prod(shape) * dtype.bytes
    if count < _ALIGNED_FROM_BYTES:
        return np.empty(shape, dtype.numpy)
    block = np.empty(count + ALIGNMENT, np.uint8)
    return np.ndarray(shape, dtype.numpy, block, _to_boundary(block))


def aligned_bytes(count: int) -> npt.NDArray[np.uint8]:
    """Return *count* bytes, not initialised, that start at a multiple of 64."""
    block = np.empty(count + ALIGNMENT, np.uint8)
    start = _to_boundary(block)
    return block[start : start + count]


def _to_boundary(block: npt.NDArray[np.uint8]) -> int:
    address: int = block.__array_interface__["data"][0]
    return -address % ALIGNMENT


def unaligned_bytes(count: int) -> npt.NDArray[np.uint8]:
    """Return *count* bytes, not initialised, that start 16 bytes past a multiple of 64,
    as NumPy's large arrays do. For measurements: where arrays lie by chance decides
    what vector loads cost."""
    return aligned_bytes(count + ALIGNMENT)[16 : 16 + count]


def may_overlap(left: Array, right: Array) -> bool:
    """Whether an element of one array may share memory with one of the other.

    Exact wherever that is cheap to find out; interleaved views with many dimensions
    count as overlapping.
    """
    try:
        # NumPy's stubs know only the two special values of max_work.
        return np.shares_memory(
            left,
            right,
            max_work=_OVERLAP_WORK,  # type: ignore[arg-type]
        )
    except np.exceptions.TooHardError:
        return True


def _as_numpy(
    value: object, parameter: str, needs: str, *, may_copy: bool = True
) -> Array:
    """A plain `ndarray` of the elements of *value*, a view wherever there is one."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        _refuse(parameter, needs, "a masked array, whose mask would be lost")
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray)
    torch = torch_of(value)
    if torch is not None:
        return from_tensor(value, torch, parameter, may_copy=may_copy)
    has_array = may_copy and hasattr(value, "__array__")
    try:
        if isinstance(value, dlpack.Exporter):
            if not dlpack.on_cpu(value):
                _refuse(
                    parameter,
                    f"{needs} in the memory of the CPU",
                    f"{_description(value)} on another device",
                )
            try:
                return dlpack.borrow(value)
            except BufferError:
                # Read-only memory of old NumPy arrays, for one, is not exported.
                if not has_array:
                    raise
        if has_array:
            return np.asarray(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        _refuse(parameter, needs, f"{_description(value)} that gives no array: {error}")
    _refuse(parameter, needs, _description(value))


def _language_dtype(array: Array, parameter: str, needs: str) -> DType:
    dtype = _BY_NUMPY.get(array.dtype)
    if dtype is None:
        known = ", ".join(DTYPES)
        _refuse(parameter, f"{needs} (a dtype of {known})", _description(array))
    return dtype


def _is_readable(array: Array) -> bool:
    """Whether the elements are aligned and whole elements apart."""
    if not array.flags.aligned:
        return False
    size = array.itemsize
    return all(
        step % size == 0 or extent <= 1
        for step, extent in zip(array.strides, array.shape)
    )


def _meets_itself(array: Array) -> bool:
    """Whether two positions may be one element, judged by nested strides alone."""
    reach = 1
    if array.size == 0:
        return False
    axes = sorted((abs(s), n) for s, n in zip(array.strides, array.shape) if n > 1)
    for step, extent in axes:
        if step < reach:
            return True
        reach = step * (extent - 1) + reach
    return False


def _float_scalar(value: float, parameter: str, dtype: DType) -> Array:
    if isinstance(value, bool):
        _refuse(parameter, str(dtype), f"bool {value}")
    try:
        with np.errstate(over="ignore"):
            array = np.array(float(value), dtype.numpy)
    except OverflowError:
        _refuse(parameter, str(dtype), "an integer beyond its range")
    if math.isfinite(value) and not np.isfinite(array):
        _refuse(parameter, str(dtype), f"{value!r}, which is beyond its range")
    return array


def _description(value: object) -> str:
    """What came, in the words of the language where it has them."""
    if not isinstance(value, np.ndarray):
        return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix(
            "builtins."
        )
    shape = ",".join(map(str, value.shape))
    known = _BY_NUMPY.get(value.dtype)
    if known is not None:
        return f"{known}[{shape}]"
    if value.dtype.byteorder not in "=|":
        return f"{value.dtype.name}[{shape}] in the byte order of other machines"
    return f"{value.dtype}[{shape}]"


def _refuse(parameter: str, needs: str, came: str) -> NoReturn:
    raise ArgumentError(f"argument {parameter} needs {needs}, but {came} came")
