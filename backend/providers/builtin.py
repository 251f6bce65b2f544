"""The built-in provider: microkernels that polydsl generates itself, with LLVM."""

from __future__ import annotations

from polydsl.backend.microkernel_body import emit_body
from polydsl.backend.microkernel_operands import body_of
from polydsl.backend.microkernel_spec import Microkernel
from polydsl.backend.providers.foreign import (
    Body,
    ForeignKernel,
    Implementation,
    Library,
)
from polydsl.base.providers import BUILT_IN, provider_named


def _emit(body: Body) -> None:
    emit_body(body_of(body.builder, body.spec, body.target, body.pointers))


def _kernels(spec: Microkernel) -> tuple[ForeignKernel, ...]:
    return ()


def _find(path: str) -> Library | None:
    return None


IMPLEMENTATION = Implementation(provider_named(BUILT_IN), _emit, _kernels, _find)
"""The built-in provider; it calls nothing outside and has no library."""
