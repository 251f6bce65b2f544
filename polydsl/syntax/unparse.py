"""From the syntax tree back to text, in one canonical form.

`parse(unparse(module)) == module`, and a text that was unparsed once unparses to
itself. Parentheses stand only where the binding of operators asks for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import assert_never

from polydsl.syntax import ast

_INDENT = "    "
# A quote that would help to end a triple-quoted string.
_QUOTE = re.compile(r'"(?="|\Z)')
_WIDTH = 88


class Binding(IntEnum):
    """How tightly an expression binds, loosest first: Python's order."""

    CONDITIONAL = 0
    OR = 1
    AND = 2
    NOT = 3
    COMPARE = 4
    SUM = 5
    PRODUCT = 6
    SIGN = 7
    POWER = 8
    ATOM = 9


_BINARY = {
    "or": Binding.OR,
    "and": Binding.AND,
    "+": Binding.SUM,
    "-": Binding.SUM,
    "*": Binding.PRODUCT,
    "/": Binding.PRODUCT,
    "//": Binding.PRODUCT,
    "%": Binding.PRODUCT,
    "**": Binding.POWER,
}


def unparse(module: ast.Module) -> str:
    """Return the canonical text of a module."""
    parts = []
    if module.docstring is not None:
        parts.append(_docstring(module.docstring) + "\n")
    if module.imports:
        parts.append("".join(f"{_import(node)}\n" for node in module.imports))
    parts.extend(unparse_kernel(kernel) for kernel in module.kernels)
    return "\n".join(parts)


def unparse_kernel(kernel: ast.Kernel) -> str:
    """Return the text of a definition, ending in a line end."""
    lines = [unparse_signature(kernel)]
    if kernel.docstring is not None:
        lines.append(_INDENT + _docstring(kernel.docstring))
    lines.extend(_INDENT + unparse_statement(node) for node in kernel.body)
    return "\n".join(lines) + "\n"


def unparse_signature(kernel: ast.Kernel) -> str:
    """Return the header of a definition, broken at the parameters if it is long."""
    items = [f"{p.name.name}: {unparse_type(p.type)}" for p in kernel.parameters]
    if kernel.constants:
        items.extend(("*", *(_constant(constant) for constant in kernel.constants)))
    opening = f"kernel {kernel.name.name}("
    closing = f"){_results(kernel.results)}:"
    line = opening + ", ".join(items) + closing
    if len(line) <= _WIDTH or not items:
        return line
    broken = "".join(f"{_INDENT}{item},\n" for item in items)
    return f"{opening}\n{broken}{closing}"


def _constant(constant: ast.Constant) -> str:
    text = f"{constant.name.name}: {constant.type}"
    if constant.default is None:
        return text
    return f"{text} = {unparse_expression(constant.default)}"


def _results(results: tuple[ast.TensorType, ...] | None) -> str:
    if results is None:
        return ""
    types = ", ".join(unparse_type(result) for result in results)
    return f" -> {types}" if len(results) == 1 else f" -> ({types})"


def _import(node: ast.Import) -> str:
    path = "." * node.level + ".".join(node.module)
    return f"from {path} import {_names(node.names)}"


def unparse_type(type_: ast.TensorType) -> str:
    """Return the text of a type; a scalar has no brackets."""
    return type_.dtype + (f"[{_subscripts(type_.dims)}]" if type_.dims else "")


def unparse_statement(statement: ast.Statement) -> str:
    """Return the text of a statement, one line."""
    match statement:
        case ast.Assign(target, op, value):
            left = unparse_expression(target)
            return f"{left} {op} {unparse_expression(value)}"
        case ast.MultiAssign(targets, value):
            return f"{_names(targets)} = {unparse_expression(value)}"
        case ast.Declare(name, type_):
            return f"{name.name}: {unparse_type(type_)}"
        case ast.InRange(index, None, hi):
            return f"{index.name} in range({unparse_expression(hi)})"
        case ast.InRange(index, lo, hi):
            bounds = _listed(bound for bound in (lo, hi) if bound is not None)
            return f"{index.name} in range({bounds})"
        case ast.Return(names):
            return f"return {_names(names)}"
        case _:
            assert_never(statement)


def unparse_expression(expr: ast.Expr, at_least: Binding = Binding.CONDITIONAL) -> str:
    """Return the text of an expression, in parentheses if it binds too loosely."""
    text = "".join(_pieces(expr))
    return text if _binding(expr) >= at_least else f"({text})"


def _binding(expr: ast.Expr) -> Binding:
    match expr:
        case ast.Conditional():
            return Binding.CONDITIONAL
        case ast.Compare():
            return Binding.COMPARE
        case ast.Unary(op, _):
            return Binding.NOT if op == "not" else Binding.SIGN
        case ast.Binary(op, _, _):
            return _BINARY[op]
        case ast.Number(value):
            return Binding.SIGN if value < 0 else Binding.ATOM
        case ast.Name() | ast.Access() | ast.Pad() | ast.Call() | ast.Reduce():
            return Binding.ATOM
        case _:
            assert_never(expr)


def _pieces(expr: ast.Expr) -> Iterator[str]:
    match expr:
        case ast.Number(value):
            yield _number(value)
        case ast.Name(name):
            yield name
        case ast.Access(tensor, subscripts):
            yield f"{tensor}[{_subscripts(subscripts)}]"
        case ast.Pad(access, value):
            yield f"pad({_listed(e for e in (access, value) if e is not None)})"
        case ast.Unary("not", operand):
            yield f"not {unparse_expression(operand, Binding.NOT)}"
        case ast.Unary(op, operand):
            yield op + unparse_expression(operand, Binding.SIGN)
        case ast.Binary(op, left, right):
            yield from _binary(op, left, right)
        case ast.Compare(ops, operands):
            yield unparse_expression(operands[0], Binding.SUM)
            for op, operand in zip(ops, operands[1:]):
                yield f" {op} {unparse_expression(operand, Binding.SUM)}"
        case ast.Conditional(then, condition, otherwise):
            yield unparse_expression(then, Binding.OR)
            yield f" if {unparse_expression(condition, Binding.OR)}"
            yield f" else {unparse_expression(otherwise)}"
        case ast.Call(function, arguments):
            yield f"{function}({', '.join(map(_argument, arguments))})"
        case ast.Reduce(op, indices, body):
            yield f"{op}[{_names(indices)}]({unparse_expression(body)})"
        case _:
            assert_never(expr)


def _binary(op: str, left: ast.Expr, right: ast.Expr) -> Iterator[str]:
    """Yield the pieces of an operator; its left operand may bind as it does.

    `**` is the other way round: `a ** -b ** c` is `a ** (-(b ** c))`.
    """
    binding = _BINARY[op]
    if op == "**":
        yield unparse_expression(left, Binding.ATOM)
        yield f"**{unparse_expression(right, Binding.SIGN)}"
        return
    yield unparse_expression(left, binding)
    yield f" {op} "
    yield unparse_expression(right, Binding(binding + 1))


def _number(value: int | float | bool) -> str:
    """Return a literal. Only `inf` itself is infinite: parse refuses 1e999."""
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(value)


def _argument(argument: ast.Argument) -> str:
    value = unparse_expression(argument.value)
    return value if argument.name is None else f"{argument.name}={value}"


def _subscripts(subscripts: tuple[ast.Expr | ast.Ellipsis, ...]) -> str:
    return ", ".join(
        "..." if isinstance(item, ast.Ellipsis) else unparse_expression(item)
        for item in subscripts
    )


def _listed(items: Iterable[ast.Expr]) -> str:
    return ", ".join(unparse_expression(item) for item in items)


def _names(names: Iterable[ast.Name]) -> str:
    return ", ".join(name.name for name in names)


def _docstring(text: str) -> str:
    """Return a triple-quoted literal of *text*."""
    escaped = _QUOTE.sub(r'\\"', "".join(map(_escaped, text)))
    return f'"""{escaped}"""'


def _escaped(char: str) -> str:
    if char == "\\":
        return r"\\"
    if char in "\n\t" or char.isprintable():
        return char
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\U{ord(char):08x}"
