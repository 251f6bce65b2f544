"""Which indices groups share: `shared_indices(scop, groups)`.

    e[i, j] = exp(x[i, j] - m[i])     reads m at its own i, so both may run in one loop
                                      over it; m has no j, and is not read at one

An index of one group stands for an index of another one where every read of the one's
tensors by the other is at that very index, or within a window around a multiple of it.
What is the same, in this way, for all groups, is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from polydsl.poly.scop import Group, Scop, Statement
from polydsl.poly.substitute import without_constants
from polydsl.poly.terms import Interval, Linear, linear
from polydsl.schedule.contraction import Contraction
from polydsl.schedule.windows import OWN, Window
from polydsl.semantics.program import Expr, Index, accesses


@dataclass(frozen=True, slots=True)
class Member:
    """The index of the group at a place that stands for a shared one, with its range,
    and which of its values are needed for each of that one's."""

    place: int
    name: str
    lo: int
    hi: int
    window: Window = OWN


@dataclass(frozen=True, slots=True)
class Border:
    """The range of a subscript beyond which a tensor is padded, and which values of it
    are needed for each of a shared index."""

    lo: int
    hi: int
    window: Window


@dataclass(frozen=True, slots=True)
class Shared:
    """An index that groups share, by what stands for it in each of them, with the
    borders of what they read elsewhere.

    A loop around the groups is over its values or, where a product needs it for a
    *side* of its tiles or a group reads others through a window, over blocks of so many
    of them; the last one may have less.
    """

    members: tuple[Member, ...]
    borders: tuple[Border, ...] = ()
    is_side: bool = False
    size: int = 1

    def __getitem__(self, place: int) -> str:
        """Return the name in the group at a place."""
        return self.member(place).name

    def member(self, place: int) -> Member:
        """Return what stands for it in the group at a place."""
        return next(m for m in self.members if m.place == place)

    def values(self, place: int) -> int:
        """Return how many values a group needs for a block."""
        member = self.member(place)
        lo, hi = member.window.block(member.lo, self.size)
        return min(hi - lo, member.hi - member.lo) + 1

    @property
    def has_windows(self) -> bool:
        """Whether blocks of it overlap in some group."""
        return any(m.window != OWN for m in self.members)

    @property
    def is_cut(self) -> bool:
        """Whether the loop is over blocks."""
        return self.size > 1 or self.has_windows

    @property
    def lo(self) -> int:
        """Its least value."""
        return self._own.lo

    @property
    def hi(self) -> int:
        """Its greatest value."""
        return self._own.hi

    @property
    def _own(self) -> Member:
        return next(m for m in self.members if m.window == OWN)

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
    """A read of what one group defines in another one: the names of what is written,
    and for each the subscript that it is read at, if that is linear."""

    writer: int
    reader: int
    written: tuple[str, ...]
    subscripts: tuple[Linear | None, ...]
    ranges: Mapping[str, Interval]

    def axis(self, index: str) -> int | None:
        """Return at which subscript an index of the reader is: alone, or else in a
        sum."""
        alone = Linear(((index, 1),), 0)
        forms = [*enumerate(self.subscripts)]
        axes = [axis for axis, form in forms if form == alone]
        axes = axes or [
            axis for axis, form in forms if form and form.coefficient(index)
        ]
        return axes[0] if len(axes) == 1 else None


def shared_indices(scop: Scop, groups: Numbered) -> tuple[Shared, ...]:
    """Return the indices that all groups share, as they stand in the last one's
    subscripts. The index of its vectors is not among them, and of those that something
    is read around, through a window, only the first."""
    statements = {
        place: tuple(scop.statement(name) for name in group.names)
        for place, group in groups
    }
    edges = tuple(_edges(scop, statements))
    last, _ = groups[-1]
    found: list[Shared] = []
    for subscript in statements[last][0].subscripts:
        assert isinstance(subscript, Index)
        names = _followed(edges, {last: subscript.name}, len(groups))
        members = _members(edges, statements, names) if names else None
        shared = Shared(members) if members else None
        if shared and not (shared.has_windows and any(s.has_windows for s in found)):
            borders = tuple(dict.fromkeys(_borders(scop, statements, shared)))
            is_side = shared.has_windows
            found.append(replace(shared, borders=borders, is_side=is_side))
    return tuple(
        shared
        for shared in found
        if not is_vector(
            [(s, shared[place]) for place, group in statements.items() for s in group]
        )
    )


def _edges(
    scop: Scop, statements: Mapping[int, tuple[Statement, ...]]
) -> Iterator[_Edge]:
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
                    forms = tuple(
                        form_of(scop, statement, s) for s in access.subscripts
                    )
                    yield _Edge(writer, reader, names, forms, statement.ranges)


def form_of(scop: Scop, statement: Statement, subscript: Expr) -> Linear | None:
    """Return a subscript in a statement as a linear form, if it is one. An index that
    has a single value is itself no more than that."""
    form = linear(subscript, scop.sizes)
    if form is None or len(form.coefficients) <= 1:
        return form
    return without_constants(form, statement.ranges)


def _followed(
    edges: Sequence[_Edge], start: dict[int, str], groups: int
) -> dict[int, str] | None:
    """Return the names of an index in all groups from its name in one; None where some
    group has no such index, or reads at another one."""
    names = dict(start)
    for _ in range(groups):
        for edge in edges:
            if edge.reader in names:
                axis = edge.axis(names[edge.reader])
                if axis is None or len(edge.written) < len(edge.subscripts):
                    return None
                name = edge.written[axis]
                if names.setdefault(edge.writer, name) != name:
                    return None
            elif edge.writer in names:
                # It may be summed over there, and then its tensor does not have it.
                if names[edge.writer] not in edge.written:
                    return None
                form = edge.subscripts[edge.written.index(names[edge.writer])]
                if form is None or len(form.coefficients) != 1 or form.constant:
                    return None
                ((names[edge.reader], step),) = form.coefficients
                if step != 1:
                    return None
    return names if len(names) == groups else None


def _members(
    edges: Sequence[_Edge],
    statements: Mapping[int, tuple[Statement, ...]],
    names: Mapping[int, str],
) -> tuple[Member, ...] | None:
    """Return what stands for an index in each group; None where statements do not have
    it on their left side with one range, or windows move apart. What has no window
    has the same range everywhere."""
    windows = _windows(edges, names)
    if windows is None:
        return None
    members: list[Member] = []
    for place, name in sorted(names.items()):
        if any(name not in s.left for s in statements[place]):
            return None
        ranges = {s.ranges[name] for s in statements[place]}
        if len(ranges) > 1:
            return None
        ((lo, hi),) = ranges
        members.append(Member(place, name, lo, hi, windows[place]))
    own = {(m.lo, m.hi) for m in members if m.window == OWN}
    return tuple(members) if len(own) == 1 else None


def _windows(
    edges: Sequence[_Edge], names: Mapping[int, str]
) -> dict[int, Window] | None:
    """Return through which window each group is needed, from the last one on."""
    found: dict[int, Window] = {}
    for place in sorted(names, reverse=True):
        window: Window | None = None
        for edge in edges:
            if edge.writer != place:
                continue
            form = edge.subscripts[edge.written.index(names[place])]
            assert form is not None
            # Of a reader that comes before, this is another step of a recurrence.
            reader, index = found.get(edge.reader, OWN), names[edge.reader]
            other = reader.through(form, index, edge.ranges)
            window = window.union(other) if window and other else other
            if window is None:
                return None
        found[place] = window or OWN
    return found


def _borders(
    scop: Scop, statements: Mapping[int, tuple[Statement, ...]], shared: Shared
) -> Iterator[Border]:
    """Yield the borders of the tensors that none of the groups define."""
    own = {s.tensor for group in statements.values() for s in group}
    for place, group in statements.items():
        member = shared.member(place)
        padded = (
            (read.access, statement.ranges)
            for statement in group
            for read in statement.reads
            if read.is_padded and read.access.tensor not in own
        )
        for access, ranges in padded:
            shape = scop.tensor(access.tensor).shape
            for subscript, extent in zip(access.subscripts, shape):
                form = linear(subscript, scop.sizes)
                window = form and member.window.through(form, member.name, ranges)
                if window:
                    yield Border(0, extent - 1, window)


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
