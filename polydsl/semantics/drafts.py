"""A statement whose value is typed, before it has the type it is stored in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from polydsl.base.source import Span
from polydsl.semantics.program import Expr, Index, Operator, Reduce, children
from polydsl.semantics.types import Operand
from polydsl.syntax import ast


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement whose value is typed but not yet brought to its tensor's type."""

    tensor: str
    subscripts: tuple[Expr, ...]
    op: Operator
    value: Operand
    reduced: tuple[str, ...]
    statement: ast.Assign

    @property
    def span(self) -> Span:
        """The place of the whole statement."""
        return self.statement.span


def free_indices(expr: Expr, bound: frozenset[str] = frozenset()) -> Iterator[Index]:
    """Yield the places of indices that no reduction inside *expr* binds, in order."""
    if isinstance(expr, Index):
        if expr.name not in bound:
            yield expr
        return
    if isinstance(expr, Reduce):
        bound = bound | set(expr.indices)
    for child in children(expr):
        yield from free_indices(child, bound)
