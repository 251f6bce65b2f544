"""Arrays of other libraries as NumPy arrays, over DLPack and without a copy.

NumPy's own `from_dlpack` knows no bfloat16, so the `DLManagedTensor` in the capsule is
read here, by the layout that the DLPack specification (version 0.x, "unversioned")
fixes. The capsule is never renamed to "used": its destructor gives the memory back
when the last NumPy view of it is gone.
"""

from __future__ import annotations

import ctypes
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from polydsl.base.dtypes import BF16

_CPU = 1
_BFLOAT = 4
_NAME = b"dltensor"


@runtime_checkable
class Exporter(Protocol):
    """An array of some library that can be read through DLPack."""

    def __dlpack__(self) -> object:
        """Return a capsule that holds a `DLManagedTensor`."""

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the kind and number of the device that holds the elements."""


class _Tensor(ctypes.Structure):
    """`DLTensor` of the specification."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class _Memory:
    """Borrowed 16-bit elements as NumPy sees them; keeps the capsule alive."""

    def __init__(self, capsule: object, tensor: _Tensor, may_write: bool) -> None:
        self._capsule = capsule
        shape = tuple(tensor.shape[: tensor.rank])
        strides = None
        if tensor.strides:
            strides = tuple(2 * step for step in tensor.strides[: tensor.rank])
        self.__array_interface__ = {
            "version": 3,
            "typestr": np.dtype(np.uint16).str,
            "shape": shape,
            "strides": strides,
            "data": ((tensor.data or 0) + tensor.byte_offset, not may_write),
        }


def on_cpu(value: Exporter) -> bool:
    """Whether the elements of *value* are in the memory of the CPU."""
    return int(value.__dlpack_device__()[0]) == _CPU


def borrow(value: Exporter, *, may_write: bool = False) -> npt.NDArray[Any]:
    """Return a view of *value*, which is on the CPU; raise `BufferError` if it won't.

    The view keeps the memory alive, also after *value* itself is gone. The capsule does
    not say whether bfloat16 memory may be written; the caller does.
    """
    try:
        # NumPy's stubs want more of an exporter than it uses.
        return np.from_dlpack(value)  # type: ignore[arg-type]
    except RuntimeError as error:
        # NumPy says only that it does not know the dtype; it may be bfloat16.
        view = _borrow_bfloat16(value, may_write)
        if view is None:
            raise BufferError(str(error)) from error
        return view


def _borrow_bfloat16(value: Exporter, may_write: bool) -> npt.NDArray[Any] | None:
    capsule = value.__dlpack__()
    address = _pointer_of(capsule, _NAME)
    tensor = _Tensor.from_address(address)
    if (tensor.code, tensor.bits, tensor.lanes) != (_BFLOAT, 16, 1):
        return None
    if 0 in tensor.shape[: tensor.rank]:
        return np.empty(tuple(tensor.shape[: tensor.rank]), BF16.numpy)
    return np.asarray(_Memory(capsule, tensor, may_write)).view(BF16.numpy)
