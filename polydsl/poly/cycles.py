"""Instances that need each other, found one by one: `find_cycle(statements)`.

Where there are many, indices that all of them share and that no need changes are looked
at for one value; where that leaves too many, only what some instances need is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from polydsl.poly.flows import Flow, flows, unchanged
from polydsl.poly.isl import with_value
from polydsl.poly.points import (
    image_of,
    pairs_of,
    sample_pair,
    sample_point,
    sources_of,
)
from polydsl.poly.scop import Statement
from polydsl.poly.terms import isl_name

LIMIT = 200_000
"""So many needs are looked at, at most."""
MOST_ASKED = 10_000
"""Of so many instances is asked what they need, where all needs are too many."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A point of a statement, by the values of its dimensions."""

    statement: Statement
    point: tuple[int, ...]

    @property
    def element(self) -> str:
        """The element that it writes, as text."""
        place = image_of(self.statement.write, self.point)
        inner = ", ".join(map(str, place))
        name = self.statement.tensor
        return f"{name}[{inner}]" if inner else name


Needs: TypeAlias = Callable[[Instance], Iterable[Instance]]
"""What an instance needs."""


class TooMany(Exception):
    """There are too many needs to look at."""


def find_cycle(statements: Sequence[Statement]) -> tuple[Instance, Instance] | None:
    """Return two instances that need each other, or one that needs itself twice; None
    if there are none. Raises `TooMany`."""
    known = flows(statements)
    needs = _needs(statements, known, {})
    if needs is None:
        needs = _needs(statements, known, _free(statements, known))
    if needs is not None:
        return _first_cycle(needs, _looked_up(needs))
    starts = (_first_target(statements, flow) for flow in known)
    found = _first_cycle(starts, _asked(statements, known))
    if found is None:
        raise TooMany
    return found


def _first_cycle(
    starts: Iterable[Instance], needs: Needs
) -> tuple[Instance, Instance] | None:
    done: set[Instance] = set()
    for start in starts:
        found = _search(start, needs, done)
        if found is not None:
            return found
    return None


def _search(
    start: Instance, needs: Needs, done: set[Instance]
) -> tuple[Instance, Instance] | None:
    """Look for a cycle from one instance on, in depth first."""
    path: dict[Instance, Iterator[Instance]] = {}
    pending = [start]
    while pending or path:
        if pending:
            instance = pending.pop()
            path[instance] = iter(needs(instance))
        last = next(reversed(path))
        following = next(path[last], None)
        if following is None:
            done.add(last)
            del path[last]
        elif following in path:
            return _on_cycle(list(path), following)
        elif following not in done:
            pending.append(following)
    return None


def _on_cycle(path: list[Instance], first: Instance) -> tuple[Instance, Instance]:
    """Return two instances of a cycle, of different elements if it has them."""
    cycle = path[path.index(first) :]
    other = next((i for i in cycle if i.element != first.element), first)
    return first, other


def _needs(
    statements: Sequence[Statement], known: Sequence[Flow], fixed: Mapping[str, int]
) -> Mapping[Instance, tuple[Instance, ...]] | None:
    """Return what every instance needs for which some indices have a value; None where
    that is too much to look at."""
    by_name = {s.name: s for s in statements}
    found: dict[Instance, list[Instance]] = {}
    count = 0
    for flow in known:
        relation = flow.relation
        for name, value in fixed.items():
            relation = with_value(relation, isl_name(name), value)
        pairs = pairs_of(relation, LIMIT - count)
        if pairs is None:
            return None
        count += len(pairs)
        for before, after in pairs:
            source = Instance(by_name[flow.source], before)
            target = Instance(by_name[flow.target], after)
            found.setdefault(target, []).append(source)
    return {instance: tuple(others) for instance, others in found.items()}


def _looked_up(needs: Mapping[Instance, tuple[Instance, ...]]) -> Needs:
    return lambda instance: needs.get(instance, ())


def _asked(statements: Sequence[Statement], known: Sequence[Flow]) -> Needs:
    """Return a function that asks isl for what one instance needs. It raises `TooMany`
    if it is called too often."""
    by_name = {s.name: s for s in statements}

    @cache
    def needs(instance: Instance) -> tuple[Instance, ...]:
        if needs.cache_info().currsize >= MOST_ASKED:
            raise TooMany
        name, point = instance.statement.name, instance.point
        return tuple(
            Instance(by_name[flow.source], before)
            for flow in known
            if flow.target == name
            for before in sources_of(flow.relation, point, MOST_ASKED)
        )

    return needs


def _first_target(statements: Sequence[Statement], flow: Flow) -> Instance:
    point = sample_point(flow.relation.range())
    assert point is not None
    return Instance(next(s for s in statements if s.name == flow.target), point)


def _free(statements: Sequence[Statement], known: Sequence[Flow]) -> dict[str, int]:
    """Return the indices that no need changes, each with the value that it has in the
    first need."""
    found = sample_pair(known[0].relation)
    assert found is not None
    source = next(s for s in statements if s.name == known[0].source)
    values = dict(zip(source.dims, found[0]))
    return {d: values[d] for d in unchanged(statements, known)}
