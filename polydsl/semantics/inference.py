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
from polydsl.semantics.statements import draft_definition
from polydsl.semantics.stores import join_types, stored_type
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


def report_untyped(
    known: Mapping[str, TensorInfo],
    places: Mapping[str, list[Writing]],
    context: Context,
) -> None:
    """Report tensors whose types are not known because they need themselves."""
    reads = {
        name: {n for w in written for n in _tensors_read(w.statement)}
        for name, written in places.items()
    }
    unknown = [name for name in places if name not in known]
    circular = [name for name in unknown if _needs_itself(name, reads)]
    for name in circular or unknown:
        context.error(
            "E0209",
            f"the type of {name} cannot be inferred",
            places[name][0].span,
            label=f"needs the type of {name} itself",
            hint=f"declare it, for example {name}: f32[...]",
        )


def _tensors_read(statement: ast.Statement) -> set[str]:
    if not isinstance(statement, ast.Assign | ast.MultiAssign):
        return set()
    nodes = list(ast.walk(statement.value))
    if isinstance(statement, ast.Assign):
        for part in ast.children(statement.target):
            nodes += ast.walk(part)
    names = {node.name for node in nodes if isinstance(node, ast.Name)}
    return names | {node.tensor for node in nodes if isinstance(node, ast.Access)}


def _needs_itself(name: str, reads: Mapping[str, set[str]]) -> bool:
    seen: set[str] = set()
    pending = [name]
    while pending:
        new = reads.get(pending.pop(), set()) - seen
        seen |= new
        pending += sorted(new)
    return name in seen
