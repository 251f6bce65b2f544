"""From the syntax of one kernel to its typed form, for given dtypes and ranks.

`elaborate_kernel` gathers everything that is wrong in the kernel for that instance.
A session remembers what has been typed, so that a kernel that is called often is
typed once for every instance of its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from polydsl.base.diagnostics import Diagnostics, bug
from polydsl.semantics.assignment import check_assignments, check_return
from polydsl.semantics.callsites import type_call
from polydsl.semantics.context import Context, Notes, TensorInfo
from polydsl.semantics.declarations import (
    elaborate_constants,
    elaborate_definitions,
    size_types,
)
from polydsl.semantics.declared import declare_tensors
from polydsl.semantics.drafts import Draft
from polydsl.semantics.frame import Elaboration, Frame, Session
from polydsl.semantics.inference import infer_types, report_untyped
from polydsl.semantics.instance import Instance, Matched, Mismatch, match_instance
from polydsl.semantics.library import Library
from polydsl.semantics.order import find_steps
from polydsl.semantics.problem import state_problem, typed_tensors
from polydsl.semantics.program import Definition
from polydsl.semantics.ranges import (
    check_dependent,
    elaborate_ranges,
    followers,
    report_unordered,
)
from polydsl.semantics.results import copy_results
from polydsl.semantics.scope import Scope, build_scope
from polydsl.semantics.statements import draft_definition
from polydsl.semantics.stores import finish
from polydsl.semantics.typed import KernelCall, TypedKernel
from polydsl.semantics.types import UNKNOWN
from polydsl.syntax import ast


def elaborate_kernel(
    library: Library, kernel: ast.Kernel, instance: Instance, session: Session
) -> Elaboration:
    """Type a kernel for the dtypes and ranks of its arguments."""
    name = kernel.name.name
    key = (id(library), name, instance)
    if key not in session.done:
        session.active.append((id(library), name))
        session.done[key] = _elaborate(library, kernel, instance, session)
        session.active.pop()
    return session.done[key]


def _elaborate(
    library: Library, kernel: ast.Kernel, instance: Instance, session: Session
) -> Elaboration:
    found = Diagnostics()
    scope = build_scope(kernel, found)
    matched = match_instance(kernel, instance)
    if isinstance(matched, Mismatch):
        bug(f"{kernel.name.name} is typed for arguments that do not fit: {matched}")
    notes = Notes(found, {*scope.kinds, *scope.mentioned, *library.names()})
    frame, context = _open(library, kernel, session, scope, matched, notes)
    typed = _elaborate_body(frame, context, instance)
    return Elaboration(None if found.has_errors else typed, found.sorted())


def _open(
    library: Library,
    kernel: ast.Kernel,
    session: Session,
    scope: Scope,
    matched: Matched,
    notes: Notes,
) -> tuple[Frame, Context]:
    count = matched.lead or 0
    lead = tuple(notes.fresh("lead") for _ in range(count))
    frame = Frame(
        library,
        kernel,
        session,
        elaborate_kernel,
        matched.variables,
        matched.lead,
        tuple(notes.fresh("Lead") for _ in range(count)),
    )
    context = Context(
        scope,
        size_types(kernel, scope),
        {},
        None if matched.lead is None else lead,
        library.names(),
        followers(scope),
        notes,
    )
    return frame, context


def _elaborate_body(
    frame: Frame, context: Context, instance: Instance
) -> TypedKernel | None:
    kernel, found = frame.kernel, context.notes.found
    places = check_assignments(kernel, context.scope, found)
    results = check_return(kernel, context.scope, found)
    constants = elaborate_constants(kernel, context)
    definitions = elaborate_definitions(context)
    declared = declare_tensors(frame, context, instance, results)
    ranges = elaborate_ranges(context)
    types = infer_types(frame, context, declared.infos, places)
    known = {name: i for name, i in types.items() if i.dtype != UNKNOWN}
    context = replace(context, tensors=known, shapes=declared.shapes)
    body, excused = _elaborate_statements(frame, context)
    if not found.has_errors and not context.notes.reported_elsewhere:
        report_untyped(known, places, context)
    parameters = tuple(parameter.name.name for parameter in kernel.parameters)
    body, returned, copied = copy_results(body, results, frozenset(parameters), context)
    context = replace(context, tensors={**known, **copied})
    check_dependent(body, ranges, context)
    _check_scatters(body, declared.infos, context)
    tensors = typed_tensors(frame, context, frozenset(declared.infos), places)
    if len(results) < _count_returned(kernel):
        # A result that is not known may be what gives an index its range.
        excused |= {_ANY, *context.scope.mentioned}
    problem = state_problem(frame, tensors, ranges, body, context)
    steps, unordered = find_steps(problem)
    report_unordered(unordered, problem, body, excused, context)
    if excused or found.has_errors:
        return None
    return TypedKernel(
        kernel.name.name,
        parameters,
        constants,
        (*frame.lead_sizes, *context.scope.sizes),
        definitions,
        tensors,
        tuple(ranges.values()),
        tuple(context.notes.copies),
        problem.sources,
        body,
        returned,
        steps,
        1 + max((s.callee.depth for s in body if isinstance(s, KernelCall)), default=0),
        kernel.span,
    )


def _elaborate_statements(
    frame: Frame, context: Context
) -> tuple[tuple[Definition | KernelCall, ...], frozenset[str]]:
    """Elaborate the body; also return the indices of statements that are wrong."""
    drafts: dict[int, Draft] = {}
    body: dict[int, Definition | KernelCall] = {}
    excused: set[str] = set()
    for position, statement in enumerate(frame.kernel.body):
        call = frame.call(statement)
        if call is not None:
            typed = type_call(call, frame, context)
            if typed is None:
                excused |= {_ANY, *context.scope.mentioned}
            else:
                body[position] = typed
        elif isinstance(statement, ast.MultiAssign):
            _refuse_targets(statement, context)
        elif isinstance(statement, ast.Assign) and not _is_size(statement, context):
            draft = draft_definition(statement, context)
            if draft is None:
                excused |= {_ANY, *_names_of(statement)}
            else:
                drafts[position] = draft
    body.update(_finish(drafts, context))
    return tuple(body[position] for position in sorted(body)), frozenset(excused)


_ANY = ""
"""Stands among the excused indices as soon as a statement is wrong."""


def _is_size(statement: ast.Assign, context: Context) -> bool:
    return any(d is statement for d in context.scope.definitions.values())


def _names_of(statement: ast.Assign) -> set[str]:
    nodes = [*ast.walk(statement.value), *ast.walk(statement.target)]
    names = {node.name for node in nodes if isinstance(node, ast.Name)}
    for node in nodes:
        if isinstance(node, ast.Reduce):
            names |= {index.name for index in node.indices}
    return names


def _finish(drafts: Mapping[int, Draft], context: Context) -> dict[int, Definition]:
    """Bring the values of all statements to the types they are stored in."""
    by_tensor: dict[str, dict[int, Draft]] = {}
    for position, draft in drafts.items():
        by_tensor.setdefault(draft.tensor, {})[position] = draft
    finished: dict[int, Definition] = {}
    for name, own in by_tensor.items():
        info = context.tensors.get(name)
        if info is not None:
            finished.update(finish(own, info, context))
    return finished


def _refuse_targets(statement: ast.MultiAssign, context: Context) -> None:
    context.error(
        "E0402",
        "several names on the left take a kernel call on the right",
        statement.value.span,
        label="not a kernel call",
        hint="write one statement for each name",
    )


def _check_scatters(
    body: tuple[Definition | KernelCall, ...],
    declared: Mapping[str, TensorInfo],
    context: Context,
) -> None:
    """Report a scatter into a tensor whose shape nothing declares."""
    for definition in body:
        if not isinstance(definition, Definition) or definition.tensor in declared:
            continue
        if definition.is_scatter:
            context.error(
                "E0113",
                f"{definition.tensor} is scattered into and has no declared type",
                definition.span,
                label="its shape does not follow from this",
                hint=f"declare it, for example {definition.tensor}: "
                f"{definition.value.dtype}[n]",
            )


def _count_returned(kernel: ast.Kernel) -> int:
    return sum(len(s.names) for s in kernel.body if isinstance(s, ast.Return))
