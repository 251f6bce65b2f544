"""How great the elements of index tensors may be, for inputs that nobody gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from polydsl.poly.drafts import Drafts
from polydsl.poly.terms import Interval, interval, interval_of
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Program,
    Value,
    accesses,
    children,
    is_affine,
)

MOST = 1 << 31
"""Greater elements are not asked for."""


def subscript_limits(program: Program) -> dict[str, int]:
    """Return a number for each parameter that is read in subscripts: all elements from
    0 up to below it keep every such subscript inside its tensor.

        table[ids[n] + 1, d]    table: f32[V, D]    ->    {"ids": V - 1}

    Left out are those for which there is none, or that are inside anyhow.
    """
    limits: dict[str, int] = {}
    binding, box = dict(program.binding), Drafts(program).box
    for subscript, extent in _indirect(program):
        for read in _direct(subscript):
            if program.tensor(read.tensor).is_parameter:
                reach = _Reach(binding, box, read.tensor)
                limit = _limit(reach, subscript, extent)
                limits[read.tensor] = min(limits.get(read.tensor, MOST), limit)
    return {name: limit for name, limit in limits.items() if 0 < limit < MOST}


def _indirect(program: Program) -> Iterator[tuple[Expr, int]]:
    for definition in program.definitions:
        found = [
            Access(
                definition.tensor,
                definition.subscripts,
                definition.value.dtype,
                definition.span,
            ),
            *accesses(definition.value),
        ]
        for access in found:
            for subscript, extent in zip(
                access.subscripts, program.extents(access.tensor)
            ):
                if not is_affine(subscript):
                    yield subscript, extent


def _direct(expr: Expr) -> Iterator[Access]:
    """Yield the accesses in a subscript that are in no other one's subscript."""
    if isinstance(expr, Access):
        yield expr
        return
    for part in children(expr):
        yield from _direct(part)


@dataclass(frozen=True, slots=True)
class _Reach:
    """The values of subscripts while one tensor holds elements below a limit."""

    binding: Mapping[str, Value]
    box: Mapping[str, Interval]
    tensor: str

    def __call__(self, expr: Expr, below: int) -> Interval:
        match expr:
            case Access(tensor) if tensor == self.tensor:
                return 0, below - 1
            case Cast(operand):
                return self(operand, below)
            case Call(function, arguments) if not is_affine(expr):
                return interval_of(function, [self(a, below) for a in arguments])
            case _:
                return interval(expr, self.binding, self.box)


def _limit(reach: _Reach, subscript: Expr, extent: int) -> int:
    """Return the greatest limit that keeps a subscript inside, by bisection."""
    inside, outside = 0, MOST + 1
    while outside - inside > 1:
        below = (inside + outside) // 2
        lo, hi = reach(subscript, below)
        if lo >= 0 and hi < extent:
            inside = below
        else:
            outside = below
    return inside
