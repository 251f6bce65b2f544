"""Terms and conditions of the nest and of the program as forms of the proofs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from polydsl.loops import nest
from polydsl.loops.verify_conditions import (
    FALSE,
    TRUE,
    Condition,
    comparison,
    connected,
    is_comparison,
)
from polydsl.loops.verify_forms import (
    Form,
    Lookup,
    Space,
    add,
    atom,
    constant,
    extreme_of,
    floor_of,
    remainder_of,
    scale,
    subtract,
)
from polydsl.semantics import program

Names: TypeAlias = Mapping[str, Form]
"""What a name stands for: a loop variable in counters, an index in an instance."""


def nest_form(expr: nest.Expr, names: Names, space: Space) -> Form | None:
    """Return a term of the nest, or None if it is none: it has data or a product."""
    match expr:
        case nest.Literal(value, dtype):
            return None if dtype.is_float else constant(int(value))
        case nest.Var(name):
            return names.get(name)
        case nest.Load(buffer, (index,)) if buffer in space.tables:
            place = nest_form(index, names, space)
            return None if place is None else atom(Lookup(buffer, place))
        case nest.Call(function, arguments):
            parts = [nest_form(a, names, space) for a in arguments]
            return _call(function, parts, space)
        case nest.Load() | nest.Select() | nest.Cast():
            return None


def program_form(
    expr: program.Expr, names: Names, sizes: Mapping[str, program.Value], space: Space
) -> Form | None:
    """Return a term of the program, or None if it is none."""
    match expr:
        case program.Literal(value, dtype):
            return None if dtype.is_float else constant(int(value))
        case program.Size(name, dtype):
            return None if dtype.is_float else constant(int(sizes[name]))
        case program.Index(name):
            return names.get(name)
        case program.Call(function, arguments):
            parts = [program_form(a, names, sizes, space) for a in arguments]
            return _call(function, parts, space)
        case _:
            return None


def _call(function: str, parts: list[Form | None], space: Space) -> Form | None:
    forms = [part for part in parts if part is not None]
    if len(forms) < len(parts):
        return None
    match function, forms:
        case "add", [left, right]:
            return add(left, right)
        case "sub", [left, right]:
            return subtract(left, right)
        case "neg", [operand]:
            return scale(operand, -1)
        case "pos", [operand]:
            return operand
        case "mul", [left, right]:
            return _product(left, right)
        case "floordiv", [left, right] if right.is_constant and right.constant:
            return floor_of(left, right.constant, space)
        case "mod", [left, right] if right.is_constant and right.constant:
            return remainder_of(left, right.constant, space)
        case "min" | "max", [_, *_]:
            return extreme_of(forms, function == "min", space)
        case "abs", [operand]:
            return extreme_of([operand, scale(operand, -1)], False, space)
        case "clamp", [operand, lo, hi]:
            raised = extreme_of([operand, lo], False, space)
            return extreme_of([raised, hi], True, space)
        case _:
            return None


def _product(left: Form, right: Form) -> Form | None:
    if left.is_constant:
        return scale(right, left.constant)
    return scale(left, right.constant) if right.is_constant else None


def nest_condition(expr: nest.Expr, names: Names, space: Space) -> Condition | None:
    """Return an affine condition of the nest, or None if it depends on data."""
    match expr:
        case nest.Literal(value):
            return TRUE if value else FALSE
        case nest.Call(function, arguments) if is_comparison(function):
            left, right = (nest_form(a, names, space) for a in arguments)
            if left is None or right is None:
                return None
            return comparison(function, left, right)
        case nest.Call("and" | "or" | "not" as function, arguments):
            return connected(
                function, arguments, lambda a: nest_condition(a, names, space)
            )
        case _:
            return None


def program_condition(
    expr: program.Expr, names: Names, sizes: Mapping[str, program.Value], space: Space
) -> Condition | None:
    """Return an affine condition of the program, or None if it depends on data."""
    match expr:
        case program.Literal(value):
            return TRUE if value else FALSE
        case program.Size(name):
            return TRUE if sizes[name] else FALSE
        case program.Cast(operand):
            return program_condition(operand, names, sizes, space)
        case program.Call(function, arguments) if is_comparison(function):
            left, right = (program_form(a, names, sizes, space) for a in arguments)
            if left is None or right is None:
                return None
            return comparison(function, left, right)
        case program.Call("and" | "or" | "not" as function, arguments):
            return connected(
                function, arguments, lambda a: program_condition(a, names, sizes, space)
            )
        case _:
            return None
