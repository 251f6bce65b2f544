"""Dependences between statement instances.

* flow: an element is written, then read
* output: an element is written twice, first by `=`
* reduction: a flow and output dependence between two updates that combine into the
  same element with the same operation; they may run in any order

A read needs every write of its element, wherever the two stand in the text, since
tensors are assigned once (`flows`). So there are no anti dependences: nothing is
written after it was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal as OneOf

from polydsl.poly.flows import read_relations
from polydsl.poly.isl import Map, lexicographically_before
from polydsl.poly.scop import Scop, Statement

DependenceKind = OneOf["flow", "output", "reduction"]


@dataclass(frozen=True, slots=True)
class Dependence:
    """Instances of `source` that must run before related instances of `target`."""

    kind: DependenceKind
    source: str
    target: str
    tensor: str
    relation: Map = field(hash=False, compare=False, repr=False)


Dependences = tuple[Dependence, ...]


def analyze(scop: Scop) -> Dependences:
    """Return the dependences of an ordered scop."""
    found: list[Dependence] = []
    for position, later in enumerate(scop.statements):
        for earlier in scop.statements[: position + 1]:
            found.extend(_between(earlier, later))
    return tuple(d for d in found if not d.relation.is_empty())


def _between(earlier: Statement, later: Statement) -> Iterator[Dependence]:
    yield from _flows(earlier, later)
    if earlier.name != later.name:
        yield from _flows(later, earlier)
    if earlier.tensor == later.tensor:
        yield from _between_writes(earlier, later)


def _flows(source: Statement, target: Statement) -> Iterator[Dependence]:
    for relation in read_relations(source, target):
        yield Dependence("flow", source.name, target.name, source.tensor, relation)


def _between_writes(earlier: Statement, later: Statement) -> Iterator[Dependence]:
    commute = earlier.combine is not None and earlier.combine == later.combine
    kind: DependenceKind = "reduction" if commute else "output"
    if earlier.name != later.name:
        yield _dependence(kind, earlier, later, earlier.write, later.write)
        return
    if later.reduced or not _is_injective(later):
        found = _dependence(kind, earlier, later, earlier.write, later.write)
        forward = lexicographically_before(later.write.reverse())
        yield replace(found, relation=found.relation.intersect(forward))


def _is_injective(statement: Statement) -> bool:
    return bool(statement.write.is_injective())


def _dependence(
    kind: DependenceKind, source: Statement, target: Statement, first: Map, second: Map
) -> Dependence:
    relation = first.apply_range(second.reverse())
    return Dependence(kind, source.name, target.name, source.tensor, relation)


def render(dependences: Dependences) -> str:
    """Return the text of the `dependences` stage: one line each."""
    lines = [
        f"{d.kind:<9} {d.source} -> {d.target}  through {d.tensor}: {d.relation}"
        for d in dependences
    ]
    return "\n".join(lines) + "\n"
