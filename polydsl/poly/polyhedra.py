"""Sets as constraints: shadows, hulls, and the parts of a set, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polydsl.poly.isl import (
    DIV,
    IN,
    SET,
    Set,
    dimension_names,
    domain_text,
    map_text,
    parse_map,
    parse_set,
)


@dataclass(frozen=True, slots=True)
class Constraint:
    """`sum of factors * dimensions + constant >= 0`, or `= 0`.

    Behind the factors of the dimensions come those of the divisions of its `Part`.
    """

    factors: tuple[int, ...]
    constant: int
    is_equality: bool


@dataclass(frozen=True, slots=True)
class Division:
    """`floor((sum of factors * dimensions + constant) / divisor)`; behind the factors
    of the dimensions come those of the divisions before this one."""

    factors: tuple[int, ...]
    constant: int
    divisor: int


@dataclass(frozen=True, slots=True)
class Part:
    """The points at which all constraints hold."""

    divisions: tuple[Division, ...]
    constraints: tuple[Constraint, ...]


def is_polyhedron(points: Set) -> bool:
    """Whether integer points are all those of one polyhedron: no holes, no steps."""
    parts = points.coalesce().get_basic_set_list()
    if parts.n_basic_set() > 1:
        return False
    return parts.n_basic_set() == 0 or int(parts.get_at(0).dim(DIV)) == 0


def ordered_dimensions(points: Set, names: Sequence[str]) -> Set:
    """Return a set with its dimensions in another order, given by their names, in a
    space that has none."""
    here = dimension_names(points)
    tuple_name = points.get_tuple_name() or ""
    return points.apply(parse_map(map_text(tuple_name, here, "", names)))


def first_dimensions(points: Set, count: int) -> Set:
    """Return the shadow of a set without a name on its first dimensions."""
    rest = points.dim(SET) - count
    return points.project_out(SET, count, rest)


def with_any(points: Set, count: int) -> Set:
    """Return points with any values of so many more coordinates."""
    return points.add_dims(SET, count)


def set_parts(points: Set) -> tuple[Set, ...]:
    """Return the convex parts of a set."""
    found = points.get_basic_set_list()
    return tuple(found.get_at(n).to_set() for n in range(found.n_basic_set()))


def polyhedral_hull(points: Set, around: Set) -> tuple[Constraint, ...]:
    """Return constraints of a polyhedron around points, without those that hold for
    *around* already, which are points of fewer dimensions: the first ones."""
    more = points.dim(SET) - around.dim(SET)
    known = around.add_dims(SET, more)
    hull = points.remove_divs().coalesce().simple_hull().to_set()
    left = hull.gist(known).remove_divs().simple_hull()
    return tuple(_constraint(c) for c in left.remove_redundancies().get_constraints())


def dimensions(points: Set) -> int:
    """Return the number of dimensions of a set."""
    return int(points.dim(SET))


def no_dimensions() -> Set:
    """Return the set of the one point that has no coordinates."""
    return parse_set("{ [] }")


def from_starts(points: Set, place: int, count: int) -> Set:
    """Return points with a coordinate replaced by where tiles begin that hold it: tiles
    of *count* values, wherever they begin."""
    names = [f"c{d}" for d in range(dimensions(points))]
    starts = [*names]
    starts[place] = "start"
    where = [f"start <= {names[place]} < start + {count}"]
    return points.apply(parse_map(map_text("", names, "", starts, where)))


def constrained(points: Set, level: Sequence[Constraint]) -> Set:
    """Return points with one more coordinate, for which constraints hold."""
    names = [f"c{d}" for d in range(dimensions(points) + 1)]
    where: list[str] = []
    for constraint in level:
        terms = (f"{f}*{name}" for f, name in zip(constraint.factors, names) if f)
        total = " + ".join((*terms, str(constraint.constant)))
        where.append(f"{total} {'=' if constraint.is_equality else '>='} 0")
    wider = points.add_dims(SET, 1)
    return wider.intersect(parse_set(domain_text("", names, where)))


def parts_of(points: Set) -> tuple[Part, ...]:
    """Return a set as a union of parts."""
    found = points.compute_divs().coalesce().get_basic_set_list()
    return tuple(_part(found.get_at(n)) for n in range(found.n_basic_set()))


def _part(part: Any) -> Part:
    divisions = (_division(part, d) for d in range(part.dim(DIV)))
    constraints = (c for c in part.get_constraints() if not c.is_div_constraint())
    return Part(tuple(divisions), tuple(_constraint(c) for c in constraints))


def _division(part: Any, place: int) -> Division:
    term = part.get_div(place)
    divisor = term.get_denominator_val().to_python()
    kinds = (
        (IN, term.dim(IN)),
        (DIV, place),
    )
    factors = (
        term.get_coefficient_val(kind, d).mul(term.get_denominator_val()).to_python()
        for kind, count in kinds
        for d in range(count)
    )
    number = term.get_constant_val().mul(term.get_denominator_val()).to_python()
    return Division(tuple(factors), number, divisor)


def _constraint(constraint: Any) -> Constraint:
    kinds = (SET, DIV)
    factors = (
        constraint.get_coefficient_val(kind, d).to_python()
        for kind in kinds
        for d in range(constraint.dim(kind))
    )
    number = constraint.get_constant_val().to_python()
    return Constraint(tuple(factors), number, bool(constraint.is_equality()))
