"""LIBXSMM as a provider: its batch-reduce kernels, made when object code is loaded.

The interface is that of versions 1.16 and 1.17 (`libxsmm_?mmdispatch_reducebatch_*`).
LIBXSMM is column major: what it calls A, of m x k, is our vector side B, and what it
calls B, of k x n, is our broadcast side A; so its m are our columns.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from polydsl.backend.carried_loop import I64
from polydsl.backend.emitter.types import reserve
from polydsl.backend.microkernel_spec import Microkernel
from polydsl.backend.providers.foreign import (
    Body,
    ForeignKernel,
    Implementation,
    Library,
    Made,
    declare,
    first_library,
    foreign_kernel,
)
from polydsl.backend.providers.positions import address_tables
from polydsl.base.dtypes import DTYPES
from polydsl.base.providers import provider_named

NAME: Final = "libxsmm"
# The forms of a batch: one position, a constant step in bytes, arrays of addresses.
ONE, STRIDES, ADDRESSES = "one", "strd", "addr"
_TRANSPOSED_B = 2
_LETTERS = {"f32": "s", "f64": "d"}
_NUMBERS: dict[str, Any] = {"f32": ctypes.c_float, "f64": ctypes.c_double}
_FOLDERS = ("/usr/local/lib/", "/usr/lib/x86_64-linux-gnu/", "/usr/lib/")


def _form(spec: Microkernel) -> tuple[str, tuple[int, int]]:
    """Return the form of the batch, and its steps in elements where it has some."""
    a, b = spec.a_batch, spec.b_batch
    if spec.batch == 1:
        return ONE, (0, 0)
    if isinstance(a, int) and isinstance(b, int) and min(a, b) >= 0:
        return STRIDES, (a, b)
    return ADDRESSES, (0, 0)


def _kernels(spec: Microkernel) -> tuple[ForeignKernel, ...]:
    form, strides = _form(spec)
    return (foreign_kernel(spec, form, accumulate=spec.accumulate, strides=strides),)


def _emit(body: Body) -> None:
    """Emit one call, with the addresses of every position where they are irregular."""
    builder, (kernel,) = body.builder, _kernels(body.spec)
    a, b, c = (body.pointers[name] for name in ("a", "b", "c"))
    if kernel.form == ADDRESSES:
        a, b = address_tables(body)
    arguments = [b, a, c]
    if kernel.form != ONE:
        count = reserve(builder, I64)
        builder.store(I64(body.spec.batch), count)
        arguments.append(count)
    function = declare(builder.module, kernel.symbol, len(arguments))
    builder.call(function, arguments)
    builder.ret_void()


@dataclass(frozen=True, slots=True, eq=False)
class Libxsmm:
    """The library, loaded."""

    description: str
    _library: Any

    def make(self, kernel: ForeignKernel) -> Made | None:
        """Return the kernel that LIBXSMM makes; it keeps it for the whole process."""
        address = self._dispatch(kernel)
        return Made({kernel.symbol: address}) if address else None

    def _dispatch(self, kernel: ForeignKernel) -> int:
        name = _function(_LETTERS[kernel.dtype], kernel.form)
        dispatch, number = self._library[name], _NUMBERS[kernel.dtype]
        dispatch.restype = ctypes.c_void_p
        bytes_ = DTYPES[kernel.dtype].bytes
        steps = (kernel.b_batch * bytes_, kernel.a_batch * bytes_)
        flags = _TRANSPOSED_B if kernel.a_transposed else 0
        leading = (kernel.b_leading, kernel.a_leading, kernel.c_leading)
        return (
            dispatch(
                *map(ctypes.c_int, (kernel.columns, kernel.rows, kernel.depth)),
                *map(ctypes.c_int, steps if kernel.form == STRIDES else ()),
                *(ctypes.byref(ctypes.c_int(n)) for n in leading),
                ctypes.byref(number(1)),
                ctypes.byref(number(kernel.accumulate)),
                ctypes.byref(ctypes.c_int(flags)),
                None,
            )
            or 0
        )


def _function(letter: str, form: str) -> str:
    suffix = "" if form == ONE else f"_reducebatch_{form}"
    return f"libxsmm_{letter}mmdispatch{suffix}"


@functools.cache
def _find(path: str) -> Library | None:
    """Load LIBXSMM, of a version whose interface this is."""
    forms = (ONE, STRIDES, ADDRESSES)
    wanted = [_function(letter, f) for letter in _LETTERS.values() for f in forms]
    library = first_library((path,) if path else _places(), tuple(wanted))
    if library is None:
        return None
    library.libxsmm_get_target_arch.restype = ctypes.c_char_p
    library.libxsmm_init()
    made_for = library.libxsmm_get_target_arch().decode()
    return Libxsmm(f"{library._name}, code for {made_for}", library)


def _places() -> Iterator[str]:
    """Names that the system's loader may know, then files in the usual folders."""
    for folder in ("", *_FOLDERS):
        yield from (f"{folder}libxsmm.so", f"{folder}libxsmm.so.1")


IMPLEMENTATION = Implementation(provider_named(NAME), _emit, _kernels, _find)
"""LIBXSMM, of versions 1.16 and 1.17."""
