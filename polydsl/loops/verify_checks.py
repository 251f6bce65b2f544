"""The proof about checks of indirect subscripts: each is made before a call returns, of
the value that the scop says.

That the scalar of a check holds the least position is proved like any statement. Here a
check is looked at as one iteration of a loop over all positions: the value that it
reports is the subscript there, read inside its buffers, when what it reads is finished.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polydsl.base.checks import SubscriptCheck
from polydsl.base.diagnostics import bug
from polydsl.loops.nest import (
    BatchReduceGemm,
    Buffer,
    Check,
    Load,
    LoopNest,
    Store,
    walk,
)
from polydsl.loops.verify_bounds import check_inside, loads
from polydsl.loops.verify_cuts import Piece
from polydsl.loops.verify_flow import defined_extents
from polydsl.loops.verify_forms import (
    Form,
    Space,
    floor_of,
    remainder_of,
    shifted,
    variable,
)
from polydsl.loops.verify_points import Leaf, constant_tables
from polydsl.loops.verify_values import Source, check_value
from polydsl.poly.scop import Scop


def check_checks(scop: Scop, nest: LoopNest, leaves: Sequence[Leaf]) -> None:
    """Raise unless every check of the scop is made, once, and right."""
    found = [(n, node) for n, node in enumerate(nest.body) if isinstance(node, Check)]
    inside = sum(isinstance(node, Check) for node in walk((*nest.prepare, *nest.body)))
    numbers = sorted(node.number for _, node in found)
    if inside != len(found) or numbers != list(range(len(scop.checks))):
        bug(f"{nest.name}: its checks are {numbers}, of {len(scop.checks)}")
    for place, node in found:
        _check(scop, nest, leaves, place, node)


def _check(
    scop: Scop, nest: LoopNest, leaves: Sequence[Leaf], place: int, node: Check
) -> None:
    wanted = scop.checks[node.number]
    subject = wanted.subject
    leaf = _leaf(nest, place, node)
    if node.buffer != wanted.tensor or node.positions != subject.positions:
        bug(f"another subscript is checked {leaf.place({})}")
    names = _coordinates(subject, node.position, leaf.hull)
    source = Source(scop, defined_extents(scop), leaf, names, leaf.hull)
    check_value(source, node.value, wanted.value)
    buffers = {b.name: b for b in nest.buffers}
    held = Load(node.buffer, (), node.value.dtype)
    for name, index, where in (*loads(leaf, held, ()), *loads(leaf, node.value, ())):
        if name not in buffers:
            bug(f"no buffer {name} exists, {leaf.place({})}")
        check_inside(leaf, buffers[name], index, where)
        _check_finished(leaves, leaf, name)
    if subject.early:
        _check_early(leaves, leaf, buffers)


def _leaf(nest: LoopNest, place: int, node: Check) -> Leaf:
    """Return a check as a store at every position."""
    ends = (0, max(node.positions - 1, 0))
    space = Space({node.position: ends}, constant_tables(nest))
    names = {node.position: variable(node.position)}
    store = Store(f"report of check {node.number}", (), node.value)
    return Leaf(store, (1, place), (), names, space, (Piece(space),))


def _coordinates(
    subject: SubscriptCheck, position: str, space: Space
) -> dict[str, Form]:
    """Return each index at a row-major position."""
    found: dict[str, Form] = {}
    inner = 1
    sides = zip(subject.indices, subject.starts, subject.lengths)
    for name, start, length in reversed(tuple(sides)):
        whole = floor_of(variable(position), inner, space)
        found[name] = shifted(remainder_of(whole, length, space), start)
        inner *= length
    return found


def _check_early(
    leaves: Sequence[Leaf], check: Leaf, buffers: Mapping[str, Buffer]
) -> None:
    """Raise where a result is written before a check that is said to be early."""
    for leaf in leaves:
        name = _written(leaf)
        is_before = (1,) <= leaf.path[:2] < check.path
        if is_before and buffers[name].memory == "argument":
            bug(f"{name} is written before an early check {leaf.place({})}")


def _written(leaf: Leaf) -> str:
    node = leaf.node
    return node.c.buffer if isinstance(node, BatchReduceGemm) else node.buffer


def _check_finished(leaves: Sequence[Leaf], check: Leaf, name: str) -> None:
    """Raise where a buffer that a check reads is written after it."""
    for leaf in leaves:
        if _written(leaf) == name and leaf.path[:2] > check.path:
            bug(f"{name} is checked before it is finished {leaf.place({})}")
