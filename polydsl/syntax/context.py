"""What the functions that build nodes work with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.source import Source, Span
from polydsl.syntax import ast
from polydsl.syntax.words import reserved_as

Children: TypeAlias = Sequence[Any]
"""The nodes and words of a rule's parts; None where an optional part is missing."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text that is no node: a number, a string, an operator."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Context:
    """What building needs besides the parts.

    `quoted` parses the text inside a string annotation: (start symbol, literal) to
    node, or None if it is wrong and reported. Inside such a text it is None itself.
    """

    source: Source
    found: Diagnostics
    quoted: Callable[[str, Word, Diagnostics], Any] | None


def define(context: Context, name: ast.Name, what: str) -> ast.Name:
    """Report *name* if it is reserved and so cannot name *what*."""
    purpose = reserved_as(name.name)
    if purpose:
        context.found.error(
            "E0013",
            f"{name.name} is reserved and cannot name {what}",
            name.span,
            label=f"{name.name} is {purpose}",
            hint=f"choose another name, for example {name.name}_",
        )
    return name
