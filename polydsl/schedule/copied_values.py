"""Values computed while a product copies its factors: `copied(scop, bound) -> Scop`.

    h[i, k] = table[ids[i], k] * s[k]
    y[i, j] += h[i, k] * w[k, j]    ->    y[i, j] += table[ids[i], k] * s[k] * w[k, j]

A product packs or pads its factors where that makes them faster to read, and what it
reads through a copy need be in no other tensor: the copy's elements are computed when
it is made (`contraction_operand`, `copies`). So a tensor that one assignment gives all
of its values and that is a factor of one product is not stored before. Where and how
often the copy is made is part of the product's schedule, and priced with it; here it is
decided whether there is to be one. What is computed of bound arguments alone is copied
once, before the first call.

What follows on a sum stays: it is computed in the registers or in the rows of that sum
(`epilogues`, `fusion_groups`), and the block of it that is in memory there is what the
product's copy would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.contraction import Contraction, is_product, match
from polydsl.schedule.decision import Decision, pair_subject
from polydsl.schedule.elements import sources
from polydsl.schedule.factors import STORED
from polydsl.schedule.forwarding import (
    Forwarding,
    cost_of,
    different,
    has_to_be_read,
    producer_of,
    readers_of,
)
from polydsl.semantics.program import accesses, is_affine


def copied(scop: Scop, bound: frozenset[str]) -> tuple[Scop, tuple[Decision, ...]]:
    """Return the scop without the tensors that products compute while they copy their
    factors, and for each that is a factor and each of its products why it is or is not
    one of them. The elements of `bound` tensors are known before the first call."""
    decisions: list[Decision] = []
    for tensor in scop.tensors:
        producer = producer_of(scop, tensor.name)
        if tensor.role != "local" or producer is None:
            continue
        readers = readers_of(scop, tensor.name)
        products = [s for s in readers if is_product(scop, s)]
        if not products:
            continue
        copying = _Copying(scop, bound, producer, readers, products)
        reason = copying.objection()
        chosen = "not fused"
        if not reason:
            scop = copying.forwarding.into(readers)
            chosen = "fused, computed while it is copied for the product"
            reason = copying.reason()
        pairs = dict.fromkeys((tensor.name, s.tensor) for s in products)
        decisions += (Decision(pair_subject(*pair), chosen, reason) for pair in pairs)
    return scop, tuple(decisions)


@dataclass(frozen=True, slots=True)
class _Copying:
    """An assignment whose tensor is a factor of `products`, which are among its
    readers."""

    scop: Scop
    bound: frozenset[str]
    producer: Statement
    readers: Sequence[Statement]
    products: Sequence[Statement]

    @property
    def forwarding(self) -> Forwarding:
        """What makes the readers compute the value."""
        return Forwarding(self.scop, self.producer)

    @property
    def _sources(self) -> frozenset[str]:
        return frozenset(a.tensor for a in accesses(self.producer.value))

    @property
    def _is_bound(self) -> bool:
        return bool(self._sources) and self._sources <= self.bound

    def reason(self) -> str:
        """Return why the tensor is not stored."""
        if self._is_bound:
            return "it is known when the arguments are bound, and copied once"
        return "the copy takes its place"

    def objection(self) -> str:
        """Return why the tensor is stored, or nothing."""
        if reason := has_to_be_read(self.scop, self.producer, self.readers):
            return reason
        if reason := next(self._shared(), ""):
            return reason
        evaluations = 0.0
        for product in self.products:
            found = match(self.scop, self.forwarding.reader(product))
            if not isinstance(found, Contraction):
                return f"{product.tensor} would be no product with it"
            if product.tensor in sources(self.scop, {*self._sources}):
                return f"it is part of a recurrence with {product.tensor}"
            before = match(self.scop, product)
            assert isinstance(before, Contraction)
            evaluations += _copied_points(before, found)
        if self._is_bound and len(self.products) == len(self.readers):
            return ""
        if len(self.products) > 1:
            return "several products read it, and each would copy it"
        name = self.producer.tensor
        others = (s for s in self.readers if s not in self.products)
        evaluations += sum(s.points * different(s, name) for s in others)
        again = evaluations / max(self.producer.points, 1) - 1.0
        each = cost_of(self.producer)
        if again * each > STORED:
            return (
                f"it takes {each:.0f} instructions, and would be computed "
                f"{again + 1:.3g} times"
            )
        return ""

    def _shared(self) -> Iterator[str]:
        """Yield a reason for each sum on which the value follows."""
        sums = {s.tensor for s in self.scop.statements if s.combine is not None}
        for access in accesses(self.producer.value):
            if access.tensor in sums and all(map(is_affine, access.subscripts)):
                yield f"it follows on {access.tensor}, in the same rows"


def _copied_points(before: Contraction, product: Contraction) -> int:
    """Return at how many points the factors are computed that a product had not
    before."""
    new = {product.a, product.b} - {before.a, before.b}
    computed = [operand.computed for operand in new if operand.computed]
    return sum(prod(product.sizes[d] for d in c.dims) for c in computed)
