"""Dropping the statements that no result needs, once they have been proved right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from polydsl.semantics.program import (
    Definition,
    Expr,
    Index,
    Program,
    Reduce,
    accesses,
    walk,
)


def drop_unused(program: Program) -> Program:
    """Keep the statements, tensors and ranges from which the results are computed.

        u[i] = x[i] + 1                 y[i] = x[i] * 2
        y[i] = x[i] * 2         ->      return y
        return y

    Parameters stay: they are the signature. So do the ranges on which a range that
    stays depends.
    """
    needed = _needed_tensors(program)
    definitions = tuple(d for d in program.definitions if d.tensor in needed)
    indices = _needed_indices(program, definitions)
    return replace(
        program,
        tensors=tuple(t for t in program.tensors if t.is_parameter or t.name in needed),
        ranges=tuple(r for r in program.ranges if r.name in indices),
        definitions=definitions,
        passed=tuple(p for p in program.passed if p.tensor in needed),
    )


def _needed_tensors(program: Program) -> set[str]:
    reads: dict[str, set[str]] = {}
    for definition in program.definitions:
        names = reads.setdefault(definition.tensor, set())
        for expr in expressions(definition):
            names |= {access.tensor for access in accesses(expr)}
    needed: set[str] = set()
    pending = list(program.results)
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += sorted(reads.get(name, ()))
    return needed


def _needed_indices(program: Program, definitions: tuple[Definition, ...]) -> set[str]:
    ranges = {bound.name: bound for bound in program.ranges}
    needed: set[str] = set()
    pending = [i for d in definitions for e in expressions(d) for i in indices_of(e)]
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += [*indices_of(ranges[name].lo), *indices_of(ranges[name].hi)]
    return needed


def expressions(definition: Definition) -> tuple[Expr, ...]:
    """Return the left-hand subscripts and the value of a statement."""
    return (*definition.subscripts, definition.value)


def indices_of(expr: Expr) -> Iterator[str]:
    """Yield the indices in an expression, those of its reductions included."""
    for node in walk(expr):
        if isinstance(node, Index):
            yield node.name
        elif isinstance(node, Reduce):
            yield from node.indices
