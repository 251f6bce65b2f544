"""Proof (a): every statement instance is executed exactly once.

The instances that a node executes are written on it (`Instance`). For each statement of
the scop, and for each copy that the schedule makes, the coordinates that all nodes
together take on are exactly the points of its domain, each once. A copy that is made
again in every tile is complete in each of them, which `verify_scopes` proves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import TILE, BatchReduceGemm, Instance
from polydsl.loops.verify_conditions import Condition
from polydsl.loops.verify_cover import Target, Visit, check_cover
from polydsl.loops.verify_cuts import Piece, guarded
from polydsl.loops.verify_forms import Form, Space, variable
from polydsl.loops.verify_points import Leaf
from polydsl.loops.verify_translate import (
    nest_condition,
    nest_form,
    program_condition,
)
from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.matrix_plan import Copy


def check_instances(
    scop: Scop, copies: Mapping[str, Copy], leaves: Sequence[Leaf]
) -> None:
    """Raise unless every instance is executed exactly once."""
    visits: dict[str, list[Visit]] = {}
    dims = {s.name: s.dims for s in scop.statements}
    dims |= {c.tensor: c.dims for c in copies.values()}
    for leaf in leaves:
        for instance in instances_of(leaf):
            if instance.statement not in dims:
                bug(f"no statement {instance.statement} exists, {leaf.place({})}")
            found = coordinates(leaf, instance, dims[instance.statement])
            entries = visits.setdefault(instance.statement, [])
            pieces = pieces_where(leaf, instance)
            entries += [Visit(leaf, piece, found) for piece in pieces]
    for statement in scop.statements:
        target = statement_target(scop, statement)
        check_cover(target, _without_sums(leaves, statement, visits))
    for copy in copies.values():
        if not copy.local:
            check_cover(_copy_target(copy), visits.get(copy.tensor, []))


def instances_of(leaf: Leaf) -> Iterator[Instance]:
    """Yield the instances that a leaf executes."""
    node = leaf.node
    if node.instance is not None:
        yield node.instance
    if isinstance(node, BatchReduceGemm) and node.initial is not None:
        yield node.initial


def pieces_where(leaf: Leaf, instance: Instance) -> tuple[Piece, ...]:
    """Return the pieces of a leaf in which it executes an instance."""
    if instance.where is None:
        return leaf.pieces
    condition = nest_condition(instance.where, leaf.names, leaf.hull)
    if condition is None:
        bug(f"{instance.statement} is masked by data, {leaf.place({})}")
    return tuple(q for piece in leaf.pieces for q in guarded(piece, condition))


def coordinates(
    leaf: Leaf, instance: Instance, dims: tuple[str, ...]
) -> tuple[Form, ...]:
    """Return the coordinates of an instance in counters, in the order of *dims*."""
    given = dict(instance.coordinates)
    if len(given) < len(instance.coordinates) or given.keys() != set(dims):
        bug(f"{instance.statement} has other dimensions, {leaf.place({})}")
    found: list[Form] = []
    for dim in dims:
        form = nest_form(given[dim], leaf.names, leaf.hull)
        if form is None:
            bug(f"{dim} of {instance.statement} is no term, {leaf.place({})}")
        found.append(form)
    return tuple(found)


def statement_target(scop: Scop, statement: Statement) -> Target:
    """Return the domain of a statement."""
    space = Space(statement.ranges, {})
    names = {d: variable(d) for d in statement.dims}
    conditions: list[Condition] = []
    for expr in statement.conditions:
        condition = program_condition(expr, names, scop.sizes, space)
        if condition is None:
            bug(f"the domain of {statement.name} depends on data")
        conditions.append(condition)
    return Target(statement.name, statement.dims, space, tuple(conditions))


def _copy_target(copy: Copy) -> Target:
    box = {d: (0, n - 1) for d, n in zip(copy.dims, copy.extents)}
    return Target(copy.tensor, copy.dims, Space(box, {}))


def _without_sums(
    leaves: Sequence[Leaf], statement: Statement, visits: Mapping[str, list[Visit]]
) -> list[Visit]:
    """Return the visits of a statement. The sum inside a microkernel is no repetition
    of the instances that set its tile to zero: they are visited at t = k = 0."""
    found: list[Visit] = []
    for visit in visits.get(statement.name, []):
        node = visit.leaf.node
        is_initial = (
            isinstance(node, BatchReduceGemm)
            and node.initial is not None
            and node.initial.statement == statement.name
        )
        piece = visit.piece
        if is_initial:
            for summed in TILE[2:]:
                piece = piece.restricted(summed, (0, 0))
        found.append(Visit(visit.leaf, piece, visit.coordinates))
    return found
