"""Dependences between statement instances, and an order that keeps them.

* flow: an element is written, then read
* anti: an element is read, then written
* output: an element is written twice
* reduction: a flow and output dependence between two updates that combine into the
  same element with the same operation; they may run in any order

Relations are memory based: every earlier access is related to every later one, so a
schedule that keeps them keeps the values too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal as OneOf

from polydsl.poly.isl import Map, lexicographically_before
from polydsl.poly.scop import Scop, Statement

DependenceKind = OneOf["flow", "anti", "output", "reduction"]


@dataclass(frozen=True, slots=True)
class Dependence:
    """Instances of `source` that must run before related instances of `target`."""

    kind: DependenceKind
    source: str
    target: str
    tensor: str
    relation: Map = field(hash=False, compare=False, repr=False)


Dependences = tuple[Dependence, ...]


class Cycle(Exception):
    """Tensors that need each other: a recurrence. `tensors` names them."""

    def __init__(self, tensors: tuple[str, ...]) -> None:
        self.tensors = tensors
        super().__init__(", ".join(tensors))


def order_statements(scop: Scop) -> Scop:
    """Return the scop with each tensor's writers before its readers.

    Statements that are free to stay keep their order. Raises `Cycle` where a tensor
    needs itself.
    """
    pending: dict[str, list[Statement]] = {}
    for statement in scop.statements:
        pending.setdefault(statement.tensor, []).append(statement)
    done: list[Statement] = []
    while pending:
        ready = (
            t for t, group in pending.items() if not _needs(group) & pending.keys()
        )
        tensor = next(ready, None)
        if tensor is None:
            raise Cycle(tuple(pending))
        done += pending.pop(tensor)
    return replace(scop, statements=tuple(done))


def _needs(group: list[Statement]) -> set[str]:
    return {read.access.tensor for statement in group for read in statement.reads}


def analyze(scop: Scop) -> Dependences:
    """Return the dependences of an ordered scop."""
    found: list[Dependence] = []
    for position, later in enumerate(scop.statements):
        for earlier in scop.statements[: position + 1]:
            found.extend(_between(earlier, later))
    return tuple(d for d in found if not d.relation.is_empty())


def _between(earlier: Statement, later: Statement) -> Iterator[Dependence]:
    same = earlier.name == later.name
    for read in later.reads:
        if read.access.tensor == earlier.tensor and not same:
            yield _dependence("flow", earlier, later, earlier.write, read.relation)
    for read in earlier.reads:
        if read.access.tensor == later.tensor and not same:
            yield _dependence("anti", earlier, later, read.relation, later.write)
    if earlier.tensor == later.tensor:
        yield from _between_writes(earlier, later)


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
