"""From a schedule to the loop nest: `generate(scop, schedule, layout) -> LoopNest`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import assert_never

from polydsl.loops.checks import check_nodes
from polydsl.loops.expressions import Translation
from polydsl.loops.matrix import generate_matrix
from polydsl.loops.nest import (
    Buffer,
    Guard,
    Loop,
    LoopKind,
    LoopNest,
    Memory,
    Node,
    Var,
    contiguous,
)
from polydsl.loops.terms import both, number
from polydsl.loops.touched import touched_buffers
from polydsl.loops.vector import generate_vector
from polydsl.poly.defined import Defined, defined_on
from polydsl.poly.scop import Scop
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.once import computed_once
from polydsl.schedule.operand import Layout
from polydsl.schedule.plan_tree import Before, Repeat, Step
from polydsl.schedule.schedule import Schedule
from polydsl.schedule.share import Share
from polydsl.schedule.vector_plan import VectorPlan


def generate(scop: Scop, schedule: Schedule, layout: Layout) -> LoopNest:
    """Return the loop nest of a scheduled scop.

    Arguments are the parameters, then the results; other tensors are scratch.
    """
    arguments = (*scop.parameters, *(r for r in scop.results if _is_result(scop, r)))
    private = frozenset(_private(schedule.steps, is_inside=False))
    tensors = tuple(
        replace(_tensor_buffer(scop, layout, t.name), private=t.name in private)
        for t in scop.tensors
    )
    found = _Generator(scop, layout, defined_parts(scop)).steps(schedule.steps)
    used = touched_buffers((*found.prepare, *found.body))
    lasting = computed_once(scop) & touched_buffers(found.body)
    # What lives in registers only needs no memory.
    kept = (
        replace(b, memory="prepared") if b.name in lasting else b
        for b in tensors
        if b.memory != "scratch" or b.name in used
    )
    buffers = (*kept, *found.buffers)
    return LoopNest(scop.name, buffers, arguments, found.prepare, found.body)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The nodes of some steps and the buffers that they need. What is `hoisted` is done
    inside of so many of the loops around the steps only."""

    buffers: tuple[Buffer, ...] = ()
    prepare: tuple[Node, ...] = ()
    body: tuple[Node, ...] = ()
    hoisted: tuple[tuple[int, tuple[Node, ...]], ...] = ()

    def __add__(self, other: _Parts) -> _Parts:
        return _Parts(
            self.buffers + other.buffers,
            self.prepare + other.prepare,
            self.body + other.body,
            self.hoisted + other.hoisted,
        )

    def before(self) -> _Parts:
        """Return the same as a part of what is prepared."""
        nodes = (*self.prepare, *self.hoisted_to(0), *self.body)
        return _Parts(self.buffers, nodes)

    def hoisted_to(self, depth: int) -> tuple[Node, ...]:
        """Return what is done inside of just so many loops."""
        return tuple(n for at, nodes in self.hoisted if at == depth for n in nodes)


@dataclass(frozen=True, slots=True)
class _Generator:
    scop: Scop
    layout: Layout
    defined: Mapping[str, Defined]

    def steps(self, steps: tuple[Step, ...], depth: int = 0) -> _Parts:
        """Return the nodes of steps, one after the other, inside of so many loops."""
        made = (self._step(step, depth) for step in steps)
        return reduce(_Parts.__add__, made, _Parts())

    def _step(self, step: Step, depth: int) -> _Parts:
        match step:
            case MatrixPlan():
                matrix = generate_matrix(self.scop, step, self.layout, self.defined)
                hoisted = tuple(matrix.hoisted.items())
                nodes = self._guarded(step, matrix.nodes)
                return _Parts(matrix.buffers, matrix.prepare, nodes, hoisted)
            case VectorPlan():
                vector = generate_vector(self.scop, step, self.defined)
                checks = check_nodes(self.scop, step.tensor, self.defined)
                after = tuple(checks) if step.updates else ()
                return _Parts(vector.buffers, (), (*vector.nodes, *after))
            case Before(steps):
                made = (self._step(inner, 0).before() for inner in steps)
                return reduce(_Parts.__add__, made, _Parts())
            case Repeat(index, parts, steps, share, is_parallel):
                inside = self.steps(steps, depth + 1)
                body = (*inside.hoisted_to(depth + 1), *inside.body)
                before = () if depth else inside.hoisted_to(0)
                kind: LoopKind = "parallel" if is_parallel else "sequential"
                loops = tuple(
                    Loop(index, number(lo), number(hi + 1), body, kind=kind)
                    for lo, hi in parts
                )
                return replace(inside, body=(*before, *_shared(share, loops)))
            case _:
                assert_never(step)

    def _guarded(self, plan: MatrixPlan, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """Run a product where the conditions on the loops around it hold."""
        statement = self.scop.statement(plan.contraction.statement)
        values = {d: Var(d) for d in plan.fixed}
        translate = Translation(self.scop, values, statement.ranges, self.defined)
        guard = both(translate.expression(c) for c in statement.conditions)
        return nodes if guard is None else (Guard(guard, nodes),)


def _shared(share: Share | None, body: tuple[Node, ...]) -> tuple[Node, ...]:
    """Put a loop that threads share around some nodes."""
    if share is None:
        return body
    ends = number(share.lo), number(share.hi + 1)
    return (Loop(share.var, *ends, body, step=share.size, kind="parallel"),)


def _private(steps: tuple[Step, ...], *, is_inside: bool) -> Iterator[str]:
    """Yield the contracted tensors of which every thread has a row of its own."""
    for step in steps:
        if isinstance(step, Repeat):
            threads = is_inside or step.is_parallel
            yield from step.contracted if threads else ()
            yield from _private(step.steps, is_inside=threads)


def _is_result(scop: Scop, name: str) -> bool:
    return scop.tensor(name).role == "result"


def _tensor_buffer(scop: Scop, layout: Layout, name: str) -> Buffer:
    tensor = scop.tensor(name)
    memory: Memory = "scratch" if tensor.role == "local" else "argument"
    strides = layout[name]
    written = tensor.role != "input"
    return Buffer(name, tensor.dtype, tensor.shape, strides, memory, written)


def defined_parts(scop: Scop) -> Mapping[str, Defined]:
    """Return where each computed tensor is defined."""
    computed = dict.fromkeys(s.tensor for s in scop.statements)
    return {name: defined_on(scop, name) for name in computed}


def default_layout(scop: Scop) -> dict[str, tuple[int, ...]]:
    """Return row-major strides for every tensor, in elements."""
    return {t.name: contiguous(t.shape) for t in scop.tensors}
