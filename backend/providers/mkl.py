"""Intel MKL as a provider: `mkl_jit_create_?gemm`, one call for each batch position.

MKL generates a kernel for fixed sizes on the CPUs that its generator knows; on others
(those of AMD) it answers `MKL_NO_JIT` and gives a kernel of the same interface that
calls its ordinary GEMM: right, and slower for small blocks. Kernels are column major,
as in `polydsl.backend.providers.libxsmm`.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from typing import Any, Final

from llvmlite import ir

from polydsl.backend.carried_loop import I64, Values, carried_loop
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
from polydsl.backend.providers.positions import position
from polydsl.base.providers import provider_named

NAME: Final = "mkl"
_FORM = "one"
_STATE = "_state"
"""What follows a kernel's symbol in the name of the state that its calls take."""
# Constants of mkl_types.h, mkl_blas.h and mkl_service.h.
_COLUMN_MAJOR, _PLAIN, _TRANSPOSED = 102, 111, 112
_SUCCESS, _NO_JIT = 0, 1
_SEQUENTIAL = 1
_LETTERS = {"f32": "s", "f64": "d"}
_NUMBERS: dict[str, Any] = {"f32": ctypes.c_float, "f64": ctypes.c_double}


def _kernels(spec: Microkernel) -> tuple[ForeignKernel, ...]:
    """Return what the first position calls, and what the others call."""
    first = foreign_kernel(spec, _FORM, accumulate=spec.accumulate)
    other = foreign_kernel(spec, _FORM, accumulate=True)
    return (first,) if spec.batch == 1 else tuple(dict.fromkeys((first, other)))


def _emit(body: Body) -> None:
    builder, spec, kernels = body.builder, body.spec, _kernels(body.spec)

    def call(kernel: ForeignKernel, t: ir.Value) -> None:
        a = position(body, "a", spec.a_batch, t)
        b = position(body, "b", spec.b_batch, t)
        function = declare(builder.module, kernel.symbol, 4)
        state = _state(builder.module, kernel)
        builder.call(function, [state, b, a, body.pointers["c"]])

    call(kernels[0], I64(0))

    def others(t: ir.Value, none: Values) -> Values:
        call(kernels[-1], builder.add(t, I64(1)))
        return none

    if spec.batch > 1:
        carried_loop(builder, spec.batch - 1, 1, (), others)
    builder.ret_void()


def _state(module: ir.Module, kernel: ForeignKernel) -> ir.Value:
    """Return an external variable whose address is the state that MKL gave."""
    name = kernel.symbol + _STATE
    known = module.globals.get(name)
    return known or ir.GlobalVariable(module, ir.IntType(8), name)


class _Kernel:
    """A kernel of MKL; it is destroyed when nobody holds it any more."""

    def __init__(self, library: Any, state: int) -> None:
        destroy = library.mkl_jit_destroy
        self.state = state
        # Not when the process ends: code that calls it may still run then.
        weakref.finalize(self, destroy, ctypes.c_void_p(state)).atexit = False


@dataclass(frozen=True, slots=True, eq=False)
class Mkl:
    """The library, loaded."""

    path: str
    _library: Any

    @property
    def description(self) -> str:
        """Where it is, and whether it generates code for this CPU."""
        smallest = ForeignKernel(NAME, "f32", 1, 1, 1, 1, 0, 1, 1, 0, _FORM)
        status, made = self._create(smallest)
        del made
        how = "generated kernels" if status == _SUCCESS else "its ordinary GEMM"
        return f"{self.path}, {how} on this CPU"

    def make(self, kernel: ForeignKernel) -> Made | None:
        """Return the kernel that MKL makes, alive as long as its owner."""
        _, made = self._create(kernel)
        if made is None:
            return None
        function = self._library[f"mkl_jit_get_{_LETTERS[kernel.dtype]}gemm_ptr"]
        function.restype = ctypes.c_void_p
        address = function(ctypes.c_void_p(made.state))
        symbols = {kernel.symbol: address, kernel.symbol + _STATE: made.state}
        return Made(symbols, made)

    def _create(self, kernel: ForeignKernel) -> tuple[int, _Kernel | None]:
        state, number = ctypes.c_void_p(), _NUMBERS[kernel.dtype]
        status = self._library[_creator(_LETTERS[kernel.dtype])](
            ctypes.byref(state),
            _COLUMN_MAJOR,
            _PLAIN,
            _TRANSPOSED if kernel.a_transposed else _PLAIN,
            kernel.columns,
            kernel.rows,
            kernel.depth,
            number(1),
            kernel.b_leading,
            kernel.a_leading,
            number(kernel.accumulate),
            kernel.c_leading,
        )
        if status not in (_SUCCESS, _NO_JIT) or not state.value:
            return status, None
        return status, _Kernel(self._library, state.value)


def _creator(letter: str) -> str:
    # C's name is a macro for this one; without `cblas` it is Fortran's.
    return f"mkl_cblas_jit_create_{letter}gemm"


@functools.cache
def _find(path: str) -> Library | None:
    """Load MKL, in its sequential form: polydsl's own threads call its kernels."""
    wanted = (*(_creator(letter) for letter in "sd"), "MKL_Set_Threading_Layer")
    library = first_library((path,) if path else _places(), wanted)
    if library is None:
        return None
    library.MKL_Set_Threading_Layer(_SEQUENTIAL)
    return Mkl(library._name, library)


def _places() -> Iterator[str]:
    """The files of the wheel `mkl`, then names that the system's loader may know."""
    try:
        listed = files(NAME) or []
    except PackageNotFoundError:
        listed = []
    yield from (str(f.locate()) for f in listed if f.name.startswith("libmkl_rt."))
    for folder in ("", f"{sys.prefix}/lib/", "/opt/intel/oneapi/mkl/latest/lib/"):
        yield from (f"{folder}libmkl_rt.so{end}" for end in ("", ".3", ".2", ".1"))


IMPLEMENTATION = Implementation(provider_named(NAME), _emit, _kernels, _find)
"""Intel MKL."""
