"""Which schedule trees are legal: `check(tree, dependences)` decides, exactly.

Every flow, anti and output dependence must run forward in the lexicographic order of
the tree's times. Updates that a reduction dependence relates may run in any order, but
not at the same time, unless as lanes over dimensions that both reduce: those lanes are
partial results, and every combining operation may be reassociated. Lanes and threads
run at the same time, so a parallel or vector member must not carry anything else.

Most dependences are decided without isl: two statements that part at a sequence are
ordered by their places in it wherever the loops around it cannot set them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from polydsl.base.diagnostics import CompilerBug, bug
from polydsl.poly.dependences import Dependence, Dependences
from polydsl.poly.isl import (
    BudgetExceeded,
    Map,
    budget,
    equal_dimensions,
    equated,
    has_dimension,
    map_text,
    parse_map,
    within_budget,
)
from polydsl.poly.points import sample_pair
from polydsl.poly.scop import Scop
from polydsl.poly.terms import isl_name
from polydsl.schedule.tree import Axis, Band, Leaf, Member, Step, Tree, leaves

Site = tuple[Leaf, tuple[Step, ...]]
"""A leaf and the steps from the root to it."""


class IllegalSchedule(CompilerBug):
    """A transformation of the compiler's own would change the meaning of a kernel."""


def schedule_map(tree: Tree, statement: str) -> Map:
    """Return the times of a statement's instances: its loops' values and its places in
    sequences, from the root on. All statements of a tree have times of one length."""
    sites = tuple(leaves(tree))
    length = max(len(steps) for _, steps in sites)
    leaf, steps = next(s for s in sites if s[0].statement == statement)
    names = {d: isl_name(d) for d in leaf.dims}
    times = [_step_text(step, names, leaf) for step in steps]
    times += ["0"] * (length - len(steps))
    return parse_map(map_text(leaf.statement, tuple(names.values()), "", times))


def _step_text(step: Step, names: Mapping[str, str], leaf: Leaf) -> str:
    if isinstance(step, Member):
        return member_text(step, names, at_end=leaf.at_end)
    return str(step)


def member_text(member: Member, names: Mapping[str, str], *, at_end: bool) -> str:
    """Return the value of a member in isl's notation, dimensions called by *names*; in
    all others it stands at 0, or `at_end`."""
    terms: list[str] = []
    stride = 1
    for axis in reversed(member.axes):
        if axis.dim in names:
            terms.append(f"{stride}*({_axis_text(axis, names[axis.dim])})")
        elif at_end:
            terms.append(f"{stride * (axis.extent - 1)}")
        stride *= axis.extent
    position = " + ".join(reversed(terms)) or "0"
    return f"floor(({position})/{member.tile})" if member.tile > 1 else position


def _axis_text(axis: Axis, name: str) -> str:
    counted = f"{name} - {axis.lower}" if axis.lower else name
    divided = f"floor(({counted})/{axis.divisor})" if axis.divisor > 1 else counted
    if axis.is_first:
        return divided
    higher = f"floor(({counted})/{axis.divisor * axis.extent})"
    return f"{divided} - {axis.extent}*{higher}"


@dataclass(frozen=True, slots=True)
class Precedence:
    """A dependence, and the dimensions that have one value at both of its ends."""

    dependence: Dependence
    equal: frozenset[str]

    def __str__(self) -> str:
        d = self.dependence
        return f"the {d.kind} dependence {d.source} -> {d.target} through {d.tensor}"


def precedences(dependences: Dependences) -> tuple[Precedence, ...]:
    """Return what `check_order` needs to know of dependences, computed once."""
    return tuple(Precedence(d, _equal(d)) for d in dependences)


def _equal(dependence: Dependence) -> frozenset[str]:
    return within_budget(lambda: equal_dimensions(dependence.relation), frozenset())


def within(known: tuple[Precedence, ...], index: str) -> tuple[Precedence, ...]:
    """Return what of some precedences is left inside one iteration of a loop over a
    dimension, between statements that have it."""
    name = isl_name(index)
    found = (
        replace(p.dependence, relation=equated(p.dependence.relation, name))
        for p in known
        if has_dimension(p.dependence.relation, name)
    )
    return precedences(tuple(d for d in found if not d.relation.is_empty()))


def check(tree: Tree, dependences: Dependences) -> None:
    """Raise `IllegalSchedule` unless the tree keeps every dependence."""
    check_order(tree, precedences(dependences))


def check_order(tree: Tree, known: tuple[Precedence, ...]) -> None:
    """Raise `IllegalSchedule` unless the tree keeps every precedence between
    statements that it has."""
    sites = {leaf.statement: (leaf, steps) for leaf, steps in leaves(tree)}
    for precedence in known:
        found = precedence.dependence
        if found.source in sites and found.target in sites:
            pair = _Pair(precedence, sites[found.source], sites[found.target])
            pair.check()


Change = Callable[[Band], Band]


def apply(band: Band, changes: Iterable[Change], known: tuple[Precedence, ...]) -> Band:
    """Return the band after one change after the other, each of them checked."""
    for change in changes:
        band = change(band)
        check_order(band, known)
    return band


@dataclass(frozen=True, slots=True)
class _Pair:
    """One dependence and the ways from the root to its two ends."""

    precedence: Precedence
    source: Site
    target: Site

    def check(self) -> None:
        shared, gap = self._parting()
        if self.precedence.dependence.kind != "reduction":
            self._check_forward(shared, gap)
        for depth, member in enumerate(shared):
            if member.kind in ("parallel", "vector"):
                self._check_carries_nothing(shared[:depth], member)

    def _parting(self) -> tuple[tuple[Member, ...], int]:
        """Return the loops around both ends, and how far apart their places are in the
        sequence where the ways part: 0 where they are one statement."""
        shared: list[Member] = []
        for first, second in zip(self.source[1], self.target[1]):
            if isinstance(first, int) and isinstance(second, int) and first != second:
                return tuple(shared), second - first
            if isinstance(first, Member):
                shared.append(first)
        return tuple(shared), 0

    def _check_forward(self, shared: tuple[Member, ...], gap: int) -> None:
        apart = tuple(m for m in shared if not self._is_equal(m))
        if gap > 0 and all(self._is_never_backward(m) for m in apart):
            return
        orders = [
            [*self._equations(apart[:depth]), self._compare(member, ">")]
            for depth, member in enumerate(apart)
        ]
        if gap <= 0:
            orders.append(list(self._equations(apart)))
        self._refuse_pairs(orders, "runs backward", "must run before", "and does not")

    def _check_carries_nothing(self, outer: tuple[Member, ...], member: Member) -> None:
        if self._is_equal(member) or self._is_partial(member):
            return
        apart = tuple(m for m in outer if not self._is_equal(m))
        order = [*self._equations(apart), self._compare(member, "!=")]
        how = f"is carried by the {member.kind} loop {member.var}"
        self._refuse_pairs([order], how, "and", "run at the same time")

    def _is_equal(self, member: Member) -> bool:
        """Whether the loop has one value at both ends, for every pair."""
        before, after = self._ends
        still = before.at_end == after.at_end
        return all(
            isl_name(d) in self.precedence.equal
            or (still and d not in before.dims and d not in after.dims)
            for d in member.dims
        )

    def _is_never_backward(self, member: Member) -> bool:
        """Whether the loop is at its beginning for the source, or at its end for the
        target, where it moves at all."""
        before, after = self._ends
        return all(
            isl_name(d) in self.precedence.equal
            or (d not in before.dims and not before.at_end)
            or (d not in after.dims and after.at_end)
            for d in member.dims
        )

    def _is_partial(self, member: Member) -> bool:
        """Whether the lanes of a vector member are partial results of a reduction."""
        return (
            member.kind == "vector"
            and self.precedence.dependence.kind == "reduction"
            and all(member.dims <= {*leaf.reduced} for leaf in self._ends)
        )

    @property
    def _ends(self) -> tuple[Leaf, Leaf]:
        return self.source[0], self.target[0]

    # isl, for what is left

    def _names(self) -> tuple[dict[str, str], dict[str, str]]:
        before, after = self._ends
        return (
            {d: f"a{i}" for i, d in enumerate(before.dims)},
            {d: f"b{i}" for i, d in enumerate(after.dims)},
        )

    def _compare(self, member: Member, relation: str) -> str:
        before, after = self._names()
        first, second = self._ends
        left = member_text(member, before, at_end=first.at_end)
        right = member_text(member, after, at_end=second.at_end)
        return f"{left} {relation} {right}"

    def _equations(self, members: tuple[Member, ...]) -> Iterator[str]:
        return (self._compare(m, "=") for m in members)

    def _refuse_pairs(
        self, orders: list[list[str]], how: str, first: str, second: str
    ) -> None:
        """Raise if the dependence has pairs in one of the orders, and show one."""
        before, after = self._names()
        head = (
            f"{self._ends[0].statement}[{', '.join(before.values())}] -> "
            f"{self._ends[1].statement}[{', '.join(after.values())}]"
        )
        cases = " or ".join(f"({' and '.join(o or ['0 = 0'])})" for o in orders)
        relation = self.precedence.dependence.relation
        try:
            with budget():
                wrong = parse_map(f"{{ {head} : {cases} }}").intersect(relation)
                pair = sample_pair(wrong)
        except BudgetExceeded:
            raise IllegalSchedule(f"{self.precedence} is too hard to check") from None
        if pair is not None:
            source, target = map(_instance, self._ends, pair)
            raise IllegalSchedule(
                f"{self.precedence} {how}: {source} {first} {target} {second}"
            )


def _instance(leaf: Leaf, point: tuple[int, ...]) -> str:
    values = ", ".join(f"{d} = {value}" for d, value in zip(leaf.dims, point))
    return f"{leaf.statement}[{values}]"


def verify(tree: Tree, scop: Scop) -> None:
    """Stop unless the tree runs every instance of a scop once, at a time of its own.

    Every statement is in one leaf, every axis is a part of a dimension as the
    statements below have it, and the loops around a leaf fix all of its dimensions.
    """
    found = sorted(leaf.statement for leaf, _ in leaves(tree))
    if found != sorted(s.name for s in scop.statements):
        bug(f"the tree runs {', '.join(found)}")
    for leaf, steps in leaves(tree):
        ranges = scop.statement(leaf.statement).ranges
        members = [step for step in steps if isinstance(step, Member)]
        axes = [axis for member in members for axis in member.axes]
        for axis in axes:
            lo, hi = ranges.get(axis.dim, (axis.lower, axis.lower + axis.size - 1))
            # A range may end before it begins: it is empty.
            if (axis.lower, axis.size) != (lo, max(hi - lo + 1, 0)):
                bug(f"{leaf.statement}: {axis.dim} is not in {lo}..{hi + 1}")
        points = {axis for m in members if m.tile == 1 for axis in m.axes}
        for dim, (lo, hi) in ranges.items():
            _verify_fixed(leaf, dim, max(hi - lo + 1, 0), points)


def _verify_fixed(leaf: Leaf, dim: str, size: int, points: set[Axis]) -> None:
    """Stop unless parts of a dimension, laid end to end, make up all of it."""
    covered = 1
    parts = (a for a in points if a.dim == dim)
    for axis in sorted(parts, key=lambda a: (a.divisor, -a.extent)):
        if axis.divisor == covered:
            covered *= axis.extent
    if covered < size:
        bug(f"{leaf.statement}: the loops do not fix {dim}")
