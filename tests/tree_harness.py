"""Scops from text, and dependences by brute force, for the tests of schedule trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from polydsl.base.dtypes import F32, I32
from polydsl.base.source import Source
from polydsl.poly.extract import extract
from polydsl.poly.ordering import order_statements
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.terms import interval
from polydsl.schedule.tree import Leaf, Member, Step, Tree, leaves
from polydsl.semantics.check import check_module
from polydsl.semantics.program import Expr, is_affine
from polydsl.semantics.specialize import specialize
from polydsl.syntax.parser import parse

Point = tuple[int, ...]
Element = tuple[str, Point]


def scop_of(text: str, **shapes: Point) -> Scop:
    """Return the ordered scop of the only kernel of a text; tensors are f32, or i32
    where their names begin with `ids`."""
    library = check_module(parse(Source("test.pdl", text)))
    (kernel,) = library.kernels
    types = {
        name: (I32 if name.startswith("ids") else F32, shape)
        for name, shape in shapes.items()
    }
    return order_statements(extract(specialize(library, kernel, types, {})))


@dataclass(frozen=True)
class Pair:
    """Two instances that must keep their order, or that may only be exchanged."""

    source: str
    first: Point
    target: str
    second: Point
    is_reduction: bool


def pairs(scop: Scop) -> Iterator[Pair]:
    """Yield the dependences of a scop whose domains are boxes, by instances."""
    touched = [
        (
            statement,
            point,
            {*written(scop, statement, point)},
            _read(scop, statement, point),
        )
        for statement in scop.statements
        for point in _points(statement)
    ]
    for place, (source, first, writes, reads) in enumerate(touched):
        for target, second, later_writes, later_reads in touched[place + 1 :]:
            ordered = bool(writes & later_reads or reads & later_writes)
            ordered = ordered and source is not target
            if ordered or writes & later_writes:
                commute = source.combine is not None
                commute = commute and source.combine == target.combine
                reduces = commute and not ordered
                yield Pair(source.name, first, target.name, second, reduces)


def _points(statement: Statement) -> Iterator[Point]:
    assert not statement.conditions
    return product(*(range(lo, hi + 1) for lo, hi in statement.box))


def written(scop: Scop, statement: Statement, point: Point) -> list[Element]:
    """Return the elements that an instance may write."""
    return _elements(scop, statement, point, statement.tensor, statement.subscripts)


def read(scop: Scop, statement: Statement, point: Point) -> list[list[Element]]:
    """Return the elements that each access of an instance may read."""
    accesses = (r.access for r in statement.reads)
    return [_elements(scop, statement, point, a.tensor, a.subscripts) for a in accesses]


def _read(scop: Scop, statement: Statement, point: Point) -> set[Element]:
    return {e for elements in read(scop, statement, point) for e in elements}


def _elements(
    scop: Scop,
    statement: Statement,
    point: Point,
    tensor: str,
    subscripts: tuple[Expr, ...],
) -> list[Element]:
    """Return the elements inside the tensor; an indirect subscript may be any."""
    box = {d: (v, v) for d, v in zip(statement.dims, point)}
    sides = []
    for subscript, extent in zip(subscripts, scop.tensor(tensor).shape):
        if is_affine(subscript):
            value, _ = interval(subscript, scop.sizes, box)
            sides.append([value] if 0 <= value < extent else [])
        else:
            sides.append([*range(extent)])
    return [(tensor, element) for element in product(*sides)]


def is_legal(tree: Tree, found: list[Pair]) -> bool:
    """Whether a tree keeps all pairs: decided by evaluating every instance's time."""
    sites = {leaf.statement: (leaf, steps) for leaf, steps in leaves(tree)}
    return all(_keeps(pair, sites[pair.source], sites[pair.target]) for pair in found)


def _keeps(
    pair: Pair,
    source: tuple[Leaf, tuple[Step, ...]],
    target: tuple[Leaf, tuple[Step, ...]],
) -> bool:
    for first, second in zip(source[1], target[1]):
        before = time(first, source[0], pair.first)
        after = time(second, target[0], pair.second)
        if before == after:
            continue
        kind = first.kind if isinstance(first, Member) else "sequential"
        if not pair.is_reduction:
            return before < after and kind in ("sequential", "unrolled")
        if kind == "vector":
            assert isinstance(first, Member)
            reduced = {*source[0].reduced} & {*target[0].reduced}
            return first.dims <= reduced
        return kind != "parallel"
    return pair.is_reduction


def time(step: Step, leaf: Leaf, point: Point) -> int:
    """Return the value of a loop, or the place in a sequence, for one instance."""
    if isinstance(step, int):
        return step
    coordinates = dict(zip(leaf.dims, point))
    position = 0
    for axis in step.axes:
        away = axis.extent - 1 if leaf.at_end else 0
        value = axis.value(coordinates[axis.dim]) if axis.dim in coordinates else away
        position = position * axis.extent + value
    return position // step.tile


def results(scop: Scop, tree: Tree) -> dict[Element, int]:
    """Run every instance in the order of a tree and return what is stored.

    A value is a fingerprint of what it was computed from; sums of fingerprints do not
    tell the order of their terms. Indirect subscripts give the first element. Threads
    and lanes run backwards, since any order must do.
    """
    stored: dict[Element, int] = {}
    for statement, point in _in_order(scop, tree):
        accesses = read(scop, statement, point)
        seen = tuple(stored.get(a[0], hash(a[0])) if a else 0 for a in accesses)
        element = written(scop, statement, point)[0]
        old = 0 if statement.combine is None else stored.get(element, 1)
        stored[element] = old + hash((statement.name, point, seen))
    return stored


def _in_order(scop: Scop, tree: Tree) -> list[tuple[Statement, Point]]:
    timed = []
    for leaf, steps in leaves(tree):
        statement = scop.statement(leaf.statement)
        for point in _points(statement):
            key = tuple(
                -time(s, leaf, point)
                if isinstance(s, Member) and s.kind in ("parallel", "vector")
                else time(s, leaf, point)
                for s in steps
            )
            timed.append((key, statement, point))
    return [(s, p) for _, s, p in sorted(timed, key=lambda entry: entry[0])]
