"""What has to be found out about a kernel before its ranges and shapes are known."""

from __future__ import annotations

from collections.abc import Mapping

from polydsl.semantics.assignment import Writing
from polydsl.semantics.context import Context
from polydsl.semantics.frame import Frame
from polydsl.semantics.order import Problem, find_sources, indices_in
from polydsl.semantics.program import Definition, Index, Reduce, walk
from polydsl.semantics.typed import KernelCall, Range, Shape, TypedTensor


def typed_tensors(
    frame: Frame,
    context: Context,
    declared: frozenset[str],
    places: Mapping[str, list[Writing]],
) -> tuple[TypedTensor, ...]:
    """List the tensors of a kernel: parameters, then locals in order of the text."""
    parameters = {p.name.name: p.name.span for p in frame.kernel.parameters}
    targets = {target.name for call in frame.calls() for target in call.targets}
    result = []
    order = {name: number for number, name in enumerate((*parameters, *places))}
    infos = sorted(
        context.tensors.items(), key=lambda item: order.get(item[0], len(order))
    )
    for name, info in infos:
        shapes: tuple[Shape, ...] = context.shapes.get(name, ())
        written = places.get(name)
        span = parameters.get(name) or (written[0].span if written else None)
        result.append(
            TypedTensor(
                name,
                info.dtype,
                info.rank,
                shapes,
                name in parameters,
                name in declared or name in targets,
                span or frame.kernel.span,
            )
        )
    return tuple(result)


def state_problem(
    frame: Frame,
    tensors: tuple[TypedTensor, ...],
    ranges: Mapping[str, Range],
    body: tuple[Definition | KernelCall, ...],
    context: Context,
) -> Problem:
    """State what has to be found: ranges, shapes and the results of calls."""
    targets = {
        target
        for call in body
        if isinstance(call, KernelCall)
        for target in call.targets
        if not context.shapes.get(target)
    }
    copies = context.notes.copies
    originals = {copy.index: copy.of for copy in copies}
    declared = frozenset(tensor.name for tensor in tensors if tensor.is_declared)
    indices: dict[str, None] = {}
    for definition in body:
        if isinstance(definition, Definition):
            for name in _indices_of(definition):
                indices[originals.get(name, name)] = None
    for bound in ranges.values():
        names = indices_in(bound.lo) | indices_in(bound.hi)
        indices.update(dict.fromkeys([bound.index, *sorted(names)]))
    return Problem(
        tuple(indices),
        ranges,
        find_sources(body, declared, copies),
        frozenset(t.name for t in tensors if t.is_declared) - targets,
        {
            tensor.name: _left_indices(tensor.name, body)
            for tensor in tensors
            if not tensor.is_declared
        },
        tuple((n, s) for n, s in enumerate(body) if isinstance(s, KernelCall)),
    )


def _indices_of(definition: Definition) -> list[str]:
    names: dict[str, None] = {}
    for expr in (*definition.subscripts, definition.value):
        for node in walk(expr):
            if isinstance(node, Index):
                names[node.name] = None
            elif isinstance(node, Reduce):
                names.update(dict.fromkeys(node.indices))
    return list(names)


def _left_indices(
    tensor: str, body: tuple[Definition | KernelCall, ...]
) -> frozenset[str]:
    return frozenset(
        name
        for definition in body
        if isinstance(definition, Definition) and definition.tensor == tensor
        for subscript in definition.subscripts
        for name in indices_in(subscript)
    )
