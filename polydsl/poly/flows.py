"""Which instances must run before which others: what a read needs.

Tensors are assigned once, so a read needs every write of its element, wherever the two
stand in the text; and what combines into an element needs its first value. Nothing else
orders instances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from polydsl.poly.isl import Map, equal_dimensions, equated
from polydsl.poly.scop import Statement
from polydsl.poly.terms import isl_name


@dataclass(frozen=True, slots=True)
class Flow:
    """Instances of `source` that must run before related instances of `target`: for the
    value of an element of `tensor`, or (not `is_read`) for its first value."""

    source: str
    target: str
    tensor: str
    is_read: bool
    relation: Map = field(hash=False, compare=False, repr=False)


def flows(
    statements: Sequence[Statement], fixed: Sequence[str] = ()
) -> tuple[Flow, ...]:
    """Return what orders the instances of some statements for which the indices that
    are *fixed*, which all of them have, are the same."""
    found = (_with_equal(flow, fixed) for flow in _all(statements))
    return tuple(flow for flow in found if not flow.relation.is_empty())


def _all(statements: Sequence[Statement]) -> Iterator[Flow]:
    for source in statements:
        for target in statements:
            for relation in read_relations(source, target):
                yield _flow(source, target, relation, is_read=True)
            is_first = source.combine is None and target.combine is not None
            if is_first and source.tensor == target.tensor:
                relation = source.write.apply_range(target.write.reverse())
                yield _flow(source, target, relation, is_read=False)


def read_relations(source: Statement, target: Statement) -> Iterator[Map]:
    """Yield for each read of a statement the instances of another one that it needs."""
    for read in target.reads:
        if read.access.tensor == source.tensor:
            yield source.write.apply_range(read.relation.reverse())


def unchanged(
    statements: Sequence[Statement], known: Sequence[Flow]
) -> tuple[str, ...]:
    """Return the indices that all statements have, and that no flow changes."""
    equal = [equal_dimensions(flow.relation) for flow in known]
    shared = (d for d in statements[0].dims if all(d in s.dims for s in statements))
    return tuple(d for d in shared if all(isl_name(d) in names for names in equal))


def _flow(
    source: Statement, target: Statement, relation: Map, *, is_read: bool
) -> Flow:
    return Flow(source.name, target.name, source.tensor, is_read, relation)


def _with_equal(flow: Flow, fixed: Sequence[str]) -> Flow:
    relation = flow.relation
    for name in fixed:
        relation = equated(relation, isl_name(name))
    return Flow(flow.source, flow.target, flow.tensor, flow.is_read, relation)
