"""Items of one body and what they need of each other, while some are put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from polydsl.poly.flows import flows
from polydsl.poly.ordering import reached
from polydsl.poly.scop import Group, Item, Scop, Statement


@dataclass(slots=True)
class Unit:
    """An item, the places of the items that it needs, and what follows right after."""

    item: Item
    needs: set[int]
    after: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Units:
    """The items of a body by their first places."""

    by_place: dict[int, Unit]

    def between(self, roots: Set[int], place: int) -> str:
        """Return why an item cannot move up to earlier ones, or nothing: something
        else that it needs comes after one of those."""
        needs = {at: unit.needs for at, unit in self.by_place.items()}
        for other in needs[place] - roots:
            if roots & reached(other, needs):
                item = self.by_place[other].item
                name = item.tensor if isinstance(item, Group) else "a recurrence"
                return f"it needs {name}, which comes in between"
        return ""

    def merge(self, root: int, places: Iterable[int], item: Item, *after: Item) -> None:
        """Put one item, and what follows right after it, in the place of several: of
        that of *root* and others."""
        gone = {*places} - {root}
        needs = self.by_place[root].needs.union(*(self.by_place[p].needs for p in gone))
        for place in gone:
            del self.by_place[place]
        self.by_place[root] = Unit(item, needs - gone - {root}, after)
        for place, unit in self.by_place.items():
            if place != root and unit.needs & gone:
                unit.needs = unit.needs - gone | {root}

    def ordered(self) -> tuple[Item, ...]:
        """Return the items so that each comes after those that it needs; those that are
        free to stay keep their order."""
        pending = dict(self.by_place)
        found: list[Item] = []
        while pending:
            ready = (n for n, unit in pending.items() if not unit.needs & {*pending})
            unit = pending.pop(next(ready))
            found += [unit.item, *unit.after]
        return tuple(found)


def units_of(scop: Scop, items: tuple[Item, ...], fixed: tuple[str, ...] = ()) -> Units:
    """Return the items of a body inside of loops over the indices that are fixed, with
    what they need. An item that needs a later one's values of another iteration does
    not need it here."""
    place = {
        s.name: number
        for number, item in enumerate(items)
        for s in scop.statements_of((item,))
    }
    needs: tuple[set[int], ...] = tuple(set() for _ in items)
    statements = tuple(scop.statement(name) for name in place)
    for source, target in _related(statements, fixed):
        if place[source] < place[target]:
            needs[place[target]].add(place[source])
    return Units({n: Unit(item, needs[n]) for n, item in enumerate(items)})


def _related(
    statements: Sequence[Statement], fixed: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yield pairs of statements of which the second needs the first, inside of loops
    over the indices that are fixed."""
    # Outside of loops the tensors tell it; isl, which tells iterations apart, is dear.
    if fixed:
        yield from ((f.source, f.target) for f in flows(statements, fixed))
        return
    for target in statements:
        needed = {target.tensor, *(read.access.tensor for read in target.reads)}
        yield from ((s.name, target.name) for s in statements if s.tensor in needed)
