"""The text of the `typed` stage: tensors with their types, indices with their ranges.

The text is for people and for golden files: it depends on the program alone.
Conversions that the checker put in are written `(e : f32)`, those of the user
`f32(e)`; a Python-like precedence keeps brackets few.
"""

from __future__ import annotations

from typing import assert_never

from polydsl.base.dtypes import DType
from polydsl.base.functions import FUNCTIONS
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Definition,
    Expr,
    Index,
    IndexRange,
    Literal,
    Pad,
    Program,
    Reduce,
    Select,
    Size,
    Tensor,
)

_LOOSEST, _SELECT, _OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = (
    range(11)
)
_PRECEDENCE = {
    "or": _OR,
    "and": _AND,
    "not": _NOT,
    "add": _SUM,
    "sub": _SUM,
    "mul": _PRODUCT,
    "div": _PRODUCT,
    "floordiv": _PRODUCT,
    "mod": _PRODUCT,
    "neg": _SIGN,
    "pos": _SIGN,
    "power": _POWER,
}


def render(program: Program) -> str:
    """Return a program as text, without a line end."""
    lines = [f"kernel {program.name}({', '.join(program.parameters)})"]
    lines += _section("sizes", [f"{n} = {v}" for n, v in program.binding])
    lines += _section("tensors", _align([_tensor(t, program) for t in program.tensors]))
    lines += _section("indices", [_range(r) for r in program.ranges])
    lines += _section(
        "statements", _align([_definition(d) for d in program.definitions])
    )
    lines.append(f"return {', '.join(program.results)}")
    return "\n".join(lines)


def _section(title: str, lines: list[str]) -> list[str]:
    return [title, *(f"  {line}" for line in lines)] if lines else []


def _align(rows: list[tuple[str, str]]) -> list[str]:
    """Put the notes of rows that fit on a line into one column."""
    width = max((len(text) for text, _ in rows), default=0)
    width = min(width, 60)
    return [f"{text:<{width}}  {note}".rstrip() for text, note in rows]


def _tensor(tensor: Tensor, program: Program) -> tuple[str, str]:
    role = "local" if tensor.is_declared else "inferred"
    if tensor.name in program.results:
        role = f"result, {role}"
    if tensor.is_parameter:
        role = "parameter"
    shape = "x".join(map(str, program.extents(tensor.name))) or "scalar"
    return f"{tensor.name}: {_type(tensor.dtype, tensor.shape)}", f"# {role}, {shape}"


def _type(dtype: DType, shape: tuple[Expr, ...]) -> str:
    dims = ", ".join(map(render_expr, shape))
    return f"{dtype}[{dims}]" if shape else dtype.name


def _range(bound: IndexRange) -> str:
    lo, hi = render_expr(bound.lo), render_expr(bound.hi)
    return f"{bound.name} in range({lo}, {hi})"


def _definition(definition: Definition) -> tuple[str, str]:
    left = definition.tensor
    if definition.subscripts:
        left += f"[{', '.join(map(render_expr, definition.subscripts))}]"
    notes = []
    if definition.reduced:
        verb = "sums" if definition.op == "+=" else "multiplies"
        notes.append(f"{verb} over {', '.join(definition.reduced)}")
    if definition.op != "=":
        notes.append(f"in {definition.value.dtype}")
    note = f"# {' '.join(notes)}" if notes else ""
    return f"{left} {definition.op} {render_expr(definition.value)}", note


def render_expr(expr: Expr) -> str:
    """Return an expression as text."""
    return _render(expr, _LOOSEST)


def _render(expr: Expr, around: int) -> str:
    text, precedence = _parts(expr)
    return f"({text})" if precedence < around else text


def _parts(expr: Expr) -> tuple[str, int]:
    """Return the text of an expression and how tightly it binds."""
    match expr:
        case Literal(value, dtype):
            return _number(value, dtype), _SIGN if _is_negative(value) else _ATOM
        case Size(name) | Index(name):
            return name, _ATOM
        case Access(tensor, subscripts):
            inside = ", ".join(map(render_expr, subscripts))
            return (f"{tensor}[{inside}]" if subscripts else tensor), _ATOM
        case Pad(access, value):
            return f"pad({render_expr(access)}, {render_expr(value)})", _ATOM
        case Call(function, arguments):
            return _call(function, arguments)
        case Select(condition, then, otherwise):
            arms = _render(then, _OR), _render(otherwise, _SELECT)
            return f"{arms[0]} if {_render(condition, _OR)} else {arms[1]}", _SELECT
        case Reduce(op, indices, body):
            return f"{op}[{', '.join(indices)}]({render_expr(body)})", _ATOM
        case Cast(operand, dtype, True):
            return f"{dtype}({render_expr(operand)})", _ATOM
        case Cast(operand, dtype):
            return f"({render_expr(operand)} : {dtype})", _ATOM
        case _:
            assert_never(expr)


def _is_negative(value: float) -> bool:
    return value < 0


def _number(value: int | float | bool, dtype: DType) -> str:
    """A number as it is written; a float is told from an integer by its point."""
    if dtype.kind == "bool":
        return str(bool(value))
    return repr(float(value)) if dtype.is_float else str(int(value))


def _call(function: str, arguments: tuple[Expr, ...]) -> tuple[str, int]:
    symbol = FUNCTIONS[function].symbol
    if not symbol:
        return f"{function}({', '.join(map(render_expr, arguments))})", _ATOM
    own = _PRECEDENCE.get(function, _COMPARE)
    if len(arguments) == 1:
        gap = " " if function == "not" else ""
        return f"{symbol}{gap}{_render(arguments[0], own)}", own
    # Comparisons do not chain here, and ** groups to the right.
    left = own + 1 if own in (_COMPARE, _POWER) else own
    right = own if own == _POWER else own + 1
    sides = _render(arguments[0], left), _render(arguments[1], right)
    gap = "" if own in (_PRODUCT, _POWER) and function == "mul" else " "
    return f"{sides[0]}{gap}{symbol}{gap}{sides[1]}", own
