"""Binding sizes to numbers, and the shapes of tensors that follow from them."""

from __future__ import annotations

from polydsl.base.diagnostics import bug
from polydsl.semantics.building import BoundFrame, Extents, Misfit
from polydsl.semantics.intervals import Interval
from polydsl.semantics.program import Definition, Expr, Index, Size, walk
from polydsl.semantics.sizes import (
    Quantity,
    evaluate,
    is_simple,
    least_upper,
    plus_one,
)
from polydsl.semantics.substitute import substitute
from polydsl.semantics.typed import SizeDefinition, TypedTensor


def bind_sizes(frame: BoundFrame) -> None:
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
                # Sizes of leading dimensions have no name that a user knows.
                shown = "that of ..." if dim.span.text == "..." else size
                raise Misfit(
                    name,
                    f"its dimension {number} is {extent.value}, but {shown} is "
                    f"{_value(dim, frame)} ({holders[size]})",
                )


def _bind_size(dim: Size, extent: Quantity, frame: BoundFrame) -> None:
    if frame.inlining.is_root:
        frame.builder.binding[dim.name] = extent.value
        frame.sizes[dim.name] = dim
    else:
        frame.sizes[dim.name] = extent.expr


def bind_definition(definition: SizeDefinition, frame: BoundFrame) -> None:
    """Compute a size definition and give it a name in the program."""
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


def _value(expr: Expr, frame: BoundFrame) -> int:
    number = evaluate(substitute(expr, frame.renaming), frame.builder.binding)
    return int(number)


def bind_declared(frame: BoundFrame) -> None:
    """Check the parameters' dimensions and give declared locals their shapes."""
    for tensor in frame.typed.tensors:
        for shape in tensor.declared:
            extents = tuple(
                extent_of(tensor, number, dim, frame)
                for number, dim in enumerate(shape.dims)
            )
            if tensor.name not in frame.shapes:
                frame.shapes[tensor.name] = extents
            elif tensor.is_parameter:
                _check_shape(tensor, extents, frame)
            if tensor.is_parameter and frame.inlining.is_root:
                # Keep the sizes by name.
                frame.shapes[tensor.name] = extents


def extent_of(
    tensor: TypedTensor, number: int, dim: Expr, frame: BoundFrame
) -> Quantity:
    """Return a declared extent; it must not be negative."""
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


def is_same(left: Extents, right: Extents) -> bool:
    """Whether two shapes are the same in numbers."""
    return [e.value for e in left] == [e.value for e in right]


def _check_shape(tensor: TypedTensor, wanted: Extents, frame: BoundFrame) -> None:
    pairs = zip(frame.shapes[tensor.name], wanted)
    for number, (came, needs) in enumerate(pairs):
        if came.value != needs.value:
            raise Misfit(
                tensor.name,
                f"its dimension {number} is {came.value}, not {needs.value}",
            )


def find_shape(name: str, frame: BoundFrame) -> None:
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
    definition: Definition, subscript: Index, interval: Interval, frame: BoundFrame
) -> None:
    """Report a left-hand index that is negative; a dependent one is proved later."""
    bound = next((r for r in frame.typed.ranges if r.index == subscript.name), None)
    depends = bound is not None and any(
        isinstance(node, Index) for e in (bound.lo, bound.hi) for node in walk(e)
    )
    is_empty = interval.greatest.value < interval.least.value
    if interval.least.value >= 0 or is_empty or depends:
        return
    frame.error(
        "E0218",
        f"{definition.tensor} is defined at the negative subscript "
        f"{interval.least.value}",
        subscript.span,
        label=f"{subscript.name} begins at {interval.least.value}",
        hint=f"let {subscript.name} begin at 0, and shift where it is used",
    )
