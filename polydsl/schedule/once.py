"""What bound tensors alone decide is computed once: `once(scop, known) -> Scop`.

    bind(a=..., b=...)                  before the first call:
    w[i, j] += a[i, r] * b[r, j]            w[i, j] += a[i, r] * b[r, j]
    y[n, j] += x[n, i] * w[i, j]    ->  in each call:
                                            y[n, j] += x[n, i] * w[i, j]

A tensor is *known* if it is computed from bound parameters and known tensors alone. Its
elements are kept from call to call, and are for all that comes after as those of a
bound parameter: a product packs them once, too.
"""

from __future__ import annotations

from dataclasses import replace

from polydsl.poly.scop import Group, Once, Scop
from polydsl.schedule.decision import Decision


def known_tensors(scop: Scop, bound: frozenset[str]) -> frozenset[str]:
    """Return the tensors that are known once some parameters are bound, and these."""
    if not bound:
        return bound
    checked = {check.tensor for check in scop.checks}
    known = set(bound)
    # A tensor is finished before it is read, but by recurrences: they stay.
    for tensor in dict.fromkeys(s.tensor for s in scop.statements):
        own = [s for s in scop.statements if s.tensor == tensor]
        is_local = scop.tensor(tensor).role == "local" and tensor not in checked
        reads = (read.access.tensor for s in own for read in s.reads)
        if is_local and all(name in known for name in reads):
            known.add(tensor)
    return frozenset(known)


def once(scop: Scop, known: frozenset[str]) -> tuple[Scop, tuple[Decision, ...]]:
    """Return an ordered scop whose known tensors are computed before the first call,
    and a decision for each of these."""
    first = tuple(
        item for item in scop.items if isinstance(item, Group) and item.tensor in known
    )
    if not first:
        return scop, ()
    rest = tuple(item for item in scop.items if item not in first)
    decisions = tuple(
        Decision(
            f"{group.tensor} once",
            "computed before the first call",
            "bound tensors alone decide it",
        )
        for group in first
    )
    return replace(scop, items=(Once(first), *rest)), decisions


def computed_once(scop: Scop) -> frozenset[str]:
    """Return the tensors that an ordered scop computes before the first call."""
    made = (item for item in scop.items if isinstance(item, Once))
    return frozenset(group.tensor for item in made for group in item.body)
