"""In which order a product of several factors is summed: `cheapest(network) -> Tree`.

    sum over i, j of x[b, i] * w[k, i, j] * z[b, j]    ->    (x * w) * z

A `Network` is such a product as sets of indices; a `Tree` says which factors meet
first. Each `Pair` of it is a product of two, summed over the indices that nothing
outside of the pair has. What a pair costs depends on the factors below it and not on
their order, so that the best tree of a set is found from those of its subsets, by
dynamic programming. A *set* of factors is the bits of an integer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil, prod
from typing import TypeAlias

from polydsl.base.dtypes import DType
from polydsl.base.machine import Machine

START = 200.0
"""The cycles that the loops of one step take to begin and to end."""

PLAIN = 2.0
"""So many times longer than at the peak a multiply-add takes in loops that are no
product of two tensors: each waits for loads."""

MOST = 8
"""Of more factors than these, those are put together first whose pair is cheapest."""


ONCE = 1e-3
"""The share of a call in what is computed before the first one. (Not nothing: there is
a best way of doing that, too.)"""


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor: the indices that it depends on, the one along which its elements are
    contiguous, and the instructions of its value where that is not stored yet; an
    access has none."""

    dims: frozenset[str]
    last: str = ""
    instructions: float | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A product of factors, summed over the indices that are not `left`.

    What the sets in `known` give is there already, and what comes of `bound` factors
    alone is computed before the first call. `moved` has for each index the set of
    factors that depend on it.
    """

    factors: tuple[Factor, ...]
    left: frozenset[str]
    extents: Mapping[str, int]
    dtype: DType
    machine: Machine
    known: frozenset[int] = frozenset()
    bound: int = 0
    moved: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        moved: dict[str, int] = {}
        for number, factor in enumerate(self.factors):
            for d in factor.dims:
                moved[d] = moved.get(d, 0) | 1 << number
        object.__setattr__(self, "moved", moved)

    @property
    def whole(self) -> int:
        """The set of all factors."""
        return (1 << len(self.factors)) - 1

    def dims(self, some: int) -> frozenset[str]:
        """Return the indices that a set of factors depends on."""
        return frozenset(d for d, moved in self.moved.items() if moved & some)

    def kept(self, some: int) -> frozenset[str]:
        """Return the indices of what comes of a set: those needed outside of it."""
        return frozenset(
            d
            for d, moved in self.moved.items()
            if moved & some and (moved & ~some or d in self.left)
        )

    def share(self, some: int) -> float:
        """Return how much of the time that a set takes counts for a call."""
        is_once = some & ~self.bound == 0 and self.bound != self.whole
        return ONCE if is_once else 1.0

    def size(self, dims: frozenset[str]) -> int:
        """Return the number of points of some indices."""
        return prod(self.extents[d] for d in dims)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One factor, summed over the indices that only it has."""

    factor: int


@dataclass(frozen=True, slots=True)
class Pair:
    """The product of what two trees give, summed over what only they have."""

    first: Tree
    second: Tree


Tree: TypeAlias = Leaf | Pair


def members(tree: Tree) -> int:
    """Return the set of factors of a tree."""
    if isinstance(tree, Leaf):
        return 1 << tree.factor
    return members(tree.first) | members(tree.second)


def cheapest(network: Network) -> Tree:
    """Return a tree of least cost; of more than `MOST` factors, a cheap one."""
    groups: list[Tree] = [Leaf(n) for n in range(len(network.factors))]
    while len(groups) > MOST:
        pairs = [(a, b) for n, a in enumerate(groups) for b in groups[n + 1 :]]
        a, b = min(
            pairs, key=lambda p: pair_cycles(network, members(p[0]), members(p[1]))
        )
        groups = [g for g in groups if g not in (a, b)] + [Pair(a, b)]
    return _best_of(network, groups)


def _best_of(network: Network, groups: list[Tree]) -> Tree:
    """Return the best tree over trees that stay as they are."""
    best: dict[int, tuple[float, Tree]] = {}
    sets = [members(group) for group in groups]
    for chosen in range(1, 1 << len(groups)):
        some = _union(sets, chosen)
        if chosen & (chosen - 1) == 0:
            group = groups[chosen.bit_length() - 1]
            best[chosen] = tree_cycles(network, group), group
            continue
        for one, other in _halves(chosen):
            (a_cycles, a), (b_cycles, b) = best[one], best[other]
            own = pair_cycles(network, _union(sets, one), _union(sets, other))
            cycles = a_cycles + b_cycles + own * network.share(some)
            cycles = 0.0 if some in network.known else cycles
            if chosen not in best or cycles < best[chosen][0]:
                best[chosen] = cycles, Pair(a, b)
    return best[(1 << len(groups)) - 1][1]


def _union(sets: list[int], chosen: int) -> int:
    return sum(some for n, some in enumerate(sets) if chosen >> n & 1)


def _halves(chosen: int) -> Iterator[tuple[int, int]]:
    """Yield the ways to cut a set in two, the first factor in the first part; those
    with short second parts of late factors first, as a product is written."""
    first = chosen & -chosen
    other = rest = chosen & ~first
    found = []
    while other:
        found.append((chosen & ~other, other))
        other = (other - 1) & rest
    yield from sorted(found, key=lambda p: (p[1].bit_count(), -p[1]))


# Costs, in cycles of one core


def tree_cycles(network: Network, tree: Tree) -> float:
    """Return what a tree takes."""
    some = members(tree)
    if some in network.known:
        return 0.0
    share = network.share(some)
    if isinstance(tree, Leaf):
        return _leaf_cycles(network, tree.factor) * share
    a, b = tree.first, tree.second
    own = pair_cycles(network, members(a), members(b)) * share
    return tree_cycles(network, a) + tree_cycles(network, b) + own


def tree_points(network: Network, tree: Tree) -> int:
    """Return the multiply-adds of a tree in a call."""
    some = members(tree)
    if isinstance(tree, Leaf) or some in network.known or network.share(some) < 1.0:
        return 0
    a, b = tree.first, tree.second
    own = network.size(network.kept(members(a)) | network.kept(members(b)))
    return tree_points(network, a) + tree_points(network, b) + own


def written_cycles(network: Network, points: int) -> float:
    """Return what it takes to multiply all factors at each of a statement's points."""
    moved = sum(network.size(f.dims) for f in network.factors)
    more = sum(f.instructions or 0.0 for f in network.factors)
    work = _plain(network, points) * (1.0 + more / PLAIN)
    return START + work + _moving(network, moved, network.size(network.left))


def pair_cycles(network: Network, one: int, other: int) -> float:
    """Return what the product of two sets' results takes, and storing it."""
    a, b = network.kept(one), network.kept(other)
    c = network.kept(one | other)
    points = network.size(a | b)
    rows, columns = network.size(a & c - b), network.size(b & c - a)
    is_product = min(rows, columns, network.size(a & b - c)) > 1
    work = _plain(network, points)
    if is_product and network.dtype.is_float:
        work = min(
            vector_cycles(network, points, one, a & c - b),
            vector_cycles(network, points, other, b & c - a),
        )
    sizes = network.size(a) + network.size(b), network.size(c)
    return START + work + _moving(network, *sizes)


def vector_cycles(
    network: Network, points: int, some: int, own: frozenset[str]
) -> float:
    """Return what a microkernel takes whose vectors run along indices that only one of
    its factors has: lanes stay empty, and where those are not contiguous in a tensor
    that is there, it is copied."""
    lanes = network.machine.lanes(network.dtype)
    size = network.size(own)
    work = points / size * ceil(size / lanes) / network.machine.fma_per_cycle
    factor = network.factors[some.bit_length() - 1]
    is_given = some.bit_count() == 1 and network.kept(some) == factor.dims
    if is_given and factor.instructions is None and factor.last not in own:
        work += copy_cycles(network, factor.dims)
    return work


def copy_cycles(network: Network, dims: frozenset[str]) -> float:
    """Return what a copy of so many elements in another order takes."""
    size = network.size(dims)
    return _moving(network, size, size)


def _leaf_cycles(network: Network, number: int) -> float:
    """Return what it takes to store a factor's values, or their sum."""
    factor = network.factors[number]
    kept = network.kept(1 << number)
    if factor.instructions is None and kept == factor.dims:
        return 0.0
    size = network.size(factor.dims)
    work = size / network.machine.lanes(network.dtype)
    work *= 1.0 + (factor.instructions or 0.0)
    return START + work + _moving(network, size, network.size(kept))


def _plain(network: Network, points: int) -> float:
    rate = network.machine.lanes(network.dtype) * network.machine.fma_per_cycle
    return PLAIN * points / rate


def _moving(network: Network, loaded: int, stored: int) -> float:
    """Return what it takes to load and store elements at the level that holds them."""
    width = network.dtype.bytes
    machine = network.machine
    total = (loaded + stored) * width
    level = next((c for c in machine.caches if c.capacity >= total), machine.memory)
    return loaded * width / level.load + stored * width / level.store
