"""The nodes of statements, types and definitions.

Each function takes the place of a grammar rule and the nodes of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from polydsl.base.source import Span
from polydsl.syntax import ast
from polydsl.syntax.context import Children, Context, Word, define
from polydsl.syntax.depth import check_depth
from polydsl.syntax.strings import check_annotation, docstring_value
from polydsl.syntax.words import CONSTANT_TYPES, reserved_as


@dataclass(frozen=True, slots=True)
class Quoted:
    """An annotation that is still a string literal."""

    literal: Word


Annotation = ast.TensorType | Quoted


def module(context: Context, span: Span, children: Children) -> ast.Module:
    """Build the whole text."""
    docstring, imports, kernels = children
    whole = Span(context.source, 0, len(context.source.text))
    return ast.Module(docstring, imports, kernels, whole)


def several(context: Context, span: Span, children: Children) -> Children:
    """Build a list of parts."""
    return tuple(children)


def docstring(context: Context, span: Span, children: Children) -> str:
    """Return the value of a docstring."""
    return docstring_value(children[0], context.found)


def dots(context: Context, span: Span, children: Children) -> int:
    """Return how many dots lead an import."""
    return sum(len(word.text) for word in children)


def import_names(context: Context, span: Span, children: Children) -> ast.Import:
    """Build `from .gates import swish`."""
    level, path, *names = children
    for imported in names:
        purpose = reserved_as(imported.name)
        if purpose:
            context.found.error(
                "E0013",
                f"{imported.name} is {purpose} and cannot be imported",
                imported.span,
                hint="remove it: words of the language need no import",
            )
    parts = tuple(part.name for part in path)
    return ast.Import(level or 0, parts, tuple(names), span)


def kernel(context: Context, span: Span, children: Children) -> ast.Kernel:
    """Build a definition."""
    name, signature, results, text, body = children
    parameters = tuple(p for p in signature or () if isinstance(p, ast.Parameter))
    constants = tuple(c for c in signature or () if isinstance(c, ast.Constant))
    define(context, name, "a kernel")
    return ast.Kernel(name, parameters, constants, results, text, body, span)


def parameter(context: Context, span: Span, children: Children) -> ast.Parameter:
    """Build a tensor parameter."""
    name, annotation = children
    type_ = _resolve(context, annotation)
    if type_.dtype in ("int", "float"):
        context.found.error(
            "E0015",
            f"{type_.dtype} is a type of constants, and {name.name} is a tensor",
            type_.span,
            label="constants stand after a *",
            hint=f"put {name.name} after a *, or write a dtype: {name.name}: "
            + ("i32" if type_.dtype == "int" else "f32"),
        )
    return ast.Parameter(define(context, name, "a parameter"), type_, span)


def constant(context: Context, span: Span, children: Children) -> ast.Constant:
    """Build a constant parameter."""
    name, annotation, default = children
    type_ = _resolve(context, annotation)
    if type_.dtype not in CONSTANT_TYPES or type_.dims:
        context.found.error(
            "E0015",
            f"the constant {name.name} has the type {type_.span.text}",
            type_.span,
            label="a constant is int, float or bool",
            hint=f"write {name.name}: int, or put a tensor before the *",
        )
    if default is not None:
        check_depth(default, context.found)
    define(context, name, "a constant")
    return ast.Constant(name, type_.dtype, default, span)


def annotation(context: Context, span: Span, children: Children) -> Any:
    """Build a type that stands without quotes."""
    return children[0]


def quoted_annotation(context: Context, span: Span, children: Children) -> Quoted:
    """Keep a string literal until it is known what it may hold."""
    return Quoted(children[0])


def tensor_type(context: Context, span: Span, children: Children) -> ast.TensorType:
    """Build `f32[N, M]`; `f32` and `f32[]` are the same."""
    dtype, dims = children
    for dim in dims or ():
        if not isinstance(dim, ast.Ellipsis):
            check_depth(dim, context.found)
    return ast.TensorType(dtype.name, tuple(dims or ()), span, dtype.span)


def results(
    context: Context, span: Span, children: Children
) -> tuple[ast.TensorType, ...]:
    """Build the result types; one string may hold a tuple of them."""
    if len(children) == 1 and isinstance(children[0], Quoted):
        return tuple(_parse_quoted(context, "results", children[0].literal))
    return tuple(_resolve(context, child) for child in children)


def _resolve(context: Context, annotation: Annotation) -> ast.TensorType:
    if isinstance(annotation, ast.TensorType):
        return annotation
    types = _parse_quoted(context, "annotation", annotation.literal)
    return types[0]


def _parse_quoted(
    context: Context, start: str, literal: Word
) -> tuple[ast.TensorType, ...]:
    """Return the types in a string; after an error, some type with its place."""
    node = None
    if context.quoted is None:
        _report_nested(context, literal)
    elif check_annotation(literal, context.found):
        node = context.quoted(start, literal, context.found)
    if isinstance(node, Quoted):
        _report_nested(context, node.literal)
        node = None
    if node is None:
        return (ast.TensorType("bool", (), literal.span, literal.span),)
    return node if isinstance(node, tuple) else (node,)


def _report_nested(context: Context, literal: Word) -> None:
    context.found.error(
        "E0016",
        "a string stands inside the string of an annotation",
        literal.span,
        label="a second pair of quotes",
        hint="remove the inner quotes",
    )


def target(context: Context, span: Span, children: Children) -> ast.Access | ast.Name:
    """Build the left side of an assignment."""
    name, indices = children
    define(context, name, "a tensor")
    if indices is None:
        return ast.Name(name.name, span)
    return ast.Access(name.name, tuple(indices), span, name.span)


def assign_operator(context: Context, span: Span, children: Children) -> str:
    """Return the symbol."""
    return str(children[0].text)


def assign(context: Context, span: Span, children: Children) -> ast.Assign:
    """Build `y[i, j] = e`, `+=` or `*=`."""
    left, operator, right = children
    if isinstance(left, ast.Access):
        check_depth(left, context.found)
    check_depth(right, context.found)
    return ast.Assign(left, operator, right, span)


def multi_assign(context: Context, span: Span, children: Children) -> ast.MultiAssign:
    """Build `a, b = other(x)`."""
    names, right = children
    for name in names:
        define(context, name, "a tensor")
    check_depth(right, context.found)
    return ast.MultiAssign(names, right, span)


def declare(context: Context, span: Span, children: Children) -> ast.Declare:
    """Build `y: f32[N, M]`."""
    name, annotation = children
    define(context, name, "a tensor")
    return ast.Declare(name, _resolve(context, annotation), span)


def in_range(context: Context, span: Span, children: Children) -> ast.InRange:
    """Build `i in range(lo, hi)`."""
    index, first, second = children
    define(context, index, "an index")
    for bound in (first, second):
        if bound is not None:
            check_depth(bound, context.found)
    if second is None:
        return ast.InRange(index, None, first, span)
    return ast.InRange(index, first, second, span)


def return_names(context: Context, span: Span, children: Children) -> ast.Return:
    """Build `return a, b`."""
    return ast.Return(tuple(children), span)
