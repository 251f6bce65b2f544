"""How intermediate results of a tree of contractions lie: `orders(network, ...)`.

An intermediate is nobody's argument, so its dimensions may lie in any order. The vector
of a product runs along the index in which its result is contiguous, and the factor that
has this index should be contiguous in it, too: else it is copied. So for every pair of
a tree it is chosen which of its two sides the vectors run along. Of the result, batch
indices come first, and those of the vector side that are not next to each other in it:
loops over them are around the product. The rows follow in the order of the other side,
and then the columns, so that both are linear in memory wherever possible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from polydsl.schedule.contraction_tree import (
    Leaf,
    Network,
    Tree,
    copy_cycles,
    members,
    vector_cycles,
)

Order = tuple[str, ...]
"""The indices of a tensor, the contiguous one last."""

ROWS_ALONG = 0.1
"""What it costs, in copies of a factor, that its rows and not its depth are contiguous:
each row's elements are taken from different lines of the cache."""


@dataclass(frozen=True, slots=True)
class _Laid:
    """A tree with the order of its result, and with what copies of what is below take.
    `below` are its two sides."""

    some: int
    order: Order
    cycles: float
    below: tuple[_Laid, ...] = ()


def orders(
    network: Network, tree: Tree, given: Sequence[Order], result: Order
) -> Mapping[int, Order]:
    """Return for each pair of a tree in which order its result lies; `given` are those
    of the factors, `result` is that of the whole."""
    if isinstance(tree, Leaf):
        return {}
    sides = [_laid(network, side, given) for side in (tree.first, tree.second)]
    whole = (
        _together(network, a, b, result)
        for one in sides[0]
        for other in sides[1]
        for a, b in ((one, other), (other, one))
    )
    best = min(whole, key=_cycles)
    return dict(_pairs(best))


def _pairs(laid: _Laid) -> Iterator[tuple[int, Order]]:
    if laid.below:
        yield laid.some, laid.order
    for side in laid.below:
        yield from _pairs(side)


def _cycles(laid: _Laid) -> float:
    return laid.cycles


def _laid(network: Network, tree: Tree, given: Sequence[Order]) -> list[_Laid]:
    """Return the ways in which a tree's result may lie, the best for each index in
    which it may be contiguous."""
    some = members(tree)
    if isinstance(tree, Leaf):
        kept = network.kept(some)
        order = tuple(d for d in given[tree.factor] if d in kept)
        return [_Laid(some, order, 0.0)]
    best: dict[Order, _Laid] = {}
    for one in _laid(network, tree.first, given):
        for other in _laid(network, tree.second, given):
            for a, b in ((one, other), (other, one)):
                laid = _together(network, a, b, None)
                last = laid.order[-1:]
                if last not in best or laid.cycles < best[last].cycles:
                    best[last] = laid
    return [*best.values()]


def _together(
    network: Network, rows: _Laid, vector: _Laid, result: Order | None
) -> _Laid:
    """Return the product of two sides of which the second has the vectors."""
    some = rows.some | vector.some
    kept = network.kept(some)
    a, b = frozenset(rows.order), frozenset(vector.order)
    own = b & kept - a
    order = result
    if order is None:
        batch = tuple(d for d in vector.order if d in a & kept)
        first = tuple(d for d in rows.order if d in kept - b)
        run = _run(vector.order, own)
        outer = tuple(d for d in vector.order if d in own and d not in run)
        order = (*batch, *outer, *first, *run)
    cycles = rows.cycles + vector.cycles
    points = network.size(a | b)
    cycles += vector_cycles(network, points, vector.some, own or b)
    if _last(network, vector.order) != _last(network, order):
        cycles += copy_cycles(network, b)
    if _last(network, rows.order) in kept:
        cycles += ROWS_ALONG * copy_cycles(network, a)
    return _Laid(some, order, cycles, (rows, vector))


def _run(order: Order, own: frozenset[str]) -> Order:
    """Return the indices of one's own at the end of an order, which are linear."""
    start = next((n for n in range(len(order), 0, -1) if order[n - 1] not in own), 0)
    return order[start:]


def _last(network: Network, order: Order) -> str:
    """Return the index along which elements in an order are contiguous."""
    longer = [d for d in order if network.extents[d] > 1]
    return longer[-1] if longer else ""
