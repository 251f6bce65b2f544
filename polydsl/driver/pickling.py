"""Kernels, specialisations and modules of kernels in pickles, for other processes.

What is sent is the source text, with the values that are bound: whoever gets it parses,
checks and compiles it, or loads the object from a cache of its own. No file and no
module of the sender is needed. What came once is kept, so that a worker who gets a
kernel with every task compiles it once.
"""

from __future__ import annotations

import copyreg
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from polydsl.base.source import Source
from polydsl.driver.kernel import Kernel, KernelState
from polydsl.driver.kernel_module import KernelModule, library_of
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.toolchain import toolchain
from polydsl.semantics.check import check_module
from polydsl.semantics.library import Imported, Library
from polydsl.syntax.parser import parse

Array = np.ndarray[Any, Any]

_LIBRARIES_KEPT = 256
_KERNELS_KEPT = 64
"""Kernels with bound arrays keep them alive, so that these are fewer."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A value under a text that is another one for every other value."""

    identity: str
    value: Any = field(compare=False, repr=False)


# Libraries: a file's text, with the libraries that it imports from


def _reduce_library(library: Library) -> tuple[Any, ...]:
    kernel = next(iter(library.kernels.values()), None)
    if kernel is None:
        return Library, ({}, {}, library.warnings)
    imports = tuple((n, i.kernel, i.library) for n, i in library.imports.items())
    return _restore_library, (kernel.span.source, imports)


@lru_cache(maxsize=_LIBRARIES_KEPT)
def _restore_library(
    source: Source, imports: tuple[tuple[str, str, Library], ...]
) -> Library:
    return check_module(
        parse(source),
        {name: Imported(kernel, library) for name, kernel, library in imports},
    )


# Kernels


def _reduce_kernel(kernel: Kernel) -> tuple[Any, ...]:
    return _restore_kernel, (kernel.state,)


def _restore_kernel(state: KernelState) -> Kernel:
    constants = sorted((n, repr(v)) for n, v in state.constants.items())
    bound = [(n, _digest(a)) for n, a in sorted(state.bound.items())]
    parts = (
        id(state.library),
        state.name,
        constants,
        bound,
        state.settings.preference.identity(),
        state.settings.tune,
        state.module,
        state.qualname,
    )
    return _kept_kernel(_Known(repr(parts), state))


@lru_cache(maxsize=_KERNELS_KEPT)
def _kept_kernel(known: _Known) -> Kernel:
    state: KernelState = known.value
    return Kernel.restore(state, _frozen(state.bound))


def _digest(array: Array) -> tuple[str, tuple[int, ...], str]:
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return str(array.dtype), array.shape, hashlib.blake2b(content.data).hexdigest()


def _frozen(bound: Mapping[str, Array]) -> dict[str, Array]:
    """Copy bound arrays: those of a pickle may lie anywhere and be written to."""
    copies = {name: array.copy() for name, array in bound.items()}
    for array in copies.values():
        array.flags.writeable = False
    return copies


# Specialisations


def _reduce_specialization(special: Specialization) -> tuple[Any, ...]:
    return _restore_specialization, (special.request, dict(special.bound))


def _restore_specialization(
    request: Request, bound: Mapping[str, Array]
) -> Specialization:
    digests = [(n, _digest(a)) for n, a in sorted(bound.items())]
    known = _Known(f"{request.identity()}\n{digests}", (request, bound))
    return _kept_specialization(known)


@lru_cache(maxsize=_KERNELS_KEPT)
def _kept_specialization(known: _Known) -> Specialization:
    request, bound = known.value
    return Specialization(request, toolchain(), _frozen(bound))


# Modules


def _reduce_module(module: KernelModule) -> tuple[Any, ...]:
    file = vars(module).get("__file__")
    return KernelModule, (module.__name__, module.__doc__, library_of(module), file)


def register() -> None:
    """Tell `pickle`, and all that builds on it, how these values are sent."""
    copyreg.pickle(Library, _reduce_library)
    copyreg.pickle(Kernel, _reduce_kernel)
    copyreg.pickle(Specialization, _reduce_specialization)
    copyreg.pickle(KernelModule, _reduce_module)
