"""Matching the arguments of a kernel with its signature, before any size is known.

An `Instance` is what a kernel is typed for: the dtype and the rank of every tensor
argument. Matching it gives the dtype of every variable (`T[N]`) and the number of
dimensions that `...` stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from polydsl.base.dtypes import DTYPES, F32, I64, DType
from polydsl.semantics.scope import is_variable
from polydsl.syntax import ast

Instance: TypeAlias = tuple[tuple[DType, int], ...]


@dataclass(frozen=True, slots=True)
class Matched:
    """The dtype variables, and how many dimensions `...` is (None without it)."""

    variables: Mapping[str, DType]
    lead: int | None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The argument at `position` does not fit: `reason` says why."""

    position: int
    reason: str


def has_lead(type: ast.TensorType) -> bool:
    """Whether a type begins with `...`."""
    return bool(type.dims) and isinstance(type.dims[0], ast.Ellipsis)


def variables_of(kernel: ast.Kernel) -> tuple[str, ...]:
    """Return the dtype variables of a kernel's parameters, in order."""
    names = (parameter.type.dtype for parameter in kernel.parameters)
    return tuple(dict.fromkeys(name for name in names if is_variable(name)))


def representative(
    kernel: ast.Kernel, integers: frozenset[str] = frozenset()
) -> Instance:
    """Return an instance for which a kernel is checked at load.

    Of the dtype variables *integers* are i64. The others, and unknown dtypes, are f32;
    `...` is one dimension.
    """
    dtypes = DTYPES | dict.fromkeys(integers, I64)
    return tuple(
        (dtypes.get(parameter.type.dtype, F32), len(parameter.type.dims))
        for parameter in kernel.parameters
    )


def match_instance(kernel: ast.Kernel, instance: Instance) -> Matched | Mismatch:
    """Bind the dtype variables and `...` of a kernel to those of its arguments."""
    variables: dict[str, DType] = {}
    lead: int | None = None
    pairs = zip(kernel.parameters, instance)
    for position, (parameter, (dtype, rank)) in enumerate(pairs):
        declared = parameter.type
        if is_variable(declared.dtype):
            wanted = variables.setdefault(declared.dtype, dtype)
            name = f"{declared.dtype} ({wanted}, from an argument before it)"
        else:
            wanted, name = DTYPES.get(declared.dtype, F32), declared.dtype
        if dtype != wanted:
            return Mismatch(position, f"its dtype is {dtype}, not {name}")
        explicit = len(declared.dims) - has_lead(declared)
        if has_lead(declared):
            lead = rank - explicit if lead is None else lead
        wanted_rank = explicit + (lead or 0) * has_lead(declared)
        if rank != wanted_rank or (lead is not None and lead < 0):
            return Mismatch(position, _rank_reason(rank, explicit, declared, lead))
    return Matched(variables, lead)


def _rank_reason(
    rank: int, explicit: int, declared: ast.TensorType, lead: int | None
) -> str:
    came = f"it has {rank} dimension{'' if rank == 1 else 's'}"
    if not has_lead(declared):
        return f"{came}, not {explicit}"
    if lead is not None and lead >= 0:
        return f"{came}, not {explicit + lead} (... is {lead} in an argument before it)"
    return f"{came}, not {explicit} or more"
