"""The statements of a product that is computed in steps: `in_steps(scop, ...)`.

A tree of contractions becomes one intermediate for each pair but the outermost, with an
assignment of zero and a sum, or an assignment where nothing is summed. The statement of
the product is the last step. Factors that are no accesses, and those that have an index
of their own to sum over, are stored first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from polydsl.poly.conditions import ordered_indices
from polydsl.poly.drafts import neutral
from polydsl.poly.scop import Scop, Statement, TensorInfo
from polydsl.poly.statements import rebuilt
from polydsl.poly.terms import Interval
from polydsl.schedule.contraction_layout import Order, orders
from polydsl.schedule.contraction_tree import Leaf, Network, Pair, Tree, members
from polydsl.schedule.factors import Split, with_tensor, zeroing
from polydsl.schedule.tree import fresh
from polydsl.semantics.program import Access, Call, Expr, Index, Literal, accesses

LONGEST_NAME = 24
"""An intermediate is named after its factors if that is no longer."""

Key: TypeAlias = tuple[object, ...]
"""What an intermediate is: equal keys are equal values."""


@dataclass(frozen=True, slots=True)
class Product:
    """A sum of a product: its factors, and what is done to the sum."""

    update: Statement
    factors: tuple[Expr, ...]
    split: Split


def is_one_step(scop: Scop, product: Product, network: Network) -> bool:
    """Whether a product is one step as it stands."""
    factors = range(len(product.factors))
    is_lone = any(network.kept(1 << n) != network.dims(1 << n) for n in factors)
    return len(factors) < 3 and not is_lone and not is_stored(scop, product, network)


def is_stored(scop: Scop, product: Product, network: Network) -> bool:
    """Whether the sum of a product is a tensor of its own: where it is the same along
    an index of the result, or something is done to it that `factors` will not move."""
    is_changed = product.split.inside != product.update.value
    is_wider = not network.left <= network.dims(network.whole)
    return is_wider or (is_changed and zeroing(scop, product.update) is None)


def key_of(product: Product, network: Network, some: int) -> Key:
    """Return what a set of factors gives, over which points."""
    own = (f for n, f in enumerate(product.factors) if some >> n & 1)
    dims = network.dims(some)
    ranges = ((d, r) for d, r in product.update.ranges.items() if d in dims)
    return frozenset(Counter(own).items()), frozenset(ranges), network.kept(some)


def in_steps(
    scop: Scop,
    product: Product,
    network: Network,
    tree: Tree,
    known: dict[Key, Access],
) -> Scop:
    """Return the scop with a product in the steps of a tree. What is `known` is not
    computed again; intermediates are added to it."""
    update = product.update
    given = tuple(ordered_indices(factor) for factor in product.factors)
    kept = network.kept(network.whole)
    places = (s.name for s in update.subscripts if isinstance(s, Index))
    result = tuple(d for d in places if d in kept)
    lies = {**orders(network, tree, given, result), network.whole: result}
    steps = _Steps(scop, product, network, given, lies, known)
    if is_stored(scop, product, network) or isinstance(tree, Leaf):
        total = steps.value(tree)
    else:
        total = steps.pair(tree)
    last = replace(update, value=product.split.after(total))
    names = {*update.left, *ordered_indices(last.value)}
    steps.add(last, {d: r for d, r in update.ranges.items() if d in names})
    statements = (
        new
        for old in scop.statements
        for new in (steps.found if old is update else (old,))
    )
    return replace(steps.scop, statements=tuple(statements))


@dataclass(slots=True)
class _Steps:
    """Makes the steps of one product: `given` and `lies` say in which order the indices
    of factors and of intermediates lie, `found` are the statements."""

    scop: Scop
    product: Product
    network: Network
    given: Sequence[Order]
    lies: Mapping[int, Order]
    known: dict[Key, Access]
    found: list[Statement] = field(default_factory=list)

    def pair(self, tree: Pair) -> Expr:
        """Return the product of what two trees give."""
        update = self.product.update
        sides = self.value(tree.first), self.value(tree.second)
        return Call("mul", sides, update.value.dtype, update.span)

    def value(self, tree: Tree) -> Expr:
        """Return what a tree gives: a factor as it stands, or the element of an
        intermediate."""
        some = members(tree)
        key = key_of(self.product, self.network, some)
        if key in self.known:
            return self.known[key]
        kept = self.network.kept(some)
        if isinstance(tree, Pair):
            value, lies = self.pair(tree), self.lies[some]
        else:
            value = self.product.factors[tree.factor]
            factor = self.network.factors[tree.factor]
            if factor.instructions is None and factor.dims == kept:
                return value
            lies = tuple(d for d in self.given[tree.factor] if d in kept)
        self.known[key] = self._stored(self._name(some), value, lies)
        return self.known[key]

    def _stored(self, name: str, value: Expr, lies: Order) -> Access:
        """Add the statements of an intermediate, and return its element."""
        update = self.product.update
        left = {d: update.ranges[d] for d in lies}
        names = {*lies, *ordered_indices(value)}
        box = {d: r for d, r in update.ranges.items() if d in names}
        shape = tuple(hi + 1 for _, hi in left.values())
        places = tuple(Index(d, update.span) for d in lies)
        like = TensorInfo("", value.dtype, shape, "local", update.span)
        self.scop, access = with_tensor(self.scop, name, like, places)
        own = replace(update, tensor=access.tensor, subscripts=places, value=value)
        if len(box) > len(left):
            zero = neutral("add", value.dtype, update.span)
            self.add(replace(own, combine=None, value=zero), left)
            self.add(own, box)
        else:
            self.add(replace(own, combine=None), box)
        return access

    def add(self, statement: Statement, box: Mapping[str, Interval]) -> None:
        """Add a statement over a box, under a name of its own."""
        names = [s.name for s in (*self.scop.statements, *self.found)]
        name = statement.name
        if statement.tensor != self.product.update.tensor:
            name = fresh(f"{name}_{len(self.found)}", names)
        named = replace(statement, name=name)
        self.found.append(rebuilt(self.scop, named, {}, box, ()))

    def _name(self, some: int) -> str:
        """Return a name for what a set of factors gives: those of their tensors."""
        factors = [f for n, f in enumerate(self.product.factors) if some >> n & 1]
        name = "_".join(map(name_of, factors))
        if len(factors) == 1:
            name = f"{name}_factor"
        if len(name) > LONGEST_NAME:
            name = f"{self.product.update.tensor}_part"
        taken = {d for s in self.scop.statements for d in s.dims}
        taken |= {t.name for t in self.scop.tensors} | {*self.scop.sizes}
        return fresh(name, taken)


def name_of(factor: Expr) -> str:
    """Return a short name for a factor: that of the first tensor in it."""
    if isinstance(factor, Literal):
        return str(factor.value)
    first = next(accesses(factor), None)
    return "number" if first is None else first.tensor
