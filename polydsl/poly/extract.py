"""From the typed program to the scop: `extract(program) -> Scop`."""

from __future__ import annotations

from functools import reduce

from polydsl.base.dtypes import DType, promote, widen
from polydsl.base.functions import Combine
from polydsl.poly.conditions import bounding, ordered_indices
from polydsl.poly.drafts import Draft, Drafts, converted, neutral
from polydsl.poly.isl import Set
from polydsl.poly.reductions import hoist
from polydsl.poly.scop import Role, Scop
from polydsl.poly.set_conditions import condition_of
from polydsl.poly.statements import build, left_points
from polydsl.semantics.program import (
    Access,
    Definition,
    Expr,
    Program,
)


def extract(program: Program) -> Scop:
    """Return the scop of a specialised program, statements in the program's order.

    Ranges may depend on other indices. An indirect subscript is taken to be any
    element of its dimension.
    """
    drafts = Drafts(program)
    for tensor in program.tensors:
        is_result = tensor.name in program.results
        role: Role = "input" if tensor.is_parameter else "local"
        role = "result" if is_result and role == "local" else role
        shape = program.extents(tensor.name)
        drafts.declare(tensor.name, tensor.dtype, shape, role, tensor.span)
    for name in dict.fromkeys(d.tensor for d in program.definitions):
        group = [d for d in program.definitions if d.tensor == name]
        if group[0].op == "=":
            _assign(drafts, group[0])
        else:
            _accumulate(drafts, group)
    mark = _statement_mark(drafts)
    return Scop(
        program.name,
        program.parameters,
        program.results,
        tuple(drafts.tensors.values()),
        tuple(build(drafts, f"{mark}{n}", d) for n, d in enumerate(drafts.statements)),
        program.binding,
        tuple((p.tensor, p.span) for p in program.passed),
    )


def _statement_mark(drafts: Drafts) -> str:
    """Return what statements are called, before their number: S, if no name of the
    program starts like that. (Buffers are called after statements.)"""
    names = (*drafts.tensors, *drafts.box)
    mark = "S"
    while any(n.startswith(mark) and n[len(mark) :][:1].isdigit() for n in names):
        mark += "S"
    return mark


def _assign(drafts: Drafts, definition: Definition) -> None:
    value = hoist(drafts, definition.value, definition.tensor, ())
    dtype = drafts.tensors[definition.tensor].dtype
    drafts.add(_draft(definition, definition.tensor, None, converted(value, dtype)))


def _draft(
    definition: Definition, tensor: str, combine: Combine | None, value: Expr
) -> Draft:
    reduced = definition.reduced if combine else ()
    subscripts = definition.subscripts
    return Draft(tensor, subscripts, combine, value, reduced, (), definition.span)


def _accumulate(drafts: Drafts, group: list[Definition]) -> None:
    """Draft the initialisation, the updates and, for a narrow tensor, the store."""
    tensor = drafts.tensors[group[0].tensor]
    dtype = _accumulator(group)
    target = tensor.name
    if dtype != tensor.dtype:
        target = drafts.fresh(f"{tensor.name}_wide")
        drafts.declare(target, dtype, tensor.shape, "local", tensor.span)
    combine: Combine = "add" if group[0].op == "+=" else "mul"
    span = tensor.span
    place, where = _defined_at(drafts, target, group)
    zero = neutral(combine, dtype, group[0].span)
    drafts.add(Draft(target, place, None, zero, (), where, group[0].span))
    for definition in group:
        value = hoist(drafts, definition.value, tensor.name, ())
        drafts.add(_draft(definition, target, combine, converted(value, dtype)))
    if target != tensor.name:
        wide = Access(target, place, dtype, span)
        narrow = converted(wide, tensor.dtype)
        drafts.add(Draft(tensor.name, place, None, narrow, (), where, span))


def _accumulator(group: list[Definition]) -> DType:
    dtype = widen(group[0].value.dtype)
    for definition in group[1:]:
        dtype = promote(dtype, definition.value.dtype)
    return dtype


def _defined_at(
    drafts: Drafts, target: str, group: list[Definition]
) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
    """Return the subscripts and the conditions of every element that gets a value:
    those to which something is added, all of a scatter's."""
    span = group[0].span
    if any(d.is_scatter for d in group):
        return drafts.whole(target, span), ()
    if len({_left_box(drafts, d) for d in group}) == 1 and _is_closed(drafts, group[0]):
        return group[0].subscripts, ()
    dims = drafts.whole(target, span)
    points = reduce(Set.union, (_defined(drafts, d) for d in group))
    return dims, (condition_of(points, tuple(d.name for d in dims), span),)


def _is_closed(drafts: Drafts, definition: Definition) -> bool:
    """Whether the left-hand ranges depend on left-hand indices only."""
    left = ordered_indices(*definition.subscripts)
    return bounding(drafts.dependent, left) == left


def _defined(drafts: Drafts, definition: Definition) -> Set:
    """Return the elements that a statement defines, if it is no scatter."""
    names = ordered_indices(*definition.subscripts)
    return left_points(drafts, names)


def _left_box(drafts: Drafts, definition: Definition) -> tuple[object, ...]:
    """Return the ranges of the left-hand indices, in order."""
    names = ordered_indices(*definition.subscripts)
    return tuple((drafts.box[n], drafts.dependent.get(n)) for n in names)
