"""What of the language is compiled so far, and plain words for what is not."""

from __future__ import annotations

from polydsl.base.diagnostics import Diagnostic, NotCompiledError
from polydsl.base.source import Span
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.dependences import Cycle, order_statements
from polydsl.poly.scop import Scop
from polydsl.semantics.program import (
    Access,
    Definition,
    Expr,
    Program,
    accesses,
    is_affine,
)

_HINT = "the oracle runs it: kernel.reference(...)"


def check_supported(program: Program, scop: Scop) -> Scop:
    """Return the scop in an order of execution, or raise `NotCompiledError`.

    Not compiled yet: E0501 ranges that depend on other indices, E0502 recurrences,
    E0503 indirect subscripts, E0504 scatters.
    """
    found = [
        *_dependent_ranges(program),
        *_indirect(program),
        *_scatters(program),
    ]
    if found:
        raise NotCompiledError(tuple(sorted(found, key=lambda d: d.span.start)))
    try:
        return order_statements(scop)
    except Cycle as cycle:
        raise NotCompiledError((_recurrence(program, cycle),)) from None


def _refusal(code: str, what: str, span: Span, label: str = "") -> Diagnostic:
    return Diagnostic(code, f"{what} not compiled yet", span, label, _HINT)


def _dependent_ranges(program: Program) -> list[Diagnostic]:
    return [
        _refusal("E0501", f"the range of {r.name} depends on {on[0]}: this is", r.span)
        for r in program.ranges
        if (on := ordered_indices(r.lo, r.hi))
    ]


def _indirect(program: Program) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for definition in program.definitions:
        for access in _all_accesses(definition):
            for subscript in access.subscripts:
                if not is_affine(subscript):
                    what = "a subscript that is read from a tensor is"
                    found.append(_refusal("E0503", what, subscript.span))
    return found


def _all_accesses(definition: Definition) -> list[Access]:
    exprs: tuple[Expr, ...] = (definition.value, *definition.subscripts)
    return [a for e in exprs for a in accesses(e)]


def _scatters(program: Program) -> list[Diagnostic]:
    return [
        _refusal("E0504", "a += whose left side is not plain indices is", d.span)
        for d in program.definitions
        if d.is_scatter
    ]


def _recurrence(program: Program, cycle: Cycle) -> Diagnostic:
    names = [t.name for t in program.tensors if t.name in cycle.tensors]
    first = next(d for d in program.definitions if d.tensor in names)
    what = f"a recurrence ({', '.join(names)}) is"
    label = f"{first.tensor} needs elements of itself"
    return _refusal("E0502", what, first.span, label)
