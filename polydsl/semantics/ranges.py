"""Declared ranges of indices, and what can be wrong with ranges before numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from polydsl.base.source import Span
from polydsl.semantics.affine import affine
from polydsl.semantics.context import Context, text_of
from polydsl.semantics.order import Problem, Unordered, indices_in
from polydsl.semantics.program import (
    Access,
    Definition,
    Expr,
    Index,
    Reduce,
    Size,
    walk,
)
from polydsl.semantics.scope import Scope, join_hints, suggest
from polydsl.semantics.sizes import literal
from polydsl.semantics.typed import KernelCall, Range
from polydsl.syntax import ast


def elaborate_ranges(context: Context) -> dict[str, Range]:
    """Elaborate the `in range` statements of a kernel."""
    ranges: dict[str, Range] = {}
    for name, statement in context.scope.ranges.items():
        hi = affine(statement.hi, context, "range")
        lo: Expr | None = literal(0, statement.span)
        if statement.lo is not None:
            lo = affine(statement.lo, context, "range")
        if lo is not None and hi is not None:
            ranges[name] = Range(name, lo, hi, statement.span)
    return ranges


def followers(scope: Scope) -> dict[str, frozenset[str]]:
    """Return for every index those whose declared range depends on it."""
    needs = {name: _names(statement) for name, statement in scope.ranges.items()}
    result: dict[str, set[str]] = {}
    for name in needs:
        seen: set[str] = set()
        pending = sorted(needs[name])
        while pending:
            used = pending.pop()
            if used not in seen:
                seen.add(used)
                pending += sorted(needs.get(used, ()))
        for used in seen:
            result.setdefault(used, set()).add(name)
    return {name: frozenset(names) for name, names in result.items()}


def _names(statement: ast.InRange) -> set[str]:
    bounds = [b for b in (statement.lo, statement.hi) if b is not None]
    return {
        node.name
        for bound in bounds
        for node in ast.walk(bound)
        if isinstance(node, ast.Name)
    }


def check_dependent(
    body: Iterable[Definition | KernelCall],
    ranges: Mapping[str, Range],
    context: Context,
) -> None:
    """Report a statement that has an index and not the one its range depends on."""
    copies = {copy.index: copy for copy in context.notes.copies}
    for definition in body:
        if not isinstance(definition, Definition):
            continue
        places = _index_places(definition)
        for name, span in places.items():
            copy = copies.get(name)
            declared = ranges.get(copy.of if copy else name)
            if declared is None:
                continue
            renamed = dict(copy.renamed) if copy else {}
            needed = indices_in(declared.lo) | indices_in(declared.hi)
            for other in sorted(renamed.get(n, n) for n in needed):
                if other not in places and other != name:
                    _refuse_lonely(name, other, span, declared, context)


def _index_places(definition: Definition) -> dict[str, Span]:
    places: dict[str, Span] = {}
    for expr in (*definition.subscripts, definition.value):
        for node in walk(expr):
            if isinstance(node, Index):
                places.setdefault(node.name, node.span)
            elif isinstance(node, Reduce):
                for name in node.indices:
                    places.setdefault(name, node.span)
    return places


def _refuse_lonely(
    name: str, other: str, span: Span, declared: Range, context: Context
) -> None:
    context.error(
        "E0114",
        f"the range of {name} depends on {other}, which this statement does not have",
        span,
        label=text_of(declared.span),
        hint=f"use {other} in the statement, or another index than {name}",
    )


def report_unordered(
    unordered: Unordered,
    problem: Problem,
    body: Iterable[Definition | KernelCall],
    excused: frozenset[str],
    context: Context,
) -> None:
    """Report indices without a range, and ranges that need themselves.

    *excused* are the indices of statements that are wrong already.
    """
    definitions = [d for d in body if isinstance(d, Definition)]
    for name in unordered.rootless:
        if name not in excused:
            _report_rootless(name, problem, definitions, context)
    if excused:
        return
    for name in unordered.circular:
        declared = problem.ranges.get(name)
        if declared is not None:
            needed = sorted(indices_in(declared.lo) | indices_in(declared.hi))
            context.error(
                "E0111",
                f"the range of {name} depends on itself",
                declared.span,
                label=f"needs the range of {', '.join(needed)}",
                hint=f"bound {name} by sizes, or by indices whose ranges do not "
                f"depend on {name}",
            )
        else:
            _report_shape_circle(name, problem, context)


def _report_rootless(
    name: str, problem: Problem, definitions: list[Definition], context: Context
) -> None:
    span, extent = _first_use(name, problem, definitions, context)
    bound = extent or "n"
    statement = f"{name} in range({bound})"
    hint = f"declare its range, for example {statement}"
    if name not in context.scope.mentioned:
        hint = join_hints(suggest(name, context.names()), hint)
    context.error(
        "E0110",
        f"the index {name} has no range",
        span,
        label=f"{name} stands alone as a subscript of no tensor whose shape is known",
        hint=hint,
    )


def _first_use(
    name: str, problem: Problem, definitions: list[Definition], context: Context
) -> tuple[Span, str]:
    """Return a place of an index, and the extent of a dimension it is used in."""
    originals = {copy.index: copy.of for copy in context.notes.copies}
    span: Span | None = None
    for definition in definitions:
        for expr in (*definition.subscripts, definition.value):
            for node in walk(expr):
                if (
                    isinstance(node, Index)
                    and originals.get(node.name, node.name) == name
                ) or (isinstance(node, Reduce) and name in node.indices):
                    span = span or node.span
                elif isinstance(node, Access):
                    extent = _extent_beside(name, node, context)
                    if extent:
                        return _place_in(name, node) or node.span, extent
    declared = [r.span for r in problem.ranges.values() if name in _range_indices(r)]
    found = span or (declared[0] if declared else None)
    return found or context.scope.places[name], ""


def _range_indices(declared: Range) -> set[str]:
    return indices_in(declared.lo) | indices_in(declared.hi)


def _place_in(name: str, access: Access) -> Span | None:
    nodes = (node for s in access.subscripts for node in walk(s))
    return next(
        (n.span for n in nodes if isinstance(n, Index) and n.name == name), None
    )


def _extent_beside(name: str, access: Access, context: Context) -> str:
    """The extent of the dimension of a declared tensor in whose subscript *name* is."""
    shapes = context.shapes.get(access.tensor)
    if not shapes:
        return ""
    for subscript, dim in zip(access.subscripts, shapes[0].dims):
        if name in indices_in(subscript) and isinstance(dim, Size):
            return dim.name
    return ""


def _report_shape_circle(name: str, problem: Problem, context: Context) -> None:
    source = next(s for s in problem.sources if s.index == name)
    context.error(
        "E0111",
        f"the range of {name} depends on itself",
        source.span,
        label=f"needs the shape of {source.tensor}, which needs {name}",
        hint=f"declare the range, for example {name} in range(n), or declare "
        f"{source.tensor}",
    )
