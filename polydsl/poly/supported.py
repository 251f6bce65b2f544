"""What of the language is compiled so far, and plain words for what is not."""

from __future__ import annotations

from polydsl.base.diagnostics import Diagnostic, NotCompiledError
from polydsl.base.dtypes import DType
from polydsl.base.source import Span
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.dependences import Cycle, order_statements
from polydsl.poly.scop import Scop
from polydsl.semantics.program import (
    Access,
    Program,
    walk,
)

_HINT = "the oracle runs it: kernel.reference(...)"


def check_supported(program: Program, scop: Scop) -> Scop:
    """Return the scop in an order of execution, or raise `NotCompiledError`.

    Not compiled yet: E0501 ranges that depend on other indices, E0502 recurrences,
    E0504 scatters, E0505 f16 and bf16.
    """
    found = [
        *_dependent_ranges(program),
        *_scatters(program),
        *_narrow_floats(program),
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


def _scatters(program: Program) -> list[Diagnostic]:
    return [
        _refusal("E0504", "a += whose left side is not plain indices is", d.span)
        for d in program.definitions
        if d.is_scatter
    ]


def _narrow_floats(program: Program) -> list[Diagnostic]:
    found = [
        _refusal("E0505", f"{t.dtype} is", t.span)
        for t in program.tensors
        if _is_narrow(t.dtype)
    ]
    if found:
        return found
    for definition in program.definitions:
        for node in walk(definition.value):
            if _is_narrow(node.dtype) and not isinstance(node, Access):
                found.append(_refusal("E0505", f"{node.dtype} is", node.span))
    return found


def _is_narrow(dtype: DType) -> bool:
    return dtype.is_float and dtype.bits < 32


def _recurrence(program: Program, cycle: Cycle) -> Diagnostic:
    names = [t.name for t in program.tensors if t.name in cycle.tensors]
    first = next(d for d in program.definitions if d.tensor in names)
    what = f"a recurrence ({', '.join(names)}) is"
    label = f"{first.tensor} needs elements of itself"
    return _refusal("E0502", what, first.span, label)
