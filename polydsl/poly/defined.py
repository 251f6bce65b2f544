"""Where a tensor is defined: `defined_on(scop, tensor)`.

Its first writes, initialisations and assignments, give every element its first value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from polydsl.poly.isl import Set, domain_text, parse_set
from polydsl.poly.scop import Scop, Statement, TensorInfo
from polydsl.poly.set_conditions import condition_of
from polydsl.poly.terms import Interval, isl_name
from polydsl.semantics.program import Expr, Index, are_distinct


@dataclass(frozen=True, slots=True)
class Defined:
    """A box, and conditions on `indices`, which stand for the subscripts in them."""

    box: tuple[Interval, ...]
    indices: tuple[str, ...] = ()
    conditions: tuple[Expr, ...] = ()


def defined_on(scop: Scop, name: str) -> Defined:
    """Return where a tensor is defined."""
    tensor = scop.tensor(name)
    whole = Defined(tuple((0, n - 1) for n in tensor.shape))
    writers = [s for s in scop.statements if s.tensor == name and s.combine is None]
    if not writers:
        return whole
    plain = _plain(writers[0]) if len(writers) == 1 else None
    return plain or _from_sets(tensor, whole, writers)


def _plain(first: Statement) -> Defined | None:
    """Return the domain of a statement whose left side are its dimensions."""
    if not are_distinct(first.subscripts) or len(first.subscripts) != len(first.dims):
        return None
    names = tuple(s.name for s in first.subscripts if isinstance(s, Index))
    return Defined(tuple(first.ranges[n] for n in names), names, first.conditions)


def _from_sets(tensor: TensorInfo, whole: Defined, writers: list[Statement]) -> Defined:
    indices = tuple(f"d{axis}" for axis in range(len(tensor.shape)))
    points = reduce(Set.union, (s.write.range() for s in writers))
    where = [f"0 <= {d} < {n}" for d, n in zip(indices, tensor.shape)]
    every = parse_set(domain_text(isl_name(tensor.name), indices, where))
    if every.is_subset(points):
        return whole
    condition = condition_of(points.gist(every), indices, tensor.span)
    return Defined(whole.box, indices, (condition,))
