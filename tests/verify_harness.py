"""Scheduled kernels and their nests, for the tests of the proofs about loop nests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from machines import machine

from polydsl.base.diagnostics import CompilerBug
from polydsl.base.dtypes import DTYPES
from polydsl.base.source import Source
from polydsl.loops.generate import default_layout, generate
from polydsl.loops.interpret import interpret
from polydsl.loops.nest import Guard, Loop, LoopNest, Node
from polydsl.loops.verify import verify_nest
from polydsl.poly.dependences import analyze
from polydsl.poly.extract import extract
from polydsl.poly.ordering import order_statements
from polydsl.poly.prove import prove
from polydsl.poly.scatters import gathered
from polydsl.poly.scop import Scop
from polydsl.schedule.contraction import Contraction, is_product_in_place, match
from polydsl.schedule.matrix_builder import build
from polydsl.schedule.matrix_family import families
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.matrix_space import Space
from polydsl.schedule.schedule import Plan, Schedule, schedule
from polydsl.schedule.setting import Setting
from polydsl.semantics.check import check_module
from polydsl.semantics.program import Value
from polydsl.semantics.specialize import specialize
from polydsl.syntax.parser import parse

Array = np.ndarray[Any, Any]
Shapes = Mapping[str, tuple[int, ...] | tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Case:
    """A kernel with all that the proofs look at."""

    scop: Scop
    schedule: Schedule
    nest: LoopNest

    def verify(self, nest: LoopNest | None = None) -> None:
        """Prove the nest, or another one that should do the same."""
        verify_nest(self.scop, self.schedule, self.nest if nest is None else nest)

    def refuses(self, nest: LoopNest, match: str = "") -> str:
        """Expect that another nest is refused with a point; return the message."""
        with pytest.raises(CompilerBug, match=match) as caught:
            self.verify(nest)
        message = str(caught.value)
        assert any(
            part in message for part in (" = ", "top level", "address", "memory")
        )
        return message

    def planned(self, change: Callable[[MatrixPlan], MatrixPlan]) -> Case:
        """Return the case with its matrix plans changed."""
        plans: tuple[Plan, ...] = tuple(
            change(p) if isinstance(p, MatrixPlan) else p for p in self.schedule.plans
        )
        chosen = replace(self.schedule, steps=plans)
        nest = generate(self.scop, chosen, default_layout(self.scop))
        return Case(self.scop, chosen, nest)


def case(
    text: str,
    shapes: Shapes,
    constants: Mapping[str, Value] | None = None,
    bound: tuple[str, ...] = (),
    cores: int = 2,
    vector_bytes: int = 64,
) -> Case:
    """Return the only kernel of a text; a shape alone is one of f32."""
    library = check_module(parse(Source("test.pdl", text)))
    (kernel,) = library.kernels
    types = {}
    for name, shape in shapes.items():
        match shape:
            case (str(dtype), tuple(extents)):
                types[name] = (DTYPES[dtype], extents)
            case _:
                types[name] = (DTYPES["f32"], tuple(int(n) for n in shape))  # type: ignore[arg-type]
    program = specialize(library, kernel, types, dict(constants or {}))
    scop = extract(program)
    prove(scop)
    scop = order_statements(gathered(scop, is_product_in_place))
    layout = default_layout(scop)
    target = replace(machine(cores=cores), vector_bytes=vector_bytes)
    chosen = schedule(scop, analyze(scop), layout, target, frozenset(bound))
    return Case(scop, chosen, generate(scop, chosen, layout))


def run(found: Case, nest: LoopNest) -> dict[str, Array]:
    """Return the results of a nest on fixed random arguments, by the interpreter."""
    rng = np.random.default_rng(7)
    arrays: dict[str, Array] = {}
    for name in nest.arguments:
        tensor = found.scop.tensor(name)
        if tensor.role == "input" and tensor.dtype.is_float:
            arrays[name] = rng.standard_normal(tensor.shape)
        elif tensor.role == "input":
            arrays[name] = rng.integers(1, 6, tensor.shape)
        else:
            arrays[name] = np.full(tensor.shape, -77)
        arrays[name] = arrays[name].astype(tensor.dtype.numpy)
    interpret(nest, arrays, shuffle=3)
    return arrays


def rewritten(
    nodes: tuple[Node, ...], change: Callable[[Node], Any]
) -> tuple[Any, ...]:
    """Return nodes changed from the inside out; a change to None removes a node."""
    found: list[Any] = []
    for node in nodes:
        if isinstance(node, Loop | Guard):
            node = replace(node, body=rewritten(node.body, change))
        after = change(node)
        if after is not None:
            found += after if isinstance(after, tuple) else [after]
    return tuple(found)


def in_body(nest: LoopNest, change: Callable[[Node], Any]) -> LoopNest:
    """Return a nest whose body is changed; something must have changed."""
    body = rewritten(nest.body, change)
    assert body != nest.body
    return replace(nest, body=body)


def once(
    kind: type | tuple[type, ...], change: Callable[[Any], Any]
) -> Callable[[Node], Any]:
    """Return a change of the first node of a kind, innermost first, and no other."""
    done: list[bool] = []

    def apply(node: Node) -> Any:
        if done or not isinstance(node, kind):
            return node
        after = change(node)
        if after != node:
            done.append(True)
        return after

    return apply


def nodes_of(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Yield all nodes, outermost first."""
    for node in nodes:
        yield node
        if isinstance(node, Loop | Guard):
            yield from nodes_of(node.body)


def pointed(found: Case, point: MatrixPoint) -> Case:
    """Return the case with its only product scheduled as a point says."""
    ((setting, matched, plan),) = products(found)
    other = build(setting, matched, point, plan.initialize)
    assert isinstance(other, MatrixPlan), other
    return found.planned(lambda _: other)


def products(
    found: Case, bound: tuple[str, ...] = ()
) -> Iterator[tuple[Setting, Contraction, MatrixPlan]]:
    """Yield the products of a case with the plans that it has for them."""
    layout = default_layout(found.scop)
    target = replace(machine(cores=2), vector_bytes=16)
    for plan in found.schedule.plans:
        if isinstance(plan, MatrixPlan):
            statement = found.scop.statement(plan.contraction.statement)
            setting = Setting(found.scop, statement, layout, target, frozenset(bound))
            matched = match(found.scop, statement)
            assert isinstance(matched, Contraction)
            yield setting, matched, plan


def alternatives(found: Case, bound: tuple[str, ...] = ()) -> Iterator[Case]:
    """Yield the case with its products scheduled in other ways, drawn at random."""
    rng = np.random.default_rng(0)
    for setting, matched, plan in products(found, bound):
        for family in families(setting, matched, plan.initialize):
            batch = Space(setting, family).draw(rng, 2)
            for number in range(len(batch)):
                other = build(setting, matched, batch.point(number), plan.initialize)
                if isinstance(other, MatrixPlan):
                    yield found.planned(lambda _, other=other: other)
