"""Types as they are written: dtypes, dimensions, size definitions, constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from polydsl.base.dtypes import DTYPES, F64, I64, DType
from polydsl.semantics.affine import affine, refuse_ellipsis
from polydsl.semantics.calls import CONSTANT_TYPES
from polydsl.semantics.context import Context, TensorInfo, text_of
from polydsl.semantics.expressions import elaborate
from polydsl.semantics.instance import has_lead
from polydsl.semantics.program import Expr, Size
from polydsl.semantics.scope import Scope, is_variable, suggest
from polydsl.semantics.sizes import evaluate, is_constant
from polydsl.semantics.typed import ConstantParameter, Shape, SizeDefinition
from polydsl.syntax import ast


@dataclass(frozen=True, slots=True)
class Declared:
    """What the declarations of one tensor say: its dtype and its shapes."""

    info: TensorInfo
    shapes: tuple[Shape, ...]


def resolve_dtype(
    type: ast.TensorType, variables: Mapping[str, DType], context: Context
) -> DType | None:
    """Return the dtype that a type names; report one that is unknown."""
    name = type.dtype
    if name in DTYPES:
        return DTYPES[name]
    if name in variables:
        return variables[name]
    if is_variable(name):
        context.error(
            "E0202",
            f"the dtype variable {name} is bound by no parameter",
            type.dtype_span,
            label="not the dtype of a parameter",
            hint=suggest(name, variables) or f"use a dtype: {', '.join(DTYPES)}",
        )
        return None
    context.error(
        "E0201",
        f"there is no dtype {name}",
        type.dtype_span,
        label="an unknown dtype",
        hint=suggest(name, DTYPES)
        or f"the dtypes are {', '.join(DTYPES)}; a variable starts with a capital",
    )
    return None


def resolve_shape(
    type: ast.TensorType, lead_sizes: tuple[str, ...], context: Context
) -> Shape | None:
    """Elaborate the dimensions of a type, with `...` written out."""
    dims: list[Expr | None] = []
    for position, dim in enumerate(type.dims):
        if not isinstance(dim, ast.Ellipsis):
            dims.append(affine(dim, context, "size"))
        elif position or context.lead is None:
            dims.append(refuse_ellipsis(dim, position, context))
        else:
            dims += [Size(name, I64, dim.span) for name in lead_sizes]
    known = tuple(dim for dim in dims if dim is not None)
    return Shape(known, type.span) if len(known) == len(dims) else None


def rank_of(type: ast.TensorType, lead: int | None) -> int:
    """Return the number of dimensions of a type, those of `...` included."""
    return len(type.dims) - has_lead(type) + (lead or 0) * has_lead(type)


def size_types(kernel: ast.Kernel, scope: Scope) -> dict[str, DType]:
    """Return the types of sizes, constants and size definitions.

    A size definition over a float constant is a float, and no extent.
    """
    types = dict.fromkeys(scope.sizes, I64)
    for name, constant in scope.constants.items():
        types[name] = CONSTANT_TYPES.get(constant.type, I64)
    order, _ = order_definitions(scope)
    for name in order:
        held = _names_in(scope.definitions[name].value)
        is_float = any(types.get(used, I64).is_float for used in held)
        types[name] = F64 if is_float else I64
    return types


def _names_in(expr: ast.Expr) -> list[str]:
    return [node.name for node in ast.walk(expr) if isinstance(node, ast.Name)]


def order_definitions(scope: Scope) -> tuple[list[str], list[str]]:
    """Sort the size definitions; also return those that use one another."""
    order: list[str] = []
    pending = list(scope.definitions)
    while True:
        ready = [
            name
            for name in pending
            if not set(_names_in(scope.definitions[name].value)) & set(pending)
        ]
        if not ready:
            return order, pending
        order += ready
        pending = [name for name in pending if name not in ready]


def elaborate_definitions(context: Context) -> tuple[SizeDefinition, ...]:
    """Elaborate the size definitions in an order in which they can be computed."""
    scope = context.scope
    order, circular = order_definitions(scope)
    for name in circular:
        definition = scope.definitions[name]
        others = [n for n in _names_in(definition.value) if n in circular]
        context.error(
            "E0105",
            f"the size {name} is defined by itself",
            definition.span,
            label=f"needs {others[0]}, which needs {name}"
            if others[0] != name and name in _closure(scope, others[0])
            else f"needs {others[0]}",
            hint="define sizes by sizes that are known before",
        )
    result = []
    for name in order:
        definition = scope.definitions[name]
        expr = _definition_value(name, definition, context)
        if expr is not None:
            result.append(SizeDefinition(name, expr, definition.span))
    return tuple(result)


def _closure(scope: Scope, name: str) -> set[str]:
    seen: set[str] = set()
    pending = [name]
    while pending:
        definition = scope.definitions.get(pending.pop())
        if definition is not None:
            new = set(_names_in(definition.value)) - seen
            seen |= new
            pending += sorted(new)
    return seen


def _definition_value(
    name: str, definition: ast.Assign, context: Context
) -> Expr | None:
    held = _names_in(definition.value)
    types = [context.sizes.get(used) for used in held]
    if all(dtype is None or dtype == I64 for dtype in types):
        return affine(definition.value, context, "size")
    operand = elaborate(definition.value, replace(context, tensors={}))
    return None if operand is None else operand.expr


def elaborate_constants(
    kernel: ast.Kernel, context: Context
) -> tuple[ConstantParameter, ...]:
    """Elaborate the constants of a kernel and their defaults."""
    result = []
    for constant in kernel.constants:
        dtype = CONSTANT_TYPES[constant.type]
        default = _default(constant, dtype, context)
        name = constant.name.name
        result.append(ConstantParameter(name, dtype, default, constant.name.span))
    return tuple(result)


def _default(
    constant: ast.Constant, dtype: DType, context: Context
) -> int | float | bool | None:
    if constant.default is None:
        return None
    names = _names_in(constant.default)
    quiet = replace(context, tensors={})
    operand = None if names else elaborate(constant.default, quiet)
    if operand is not None and is_constant(operand.expr):
        kinds = {"int": ("int",), "float": ("int", "float"), "bool": ("bool",)}
        try:
            value = evaluate(operand.expr, {})
        except (ArithmeticError, ValueError):
            value = None
        if value is not None and operand.dtype.kind in kinds[constant.type]:
            return float(value) if dtype.is_float else value
    context.error(
        "E0117",
        f"the default of {constant.name.name} is not a number of type {constant.type}",
        constant.default.span,
        label=f"{text_of(constant.default.span)} here",
        hint=f"write {'True or False' if constant.type == 'bool' else 'a number'} "
        f"of type {constant.type}",
    )
    return None
