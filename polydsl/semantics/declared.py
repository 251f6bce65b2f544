"""What parameters, declarations and result types say of the tensors of a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polydsl.semantics.context import Context, TensorInfo, text_of
from polydsl.semantics.declarations import rank_of, resolve_dtype, resolve_shape
from polydsl.semantics.frame import Frame
from polydsl.semantics.instance import Instance
from polydsl.semantics.typed import Shape
from polydsl.syntax import ast


@dataclass(frozen=True, slots=True)
class Declared:
    """The declared tensors: type and rank, and the shapes that must agree."""

    infos: Mapping[str, TensorInfo]
    shapes: Mapping[str, tuple[Shape, ...]]


def declare_tensors(
    frame: Frame,
    context: Context,
    instance: Instance,
    results: tuple[ast.Name, ...],
) -> Declared:
    """Gather the declared tensors of a kernel; report types that are wrong."""
    infos: dict[str, TensorInfo] = {}
    shapes: dict[str, tuple[Shape, ...]] = {}
    for parameter, (dtype, rank) in zip(frame.kernel.parameters, instance):
        name, type = parameter.name.name, parameter.type
        resolve_dtype(type, frame.variables, context)
        shape = resolve_shape(type, frame.lead_sizes, context)
        infos.setdefault(name, TensorInfo(dtype, False, rank, text_of(type.span)))
        if shape is not None:
            shapes.setdefault(name, (shape,))
    for name_node, type in _written(frame, results):
        _add(name_node, type, frame, context, infos, shapes)
    return Declared(infos, shapes)


def _written(
    frame: Frame, results: tuple[ast.Name, ...]
) -> list[tuple[ast.Name | None, ast.TensorType]]:
    """List the types in the body and behind `->`, with the tensors they are for."""
    parameters = {parameter.name.name for parameter in frame.kernel.parameters}
    written: list[tuple[ast.Name | None, ast.TensorType]] = []
    for statement in frame.kernel.body:
        if isinstance(statement, ast.Declare):
            is_local = statement.name.name not in parameters
            written.append((statement.name if is_local else None, statement.type))
    types = frame.kernel.results or ()
    names = results if len(results) == len(types) else (None,) * len(types)
    return written + list(zip(names, types))


def _add(
    name: ast.Name | None,
    type: ast.TensorType,
    frame: Frame,
    context: Context,
    infos: dict[str, TensorInfo],
    shapes: dict[str, tuple[Shape, ...]],
) -> None:
    dtype = resolve_dtype(type, frame.variables, context)
    shape = resolve_shape(type, frame.lead_sizes, context)
    if dtype is None or name is None:
        return
    info = TensorInfo(dtype, False, rank_of(type, frame.lead), text_of(type.span))
    first = infos.setdefault(name.name, info)
    if (first.dtype, first.rank) != (info.dtype, info.rank):
        context.error(
            "E0215",
            f"{name.name} is declared as {first.text} and as {info.text}",
            type.span,
            label=f"{info.text} here",
            hint="a tensor has one type; to convert it, define another tensor by it",
        )
    elif shape is not None:
        shapes[name.name] = (*shapes.get(name.name, ()), shape)
