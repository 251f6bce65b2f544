"""Subscripts, bounds of ranges and size expressions: integers, quasi-affine.

The three are one sublanguage with fewer or more kinds of names: sizes everywhere,
indices in bounds and subscripts, integer tensors in subscripts. All of it is i64.
"""

from __future__ import annotations

from typing import Literal as OneOf

from polydsl.base.dtypes import I64
from polydsl.base.source import Span
from polydsl.semantics.context import Context, text_of
from polydsl.semantics.program import Access, Call, Expr, Index, Literal, Size, walk
from polydsl.semantics.ranks import check_rank
from polydsl.semantics.scope import ARTICLES, suggest
from polydsl.semantics.types import UNKNOWN, convert
from polydsl.syntax import ast

Place = OneOf["subscript", "range", "size"]

_NOUNS: dict[Place, str] = {
    "subscript": "a subscript",
    "range": "a bound of a range",
    "size": "a size",
}
_ALLOWED: dict[Place, str] = {
    "subscript": "indices with + and -, products and // and % with sizes or numbers, "
    "min, max, abs, clamp, and integer tensors",
    "range": "indices with + and -, products and // and % with sizes or numbers, "
    "min and max",
    "size": "sizes, constants and integers with + - * // %, min and max",
}
_OPERATORS = {"+": "add", "-": "sub", "*": "mul", "//": "floordiv", "%": "mod"}
_UNARY = {"+": "pos", "-": "neg"}
_FUNCTIONS: dict[Place, frozenset[str]] = {
    "subscript": frozenset(("min", "max", "abs", "clamp")),
    "range": frozenset(("min", "max")),
    "size": frozenset(("min", "max")),
}
_LARGEST = I64.greatest


def affine(expr: ast.Expr, context: Context, place: Place) -> Expr | None:
    """Elaborate an integer expression of a place; None where it is wrong."""
    match expr:
        case ast.Number(value, span):
            return _number(value, span, context, place)
        case ast.Name():
            return _name(expr, context, place)
        case ast.Access() if place == "subscript":
            return _indirect(expr, context)
        case ast.Unary("+" | "-" as op, operand, span):
            inner = affine(operand, context, place)
            return None if inner is None else _unary(op, inner, span)
        case ast.Binary(op, left, right, span) if op in _OPERATORS:
            sides = affine(left, context, place), affine(right, context, place)
            if sides[0] is None or sides[1] is None:
                return None
            return _binary(op, sides[0], sides[1], span, context, place)
        case ast.Call(function) if function in _FUNCTIONS[place]:
            return _call(expr, context, place)
        case _:
            return _refuse(expr.span, context, place)


def _refuse(span: Span, context: Context, place: Place) -> Expr | None:
    what = "quasi-affine" if place != "size" else "a size expression"
    context.error(
        "E0206",
        f"{_NOUNS[place]} must be {what}, and {text_of(span)} is not",
        span,
        label=f"not allowed in {_NOUNS[place]}",
        hint=f"{_NOUNS[place]} may hold {_ALLOWED[place]}",
    )
    return None


def _number(
    value: int | float | bool, span: Span, context: Context, place: Place
) -> Expr | None:
    if isinstance(value, bool) or not isinstance(value, int):
        kind = "a bool" if isinstance(value, bool) else "a float"
        context.error(
            "E0205",
            f"{_NOUNS[place]} is an integer, and {text_of(span)} is {kind}",
            span,
            label=kind,
            hint="write an integer",
        )
        return None
    return literal(value, span, context)


def literal(value: int, span: Span, context: Context) -> Expr | None:
    """Return an integer literal, if it fits in 64 bits."""
    if value > _LARGEST:
        context.error(
            "E0216",
            f"{value} does not fit in 64 bits",
            span,
            label=f"the greatest integer is {_LARGEST}",
            hint="write it as a float, for example "
            + (f"{float(value):g}" if value.bit_length() < 1000 else "inf"),
        )
        return None
    return Literal(value, I64, span)


def _name(expr: ast.Name, context: Context, place: Place) -> Expr | None:
    name, span = expr.name, expr.span
    kind = context.scope.kind(name)
    if kind in ("size", "constant"):
        return _size(expr, context, place)
    if kind == "tensor" and place == "subscript":
        return _indirect(ast.Access(name, (), span, span), context)
    if kind == "tensor":
        context.error(
            "E0220",
            f"{name} is a tensor and cannot stand in {_NOUNS[place]}",
            span,
            label="a tensor here",
            hint=f"{_NOUNS[place]} may hold {_ALLOWED[place]}",
        )
        return None
    if place == "size":
        return _unbound(expr, context)
    if not context.scope.is_known(name):
        context.error(
            "E0103",
            f"{name} is not defined",
            span,
            label="no size, constant or index has this name",
            hint=suggest(name, context.names()) or f"define it: {name} = ...",
        )
        return None
    return Index(context.renamed.get(name, name), span)


def _size(expr: ast.Name, context: Context, place: Place) -> Expr | None:
    dtype = context.sizes.get(expr.name)
    if dtype is None:
        return None
    if dtype != I64:
        article = ARTICLES[context.scope.kind(expr.name)]
        kind = "float" if dtype.is_float else "bool"
        context.error(
            "E0220",
            f"{expr.name} is {article} of type {kind} and cannot stand in "
            f"{_NOUNS[place]}",
            expr.span,
            label=f"a {kind} here",
            hint="use an integer",
        )
        return None
    return Size(expr.name, dtype, expr.span)


def _unbound(expr: ast.Name, context: Context) -> Expr | None:
    name = expr.name
    if context.scope.is_known(name):
        context.error(
            "E0220",
            f"{name} is an index and cannot stand in a size",
            expr.span,
            label="an index here",
            hint=f"a size may hold {_ALLOWED['size']}",
        )
        return None
    context.error(
        "E0104",
        f"the size {name} is bound by no argument",
        expr.span,
        label="no parameter has it as a dimension of its own",
        hint=suggest(name, context.names())
        or f"define it ({name} = ...), or pass it as a constant ({name}: int)",
    )
    return None


def _indirect(expr: ast.Access, context: Context) -> Expr | None:
    access = elaborate_access(expr, context)
    if access is None:
        return None
    if access.dtype != UNKNOWN and not access.dtype.is_int:
        context.error(
            "E0205",
            f"a subscript is an integer, and {text_of(expr.span)} is {access.dtype}",
            expr.span,
            label=f"{access.dtype} here",
            hint="a tensor in a subscript must be of an integer type",
        )
        return None
    return convert(access, I64)


def _unary(op: str, operand: Expr, span: Span) -> Expr:
    if isinstance(operand, Literal):
        value = operand.value if op == "+" else -operand.value
        return Literal(value, I64, span)
    return Call(_UNARY[op], (operand,), I64, span)


def varies(expr: Expr) -> bool:
    """Whether an index or a tensor occurs in *expr*."""
    return any(isinstance(node, Index | Access) for node in walk(expr))


def _binary(
    op: str, left: Expr, right: Expr, span: Span, context: Context, place: Place
) -> Expr | None:
    bad = varies(right) and (op in ("//", "%") or (op == "*" and varies(left)))
    if not bad:
        return Call(_OPERATORS[op], (left, right), I64, span)
    what = "product of two indices" if op == "*" else f"{op} by an index"
    context.error(
        "E0206",
        f"{_NOUNS[place]} must be quasi-affine, and {text_of(span)} is a {what}"
        if op == "*"
        else f"{_NOUNS[place]} must be quasi-affine, and {text_of(span)} has {what}",
        span,
        label="not affine",
        hint=f"{_NOUNS[place]} may hold {_ALLOWED[place]}",
    )
    return None


def _call(expr: ast.Call, context: Context, place: Place) -> Expr | None:
    arguments = [affine(a.value, context, place) for a in expr.arguments]
    count = len(arguments)
    needs = {"abs": (1, 1), "clamp": (3, 3)}.get(expr.function, (2, count))
    if not needs[0] <= count <= needs[1] or any(a.name for a in expr.arguments):
        plural = "argument" if needs[0] == 1 else "arguments"
        more = " or more" if expr.function in ("min", "max") else ""
        context.error(
            "E0210",
            f"{expr.function} takes {needs[0]}{more} {plural}, and {count} "
            f"{'is' if count == 1 else 'are'} given",
            expr.span,
            label=f"{count} here",
            hint=f"write {expr.function}({', '.join(('x', 'y', 'z')[: needs[0]])})",
        )
        return None
    known = [argument for argument in arguments if argument is not None]
    if len(known) < count:
        return None
    if expr.function in ("abs", "clamp"):
        return Call(expr.function, tuple(known), I64, expr.span)
    result = known[0]
    for argument in known[1:]:
        result = Call(expr.function, (result, argument), I64, expr.span)
    return result


# Accesses: an access is needed in subscripts, and subscripts in an access.


def elaborate_access(expr: ast.Access, context: Context) -> Access | None:
    """Elaborate `x[e1, ..., en]`: check the tensor, the rank and every subscript."""
    known = _is_readable(expr, context)
    subscripts = elaborate_subscripts(expr, context)
    info = context.tensors.get(expr.tensor)
    if not known or info is None:
        return None
    if subscripts is None or not check_rank(expr, len(subscripts), info.rank, context):
        return None
    return Access(expr.tensor, subscripts, info.dtype, expr.span)


def elaborate_subscripts(expr: ast.Access, context: Context) -> tuple[Expr, ...] | None:
    """Elaborate the subscripts, with `...` written out; None if one is wrong."""
    result: list[Expr | None] = []
    for position, subscript in enumerate(expr.subscripts):
        if not isinstance(subscript, ast.Ellipsis):
            result.append(affine(subscript, context, "subscript"))
        elif position or context.lead is None:
            result.append(refuse_ellipsis(subscript, position, context))
        else:
            result += [Index(name, subscript.span) for name in context.lead]
    known = tuple(subscript for subscript in result if subscript is not None)
    return known if len(known) == len(result) else None


def refuse_ellipsis(expr: ast.Ellipsis, position: int, context: Context) -> Expr | None:
    """Report a `...` that is not in front, or that no parameter binds."""
    message = "the leading dimensions ... are in the type of no parameter"
    hint = "write ... in the type of a parameter, for example x: f32[..., N]"
    if position:
        message = "... stands behind another dimension"
        hint = "... stands for the leading dimensions: write it first"
    context.error("E0213", message, expr.span, label="... here", hint=hint)
    return None


def _is_readable(expr: ast.Access, context: Context) -> bool:
    name = expr.tensor
    kind = context.scope.kinds.get(name)
    if kind == "tensor" or name in context.scope.conflicts:
        return kind == "tensor"
    if kind is None and not context.scope.is_known(name):
        tensors = [n for n, k in context.scope.kinds.items() if k == "tensor"]
        context.error(
            "E0103",
            f"the tensor {name} is not defined",
            expr.tensor_span,
            label="no parameter or statement defines it",
            hint=suggest(name, tensors) or f"define it: {name}[...] = ...",
        )
        return False
    article = ARTICLES[kind or "index"]
    context.error(
        "E0203",
        f"{name} is {article} and takes no subscripts",
        expr.tensor_span,
        label=f"{article} here",
        hint="only tensors take subscripts",
    )
    return False
