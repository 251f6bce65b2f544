"""The types of undeclared tensors, found from the statements that define them.

A fixed point: every tensor starts unknown and gets the type of its expressions. An
unknown type is left out where types meet, and so are a statement's own reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from polydsl.base.diagnostics import Diagnostics
from polydsl.semantics.assignment import Writing
from polydsl.semantics.calls import CallStatement
from polydsl.semantics.callsites import type_call
from polydsl.semantics.context import Context, Notes, TensorInfo
from polydsl.semantics.frame import Frame
from polydsl.semantics.statements import draft_definition, join_types, stored_type
from polydsl.semantics.types import UNKNOWN
from polydsl.syntax import ast


def infer_types(
    frame: Frame,
    context: Context,
    declared: Mapping[str, TensorInfo],
    places: Mapping[str, list[Writing]],
) -> dict[str, TensorInfo]:
    """Return the types of all tensors; one that reads only itself stays unknown."""
    types = dict(declared)
    targets = {target.name for call in frame.calls() for target in call.targets}
    pending = [name for name in places if name not in declared and name not in targets]
    for name in pending:
        rank = _left_rank(places[name][0].statement, frame.lead)
        types[name] = TensorInfo(UNKNOWN, False, rank)
    for _ in range(len(frame.kernel.body) + 2):
        before = dict(types)
        for name in pending:
            types[name] = _infer_local(name, places[name], types, context)
        for call in frame.calls():
            _infer_call(call, types, declared, frame, context)
        if types == before:
            break
    return types


def _left_rank(statement: ast.Statement, lead: int | None) -> int:
    match statement:
        case ast.Assign(ast.Access(_, subscripts)):
            dots = sum(isinstance(s, ast.Ellipsis) for s in subscripts)
            return len(subscripts) - dots + (lead or 0) * dots
        case _:
            return 0


def _quiet(context: Context, types: Mapping[str, TensorInfo]) -> Context:
    """Return a context whose findings and new names are thrown away."""
    notes = Notes(Diagnostics(), set(context.notes.names))
    return replace(context, tensors=types, notes=notes)


def _infer_local(
    name: str,
    written: list[Writing],
    types: Mapping[str, TensorInfo],
    context: Context,
) -> TensorInfo:
    own = types[name]
    around = {**types, name: replace(own, dtype=UNKNOWN, weak=False)}
    found = []
    for writing in written:
        if isinstance(writing.statement, ast.Assign):
            draft = draft_definition(writing.statement, _quiet(context, around))
            if draft is not None:
                found.append(stored_type(draft))
    dtype, weak = join_types(found)
    return TensorInfo(dtype, weak, own.rank)


def _infer_call(
    call: CallStatement,
    types: dict[str, TensorInfo],
    declared: Mapping[str, TensorInfo],
    frame: Frame,
    context: Context,
) -> None:
    """Give the targets of a call the types of the callee's results."""
    typed = type_call(call, frame, _quiet(context, types))
    if typed is None:
        return
    for target, result in zip(typed.targets, typed.callee.results):
        if target not in declared:
            tensor = typed.callee.tensor(result)
            types[target] = TensorInfo(tensor.dtype, False, tensor.rank)
