"""Writing an expression in the names of the whole program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Literal,
    Pad,
    Reduce,
    Select,
    Size,
)


@dataclass(frozen=True, slots=True)
class Renaming:
    """New names of tensors and indices, and what the sizes of a kernel stand for."""

    tensors: Mapping[str, str]
    indices: Mapping[str, str]
    sizes: Mapping[str, Expr]


def substitute(expr: Expr, renaming: Renaming) -> Expr:
    """Rename tensors and indices in *expr* and put in what its sizes stand for."""

    def inner(part: Expr) -> Expr:
        return substitute(part, renaming)

    match expr:
        case Literal():
            return expr
        case Size(name):
            return renaming.sizes.get(name, expr)
        case Index(name, span):
            return Index(renaming.indices.get(name, name), span)
        case Access():
            return substitute_access(expr, renaming)
        case Pad(access, value, dtype, span):
            return Pad(substitute_access(access, renaming), inner(value), dtype, span)
        case Call(function, arguments, dtype, span):
            return Call(function, tuple(map(inner, arguments)), dtype, span)
        case Select(condition, then, otherwise, dtype, span):
            parts = inner(condition), inner(then), inner(otherwise)
            return Select(*parts, dtype, span)
        case Reduce(op, indices, body, dtype, span):
            names = tuple(renaming.indices.get(name, name) for name in indices)
            return Reduce(op, names, inner(body), dtype, span)
        case Cast(operand):
            return replace(expr, operand=inner(operand))
        case _:
            assert_never(expr)


def substitute_access(access: Access, renaming: Renaming) -> Access:
    """Rename the tensor of an access and what its subscripts hold."""
    return Access(
        renaming.tensors.get(access.tensor, access.tensor),
        tuple(substitute(subscript, renaming) for subscript in access.subscripts),
        access.dtype,
        access.span,
    )
