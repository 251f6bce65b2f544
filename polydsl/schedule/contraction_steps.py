"""The statements of a product that is computed in steps: `in_steps(scop, ...)`.

A tree of contractions becomes one intermediate for each pair but the outermost, with an
assignment of zero and a sum, or an assignment where nothing is summed. The statement of
the product is the last step. Factors that are no accesses, and those that have an index
of their own to sum over, are stored first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from polydsl.poly.canonical import Names, Texts, canonical
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.drafts import neutral
from polydsl.poly.scop import Scop, Statement, TensorInfo
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import substitute
from polydsl.poly.terms import Interval
from polydsl.schedule.contraction_layout import Order, orders
from polydsl.schedule.contraction_tree import Leaf, Network, Pair, Tree, members
from polydsl.schedule.elements import taken_names
from polydsl.schedule.factors import Split, with_tensor, zeroing
from polydsl.schedule.tree import fresh
from polydsl.semantics.program import Access, Call, Expr, Index, Literal, accesses

LONGEST_NAME = 24
"""An intermediate is named after its factors if that is no longer."""

Tensors: TypeAlias = tuple[str, ...]
"""The names of all tensors that are read, in alphabetical order."""


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


@dataclass(frozen=True, slots=True)
class Shared:
    """What sets of factors give that is there already: for the tensors that such a set
    reads, and its text, the element and its indices as the text numbers them."""

    scop: Scop
    found: dict[Tensors, dict[str, tuple[Access, Order]]]

    def get(self, product: Product, network: Network, some: int) -> Expr | None:
        """Return what a set of factors gives, None where it is not there."""
        known = self.found.get(_tensors(product, some))
        if known is None:
            return None
        text, dims = self._canonical(product, network, some)
        if text not in known:
            return None
        access, places = known[text]
        span = access.span
        names = zip(places, dims)
        return substitute(access, {then: Index(now, span) for then, now in names})

    def add(
        self, product: Product, network: Network, some: int, access: Access
    ) -> None:
        """Note the element that a set of factors gives, unless one is there."""
        text, dims = self._canonical(product, network, some)
        known = self.found.setdefault(_tensors(product, some), {})
        known.setdefault(text, (access, dims))

    def _canonical(
        self, product: Product, network: Network, some: int
    ) -> tuple[str, Order]:
        """Return what a set of factors gives, over which points."""
        texts = Texts(self.scop.sizes, {})
        dims, kept = network.dims(some), network.kept(some)
        box = {d: r for d, r in product.update.ranges.items() if d in dims}

        def text(names: Names) -> str:
            factors = sorted(texts.of(f, names) for f in _members(product, some))
            summed = sorted(f"{names[d]} {r} {d in kept}" for d, r in box.items())
            return f"{factors} {summed}"

        return canonical(tuple(box), text)


def _members(product: Product, some: int) -> list[Expr]:
    return [f for n, f in enumerate(product.factors) if some >> n & 1]


def _tensors(product: Product, some: int) -> Tensors:
    factors = _members(product, some)
    return tuple(sorted(a.tensor for f in factors for a in accesses(f)))


def in_steps(
    scop: Scop,
    product: Product,
    network: Network,
    tree: Tree,
    shared: Shared,
) -> Scop:
    """Return the scop with a product in the steps of a tree. What is `shared` is not
    computed again; intermediates are added to it."""
    update = product.update
    given = tuple(ordered_indices(factor) for factor in product.factors)
    kept = network.kept(network.whole)
    places = (s.name for s in update.subscripts if isinstance(s, Index))
    result = tuple(d for d in places if d in kept)
    lies = {**orders(network, tree, given, result), network.whole: result}
    steps = _Steps(scop, product, network, given, lies, shared)
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
    shared: Shared
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
        there = self.shared.get(self.product, self.network, some)
        if there is not None:
            return there
        kept = self.network.kept(some)
        if isinstance(tree, Pair):
            value, lies = self.pair(tree), self.lies[some]
        else:
            value = self.product.factors[tree.factor]
            factor = self.network.factors[tree.factor]
            if factor.instructions is None and factor.dims == kept:
                return value
            lies = tuple(d for d in self.given[tree.factor] if d in kept)
        access = self._stored(self._name(some), value, lies)
        self.shared.add(self.product, self.network, some, access)
        return access

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
        factors = _members(self.product, some)
        name = "_".join(map(name_of, factors))
        if len(factors) == 1:
            name = f"{name}_factor"
        if len(name) > LONGEST_NAME:
            name = f"{self.product.update.tensor}_part"
        return fresh(name, taken_names(self.scop))


def name_of(factor: Expr) -> str:
    """Return a short name for a factor: that of the first tensor in it."""
    if isinstance(factor, Literal):
        return str(factor.value)
    first = next(accesses(factor), None)
    return "number" if first is None else first.tensor
