"""Where the loops of a `VectorPlan` begin and end, if its domain is no box."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from polydsl.loops.nest import Expr, Guard, Node
from polydsl.loops.terms import at_least, both, less
from polydsl.loops.vector_group import Group
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.loop_bounds import Bounds, Inner, inner_bounds, is_exact, loop_bounds
from polydsl.poly.scop import Statement
from polydsl.poly.terms import interval
from polydsl.semantics.program import Expr as ProgramExpr

Values = Mapping[str, Expr]


@dataclass(frozen=True, slots=True)
class Cuts:
    """The bounds of a plan's loops, over the indices further out.

    `left` holds those of the fixed indices and of the loops around register tiles.
    """

    group: Group
    left: Mapping[str, Bounds]

    def bounds(self, index: str, values: Values) -> tuple[Expr, Expr]:
        """Return where a loop around register tiles begins and ends."""
        return self._translated(self.left[index], values)

    def reduced(
        self, update: Statement, values: Values
    ) -> dict[str, tuple[Expr, Expr]]:
        """Return where the loops of a reduction begin and end, innermost last; those of
        further in may depend on those further out."""
        found = self._inside(update).bounds
        return {d: self._translated(bounds, values) for d, bounds in found.items()}

    def outside(self, update: Statement) -> tuple[ProgramExpr, ...]:
        """Return the conditions of a reduction on the indices around its loops, where
        their bounds do not say them."""
        return self._inside(update).conditions

    def _inside(self, update: Statement) -> Inner:
        shaping = _shaping(self.group)
        return inner_bounds(shaping, update, tuple(self.left), self._inner(update))

    def _inner(self, update: Statement) -> tuple[str, ...]:
        point = self.group.plan.point
        last = (point.vector,) if point.vector in update.reduced else ()
        order = (*point.reduction, *point.taps, *last)
        return tuple(d for d in order if d is not None and d in update.reduced)

    def _translated(self, bounds: Bounds, values: Values) -> tuple[Expr, Expr]:
        translate = self.group.translation(values)
        return translate.expression(bounds.lo), translate.expression(bounds.hi)

    # Conditions that bounds do not say

    def fixed(self, nodes: tuple[Node, ...], values: Values) -> tuple[Node, ...]:
        """Run nodes where the fixed indices are in the domain."""
        box = self.group.model.ranges
        conditions: list[Expr] = []
        for d in self.group.plan.fixed:
            lo, hi = self.bounds(d, values)
            bounds, (least, greatest) = self.left[d], box[d]
            if interval(bounds.lo, {}, box)[1] > least:
                conditions.append(at_least(values[d], lo))
            if interval(bounds.hi, {}, box)[0] <= greatest:
                conditions.append(less(values[d], hi))
        guard = both(conditions)
        return nodes if guard is None else (Guard(guard, nodes),)

    def shared(self) -> tuple[ProgramExpr, ...]:
        """Return the conditions that hold for every statement of the plan, only need
        the indices around the tile, and are not kept by the loops' bounds."""
        group = self.group
        around = {*group.plan.fixed, *(loop.index for loop in group.plan.point.loops)}
        return tuple(
            c
            for c in _unkept(group.statements, group.model)
            if {*ordered_indices(c)} <= around
            and all(c in s.conditions for s in group.statements)
        )

    def own(self, update: Statement) -> tuple[ProgramExpr, ...]:
        """Return the conditions of an update that no loop keeps."""
        shared = self.shared()
        return tuple(c for c in _unkept((update,), update) if c not in shared)


def _unkept(
    statements: Sequence[Statement], statement: Statement
) -> Iterator[ProgramExpr]:
    """Yield the conditions of a statement that are to be asked in loops that are cut
    for all of some statements: those without an index, where cutting is exact."""
    cut = all(is_exact(s) for s in statements)
    return (c for c in statement.conditions if not (cut and ordered_indices(c)))


def cuts_of(group: Group) -> Cuts:
    """Return the bounds of the loops of a plan around its register tiles."""
    plan, shaping = group.plan, _shaping(group)
    looped = dict.fromkeys(loop.index for loop in plan.point.loops)
    bare = (d for d in shaping.left if d not in looped and d not in plan.fixed)
    order = (*plan.fixed, *looped, *bare)
    return Cuts(group, loop_bounds(shaping, order))


def _shaping(group: Group) -> Statement:
    """Return the statement over whose points the loops around register tiles run."""
    return group.model if group.initialize is None else group.initialize
