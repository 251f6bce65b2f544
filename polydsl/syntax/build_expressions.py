"""The nodes of expressions, and what the grammar leaves open about them.

Each function takes the place of a grammar rule and the nodes of its parts.
"""

from __future__ import annotations

import math
from typing import Any

from polydsl.base.functions import REDUCTIONS
from polydsl.base.source import Span
from polydsl.syntax import ast
from polydsl.syntax.context import Children, Context
from polydsl.syntax.numbers import number_value
from polydsl.syntax.words import VALUE_FUNCTIONS, reserved_as


def name(context: Context, span: Span, children: Children) -> ast.Name:
    """Build a name: letters, digits and underscores of ASCII."""
    text = children[0].text
    if not text.isascii():
        odd = next(char for char in text if not char.isascii())
        context.found.error(
            "E0002",
            f"the name {text} has the character {odd}, which is not ASCII",
            span,
            label=f"U+{ord(odd):04X}",
            hint="names consist of a-z, A-Z, 0-9 and _",
        )
    return ast.Name(text, span)


def number(context: Context, span: Span, children: Children) -> ast.Number:
    """Build a numeric literal."""
    return ast.Number(number_value(children[0].text, span, context.found), span)


def true(context: Context, span: Span, children: Children) -> ast.Number:
    """Build `True`."""
    return ast.Number(True, span)


def false(context: Context, span: Span, children: Children) -> ast.Number:
    """Build `False`."""
    return ast.Number(False, span)


def value(context: Context, span: Span, children: Children) -> ast.Expr:
    """Build a bare name that is read; `inf` is a number."""
    text = children[0].name
    if text == "inf":
        return ast.Number(math.inf, span)
    purpose = reserved_as(text)
    if purpose:
        context.found.error(
            "E0013",
            f"{text} is {purpose} and not a value",
            span,
            label="it stands alone here",
            hint=f"write {_usage(text)}",
        )
    return ast.Name(text, span)


def _usage(text: str) -> str:
    """Return how a reserved word is used."""
    if text == "pad":
        return "pad(x[i - 1])"
    if text in REDUCTIONS:
        return f"{text}[k](x[k])"
    return f"{text}(...)"


def group(context: Context, span: Span, children: Children) -> Any:
    """Build what stands in parentheses."""
    return children[0]


def ellipsis(context: Context, span: Span, children: Children) -> ast.Ellipsis:
    """Build `...`."""
    return ast.Ellipsis(span)


def subscripts(context: Context, span: Span, children: Children) -> Children:
    """Check that `...` stands first, if anywhere."""
    for child in children[1:]:
        if isinstance(child, ast.Ellipsis):
            context.found.error(
                "E0019",
                "'...' stands for leading dimensions only",
                child.span,
                label="it is not the first here",
                hint="put it first: x[..., i]",
            )
    return children


def access(context: Context, span: Span, children: Children) -> ast.Access:
    """Build `x[i, j]` where it is read."""
    tensor, indices = children
    purpose = reserved_as(tensor.name)
    if purpose and tensor.name in REDUCTIONS:
        written = Span(span.source, tensor.span.start, span.end).text
        context.found.error(
            "E0018",
            f"the reduction {tensor.name} has nothing to reduce",
            span,
            label="an expression in parentheses has to follow",
            hint=f"write {written}(...)",
        )
    elif purpose:
        context.found.error(
            "E0013",
            f"{tensor.name} is {purpose} and not a tensor",
            tensor.span,
            label="brackets read elements of a tensor",
            hint=f"write {_usage(tensor.name)}",
        )
    return ast.Access(tensor.name, tuple(indices), span, tensor.span)


def reduce(context: Context, span: Span, children: Children) -> ast.Reduce:
    """Build `sum[k](e)`."""
    function, indices, body = children
    if function.name not in REDUCTIONS:
        context.found.error(
            "E0018",
            f"{function.name} is not a reduction",
            function.span,
            label="a name with [...] and (...) is a reduction",
            hint=f"the reductions are {', '.join(REDUCTIONS)}",
        )
    names = tuple(index for index in indices if isinstance(index, ast.Name))
    for index in indices:
        if isinstance(index, ast.Name):
            continue
        context.found.error(
            "E0018",
            f"{function.name} reduces over names of indices",
            index.span,
            label="this is not a name",
            hint=f"write {function.name}[k](...)",
        )
    return ast.Reduce(function.name, names, body, span)


def keyword_argument(context: Context, span: Span, children: Children) -> ast.Argument:
    """Build `eps=1e-5`."""
    return ast.Argument(children[0].name, children[1], span)


def argument(context: Context, span: Span, children: Children) -> ast.Argument:
    """Build a positional argument."""
    return ast.Argument(None, children[0], span)


def arguments(context: Context, span: Span, children: Children) -> Children:
    """Check that positional arguments come first and no keyword twice."""
    keywords: set[str] = set()
    for child in children:
        if child.name is None and keywords:
            context.found.error(
                "E0017",
                "a positional argument follows a keyword argument",
                child.span,
                hint="put positional arguments first, or name this one too",
            )
        elif child.name in keywords:
            context.found.error(
                "E0017",
                f"the argument {child.name} is given twice",
                child.span,
                hint="remove one of them",
            )
        elif child.name is not None:
            keywords.add(child.name)
    return children


def call(context: Context, span: Span, children: Children) -> ast.Expr:
    """Build `f(a, b, c=d)` or `pad(access, value)`."""
    function, given = children[0], tuple(children[1] or ())
    text = function.name
    if text == "pad":
        return _pad(context, span, given)
    if text == "inf":
        context.found.error(
            "E0013",
            "inf is the number infinity and not a function",
            function.span,
            hint="write inf",
        )
    elif text in REDUCTIONS and text not in VALUE_FUNCTIONS:
        context.found.error(
            "E0018",
            f"the reduction {text} does not say over which indices",
            function.span,
            hint=f"write {text}[k](...), with an index for k",
        )
    return ast.Call(text, given, span, function.span)


def _pad(
    context: Context, span: Span, given: tuple[ast.Argument, ...]
) -> ast.Pad | ast.Number:
    named = [argument.name for argument in given]
    if named in ([None], [None, None], [None, "value"]):
        return ast.Pad(given[0].value, given[1].value if given[1:] else None, span)
    count = len(given)
    context.found.error(
        "E0017",
        "pad takes an access and, if wanted, a value",
        span,
        label=f"{count} argument{'' if count == 1 else 's'} stand here"
        if count not in (1, 2)
        else "its arguments are named otherwise",
        hint="write pad(x[i - 1]) or pad(x[i - 1], value=0)",
    )
    return ast.Number(0, span)


def unary(context: Context, span: Span, children: Children) -> ast.Unary:
    """Build `-e` or `+e`."""
    return ast.Unary(children[0].text, children[1], span)


def inversion(context: Context, span: Span, children: Children) -> ast.Unary:
    """Build `not e`."""
    return ast.Unary("not", children[0], span)


def binary(context: Context, span: Span, children: Children) -> ast.Binary:
    """Build an arithmetic operator with its operands."""
    left, operator, right = children
    return ast.Binary(operator.text, left, right, span)


def conjunction(context: Context, span: Span, children: Children) -> ast.Binary:
    """Build `a and b`."""
    return ast.Binary("and", children[0], children[1], span)


def disjunction(context: Context, span: Span, children: Children) -> ast.Binary:
    """Build `a or b`."""
    return ast.Binary("or", children[0], children[1], span)


def comparison_operator(context: Context, span: Span, children: Children) -> str:
    """Return the symbol."""
    return str(children[0].text)


def comparison(context: Context, span: Span, children: Children) -> ast.Compare:
    """Build a chain of comparisons."""
    return ast.Compare(tuple(children[1::2]), tuple(children[0::2]), span)


def conditional(context: Context, span: Span, children: Children) -> ast.Conditional:
    """Build `then if condition else otherwise`."""
    then, condition, otherwise = children
    return ast.Conditional(then, condition, otherwise, span)
