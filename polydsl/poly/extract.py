"""From the typed program to the scop: `extract(program) -> Scop`."""

from __future__ import annotations

from dataclasses import replace

from polydsl.base.dtypes import DType, promote, widen
from polydsl.base.functions import Combine
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.drafts import Draft, Drafts, converted, neutral
from polydsl.poly.indirect import kept_inside, left_inside
from polydsl.poly.projections import defined_by
from polydsl.poly.reductions import hoist
from polydsl.poly.scop import Role, Scop
from polydsl.poly.statements import build
from polydsl.poly.substitute import substitute
from polydsl.semantics.program import (
    Access,
    Definition,
    Expr,
    Program,
)


def extract(program: Program) -> Scop:
    """Return the scop of a specialised program, statements in the program's order.

    Ranges may depend on other indices. An indirect subscript is taken to be any
    element of its dimension; the checks that depend on parameters only come first.
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
        drafts.calls = group[0].calls
        if group[0].op == "=":
            _assign(drafts, group[0])
        else:
            _accumulate(drafts, group)
    mark = _statement_mark(drafts)
    checks = sorted(drafts.checks.values(), key=lambda c: not c.subject.early)
    early = {c.tensor for c in checks if c.subject.early}
    ordered = sorted(drafts.statements, key=lambda d: d.tensor not in early)
    return Scop(
        program.name,
        program.parameters,
        program.results,
        tuple(drafts.tensors.values()),
        tuple(build(drafts, f"{mark}{n}", d) for n, d in enumerate(ordered)),
        program.binding,
        tuple((p.tensor, p.span) for p in program.passed),
        checks=tuple(checks),
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
    inside = kept_inside(drafts, definition)
    value = hoist(drafts, inside, definition.tensor, ())
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
    first = _initialisation(drafts, target, group, dtype, combine)
    drafts.add(first)
    for definition in group:
        left = left_inside(drafts, definition)
        if left is None:
            continue
        inside = kept_inside(drafts, definition)
        value = hoist(drafts, inside, tensor.name, ())
        draft = _draft(definition, target, combine, converted(value, dtype))
        drafts.add(replace(draft, subscripts=left))
    if target != tensor.name:
        wide = Access(target, first.subscripts, dtype, tensor.span)
        value = converted(wide, tensor.dtype)
        drafts.add(replace(first, tensor=tensor.name, value=value, span=tensor.span))


def _accumulator(group: list[Definition]) -> DType:
    dtype = widen(group[0].value.dtype)
    for definition in group[1:]:
        dtype = promote(dtype, definition.value.dtype)
    return dtype


def _initialisation(
    drafts: Drafts,
    target: str,
    group: list[Definition],
    dtype: DType,
    combine: Combine,
) -> Draft:
    """Return the store of the neutral element wherever the tensor is defined."""
    span = group[0].span
    zero = neutral(combine, dtype, span)
    found = defined_by(drafts, group)
    if found.indices and found.indices == ordered_indices(*group[0].subscripts):
        return replace(_draft(group[0], target, None, zero), reduced=())
    dims = drafts.whole(target, span)
    terms = dict(zip(found.indices, dims))
    conditions = tuple(substitute(c, terms) for c in found.conditions)
    return Draft(target, dims, None, zero, (), conditions, span)
