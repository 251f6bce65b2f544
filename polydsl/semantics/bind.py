"""From a typed kernel and numbers to a `Program`: ranges, shapes, inlined calls.

`bind` follows the steps of the typed kernel. A kernel call is bound in the same way,
with new names for what it defines; its sizes become expressions of the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from polydsl.base.diagnostics import Diagnostics, bug
from polydsl.base.dtypes import I64
from polydsl.base.source import Span
from polydsl.semantics.context import text_of
from polydsl.semantics.program import (
    Access,
    Call,
    Definition,
    Expr,
    Index,
    IndexRange,
    Literal,
    Passed,
    Program,
    Select,
    Size,
    Tensor,
    Value,
    walk,
)
from polydsl.semantics.sizes import (
    Interval,
    Quantity,
    bounds,
    evaluate,
    is_constant,
    is_simple,
    least_upper,
    literal,
    minus_one,
    plus_one,
    quantity,
)
from polydsl.semantics.substitute import Renaming, substitute
from polydsl.semantics.typed import (
    FindRange,
    FindResults,
    FindShape,
    KernelCall,
    RangeSource,
    SizeDefinition,
    TypedKernel,
    TypedTensor,
)

Extents = tuple[Quantity, ...]

LARGEST = 5000
"""How many statements a program may have after its calls are inlined."""


class Misfit(Exception):
    """Arguments do not fit a kernel's sizes; `parameter` is the one to blame."""

    def __init__(self, parameter: str, reason: str) -> None:
        self.parameter = parameter
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class Builder:
    """The program as far as it has been built."""

    names: set[str]
    found: Diagnostics = field(default_factory=Diagnostics)
    binding: dict[str, Value] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    ranges: list[IndexRange] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    intervals: dict[str, Interval] = field(default_factory=dict)
    inlined: int = 0

    def fresh(self, base: str) -> str:
        """Return *base*, or *base* with a number if the name is taken."""
        name, number = base, 1
        while name in self.names:
            number += 1
            name = f"{base}_{number}"
        self.names.add(name)
        return name

    def prefix(self, kernel: str) -> str:
        """Return `kernel_1`, `kernel_2`, ... for the next call of a kernel."""
        number = 1
        while f"{kernel}_{number}" in self.names:
            number += 1
        self.names.add(f"{kernel}_{number}")
        return f"{kernel}_{number}"


@dataclass(frozen=True, slots=True)
class Inlining:
    """Where a kernel is bound: the prefix of its names and the calls that led here."""

    prefix: str
    calls: tuple[Span, ...]

    @property
    def is_root(self) -> bool:
        """Whether the kernel is the program itself."""
        return not self.calls


@dataclass(frozen=True, slots=True)
class Frame:
    """One kernel under binding. The mappings grow while its steps are followed."""

    typed: TypedKernel
    inlining: Inlining
    builder: Builder
    tensors: dict[str, str]
    indices: dict[str, str]
    sizes: dict[str, Expr]
    shapes: dict[str, Extents]
    inlined: dict[int, tuple[Definition, ...]]

    @property
    def renaming(self) -> Renaming:
        """Return how the kernel's expressions are written in the program."""
        return Renaming(self.tensors, self.indices, self.sizes)


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
    _bind_declared(frame)
    for step in typed.steps:
        match step:
            case FindRange():
                _find_range(step, frame)
            case FindShape(tensor):
                _find_shape(tensor, frame)
            case FindResults(position):
                _inline(position, frame)
    _check_agreement(frame)
    _add_copies(frame)
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
) -> Frame:
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
    frame = Frame(
        typed, inlining, builder, tensors, indices, sizes, dict(arguments), {}
    )
    _bind_sizes(frame)
    for definition in typed.size_definitions:
        _bind_definition(definition, frame)
    return frame


def _bind_sizes(frame: Frame) -> None:
    """Bind each size to the first dimension that shows it, and check the others."""
    free = set(frame.typed.sizes)
    holders: dict[str, str] = {}
    for name in frame.typed.parameters:
        dims = frame.typed.tensor(name).declared[0].dims
        for number, (dim, extent) in enumerate(zip(dims, frame.shapes[name])):
            if not isinstance(dim, Size) or dim.name not in free:
                continue
            size = dim.name
            if size not in holders:
                holders[size] = f"dimension {number} of {name}"
                _bind_size(dim, extent, frame)
            elif extent.value != _value(dim, frame):
                raise Misfit(
                    name,
                    f"its dimension {number} is {extent.value}, but {size} is "
                    f"{_value(dim, frame)} ({holders[size]})",
                )


def _bind_size(dim: Size, extent: Quantity, frame: Frame) -> None:
    if frame.inlining.is_root:
        frame.builder.binding[dim.name] = extent.value
        frame.sizes[dim.name] = dim
    else:
        frame.sizes[dim.name] = extent.expr


def _bind_definition(definition: SizeDefinition, frame: Frame) -> None:
    name, expr = definition.name, substitute(definition.expr, frame.renaming)
    try:
        value = evaluate(expr, frame.builder.binding)
    except ZeroDivisionError:
        raise Misfit("", f"the size {name} divides by zero") from None
    except (ArithmeticError, ValueError):
        raise Misfit("", f"the size {name} has no value") from None
    if not frame.inlining.is_root and is_simple(expr):
        frame.sizes[name] = expr
        return
    new = name
    if not frame.inlining.is_root:
        new = frame.builder.fresh(f"{frame.inlining.prefix}_{name}")
    frame.builder.binding[new] = value
    frame.sizes[name] = Size(new, definition.expr.dtype, definition.span)


def _value(expr: Expr, frame: Frame) -> int:
    number = evaluate(substitute(expr, frame.renaming), frame.builder.binding)
    return int(number)


# Shapes


def _bind_declared(frame: Frame) -> None:
    """Check the parameters' dimensions and give declared locals their shapes."""
    for tensor in frame.typed.tensors:
        for shape in tensor.declared:
            extents = tuple(
                _extent(tensor, number, dim, frame)
                for number, dim in enumerate(shape.dims)
            )
            if tensor.name not in frame.shapes:
                frame.shapes[tensor.name] = extents
            elif tensor.is_parameter:
                _check_shape(tensor, extents, frame)
            if tensor.is_parameter and frame.inlining.is_root:
                # Keep the sizes by name.
                frame.shapes[tensor.name] = extents


def _extent(tensor: TypedTensor, number: int, dim: Expr, frame: Frame) -> Quantity:
    try:
        value = _value(dim, frame)
    except ZeroDivisionError:
        reason = f"the extent of dimension {number} of {tensor.name} divides by zero"
        raise Misfit(tensor.name, reason) from None
    if value < 0:
        raise Misfit(
            tensor.name,
            f"the extent of dimension {number} of {tensor.name} is {value}, "
            "which is negative",
        )
    return Quantity(substitute(dim, frame.renaming), value)


def _is_same(left: Extents, right: Extents) -> bool:
    return [e.value for e in left] == [e.value for e in right]


def _check_shape(tensor: TypedTensor, wanted: Extents, frame: Frame) -> None:
    pairs = zip(frame.shapes[tensor.name], wanted)
    for number, (came, needs) in enumerate(pairs):
        if came.value != needs.value:
            raise Misfit(
                tensor.name,
                f"its dimension {number} is {came.value}, not {needs.value}",
            )


def _find_shape(name: str, frame: Frame) -> None:
    """Give an undeclared local the least shape that holds its left-hand ranges."""
    columns: list[list[Quantity]] = [[] for _ in range(frame.typed.tensor(name).rank)]
    for definition in frame.typed.definitions():
        if definition.tensor != name:
            continue
        for column, subscript in zip(columns, definition.subscripts):
            if not isinstance(subscript, Index):
                bug(f"the undeclared tensor {name} is scattered into")
            interval = frame.builder.intervals[frame.indices[subscript.name]]
            column.append(plus_one(interval.greatest))
            _check_negative(definition, subscript, interval, frame)
    frame.shapes[name] = tuple(least_upper(column) for column in columns)


def _check_negative(
    definition: Definition, subscript: Index, interval: Interval, frame: Frame
) -> None:
    """Report a left-hand index that is negative; a dependent one is proved later."""
    bound = next((r for r in frame.typed.ranges if r.index == subscript.name), None)
    depends = bound is not None and any(
        isinstance(node, Index) for e in (bound.lo, bound.hi) for node in walk(e)
    )
    is_empty = interval.greatest.value < interval.least.value
    if interval.least.value >= 0 or is_empty or depends:
        return
    frame.builder.found.error(
        "E0218",
        f"{definition.tensor} is defined at the negative subscript "
        f"{interval.least.value}",
        subscript.span,
        label=f"{subscript.name} begins at {interval.least.value}",
        hint=f"let {subscript.name} begin at 0, and shift where it is used",
    )


# Ranges


def _find_range(step: FindRange, frame: Frame) -> None:
    name = frame.indices[step.index]
    if step.source is not None:
        extent = frame.shapes[step.source.tensor][step.source.dim]
        zero = quantity(0, step.source.span)
        _add_range(name, Interval(zero, minus_one(extent)), extent.expr, step, frame)
        return
    declared = next(r for r in frame.typed.ranges if r.index == step.index)
    lo = substitute(declared.lo, frame.renaming)
    hi = substitute(declared.hi, frame.renaming)
    numbers = frame.builder.binding, frame.builder.intervals
    try:
        interval = Interval(
            bounds(lo, *numbers).least, minus_one(bounds(hi, *numbers).greatest)
        )
    except ZeroDivisionError:
        frame.builder.found.error(
            "E0219",
            f"the range of {step.index} divides by zero",
            declared.span,
            label="a divisor is 0 here",
            hint="divide by a size or constant that is not 0",
        )
        frame.builder.found.raise_errors()
        return
    frame.builder.ranges.append(IndexRange(name, lo, hi, declared.span))
    frame.builder.intervals[name] = interval


def _add_range(
    name: str, interval: Interval, hi: Expr, step: FindRange, frame: Frame
) -> None:
    span = step.source.span if step.source else frame.typed.span
    frame.builder.ranges.append(IndexRange(name, literal(0, span), hi, span))
    frame.builder.intervals[name] = interval


def _add_copies(frame: Frame) -> None:
    """Give the new names of hiding indices the ranges of those they stand for."""
    for copy in frame.typed.copies:
        if copy.of not in frame.indices:
            continue
        original = frame.indices[copy.of]
        found = next(r for r in frame.builder.ranges if r.name == original)
        renamed = {
            frame.indices[old]: frame.indices[new]
            for old, new in copy.renamed
            if old in frame.indices and new in frame.indices
        }
        renaming = Renaming({}, renamed, {})
        name = frame.indices[copy.index]
        bound = substitute(found.lo, renaming), substitute(found.hi, renaming)
        frame.builder.ranges.append(IndexRange(name, *bound, found.span))
        frame.builder.intervals[name] = frame.builder.intervals[original]


def _check_agreement(frame: Frame) -> None:
    """Report declarations, or sources of one rank, that give different numbers."""
    agree = [_check_declared(tensor, frame) for tensor in frame.typed.tensors]
    chosen = {s.index: s.source for s in frame.typed.steps if isinstance(s, FindRange)}
    for source in frame.typed.sources if all(agree) else ():
        first = chosen.get(source.index)
        if first is not None and first.rank == source.rank:
            _check_source(first, source, frame)


def _check_declared(tensor: TypedTensor, frame: Frame) -> bool:
    found = frame.shapes[tensor.name]
    for shape in tensor.declared:
        wanted = tuple(
            _extent(tensor, number, dim, frame) for number, dim in enumerate(shape.dims)
        )
        if not _is_same(found, wanted):
            frame.builder.found.error(
                "E0215",
                f"{tensor.name} is declared as {_numbers(wanted)} and has the shape "
                f"{_numbers(found)}",
                shape.span,
                label=f"{_numbers(wanted)} here",
                hint="a tensor has one shape",
            )
            return False
    return True


def _numbers(extents: Extents) -> str:
    return "[" + ", ".join(str(extent.value) for extent in extents) + "]"


def _check_source(first: RangeSource, other: RangeSource, frame: Frame) -> None:
    extents = [frame.shapes[source.tensor][source.dim] for source in (first, other)]
    if extents[0].value == extents[1].value:
        return
    one = f"dimension {first.dim} of {first.tensor} has extent {extents[0].value}"
    two = f"dimension {other.dim} of {other.tensor} has extent {extents[1].value}"
    frame.builder.found.error(
        "E0204",
        f"the index {other.index} has two ranges: {one}, but {two}",
        other.span,
        label=f"{other.index} would run to {extents[1].value} here, and to "
        f"{extents[0].value} in line {first.span.line}",
        hint=f"use two indices, or declare the range: {other.index} in range("
        f"{min(extents[0].value, extents[1].value)})",
    )


# Statements


def _inline(position: int, frame: Frame) -> None:
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


def _refuse_call(call: KernelCall, misfit: Misfit, frame: Frame) -> None:
    parameters = dict(zip(call.callee.parameters, call.arguments))
    blamed = parameters.get(misfit.parameter)
    about = f" of {call.callee.name}" if misfit.parameter else ""
    subject = f"the argument {blamed} for {misfit.parameter}{about}"
    if blamed is None:
        subject = f"the call of {call.callee.name}"
    frame.builder.found.error(
        "E0406",
        f"{subject} does not fit: {misfit.reason}",
        call.span,
        label=", ".join(
            f"{name}: {_numbers(frame.shapes[name])}" for name in call.arguments
        ),
        hint="pass tensors whose shapes fit the signature of " + call.callee.name,
    )
    frame.builder.found.raise_errors()


def _constants(call: KernelCall, prefix: str, frame: Frame) -> dict[str, Expr]:
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


def _name_constant(name: str, prefix: str, expr: Expr, frame: Frame) -> Expr:
    try:
        value = evaluate(expr, frame.builder.binding)
    except (ArithmeticError, ValueError):
        raise Misfit("", f"its constant {name} has no value") from None
    new = frame.builder.fresh(f"{prefix}_{name}")
    frame.builder.binding[new] = value
    return Size(new, expr.dtype, expr.span)


def _add_tensor(tensor: TypedTensor, frame: Frame) -> None:
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


def _rename(definition: Definition, frame: Frame) -> Definition:
    """Write a statement in the names of the program."""
    renaming = frame.renaming
    subscripts = tuple(substitute(s, renaming) for s in definition.subscripts)
    value = substitute(definition.value, renaming)
    for expr in (*subscripts, value):
        _check_divisors(expr, frame)
    return Definition(
        frame.tensors[definition.tensor],
        subscripts,
        definition.op,
        value,
        tuple(frame.indices[name] for name in definition.reduced),
        definition.span,
        frame.inlining.calls,
    )


def _check_divisors(expr: Expr, frame: Frame) -> None:
    """Report `// 0` and `% 0` where the quotient has to be quasi-affine."""
    for node in walk(expr):
        match node:
            case Access(_, subscripts):
                parts = subscripts
            case Select(condition):
                parts = (condition,)
            case _:
                continue
        for part in parts:
            for inner in walk(part):
                _check_divisor(inner, frame)


def _check_divisor(expr: Expr, frame: Frame) -> None:
    match expr:
        case Call("floordiv" | "mod", (_, divisor), dtype) if not dtype.is_float:
            if not is_constant(divisor):
                return
            try:
                is_zero = evaluate(divisor, frame.builder.binding) == 0
            except ZeroDivisionError:
                is_zero = True
            if is_zero:
                frame.builder.found.error(
                    "E0219",
                    "a subscript or condition divides by zero",
                    expr.span,
                    label=f"{text_of(divisor.span)} is 0 here",
                    hint="divide by a size or constant that is not 0",
                )
