"""Which indices groups share: `shared_indices(scop, groups)`.

    e[i, j] = exp(x[i, j] - m[i])     reads m at its own i, so both may run in one loop
                                      over it; m has no j, and is not read at one

An index of one group stands for an index of another one where every read of the one's
tensors by the other is at that very index. What is the same, in this way, for all
groups, is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from polydsl.poly.scop import Group, Scop, Statement
from polydsl.poly.terms import Linear
from polydsl.schedule.contraction import Contraction
from polydsl.semantics.program import Expr, Index, accesses


@dataclass(frozen=True, slots=True)
class Shared:
    """An index that groups share, by its name in each of them, with its range.

    A loop around the groups is over its values or, where a product needs it for a
    *side* of its tiles, over blocks of so many of them; the last one may have less.
    """

    names: tuple[tuple[int, str], ...]
    lo: int
    hi: int
    is_side: bool = False
    size: int = 1

    def __getitem__(self, place: int) -> str:
        """Return the name in the group at a place."""
        return dict(self.names)[place]

    @property
    def extent(self) -> int:
        """The number of its values."""
        return max(self.hi - self.lo + 1, 1)

    @property
    def count(self) -> int:
        """The number of blocks."""
        return -(-self.extent // self.size)

    @property
    def rest(self) -> int:
        """The number of values that are left beside whole blocks."""
        return self.extent % self.size


Numbered: TypeAlias = Sequence[tuple[int, Group]]
"""Groups with their places, in order."""


@dataclass(frozen=True, slots=True)
class _Edge:
    """A read of what one group defines in another one."""

    writer: int
    reader: int
    written: tuple[str, ...]
    subscripts: tuple[Expr, ...]


def shared_indices(scop: Scop, groups: Numbered) -> tuple[Shared, ...]:
    """Return the indices that all groups share, as they stand in the last one's
    subscripts. The index of its vectors is not among them."""
    statements = {
        place: tuple(scop.statement(name) for name in group.names)
        for place, group in groups
    }
    edges = tuple(_edges(statements))
    last, _ = groups[-1]
    found: list[Shared] = []
    for subscript in statements[last][0].subscripts:
        assert isinstance(subscript, Index)
        names = _followed(edges, {last: subscript.name}, len(groups))
        if names is not None and _is_alike(statements, names):
            place, name = next(iter(names.items()))
            lo, hi = statements[place][0].ranges[name]
            found.append(Shared(tuple(sorted(names.items())), lo, hi))
    return tuple(
        shared
        for shared in found
        if not is_vector(
            [(s, shared[place]) for place, group in statements.items() for s in group]
        )
    )


def _edges(statements: Mapping[int, tuple[Statement, ...]]) -> Iterator[_Edge]:
    written = {
        s.tensor: (place, tuple(d.name for d in s.subscripts if isinstance(d, Index)))
        for place, group in statements.items()
        for s in group
    }
    for reader, group in statements.items():
        for statement in group:
            for access in accesses(statement.value):
                writer, names = written.get(access.tensor, (reader, ()))
                if writer != reader:
                    yield _Edge(writer, reader, names, access.subscripts)


def _followed(
    edges: Sequence[_Edge], start: dict[int, str], groups: int
) -> dict[int, str] | None:
    """Return the names of an index in all groups from its name in one; None where some
    group has no such index, or reads at another one."""
    names = dict(start)
    for _ in range(groups):
        for edge in edges:
            if edge.reader in names:
                axes = [
                    axis
                    for axis, s in enumerate(edge.subscripts)
                    if isinstance(s, Index) and s.name == names[edge.reader]
                ]
                if len(axes) != 1 or len(edge.written) < len(edge.subscripts):
                    return None
                name = edge.written[axes[0]]
                if names.setdefault(edge.writer, name) != name:
                    return None
            elif edge.writer in names:
                # It may be summed over there, and then its tensor does not have it.
                if names[edge.writer] not in edge.written:
                    return None
                subscript = edge.subscripts[edge.written.index(names[edge.writer])]
                if not isinstance(subscript, Index):
                    return None
                names[edge.reader] = subscript.name
    return names if len(names) == groups else None


def _is_alike(
    statements: Mapping[int, tuple[Statement, ...]], names: Mapping[int, str]
) -> bool:
    """Whether all statements have an index on their left side, with one range."""
    found = [(s, names[place]) for place, group in statements.items() for s in group]
    if any(name not in s.left for s, name in found):
        return False
    return len({s.ranges[name] for s, name in found}) == 1


def is_vector(statements: Sequence[tuple[Statement, str]]) -> bool:
    """Whether the largest of some statements, each with an index of its own, needs that
    for its vectors."""
    largest, index = max(statements, key=lambda entry: entry[0].points)
    *_, last = largest.subscripts
    is_last = isinstance(last, Index) and last.name == index
    return is_last and not largest.reduced


def divided(
    found: tuple[Shared, ...], place: int, product: Contraction, *, vectors: bool
) -> tuple[Shared, ...]:
    """Return what groups share with a product among them, at a place: sides of its
    tiles are marked, what cannot be in a loop around it is left out.

    A loop over single values may be around it where these move all of its tensors. Of
    its rows and columns only one side is cut: that of its *vectors*, or the other one.
    """
    sides = {s: _side(product, s[place]) for s in found}
    last = {d for d, _ in product.c.subscripts[-1].coefficients}
    kinds = ["rows", "columns"] if last & {*product.columns} else ["columns", "rows"]
    both = {*kinds} <= {*sides.values()}
    return tuple(
        replace(s, is_side=s.is_side or side != "batch")
        for s, side in sides.items()
        if side and not (both and side == kinds[not vectors])
    )


def _side(product: Contraction, index: str) -> str:
    """Return what an index of a statement is in its product; nothing if it does not
    stand for itself there."""
    if dict(product.coordinates).get(index) != Linear(((index, 1),), 0):
        return ""
    found = {
        "batch": product.batch,
        "rows": product.rows,
        "columns": product.columns,
    }
    return next((kind for kind, names in found.items() if index in names), "")
