"""From a schedule to the loop nest: `generate(scop, schedule, layout) -> LoopNest`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from polydsl.loops.checks import check_nodes
from polydsl.loops.expressions import Defined
from polydsl.loops.matrix import generate_matrix
from polydsl.loops.nest import Buffer, LoopNest, Memory, Node, contiguous
from polydsl.loops.vector import generate_vector
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scop import Scop
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.operand import Layout
from polydsl.schedule.schedule import Schedule
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.semantics.program import Index


def generate(scop: Scop, schedule: Schedule, layout: Layout) -> LoopNest:
    """Return the loop nest of a scheduled scop.

    Arguments are the parameters, then the results; other tensors are scratch.
    """
    arguments = (*scop.parameters, *(r for r in scop.results if _is_result(scop, r)))
    buffers = [_tensor_buffer(scop, layout, t.name) for t in scop.tensors]
    prepare: list[Node] = []
    body: list[Node] = []
    defined = defined_parts(scop)
    for plan in schedule.plans:
        match plan:
            case MatrixPlan():
                matrix = generate_matrix(scop, plan, layout)
                prepare += matrix.prepare
                body += matrix.nodes
                buffers += matrix.buffers
            case VectorPlan():
                vector = generate_vector(scop, plan, defined)
                body += vector.nodes
                body += check_nodes(scop, plan.tensor, defined) if plan.updates else ()
                buffers += vector.buffers
            case _:
                assert_never(plan)
    return LoopNest(
        scop.name, tuple(buffers), tuple(arguments), tuple(prepare), tuple(body)
    )


def _is_result(scop: Scop, name: str) -> bool:
    return scop.tensor(name).role == "result"


def _tensor_buffer(scop: Scop, layout: Layout, name: str) -> Buffer:
    tensor = scop.tensor(name)
    memory: Memory = "scratch" if tensor.role == "local" else "argument"
    strides = layout[name]
    written = tensor.role != "input"
    return Buffer(name, tensor.dtype, tensor.shape, strides, memory, written)


def defined_parts(scop: Scop) -> Mapping[str, Defined]:
    """Return where each computed tensor is defined: its first statement gives every
    element its first value."""
    parts: dict[str, Defined] = {}
    for tensor in scop.tensors:
        first = next((s for s in scop.statements if s.tensor == tensor.name), None)
        if first is None:
            continue
        plain = tuple(s.name for s in first.subscripts if isinstance(s, Index))
        if len(plain) == len(first.subscripts):
            box = tuple(first.ranges[name] for name in plain)
            known = (c for c in first.conditions if {*ordered_indices(c)} <= {*plain})
            parts[tensor.name] = Defined(box, plain, tuple(known))
    return parts


def default_layout(scop: Scop) -> dict[str, tuple[int, ...]]:
    """Return row-major strides for every tensor, in elements."""
    return {t.name: contiguous(t.shape) for t in scop.tensors}
