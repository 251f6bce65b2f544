"""Instances that need each other, found one by one: `find_cycle(statements)`.

Indices that all of them share, and that no need changes, are looked at for one value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from polydsl.poly.flows import Flow, flows
from polydsl.poly.isl import (
    BudgetExceeded,
    Map,
    budget,
    equal_dimensions,
    pairs_of,
    with_value,
)
from polydsl.poly.scop import Statement
from polydsl.poly.terms import interval, isl_name

LIMIT = 200_000
"""So many needs are looked at, at most."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A point of a statement, by the values of its dimensions."""

    statement: Statement
    point: tuple[int, ...]

    @property
    def element(self) -> str:
        """The element that it writes, as text."""
        box = {d: (v, v) for d, v in zip(self.statement.dims, self.point)}
        place = (str(interval(s, {}, box)[0]) for s in self.statement.subscripts)
        inner = ", ".join(place)
        name = self.statement.tensor
        return f"{name}[{inner}]" if inner else name


Needs = Mapping[Instance, tuple[Instance, ...]]


class TooMany(Exception):
    """There are too many needs to look at."""


def find_cycle(statements: Sequence[Statement]) -> tuple[Instance, Instance] | None:
    """Return two instances that need each other, or one that needs itself twice; None
    if there are none. Raises `TooMany`."""
    needs = _needs(statements)
    done: set[Instance] = set()
    for start in needs:
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
            path[instance] = iter(needs.get(instance, ()))
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


def _needs(statements: Sequence[Statement]) -> Needs:
    """Return what every instance needs."""
    known = flows(statements)
    by_name = {s.name: s for s in statements}
    fixed = _free(statements, known)
    found: dict[Instance, list[Instance]] = {}
    count = 0
    try:
        with budget():
            for flow in known:
                relation = flow.relation
                for name, value in fixed.items():
                    relation = with_value(relation, isl_name(name), value)
                for before, after in _limited(relation):
                    source = Instance(by_name[flow.source], before)
                    target = Instance(by_name[flow.target], after)
                    found.setdefault(target, []).append(source)
                    count += 1
                    if count > LIMIT:
                        raise TooMany
    except BudgetExceeded:
        raise TooMany from None
    return {instance: tuple(others) for instance, others in found.items()}


def _limited(relation: Map) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    pairs = pairs_of(relation, LIMIT)
    if pairs is None:
        raise TooMany
    return iter(pairs)


def _free(statements: Sequence[Statement], known: Sequence[Flow]) -> dict[str, int]:
    """Return the indices that no need changes, each with one value."""
    shared = [d for d in statements[0].dims if all(d in s.dims for s in statements)]
    equal = [equal_dimensions(flow.relation) for flow in known]
    return {
        d: statements[0].ranges[d][0]
        for d in shared
        if all(isl_name(d) in names for names in equal)
    }
