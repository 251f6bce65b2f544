"""The number of subscripts of an access, which is that of the tensor's dimensions."""

from __future__ import annotations

from polydsl.semantics.context import Context
from polydsl.syntax import ast

_EXAMPLE = ("i", "j", "k", "l", "m", "n")


def check_rank(expr: ast.Access, count: int, rank: int, context: Context) -> bool:
    """Report an access whose number of subscripts is not the tensor's rank.

    Both numbers hold the indices that `...` stands for; the report leaves them out,
    for that number is only the one of this specialisation.
    """
    if count == rank or expr.tensor in context.scope.conflicts:
        return count == rank
    info = context.tensors[expr.tensor]
    lead = len(context.lead or ())
    has_lead = "..." in info.text
    has_dots = any(isinstance(s, ast.Ellipsis) for s in expr.subscripts)
    own, given = rank - lead * has_lead, count - lead * has_dots
    dimensions = _counted(own, "dimension", has_lead=has_lead)
    subscripts = _counted(given, "subscript", has_lead=False)
    verb = "is" if given == 1 else "are"
    behind = " behind ..." if has_dots else ""
    line = context.scope.places[expr.tensor].line
    context.error(
        "E0203",
        f"{expr.tensor} has {dimensions} and {subscripts} {verb} given{behind}",
        expr.span,
        label=f"{expr.tensor}: {info.text}"
        if info.text
        else f"{dimensions} in line {line}",
        hint=_remedy(expr.tensor, own, has_lead=has_lead),
    )
    return False


def _counted(number: int, noun: str, *, has_lead: bool) -> str:
    plural = "" if number == 1 else "s"
    behind = " behind ..." if has_lead else ""
    return f"{number or 'no'} {noun}{plural}{behind}"


def _remedy(tensor: str, own: int, *, has_lead: bool) -> str:
    """Show the access as it should be, unless that is long."""
    if own > len(_EXAMPLE):
        return ""
    subscripts = ["..."] * has_lead + list(_EXAMPLE[:own])
    if not subscripts:
        return f"write {tensor} without subscripts"
    return f"write {tensor}[{', '.join(subscripts)}]"
