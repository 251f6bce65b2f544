"""From a typed kernel and numbers to a `Program`: ranges, shapes, inlined calls.

`bind` follows the steps of the typed kernel. A kernel call is bound in the same way,
with new names for what it defines; its sizes become expressions of the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import I64
from polydsl.semantics.agreement import check_agreement, check_divisors
from polydsl.semantics.bind_ranges import add_copies, find_range
from polydsl.semantics.building import (
    BoundFrame,
    Builder,
    Extents,
    Inlining,
    Misfit,
    numbers,
)
from polydsl.semantics.program import (
    Definition,
    Expr,
    Literal,
    Passed,
    Program,
    Size,
    Tensor,
    Value,
)
from polydsl.semantics.shapes import (
    bind_declared,
    bind_definition,
    bind_sizes,
    find_shape,
)
from polydsl.semantics.sizes import evaluate, is_simple, quantity
from polydsl.semantics.substitute import substitute
from polydsl.semantics.typed import (
    FindRange,
    FindResults,
    FindShape,
    KernelCall,
    TypedKernel,
    TypedTensor,
)

LARGEST = 5000
"""How many statements a program may have after its calls are inlined."""


def bind(
    typed: TypedKernel,
    shapes: tuple[tuple[int, ...], ...],
    constants: Mapping[str, Value],
) -> Program:
    """Put numbers to a typed kernel's arguments.

    Raises `Misfit` where shapes do not fit the signature, `ProgramError` where the
    kernel is wrong for these numbers.
    """
    builder = Builder(_names(typed))
    extents = {
        name: tuple(quantity(extent, typed.tensor(name).span) for extent in shape)
        for name, shape in zip(typed.parameters, shapes)
    }
    builder.binding.update(constants)
    values: dict[str, Expr] = {
        constant.name: Size(constant.name, constant.dtype, constant.span)
        for constant in typed.constants
    }
    names = {name: name for name in typed.parameters}
    results = {name: name for name in typed.results}
    definitions, _ = bind_kernel(
        typed, extents, values, {**names, **results}, Inlining("", ()), builder
    )
    builder.found.raise_errors()
    order = {tensor.name: n for n, tensor in enumerate(typed.tensors)}
    sizes = {name: n for n, name in enumerate(typed.sizes)}
    binding = sorted(
        builder.binding.items(), key=lambda item: sizes.get(item[0], len(sizes))
    )
    return Program(
        typed.name,
        typed.parameters,
        typed.results,
        tuple(sorted(builder.tensors, key=lambda t: order.get(t.name, len(order)))),
        tuple(builder.ranges),
        definitions,
        tuple(binding),
        typed.span,
        tuple(builder.passed),
    )


def _names(typed: TypedKernel) -> set[str]:
    names = {tensor.name for tensor in typed.tensors}
    names |= {constant.name for constant in typed.constants}
    names |= set(typed.sizes) | {d.name for d in typed.size_definitions}
    return names | set(_indices(typed))


def _indices(typed: TypedKernel) -> list[str]:
    found = [step.index for step in typed.steps if isinstance(step, FindRange)]
    return found + [copy.index for copy in typed.copies]


def bind_kernel(
    typed: TypedKernel,
    arguments: Mapping[str, Extents],
    constants: Mapping[str, Expr],
    names: Mapping[str, str],
    inlining: Inlining,
    builder: Builder,
) -> tuple[tuple[Definition, ...], tuple[Extents, ...]]:
    """Bind one kernel; return its statements and the shapes of its results.

    *names* are the program's names of the kernel's parameters and results.
    """
    frame = _open(typed, arguments, constants, names, inlining, builder)
    bind_declared(frame)
    for step in typed.steps:
        match step:
            case FindRange():
                find_range(step, frame)
            case FindShape(tensor):
                find_shape(tensor, frame)
            case FindResults(position):
                _inline(position, frame)
    check_agreement(frame)
    add_copies(frame)
    for declared in typed.tensors:
        _add_tensor(declared, frame)
    definitions: list[Definition] = []
    for position, statement in enumerate(typed.body):
        if isinstance(statement, KernelCall):
            definitions += frame.inlined[position]
        else:
            definitions.append(_rename(statement, frame))
    return tuple(definitions), tuple(frame.shapes[name] for name in typed.results)


def _open(
    typed: TypedKernel,
    arguments: Mapping[str, Extents],
    constants: Mapping[str, Expr],
    names: Mapping[str, str],
    inlining: Inlining,
    builder: Builder,
) -> BoundFrame:
    tensors = dict(names)
    indices: dict[str, str] = {}
    if not inlining.is_root:
        for tensor in typed.tensors:
            if tensor.name not in tensors:
                new = builder.fresh(f"{inlining.prefix}_{tensor.name}")
                tensors[tensor.name] = new
        for index in _indices(typed):
            indices[index] = builder.fresh(f"{inlining.prefix}_{index}")
    else:
        tensors.update({t.name: t.name for t in typed.tensors})
        indices.update({name: name for name in _indices(typed)})
    sizes = dict(constants)
    frame = BoundFrame(
        typed, inlining, builder, tensors, indices, sizes, dict(arguments), {}
    )
    bind_sizes(frame)
    for definition in typed.size_definitions:
        bind_definition(definition, frame)
    return frame


def _inline(position: int, frame: BoundFrame) -> None:
    """Bind the callee of a call for the shapes of its arguments."""
    call = frame.typed.body[position]
    if not isinstance(call, KernelCall):
        bug(f"statement {position} of {frame.typed.name} is no call")
    builder, callee = frame.builder, call.callee
    builder.inlined += len(callee.body)
    calls = (*frame.inlining.calls, call.span)
    if builder.inlined > LARGEST:
        builder.found.error(
            "E0409",
            f"the program has more than {LARGEST} statements after inlining",
            calls[0],
            label="this call brings too many",
            hint="call fewer kernels, or smaller ones",
        )
        builder.found.raise_errors()
    pairs = list(zip(callee.parameters, call.arguments))
    names = {parameter: frame.tensors[argument] for parameter, argument in pairs}
    for result, target in zip(callee.results, call.targets):
        names[result] = frame.tensors[target]
    inlining = Inlining(builder.prefix(callee.name), calls)
    builder.passed += [Passed(frame.tensors[a], call.span) for a in call.arguments]
    try:
        constants = _constants(call, inlining.prefix, frame)
        definitions, shapes = bind_kernel(
            callee,
            {parameter: frame.shapes[argument] for parameter, argument in pairs},
            constants,
            names,
            inlining,
            builder,
        )
    except Misfit as misfit:
        _refuse_call(call, misfit, frame)
    frame.inlined[position] = definitions
    frame.shapes.update(zip(call.targets, shapes))


def _refuse_call(call: KernelCall, misfit: Misfit, frame: BoundFrame) -> None:
    parameters = dict(zip(call.callee.parameters, call.arguments))
    blamed = parameters.get(misfit.parameter)
    about = f" of {call.callee.name}" if misfit.parameter else ""
    subject = f"the argument {blamed} for {misfit.parameter}{about}"
    if blamed is None:
        subject = f"the call of {call.callee.name}"
    frame.error(
        "E0406",
        f"{subject} does not fit: {misfit.reason}",
        call.span,
        label=", ".join(
            f"{name}: {numbers(frame.shapes[name])}" for name in call.arguments
        ),
        hint="pass tensors whose shapes fit the signature of " + call.callee.name,
    )
    frame.builder.found.raise_errors()


def _constants(call: KernelCall, prefix: str, frame: BoundFrame) -> dict[str, Expr]:
    """Write a callee's constants in the program's names; long ones get a name."""
    result: dict[str, Expr] = {}
    given = dict(call.constants)
    for constant in call.callee.constants:
        if constant.name not in given:
            if constant.default is None:
                bug(f"{constant.name} of {call.callee.name} has no value")
            result[constant.name] = Literal(
                constant.default, constant.dtype, constant.span
            )
            continue
        expr = substitute(given[constant.name], frame.renaming)
        if not is_simple(expr) and constant.dtype != I64:
            expr = _name_constant(constant.name, prefix, expr, frame)
        result[constant.name] = expr
    return result


def _name_constant(name: str, prefix: str, expr: Expr, frame: BoundFrame) -> Expr:
    try:
        value = evaluate(expr, frame.builder.binding)
    except (ArithmeticError, ValueError):
        raise Misfit("", f"its constant {name} has no value") from None
    new = frame.builder.fresh(f"{prefix}_{name}")
    frame.builder.binding[new] = value
    return Size(new, expr.dtype, expr.span)


def _add_tensor(tensor: TypedTensor, frame: BoundFrame) -> None:
    """Add a tensor to the program, unless it is one of the caller's."""
    typed, name = frame.typed, frame.tensors[tensor.name]
    outside = {*typed.parameters, *typed.results}
    if not frame.inlining.is_root and tensor.name in outside:
        return
    frame.builder.tensors.append(
        Tensor(
            name,
            tensor.dtype,
            tuple(extent.expr for extent in frame.shapes[tensor.name]),
            tensor.is_parameter,
            tensor.is_declared,
            tensor.span,
        )
    )


def _rename(definition: Definition, frame: BoundFrame) -> Definition:
    """Write a statement in the names of the program."""
    renaming = frame.renaming
    renamed = Definition(
        frame.tensors[definition.tensor],
        tuple(substitute(s, renaming) for s in definition.subscripts),
        definition.op,
        substitute(definition.value, renaming),
        tuple(frame.indices[name] for name in definition.reduced),
        definition.span,
        frame.inlining.calls,
    )
    check_divisors(renamed, frame)
    return renamed
