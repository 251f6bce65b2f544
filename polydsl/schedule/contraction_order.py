"""Products of several tensors are computed two at a time: `paired(scop, machine)`.

    y[b, k] += x[b, i] * w[k, i, j] * z[b, j]

becomes

    x_w[b, k, j] += x[b, i] * w[k, i, j]
    y[b, k] += x_w[b, k, j] * z[b, j]

A sum of a product is distributed over its factors, so that each index is summed as soon
as no other factor has it, in the order that costs least (`contraction_tree`). Each step
is then a product of two tensors, which a microkernel computes, and takes far fewer
operations. In exact arithmetic nothing changes, which is the language's rule; integers
wrap around, and come out the same. Intermediates have the type in which the sum
accumulates; as in `factors`, numbers at the ends of its range may overflow or vanish in
one order and not in another. What does not depend on summed indices stays with the last
step, for `factors` to move. Statements that take the same step share it, also where it
is a tensor of the program or has other names of indices.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace

from polydsl.base.dtypes import BOOL
from polydsl.base.machine import Machine
from polydsl.base.quantities import count_text, seconds_text
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scatters import is_plain
from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.contraction import is_stored_product
from polydsl.schedule.contraction_steps import (
    Product,
    Shared,
    in_steps,
    is_one_step,
    is_stored,
    name_of,
)
from polydsl.schedule.contraction_tree import (
    MOST,
    START,
    Factor,
    Leaf,
    Network,
    Tree,
    cheapest,
    tree_cycles,
    tree_points,
    written_cycles,
)
from polydsl.schedule.decision import Cost, Decision, Rejected
from polydsl.schedule.elements import sources
from polydsl.schedule.factors import Split, is_one_type, take_out, zeroing
from polydsl.schedule.inner_product import widened_access
from polydsl.schedule.once import known_tensors
from polydsl.schedule.vector_operands import value_instructions
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Literal,
    Pad,
    accesses,
    is_affine,
)

AT_ONCE = "all factors at once"
"""What is chosen where a product is not cut in steps."""


def paired(
    scop: Scop, machine: Machine, bound: frozenset[str] = frozenset()
) -> tuple[Scop, tuple[Decision, ...]]:
    """Return the scop with products of several factors computed in steps where that
    takes less time, and a decision about each such product. What comes of factors that
    parameters which are `bound` decide alone takes none."""
    decisions: list[Decision] = []
    shared = _products(scop, machine)
    known = known_tensors(scop, bound)
    for update in scop.statements:
        product = _product(scop, update)
        if product is None:
            continue
        subject = f"order of {update.name} ({update.tensor})"
        reason = _objection(scop, product)
        if reason:
            if len(product.factors) > 2:
                decisions.append(Decision(subject, AT_ONCE, reason))
            continue
        network = _network(scop, product, machine, shared, known)
        if not is_one_step(scop, product, network):
            tree = cheapest(network)
            decision, is_cut = _decision(scop, product, network, tree)
            decisions.append(replace(decision, subject=subject))
            scop = in_steps(scop, product, network, tree, shared) if is_cut else scop
    return scop, tuple(decisions)


def _products(scop: Scop, machine: Machine) -> Shared:
    """Return the sums of products that are tensors of the program, which are there for
    others to begin with."""
    shared = Shared(scop, {})
    for update in scop.statements:
        factors = tuple(_factors(update.value))
        if len(factors) < 2 or update.combine != "add":
            continue
        product = Product(update, factors, Split(update.value, lambda total: total))
        if zeroing(scop, update) is None or _objection(scop, product):
            continue
        network = _network_of(product, machine)
        if network.kept(network.whole) == network.left:
            span, dtype = update.span, update.value.dtype
            access = Access(update.tensor, update.subscripts, dtype, span)
            shared.add(product, network, network.whole, access)
    return shared


def _product(scop: Scop, update: Statement) -> Product | None:
    """Return the product of several factors that a statement sums; None where it is
    nothing to be cut in steps."""
    value = update.value
    if update.combine != "add" or not update.reduced or value.dtype == BOOL:
        return None
    split = Split(value, lambda total: total)
    if value.dtype.is_float:
        split = take_out(value, frozenset(update.reduced))
    factors = tuple(_factors(split.inside))
    inside = replace(update, value=split.inside)
    if len(factors) < 2 or is_stored_product(scop, inside):
        return None
    return Product(update, factors, split)


def _factors(value: Expr) -> Iterator[Expr]:
    match value:
        case Call("mul", arguments) if is_one_type(value):
            for argument in arguments:
                yield from _factors(argument)
        case _:
            yield value


def _objection(scop: Scop, product: Product) -> str:
    """Return why a product stays as it is, or nothing."""
    update = product.update
    if not is_plain(update):
        return "it is a scatter"
    if update.conditions or any(lo < 0 or lo > hi for lo, hi in update.box):
        return "its points are no box that begins at 0 or later"
    read = [*accesses(update.value)]
    if not all(is_affine(s) for access in read for s in access.subscripts):
        return "it reads at subscripts that depend on data"
    if not {*update.reduced} <= {*ordered_indices(*product.factors)}:
        return "an index that it sums over moves none of its factors"
    if update.tensor in sources(scop, {access.tensor for access in read}):
        return "it is part of a recurrence"
    return ""


def _network(
    scop: Scop, product: Product, machine: Machine, shared: Shared, known: Set[str]
) -> Network:
    network = _network_of(product, machine)
    if known:
        each = (all(a.tensor in known for a in accesses(f)) for f in product.factors)
        bound = sum(1 << number for number, is_known in enumerate(each) if is_known)
        network = replace(network, bound=bound)
    if not shared.found or len(network.factors) > MOST:
        return network
    sets = range(1, network.whole + is_stored(scop, product, network))
    there = (s for s in sets if shared.get(product, network, s) is not None)
    return replace(network, known=frozenset(there))


def _network_of(product: Product, machine: Machine) -> Network:
    update = product.update
    extents = {d: hi - lo + 1 for d, (lo, hi) in update.ranges.items()}
    factors = tuple(map(_factor, product.factors))
    left, dtype = frozenset(update.left), update.value.dtype
    return Network(factors, left, extents, dtype, machine)


def _factor(factor: Expr) -> Factor:
    dims = frozenset(ordered_indices(factor))
    access = widened_access(factor)
    if isinstance(factor, Cast) and factor.dtype.is_int:
        # No microkernel takes integers, so that this need be no access.
        access = widened_access(factor.operand)
    if isinstance(access, Pad) and isinstance(access.value, Literal):
        access = access.access
    if isinstance(access, Access):
        last = ordered_indices(*access.subscripts[-1:])
        return Factor(dims, last[0] if last else "")
    if next(accesses(factor), None) is None:
        # Numbers and indices: there is nothing to be loaded.
        return Factor(dims)
    return Factor(dims, instructions=value_instructions(factor, None))


def _decision(
    scop: Scop, product: Product, network: Network, tree: Tree
) -> tuple[Decision, bool]:
    """Return whether a product is computed in the steps of a tree, and why."""
    machine = network.machine
    points = product.update.points
    steps = tree_cycles(network, tree)
    if is_stored(scop, product, network):
        steps += START
    once = written_cycles(network, points)
    text = _text(product, tree)
    if steps >= once:
        why = f"it takes {seconds_text(machine.seconds(once))}"
        other = Rejected(text, Cost((("steps", steps),)), "its steps take longer")
        return Decision("", AT_ONCE, why, rejected=(other,)), False
    count = count_text(tree_points(network, tree), "multiply-add")
    why = f"its steps take {count}, {seconds_text(machine.seconds(steps))}"
    all_points = count_text(points, "multiply-add")
    other = Rejected(
        AT_ONCE, Cost((("multiply-adds", once),)), f"that takes {all_points}"
    )
    return Decision("", text, why, rejected=(other,)), True


def _text(product: Product, tree: Tree) -> str:
    """Return a tree as the names of its tensors with brackets."""
    if isinstance(tree, Leaf):
        return name_of(product.factors[tree.factor])
    sides = (tree.first, tree.second)
    texts = (
        _text(product, s) if isinstance(s, Leaf) else f"({_text(product, s)})"
        for s in sides
    )
    return " * ".join(texts)
