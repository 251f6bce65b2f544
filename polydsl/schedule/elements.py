"""Which statements define a tensor element by element, read it so, and need what."""

from __future__ import annotations

from collections.abc import Mapping

from polydsl.base.functions import identity
from polydsl.poly.polyhedra import ordered_dimensions
from polydsl.poly.scatters import is_plain
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.terms import isl_name
from polydsl.semantics.program import Access, Index, Literal, are_distinct


def is_each(statement: Statement) -> bool:
    """Whether a statement assigns another element at each of its points."""
    has_own = is_plain(statement) and len(statement.dims) == len(statement.subscripts)
    return has_own and statement.combine is None


def is_whole(statement: Statement) -> bool:
    """Whether a statement assigns one element at each point of a box of indices."""
    return is_each(statement) and not statement.conditions


def is_alike(first: Statement, update: Statement) -> bool:
    """Whether an update combines into just the elements that an assignment defines."""
    ranges = {d: update.ranges[d] for d in update.left}
    return (
        update.combine is not None
        and update.subscripts == first.subscripts
        and ranges == first.ranges
    )


def is_neutral(first: Statement, update: Statement) -> bool:
    """Whether an assignment gives the value that an update's combination starts from,
    so that a product may begin with it in registers."""
    value = first.value
    if update.combine is None or not isinstance(value, Literal):
        return False
    return bool(value.value == identity(update.combine, value.dtype))


def sources(scop: Scop, tensors: set[str]) -> set[str]:
    """Return all tensors that some tensors are computed from, and these."""
    found, pending = set(tensors), list(tensors)
    while pending:
        name = pending.pop()
        for statement in scop.statements:
            if statement.tensor == name:
                new = {read.access.tensor for read in statement.reads} - found
                found |= new
                pending += new
    return found


def taken_names(scop: Scop) -> set[str]:
    """Return the names of tensors, indices and sizes."""
    dims = {d for statement in scop.statements for d in statement.dims}
    return dims | {t.name for t in scop.tensors} | {*scop.sizes}


def has_points_of(
    reader: Statement, first: Statement, terms: Mapping[str, str]
) -> bool:
    """Whether a statement has the points of another one, with other names of their
    coordinates."""
    if any(reader.ranges[d] != first.ranges[e] for d, e in terms.items()):
        return False
    if not (reader.conditions or first.conditions):
        return True
    names = {e: d for d, e in terms.items()}
    order = [isl_name(names[e]) for e in first.dims]
    own = ordered_dimensions(first.domain, [isl_name(e) for e in first.dims])
    return bool(ordered_dimensions(reader.domain, order).is_equal(own))


def renaming(access: Access, writer: Statement) -> dict[str, str] | None:
    """Return the index of the writer that each index of an access is, None where the
    access has others than plain indices."""
    if not are_distinct(access.subscripts):
        return None
    pairs = zip(access.subscripts, writer.subscripts)
    return {
        d.name: e.name
        for d, e in pairs
        if isinstance(d, Index) and isinstance(e, Index)
    }
