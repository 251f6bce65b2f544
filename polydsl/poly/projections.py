"""Where statements define their tensor, before they are in a scop: `defined_by`.

Where a left-hand range depends on a summed index, that is the projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from polydsl.poly.conditions import bounding, ordered_indices
from polydsl.poly.defined import Defined
from polydsl.poly.drafts import Drafts
from polydsl.poly.isl import Set
from polydsl.poly.set_conditions import condition_of
from polydsl.poly.statements import left_points
from polydsl.semantics.program import Definition


def defined_by(drafts: Drafts, group: Sequence[Definition]) -> Defined:
    """Return where a tensor is defined that some statements define together."""
    first = group[0]
    whole = tuple((0, n - 1) for n in drafts.tensors[first.tensor].shape)
    if any(d.is_scatter for d in group):
        return Defined(whole)
    left = ordered_indices(*first.subscripts)
    alike = len({_left_box(drafts, d) for d in group}) == 1
    if alike and bounding(drafts.dependent, left) == left:
        conditions = tuple(c for n in left for c in drafts.dependent.get(n, ()))
        return Defined(tuple(drafts.box[n] for n in left), left, conditions)
    names = tuple(f"d{axis}" for axis in range(len(whole)))
    points = reduce(Set.union, (_points(drafts, d) for d in group))
    return Defined(whole, names, (condition_of(points, names, first.span),))


def _points(drafts: Drafts, definition: Definition) -> Set:
    return left_points(drafts, ordered_indices(*definition.subscripts))


def _left_box(drafts: Drafts, definition: Definition) -> tuple[object, ...]:
    """Return the ranges of the left-hand indices, in order."""
    names = ordered_indices(*definition.subscripts)
    return tuple((drafts.box[n], drafts.dependent.get(n)) for n in names)
