"""Drafted statements get their sets and maps: `build(context, name, draft)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from polydsl.poly.conditions import Evaluated, bounding, ordered_indices, reads_of
from polydsl.poly.drafts import Draft
from polydsl.poly.isl import Set, domain_text, map_text, parse_map, parse_set
from polydsl.poly.polyhedra import first_dimensions
from polydsl.poly.scop import Read, Scop, Statement, TensorInfo
from polydsl.poly.substitute import substitute
from polydsl.poly.terms import Interval, condition_text, isl_name, term_text
from polydsl.semantics.program import Expr, Value, is_affine


class Context(Protocol):
    """What a statement's sets are made from: numbers of sizes, intervals of indices,
    the conditions of dependent ranges, and the tensors."""

    @property
    def binding(self) -> Mapping[str, Value]:
        """The numbers of sizes and constants."""

    @property
    def box(self) -> Mapping[str, Interval]:
        """The interval of every index."""

    @property
    def dependent(self) -> Mapping[str, tuple[Expr, ...]]:
        """The conditions of the indices whose range depends on others."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Every tensor by name."""


def build(context: Context, name: str, draft: Draft) -> Statement:
    """Return a drafted statement with its domain and access maps."""
    left = ordered_indices(*draft.subscripts)
    dims = bounding(context.dependent, (*left, *draft.reduced))
    conditions = draft.conditions + _ranges(context, dims)
    names = tuple(isl_name(d) for d in dims)
    where = _where(context, dims, conditions)
    write, _ = _subscripts(context, draft.tensor, draft.subscripts, where)
    found = [*reads_of(draft.value, ())]
    for subscript in draft.subscripts:
        found += reads_of(subscript, ())
    return Statement(
        name,
        dims,
        tuple(context.box[d] for d in dims),
        conditions,
        draft.tensor,
        draft.subscripts,
        draft.combine,
        draft.value,
        tuple(d for d in dims if d not in left),
        tuple(_read(context, name, names, where, evaluated) for evaluated in found),
        parse_set(domain_text(name, names, where)),
        parse_map(map_text(name, names, isl_name(draft.tensor), write, where)),
        draft.span,
        draft.calls,
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """A context whose ranges all are intervals."""

    binding: Mapping[str, Value]
    box: Mapping[str, Interval]
    dependent: Mapping[str, tuple[Expr, ...]]
    tensors: Mapping[str, TensorInfo]


def rebuilt(
    scop: Scop,
    statement: Statement,
    terms: Mapping[str, Expr],
    box: Mapping[str, Interval],
    conditions: tuple[Expr, ...],
) -> Statement:
    """Return a statement with indices replaced by terms over those of *box*, its domain
    where *conditions* hold."""
    tensors = {t.name: t for t in scop.tensors}
    subscripts = tuple(substitute(s, terms) for s in statement.subscripts)
    left = ordered_indices(*subscripts)
    draft = Draft(
        statement.tensor,
        subscripts,
        statement.combine,
        substitute(statement.value, terms),
        tuple(d for d in box if d not in left),
        tuple(dict.fromkeys(conditions)),
        statement.span,
        statement.calls,
    )
    return build(_Known(scop.sizes, box, {}, tensors), statement.name, draft)


def _ranges(context: Context, dims: tuple[str, ...]) -> tuple[Expr, ...]:
    """Return the conditions of the ranges that depend on others."""
    return tuple(c for d in dims for c in context.dependent.get(d, ()))


def _where(
    context: Context, dims: tuple[str, ...], conditions: tuple[Expr, ...]
) -> list[str]:
    """Return what holds of dimensions, in isl's notation."""
    box = [(isl_name(d), *context.box[d]) for d in dims]
    where = [f"{lo} <= {name} <= {hi}" for name, lo, hi in box]
    return where + [condition_text(c, context.binding) for c in conditions]


def left_points(context: Context, left: tuple[str, ...]) -> Set:
    """Return the points of left-hand indices; where their ranges depend on others,
    those for which there are some."""
    dims = bounding(context.dependent, left)
    names = tuple(isl_name(d) for d in dims)
    where = _where(context, dims, _ranges(context, dims))
    return first_dimensions(parse_set(domain_text("", names, where)), len(left))


def _read(
    context: Context,
    name: str,
    names: tuple[str, ...],
    where: list[str],
    evaluated: Evaluated,
) -> Read:
    access, conditions, is_padded = evaluated
    where = where + [condition_text(c, context.binding) for c in conditions]
    values, where = _subscripts(context, access.tensor, access.subscripts, where)
    if is_padded:
        shape = context.tensors[access.tensor].shape
        where = where + [f"0 <= {v} < {n}" for v, n in zip(values, shape)]
    tensor = isl_name(access.tensor)
    relation = parse_map(map_text(name, names, tensor, values, where))
    return Read(access, conditions, is_padded, relation)


def _subscripts(
    context: Context, tensor: str, subscripts: tuple[Expr, ...], where: list[str]
) -> tuple[list[str], list[str]]:
    """Return subscripts in isl's notation; an indirect one is any element."""
    values: list[str] = []
    bounds: list[str] = []
    for axis, subscript in enumerate(subscripts):
        if is_affine(subscript):
            values.append(term_text(subscript, context.binding))
        else:
            values.append(f"any{axis}")
            bounds.append(f"0 <= any{axis} < {context.tensors[tensor].shape[axis]}")
    return values, where + bounds
